"""Which cryptography an installation uses: the one place where national algorithms are chosen.

`QIANLI_SIGNATURES` names the suite. It decides how documents are signed, what their content is hashed with,
and with which cipher and keyed hash new keys hide and find values. What exists already stays readable:
every signature names its scheme and every key of the ring its suite.
"""

import hmac
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import SM4
from cryptography.hazmat.primitives.hashes import SHA256, SM3, Hash, HashAlgorithm
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

TAG_BYTES = 16


class Suite(StrEnum):
    """How documents are signed; `sm2` is GB/T 32918 with SM3 (GB/T 32905) and SM4 (GB/T 32907)."""

    ED25519 = "ed25519"
    ECDSA = "ecdsa"
    SM2 = "sm2"

    @property
    def is_national(self) -> bool:
        """Whether hash, keyed hash and cipher are the national ones."""
        return self is Suite.SM2

    @property
    def hash_name(self) -> str:
        """What content is hashed with, as it stands in signed statements."""
        return "sm3" if self.is_national else "sha-256"


@dataclass(frozen=True, slots=True, kw_only=True)
class HashOfContent:
    """A running hash under its name."""

    running: Hash

    def update(self, content: bytes) -> None:
        """Take in more."""
        self.running.update(content)

    def finish(self) -> bytes:
        """The 32 bytes; nothing can be added afterwards."""
        return self.running.finalize()


def start_hash(name: str) -> HashOfContent:
    """A hash by the name that a statement gives it.

    Raises:
        KeyError: no such hash.
    """
    algorithm: HashAlgorithm = {"sm3": SM3(), "sha-256": SHA256()}[name]
    return HashOfContent(running=Hash(algorithm))


def hash_content(name: str, content: bytes) -> bytes:
    """The hash of bytes that are at hand."""
    running = start_hash(name)
    running.update(content)
    return running.finish()


def derive_key(suite: Suite, secret: bytes, *, purpose: str, length: int = 32) -> bytes:
    """One key of several from a secret (RFC 5869)."""
    algorithm: HashAlgorithm = SM3() if suite.is_national else SHA256()
    return HKDF(algorithm=algorithm, length=length, salt=None, info=purpose.encode()).derive(secret)


def keyed_digest(suite: Suite, key: bytes, text: bytes) -> bytes:
    """HMAC with the suite's hash, 32 bytes."""
    if not suite.is_national:
        return hmac.digest(key, text, sha256)
    running = HMAC(key, SM3())
    running.update(text)
    return running.finalize()


class BoxBroken(ValueError):
    """Hidden bytes were changed, or belong to another key or context."""


class Box:
    """Authenticated encryption: AES-256-GCM, or SM4-GCM (128-bit key) in the national suite."""

    def __init__(self, suite: Suite, key: bytes) -> None:
        self._sm4 = SM4(key[:16]) if suite.is_national else None
        self._aes = None if suite.is_national else AESGCM(key)

    def close(self, nonce: bytes, plain: bytes, *, context: bytes) -> bytes:
        """Hide; the nonce must never come twice under one key."""
        if self._aes is not None:
            return self._aes.encrypt(nonce, plain, context)
        assert self._sm4 is not None  # noqa: S101 # one of the two is there
        running = Cipher(self._sm4, modes.GCM(nonce)).encryptor()
        running.authenticate_additional_data(context)
        return running.update(plain) + running.finalize() + running.tag

    def open(self, nonce: bytes, hidden: bytes, *, context: bytes) -> bytes:
        """The plain bytes.

        Raises:
            BoxBroken: as its name says.
        """
        if len(hidden) < TAG_BYTES:
            raise BoxBroken
        try:
            if self._aes is not None:
                return self._aes.decrypt(nonce, hidden, context)
            assert self._sm4 is not None  # noqa: S101 # one of the two is there
            running = Cipher(self._sm4, modes.GCM(nonce, hidden[-TAG_BYTES:])).decryptor()
            running.authenticate_additional_data(context)
            return running.update(hidden[:-TAG_BYTES]) + running.finalize()
        except (InvalidTag, ValueError) as error:
            raise BoxBroken from error
