"""Objects hold what is about people, so they are sealed before they leave the process.

Each object has a random key of its own, which lies sealed in the database (`cloud.store.sealing`): the ring's
keys change without a byte of any object. From it and a random salt comes the key of a part; pieces of a part
are sealed one by one, so that some can be read without the others. A salt lies beside the reference to its
part: with it goes the only way to read that part, at once, whatever copies of the object there are.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from cloud.objects.errors import ObjectDamaged
from cloud.store.suite import TAG_BYTES, Box, BoxBroken, Suite, derive_key

_SECRET_BYTES = 32
_SALT_BYTES = 16
_NONCE_BYTES = 12
MORE_BYTES = TAG_BYTES
"""By how much a piece grows when it is sealed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectKey:
    """The key of one object."""

    suite: Suite
    secret: bytes = field(repr=False)

    def to_text(self) -> str:
        """As it is sealed in the database."""
        return f"{self.suite.value} {self.secret.hex()}"


def make_key(suite: Suite) -> ObjectKey:
    """A fresh key; no object has another's."""
    return ObjectKey(suite=suite, secret=secrets.token_bytes(_SECRET_BYTES))


def read_key(text: str) -> ObjectKey:
    """The key that `to_text` wrote."""
    suite, digits = text.split()
    return ObjectKey(suite=Suite(suite), secret=bytes.fromhex(digits))


def make_salt() -> bytes:
    """A fresh salt; no part has another's."""
    return secrets.token_bytes(_SALT_BYTES)


def seal_pieces(key: ObjectKey, salt: bytes, pieces: Sequence[bytes]) -> list[bytes]:
    """The pieces of a part, each sealed at its place in it."""
    box = _box(key, salt)
    return [box.close(_nonce(number), piece, context=b"") for number, piece in enumerate(pieces)]


def open_pieces(
    key: ObjectKey, salt: bytes, sealed: Sequence[bytes], *, first: int, name: str
) -> list[bytes]:
    """Pieces again; `first` is the place of the first of them.

    Raises:
        ObjectDamaged: other bytes, another place, another key.
    """
    box = _box(key, salt)
    try:
        return [box.open(_nonce(first + place), piece, context=b"") for place, piece in enumerate(sealed)]
    except BoxBroken as error:
        raise ObjectDamaged(name) from error


def _box(key: ObjectKey, salt: bytes) -> Box:
    purpose = f"qianli objects v1: part {salt.hex()}"
    return Box(key.suite, derive_key(key.suite, key.secret, purpose=purpose))


def _nonce(number: int) -> bytes:
    """Never twice: a salt, and so a key, serves one part, and a place in it one piece."""
    return number.to_bytes(_NONCE_BYTES, "big")
