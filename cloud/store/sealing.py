"""A key beside the database: a value is found without being stored readable, and hidden until asked for.

From the one key in the file (HKDF-SHA-256, RFC 5869) come two, so that look-up and hiding never share one:
HMAC-SHA-256 gives a digest that only the holder of the key can compute, so that a stolen table cannot be
searched by trying all numbers; AES-256-GCM hides the value and refuses it in any other row than its own.
"""

import hmac
import os
import secrets
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cloud.store.errors import KeyFileInvalid, SealBroken

_KEY_BYTES = 32
_NONCE_BYTES = 12
_VERSION = b"\x01"


class Sealer:
    """Digests and seals short texts with one secret."""

    def __init__(self, secret: bytes) -> None:
        self._digest_key = _derive(secret, "look-up")
        self._cipher = AESGCM(_derive(secret, "seal"))
        # Tells whether a database and a key file belong together; nothing can be computed from it.
        self.fingerprint = _derive(secret, "fingerprint")

    def digest(self, text: str) -> bytes:
        """The keyed digest (32 bytes) by which a text is found again."""
        return hmac.digest(self._digest_key, text.encode(), sha256)

    def seal(self, text: str, *, context: str) -> bytes:
        """Hide a text; it opens with the same context only."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return _VERSION + nonce + self._cipher.encrypt(nonce, text.encode(), context.encode())

    def unseal(self, sealed: bytes, *, context: str) -> str:
        """The text again.

        Raises:
            SealBroken: another key, another context, or changed bytes.
        """
        if sealed[:1] != _VERSION:
            raise SealBroken
        nonce, hidden = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            return self._cipher.decrypt(nonce, hidden, context.encode()).decode()
        except (InvalidTag, ValueError) as error:
            raise SealBroken from error


def read_key(path: Path) -> bytes | None:
    """The key in a file, or None when there is no file.

    Raises:
        KeyFileInvalid: others may read it, or it holds something else.
    """
    try:
        mode, text = path.stat().st_mode, path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise KeyFileInvalid(path, error.strerror or "it cannot be read") from error
    if mode & 0o077:
        raise KeyFileInvalid(path, "other users may read it; run chmod 600 on it")
    try:
        key = bytes.fromhex(text.decode())
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise KeyFileInvalid(path, "it does not hold 64 hexadecimal digits; restore it from a backup")
    return key


def create_key(path: Path) -> bytes:
    """Make a key file that only its owner reads; it appears whole or not at all.

    Raises:
        KeyFileInvalid: it cannot be written, or one appeared meanwhile and cannot be read.
    """
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES).hex().encode())
            file.flush()
            os.fsync(file.fileno())
        _put_in_place(fresh, path)
    except OSError as error:
        raise KeyFileInvalid(path, error.strerror or "it cannot be written") from error
    key = read_key(path)
    if key is None:
        raise KeyFileInvalid(path, "it vanished while it was made")
    return key


def _put_in_place(fresh: Path, path: Path) -> None:
    """A link, not a rename: whoever comes second must not replace the key of the first."""
    try:
        path.hardlink_to(fresh)
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _derive(secret: bytes, purpose: str) -> bytes:
    context = f"qianli identifiers v1: {purpose}".encode()
    return HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=context).derive(secret)
