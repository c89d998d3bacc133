"""What somebody may give as a further proof."""

import base64
import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

RECOVERY_CODES = 10
_CODE_BYTES = 10  # 80 bits: 16 signs of base32


class ProofKind(StrEnum):
    """The kinds of proofs."""

    TOTP = "totp"
    PASSKEY = "passkey"
    RECOVERY_CODE = "recovery_code"
    PASSWORD = "password"  # noqa: S105 # its name


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A proof as it was given; that of a passkey is the browser's JSON."""

    kind: ProofKind
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolledPasskey:
    """A passkey as its owner sees it."""

    passkey_id: str
    title: str
    created_at: datetime
    used_at: datetime | None
    is_suspended: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """The second factors of an account."""

    has_totp: bool
    passkeys: tuple[EnrolledPasskey, ...]
    recovery_codes_left: int

    @property
    def is_any(self) -> bool:
        """Whether there is one, if only a suspended one: then the password alone is not enough."""
        return self.has_totp or bool(self.passkeys)

    @property
    def kinds(self) -> tuple[ProofKind, ...]:
        """What this account can give as a second factor."""
        usable = any(not passkey.is_suspended for passkey in self.passkeys)
        offered = (
            (ProofKind.TOTP, self.has_totp),
            (ProofKind.PASSKEY, usable),
            (ProofKind.RECOVERY_CODE, self.recovery_codes_left > 0),
        )
        return tuple(kind for kind, is_there in offered if is_there)


@dataclass(frozen=True, slots=True, kw_only=True)
class TotpEnrolment:
    """What an authenticator app needs: the address, and the same as the rows of a QR code (1 is dark)."""

    secret: str
    uri: str
    qr: tuple[str, ...]


def new_recovery_codes() -> tuple[str, ...]:
    """Codes for the day the phone is lost, in groups of four signs."""
    codes = (base64.b32encode(secrets.token_bytes(_CODE_BYTES)).decode() for _ in range(RECOVERY_CODES))
    return tuple("-".join(code[at : at + 4] for at in range(0, 16, 4)) for code in codes)


def bare_recovery_code(typed: str) -> str:
    """As it was made, however it was typed."""
    return "".join(sign for sign in typed.upper() if sign.isalnum())
