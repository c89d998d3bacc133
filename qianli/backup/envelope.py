"""A sealed stream: whoever has the passphrase or the private key reads it, and no changed byte passes.

After the magic line stands one JSON line that says for whom the stream is sealed; the key of the stream
itself is random and wrapped for that reader (scrypt, RFC 7914, or X25519 with HKDF, as age does it). Then
come chunks, each a length of 4 bytes and AES-256-GCM with the number of the chunk as nonce: no chunk can be
left out, repeated or moved. The header is authenticated with every chunk, and the last chunk is marked, so
that a shortened file is noticed.
"""

import base64
import os
import secrets
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import BinaryIO

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from vitals.errors import QianliError

MAGIC = b"qianli-sealed-1\n"
CHUNK_BYTES = 1 << 18
SCRYPT_N, SCRYPT_R, SCRYPT_P = 1 << 16, 8, 1
_MOST_SCRYPT_N = 1 << 20  # what a file may ask of the reader's memory: 1 GiB
_LENGTH = struct.Struct(">I")
_LONGEST_CHUNK = CHUNK_BYTES * 4
_TAG_BYTES = 16
_NUMBER_BYTES = 11


class SealedStreamInvalid(QianliError):
    """A sealed file cannot be read; says what is wrong with it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"the file cannot be read: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """For whom a stream is sealed: a passphrase or the public key of the reader."""

    passphrase: str | None = field(default=None, repr=False)
    public_key: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Opener:
    """What a reader has."""

    passphrase: str | None = field(default=None, repr=False)
    private_key: bytes | None = field(default=None, repr=False)


class _Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kind: str
    salt: str
    wrapped: str
    n: int = 0


class SealedWriter:
    """Seals what it is given into a file, whole chunks at a time."""

    def __init__(self, file: BinaryIO, lock: Lock) -> None:
        self._file = file
        key = secrets.token_bytes(32)
        self._cipher = AESGCM(key)
        header = MAGIC + msgspec.json.encode(_wrap(key, lock)) + b"\n"
        self._bound = sha256(header).digest()
        self._number = 0
        self._waiting = bytearray()
        file.write(header)

    def write(self, content: bytes) -> int:
        """Take in more; sealed as soon as a chunk is full."""
        self._waiting += content
        while len(self._waiting) > CHUNK_BYTES:
            self._seal(bytes(self._waiting[:CHUNK_BYTES]), is_last=False)
            del self._waiting[:CHUNK_BYTES]
        return len(content)

    def push(self) -> None:
        """Seal what waits now and make it durable; the stream goes on."""
        if self._waiting:
            self._seal(bytes(self._waiting), is_last=False)
            self._waiting.clear()
        self._file.flush()
        os.fsync(self._file.fileno())

    def finish(self) -> None:
        """Seal the rest with the mark of the end."""
        self._seal(bytes(self._waiting), is_last=True)
        self._waiting.clear()
        self._file.flush()
        os.fsync(self._file.fileno())

    def _seal(self, content: bytes, *, is_last: bool) -> None:
        hidden = self._cipher.encrypt(_nonce(self._number, is_last=is_last), content, self._bound)
        self._file.write(_LENGTH.pack(len(hidden)) + hidden)
        self._number += 1


def read_sealed(file: BinaryIO, opener: Opener, *, may_end_early: bool = False) -> Iterator[bytes]:
    """The content, chunk by chunk, each proved before it is given.

    `may_end_early` is for a journal whose writer was killed: a last chunk that is not whole, or the missing
    mark of the end, then ends it quietly. A changed byte is refused all the same.

    Raises:
        SealedStreamInvalid: no such file, another key, shortened or changed.
    """
    header, key = _read_header(file, opener)
    cipher, bound = AESGCM(key), sha256(header).digest()
    number = 0
    while True:
        hidden = _read_chunk(file)
        if hidden is None:
            if may_end_early:
                return
            raise SealedStreamInvalid("it ends too early; it was cut off or its writing was interrupted")
        content, is_last = _open_chunk(cipher, hidden, number=number, bound=bound)
        number += 1
        if content:
            yield content
        if is_last:
            if file.read(1):
                raise SealedStreamInvalid("something was added after its end")
            return


def make_reader_keys() -> tuple[bytes, bytes]:
    """A private and a public key for backups that only another machine can read."""
    key = X25519PrivateKey.generate()
    return key.private_bytes_raw(), key.public_key().public_bytes_raw()


def _nonce(number: int, *, is_last: bool) -> bytes:
    return number.to_bytes(_NUMBER_BYTES, "big") + bytes([is_last])


def _read_chunk(file: BinaryIO) -> bytes | None:
    front = file.read(_LENGTH.size)
    if len(front) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(front)
    if not _TAG_BYTES <= length <= _LONGEST_CHUNK:
        raise SealedStreamInvalid("it was changed")
    hidden = file.read(length)
    return hidden if len(hidden) == length else None


def _open_chunk(cipher: AESGCM, hidden: bytes, *, number: int, bound: bytes) -> tuple[bytes, bool]:
    for is_last in (False, True):
        try:
            return cipher.decrypt(_nonce(number, is_last=is_last), hidden, bound), is_last
        except InvalidTag:
            continue
    raise SealedStreamInvalid("it was changed")


def _wrap(key: bytes, lock: Lock) -> _Header:
    if lock.public_key is not None:
        once = X25519PrivateKey.generate()
        shared = once.exchange(X25519PublicKey.from_public_bytes(lock.public_key))
        salt = once.public_key().public_bytes_raw()
        wrapping = _agreed(shared, salt + lock.public_key)
        return _Header(kind="x25519", salt=_text(salt), wrapped=_text(_close(wrapping, key)))
    salt = secrets.token_bytes(16)
    wrapping = _stretched(lock.passphrase or "", salt, n=SCRYPT_N)
    return _Header(kind="scrypt", salt=_text(salt), wrapped=_text(_close(wrapping, key)), n=SCRYPT_N)


def _read_header(file: BinaryIO, opener: Opener) -> tuple[bytes, bytes]:
    if file.read(len(MAGIC)) != MAGIC:
        raise SealedStreamInvalid("it is no sealed file of Qianli")
    line = file.readline(1000)
    try:
        header = msgspec.json.decode(line, type=_Header)
        salt, wrapped = (base64.b64decode(text, validate=True) for text in (header.salt, header.wrapped))
        key = AESGCM(_wrapping(header, salt, opener)).decrypt(bytes(12), wrapped, None)
    except InvalidTag as error:
        raise SealedStreamInvalid(
            "the passphrase or key is another one, or its beginning was changed"
        ) from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise SealedStreamInvalid("its beginning was changed") from error
    return MAGIC + line, key


def _wrapping(header: _Header, salt: bytes, opener: Opener) -> bytes:
    if header.kind == "scrypt":
        if opener.passphrase is None:
            raise SealedStreamInvalid("it needs a passphrase")
        if not 1 < header.n <= _MOST_SCRYPT_N:
            raise SealedStreamInvalid("its beginning was changed")
        return _stretched(opener.passphrase, salt, n=header.n)
    if opener.private_key is None:
        raise SealedStreamInvalid("it needs the private key of its reader")
    key = X25519PrivateKey.from_private_bytes(opener.private_key)
    shared = key.exchange(X25519PublicKey.from_public_bytes(salt))
    return _agreed(shared, salt + key.public_key().public_bytes_raw())


def _stretched(passphrase: str, salt: bytes, *, n: int) -> bytes:
    return Scrypt(salt=salt, length=32, n=n, r=SCRYPT_R, p=SCRYPT_P).derive(passphrase.encode())


def _agreed(shared: bytes, both: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=both, info=b"qianli sealed file").derive(shared)


def _close(wrapping: bytes, key: bytes) -> bytes:
    # The wrapping key is used once only, so its nonce may be fixed.
    return AESGCM(wrapping).encrypt(bytes(12), key, None)


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
