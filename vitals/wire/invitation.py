"""The code with which an agent is let in, as a person types it and as a QR code carries it.

    28 characters of Crockford's alphabet (no I, L, O, U), in groups of four:
    10 of the secret (50 bits) · 17 of the authority's fingerprint (85 bits) · 1 check

The fingerprint's beginning tells the agent which authority it may believe before it sends the secret: whoever
stands in between would have to find another certificate whose SHA-256 begins alike. The check character is a
sum over GF(32) with a weight of its own for each place, so that any one wrong character and any two exchanged
ones are noticed at the keyboard; Crockford's own check (modulo 37) would need `*`, `~`, `$` and `=`, which a
shell takes for itself.
"""

import secrets
from dataclasses import dataclass
from urllib.parse import urlsplit

from vitals.errors import QianliError

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LIKE = str.maketrans("OIL", "011", "- ")
_SECRET = 10
_FINGERPRINT = 17
_LENGTH = _SECRET + _FINGERPRINT + 1
_GROUP = 4
_FINGERPRINT_BYTES = 32
DEFAULT_PORT = 8444
SCHEME = "qianli"


class InvitationInvalid(QianliError):
    """What was typed or scanned is no invitation; the text never holds the code."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"this is no enrolment code: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentCode:
    """A code, read. `secret` and `fingerprint` are characters of the alphabet."""

    secret: str
    fingerprint: str

    def __str__(self) -> str:
        text = self.secret + self.fingerprint
        text += _check(text)
        return "-".join(text[start : start + _GROUP] for start in range(0, _LENGTH, _GROUP))

    def names(self, fingerprint: bytes) -> bool:
        """Whether the code was made by the authority whose certificate has this SHA-256."""
        return self.fingerprint == _beginning(fingerprint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """A code and where to take it."""

    code: EnrolmentCode
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.code}@{_bracketed(self.host)}:{self.port}"

    def as_qr(self, fingerprint: bytes) -> str:
        """The payload of a QR code, with the whole fingerprint."""
        return f"{SCHEME}://{_bracketed(self.host)}:{self.port}/enrol/{self.code}/{fingerprint.hex()}"


def new_code(fingerprint: bytes) -> EnrolmentCode:
    """A code with a fresh secret, of the authority whose certificate has this SHA-256."""
    secret = "".join(secrets.choice(_ALPHABET) for _ in range(_SECRET))
    return EnrolmentCode(secret=secret, fingerprint=_beginning(fingerprint))


def parse_code(text: str) -> EnrolmentCode:
    """Read a code as typed: any case, hyphens and blanks anywhere, O for 0, I and L for 1.

    Raises:
        InvitationInvalid: too short, too long, a foreign character, or the check does not fit.
    """
    typed = text.strip().upper().translate(_LIKE)
    if len(typed) != _LENGTH:
        raise InvitationInvalid(f"it has {len(typed)} characters instead of {_LENGTH}")
    if not set(typed) <= set(_ALPHABET):
        raise InvitationInvalid("it has a character that no code has")
    if _check(typed[:-1]) != typed[-1]:
        raise InvitationInvalid("one character is wrong, or two are exchanged")
    return EnrolmentCode(secret=typed[:_SECRET], fingerprint=typed[_SECRET:-1])


def parse_invitation(text: str) -> Invitation:
    """Read `CODE@HOST[:PORT]`, or what a QR code holds.

    Raises:
        InvitationInvalid: as for `parse_code`, no address, or a QR code whose two fingerprints differ.
    """
    given = text.strip()
    if given.startswith(f"{SCHEME}://"):
        return _parse_qr(given)
    typed, separator, address = given.partition("@")
    if not separator:
        raise InvitationInvalid("the address is missing (CODE@HOST:PORT)")
    host, port = _parse_address(f"//{address}")
    return Invitation(code=parse_code(typed), host=host, port=port)


def _parse_qr(text: str) -> Invitation:
    host, port = _parse_address(text)
    parts = urlsplit(text).path.split("/")
    if len(parts) != 4 or parts[1] != "enrol":
        raise InvitationInvalid("it is not an enrolment QR code")
    code = parse_code(parts[2])
    try:
        fingerprint = bytes.fromhex(parts[3])
    except ValueError as error:
        raise InvitationInvalid("its fingerprint is not hexadecimal") from error
    if len(fingerprint) != _FINGERPRINT_BYTES or not code.names(fingerprint):
        raise InvitationInvalid("its fingerprint and its code do not belong together")
    return Invitation(code=code, host=host, port=port)


def _parse_address(url: str) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InvitationInvalid("its address cannot be read (HOST:PORT)") from error
    plain = parts.username is None and not any(sign.isspace() for sign in host or " ")
    if not host or not plain:
        raise InvitationInvalid("its address cannot be read (HOST:PORT)")
    return host, DEFAULT_PORT if port is None else port


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _beginning(fingerprint: bytes) -> str:
    bits = int.from_bytes(fingerprint) >> (len(fingerprint) * 8 - _FINGERPRINT * 5)
    return "".join(_ALPHABET[bits >> (5 * place) & 31] for place in reversed(range(_FINGERPRINT)))


def _check(text: str) -> str:
    """The sum of products in GF(32) = GF(2)[x]/(x⁵+x²+1), where the weights are powers of x."""
    total = 0
    for character in reversed(text):  # Horner: each step multiplies what is there by x
        total = _times_x(total ^ _ALPHABET.index(character))
    return _ALPHABET[total]


def _times_x(element: int) -> int:
    shifted = element << 1
    return shifted ^ 0b100101 if shifted & 32 else shifted
