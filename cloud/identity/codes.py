"""One-time codes that somebody reads aloud, types or scans: told once and never stored."""

import re
import secrets
from hashlib import sha256

MOST_WRONG_TRIES = 5
LONGEST_CODE = 32  # as typed, with spaces and hyphens
_SIGNS = "ABCDEFGHJKMNPQRSTVWXYZ23456789"  # none that looks like another
_LENGTH = 12


def new_code() -> str:
    """Fifty-nine random bits: with a day to live and few tries, guessing is hopeless."""
    return "".join(secrets.choice(_SIGNS) for _ in range(_LENGTH))


def hash_code(code: str) -> bytes:
    """What the database keeps of a code, however it was typed."""
    return sha256(re.sub(r"[\s-]", "", code).upper().encode()).digest()
