"""Codes by time: RFC 6238 over RFC 4226 with SHA-1, six digits and 30 s, as every app has them."""

import base64
import hmac
import secrets
from datetime import datetime
from urllib.parse import quote

DIGITS = 6
STEP_S = 30
WINDOW = 1  # steps before and after the present one, for clocks that differ
_SECRET_BYTES = 20


def new_secret() -> str:
    """160 random bits in base32, as apps take them."""
    return base64.b32encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def step_at(at: datetime) -> int:
    """The number of the 30 s step."""
    return int(at.timestamp()) // STEP_S


def code_at(key: bytes, step: int, *, digits: int = DIGITS, hash_name: str = "sha1") -> str:
    """The code of one step (RFC 4226, section 5.3; RFC 6238, section 4)."""
    mac = hmac.digest(key, step.to_bytes(8, "big"), hash_name)
    offset = mac[-1] & 0x0F
    number = int.from_bytes(mac[offset : offset + 4], "big") & 0x7FFF_FFFF
    return str(number % 10**digits).zfill(digits)


def matching_step(secret: str, code: str, *, now: datetime) -> int | None:
    """The step that a code belongs to, or None; each step of the window is compared in constant time."""
    key, given = base64.b32decode(secret), code.encode()
    present = step_at(now)
    found = None
    for step in range(present - WINDOW, present + WINDOW + 1):
        if hmac.compare_digest(code_at(key, step).encode(), given):
            found = step
    return found


def otpauth_uri(secret: str, *, account: str, issuer: str) -> str:
    """What an authenticator app reads from the QR code (Google's Key URI Format)."""
    label = f"{quote(issuer)}:{quote(account)}"
    return (
        f"otpauth://totp/{label}?secret={secret}&issuer={quote(issuer)}"
        f"&algorithm=SHA1&digits={DIGITS}&period={STEP_S}"
    )
