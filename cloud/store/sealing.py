"""A ring of keys beside the database: values are found without being readable, and hidden until asked for.

From each key in the file (HKDF, RFC 5869) come two, so that look-up and hiding never share one: a keyed
hash gives a digest that only the holder of the key can compute, so that a stolen table cannot be searched
by trying all numbers; authenticated encryption hides the value and refuses it in any other row than its
own.

The first byte of a sealed value is the number of its key, so that old values open while new ones are sealed
with the newest key. Digests are of one key at any moment, the one whose fingerprint the database names;
both move by `qianli keys` (docs/operations.md).
"""

import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cloud.store.errors import KeyFileInvalid, SealBroken
from cloud.store.folder import sync_folder
from cloud.store.suite import Box, BoxBroken, Suite, derive_key, keyed_digest

_KEY_BYTES = 32
_NONCE_BYTES = 12
MOST_KEYS = 255  # the number is one byte


@dataclass(frozen=True, slots=True, kw_only=True)
class SealingKey:
    """One key of the ring."""

    number: int
    suite: Suite
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedColumn:
    """A column whose values are sealed: each room that has one declares it, so that keys can be changed.

    `context` makes of the values of `named_by` what a value was sealed with.
    """

    table: str
    column: str
    key: str
    named_by: tuple[str, ...]
    context: Callable[..., str]


class _Derived:
    """What is computed from one key."""

    def __init__(self, key: SealingKey) -> None:
        def derive(purpose: str) -> bytes:
            return derive_key(key.suite, key.secret, purpose=f"qianli identifiers v1: {purpose}")

        self._suite = key.suite
        self._digest_key = derive("look-up")
        self.number = key.number
        self.box = Box(key.suite, derive("seal"))
        # Tells whether a database and a key file belong together; nothing can be computed from it.
        self.fingerprint = derive("fingerprint")

    def digest(self, text: str) -> bytes:
        return keyed_digest(self._suite, self._digest_key, text.encode())


class Sealer:
    """Digests and seals short texts with a ring of keys. Threads may share it.

    `reread` gives the keys again if their file has changed since, so that a service that runs learns of a
    rotation.
    """

    def __init__(
        self,
        secret: bytes | Sequence[SealingKey],
        *,
        reread: Callable[[], Sequence[SealingKey] | None] = lambda: None,
    ) -> None:
        keys = (
            [SealingKey(number=1, suite=Suite.ED25519, secret=secret)]
            if isinstance(secret, bytes)
            else secret
        )
        self._reread = reread
        self._keys = {key.number: _Derived(key) for key in keys}
        self._in_use = self._keys[max(self._keys)]

    @property
    def fingerprint(self) -> bytes:
        """Of the key that digests are made with now."""
        return self._in_use.fingerprint

    @property
    def newest_fingerprint(self) -> bytes:
        """Of the key that digests will be made with once they have moved."""
        return self._newest().fingerprint

    @property
    def newest_number(self) -> int:
        """Of the key that values are sealed with now."""
        return self._newest().number

    def use(self, fingerprint: bytes) -> bool:
        """Make digests with the key of this fingerprint from now on; False if it is not in the ring."""
        if fingerprint == self._in_use.fingerprint:
            return True
        self._refresh()
        found = next((key for key in self._keys.values() if key.fingerprint == fingerprint), None)
        if found is not None:
            self._in_use = found
        return found is not None

    def digest(self, text: str) -> bytes:
        """The keyed digest (32 bytes) that is stored with a text."""
        return self._in_use.digest(text)

    def digests(self, text: str) -> list[bytes]:
        """Every digest by which a text may be found, whichever key the database is at."""
        self._refresh()
        return [key.digest(text) for key in self._keys.values()]

    def newest_digest(self, text: str) -> bytes:
        """The digest under the newest key, to which the database moves."""
        return self._newest().digest(text)

    def seal(self, text: str, *, context: str) -> bytes:
        """Hide a text with the newest key; it opens with the same context only."""
        nonce, key = secrets.token_bytes(_NONCE_BYTES), self._newest()
        return bytes([key.number]) + nonce + key.box.close(nonce, text.encode(), context=context.encode())

    def unseal(self, sealed: bytes, *, context: str) -> str:
        """The text again.

        Raises:
            SealBroken: another key, another context, or changed bytes.
        """
        key = self._keys.get(sealed[0]) if sealed else None
        if key is None and sealed:
            self._refresh()
            key = self._keys.get(sealed[0])
        if key is None:
            raise SealBroken
        nonce, hidden = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        if len(nonce) < _NONCE_BYTES:
            raise SealBroken
        try:
            return key.box.open(nonce, hidden, context=context.encode()).decode()
        except (BoxBroken, UnicodeDecodeError) as error:
            raise SealBroken from error

    def is_newest(self, sealed: bytes) -> bool:
        """Whether a value was sealed with the newest key."""
        return sealed[:1] == bytes([self._newest().number])

    def _newest(self) -> _Derived:
        self._refresh()
        return self._keys[max(self._keys)]

    def _refresh(self) -> None:
        keys = self._reread()
        if keys is not None:
            known = self._keys
            self._keys = {key.number: known.get(key.number) or _Derived(key) for key in keys}


class KeyFile:
    """The file of a ring: a line of 64 hexadecimal digits, then `number suite digits` for each later key."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen_ns = 0

    def read(self) -> list[SealingKey] | None:
        """All keys, or None when there is no file.

        Raises:
            KeyFileInvalid: others may read it, or it holds something else.
        """
        try:
            status, text = self.path.stat(), self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise KeyFileInvalid(self.path, error.strerror or "it cannot be read") from error
        if status.st_mode & 0o077:
            raise KeyFileInvalid(self.path, "other users may read it; run chmod 600 on it")
        keys = _parse_keys(text)
        if not keys:
            raise KeyFileInvalid(
                self.path, "it does not hold 64 hexadecimal digits a key; restore it from a backup"
            )
        self._seen_ns = status.st_mtime_ns
        return keys

    def reread(self) -> list[SealingKey] | None:
        """The keys if the file has changed since it was read; None also while it is away."""
        try:
            changed = self.path.stat().st_mtime_ns != self._seen_ns
        except OSError:
            return None
        return self.read() if changed else None

    def create(self, suite: Suite = Suite.ED25519) -> list[SealingKey]:
        """Make the file with one key; of two that start together one wins.

        Raises:
            KeyFileInvalid: it cannot be written, or one appeared meanwhile and cannot be read.
        """
        self._write([_new_key(1, suite)], put=_put_in_place)
        keys = self.read()
        if keys is None:
            raise KeyFileInvalid(self.path, "it vanished while it was made")
        return keys

    def add(self, suite: Suite = Suite.ED25519) -> SealingKey:
        """Append a key; the file is the old one or the new one at every moment.

        Raises:
            KeyFileInvalid: there is no file, it is full, or it cannot be written.
        """
        keys = self.read()
        if keys is None or len(keys) >= MOST_KEYS:
            raise KeyFileInvalid(self.path, "it is not there" if keys is None else "it is full")
        fresh = _new_key(keys[-1].number + 1, suite)
        self._write([*keys, fresh], put=_replace)
        return fresh

    def _write(self, keys: Sequence[SealingKey], *, put: Callable[[Path, Path], None]) -> None:
        fresh = self.path.with_name(f"{self.path.name}.{secrets.token_hex(4)}")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write("\n".join(_line(key) for key in keys).encode())
                file.flush()
                os.fsync(file.fileno())
            put(fresh, self.path)
            sync_folder(self.path.parent)
        except OSError as error:
            raise KeyFileInvalid(self.path, error.strerror or "it cannot be written") from error


def open_ring(file: KeyFile, keys: Sequence[SealingKey]) -> Sealer:
    """A sealer that follows its file."""
    return Sealer(keys, reread=file.reread)


def _new_key(number: int, suite: Suite) -> SealingKey:
    return SealingKey(number=number, suite=suite, secret=secrets.token_bytes(_KEY_BYTES))


def _line(key: SealingKey) -> str:
    if key.number == 1 and not key.suite.is_national:
        return key.secret.hex()
    return f"{key.number} {key.suite.value} {key.secret.hex()}"


def _parse_keys(text: bytes) -> list[SealingKey]:
    """The keys in rising order; none at all if any line is wrong."""
    keys: list[SealingKey] = []
    try:
        for line in text.decode().splitlines():
            *front, digits = line.split()
            number, suite = (int(front[0]), Suite(front[1])) if front else (1, Suite.ED25519)
            secret = bytes.fromhex(digits)
            if len(secret) != _KEY_BYTES or not (keys[-1].number if keys else 0) < number <= MOST_KEYS:
                return []
            keys.append(SealingKey(number=number, suite=suite, secret=secret))
    except (ValueError, IndexError):
        return []
    return keys


def _put_in_place(fresh: Path, path: Path) -> None:
    """A link, not a rename: whoever comes second must not replace the key of the first."""
    try:
        path.hardlink_to(fresh)
    except FileExistsError:
        pass
    finally:
        fresh.unlink()


def _replace(fresh: Path, path: Path) -> None:
    fresh.replace(path)
