"""What an agent knows of people, sealed on its disk: whom its sensors are on, and whom it registered offline.

Both files are AES-256-GCM under a key beside the others (`keys/edge-people.key`, 0600), each bound to its own
name, so that neither can be put in the place of the other. Nothing of them goes into spool, log, or MQTT.
"""

import os
import secrets
import threading
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from edge_agent.door import BoundPerson
from edge_agent.errors import IdentityUnusable
from edge_agent.identity import write_file

_KEY_BYTES = 32
_NONCE_BYTES = 12
MOST_REGISTRATIONS = 1000


class OfflineRegistration(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A person registered here while the cloud was away, as the cloud's door takes it."""

    registration: str
    name_zh: str = ""
    name_en: str = ""
    birth_date: str | None = None
    sex: str = "unknown"
    identifiers: list[dict[str, str]] = []
    unknown: bool = False


class _Bound(msgspec.Struct, frozen=True, kw_only=True):
    mark: str = ""
    people: list[BoundPerson] = []


class RegistrationsFull(IdentityUnusable):
    """Too many people wait to be told to the cloud."""


class PeopleContext:
    """The two sealed files; safe to use from several threads."""

    def __init__(self, folder: Path, *, keys: Path) -> None:
        self._bound_path = folder / "people.sealed"
        self._waiting_path = folder / "registrations.sealed"
        self._cipher = AESGCM(_open_key(keys / "edge-people.key"))
        self._lock = threading.Lock()

    @property
    def mark(self) -> str:
        """Which version of the bound people lies here."""
        return self._bound().mark

    def bound_people(self) -> list[BoundPerson]:
        """Whom our sensors are on, as far as the cloud has told us."""
        return self._bound().people

    def put_bound_people(self, people: list[BoundPerson], *, mark: str) -> None:
        """Replace what was known."""
        self._seal(self._bound_path, msgspec.json.encode(_Bound(mark=mark, people=people)))

    def waiting(self) -> list[OfflineRegistration]:
        """Who was registered here and is not yet known to be known by the cloud, oldest first."""
        content = self._unseal(self._waiting_path)
        return [] if content is None else msgspec.json.decode(content, type=list[OfflineRegistration])

    def add(self, registration: OfflineRegistration) -> None:
        """Keep a registration until the cloud has it.

        Raises:
            RegistrationsFull, IdentityUnusable.
        """
        with self._lock:
            waiting = self.waiting()
            if len(waiting) >= MOST_REGISTRATIONS:
                raise RegistrationsFull(self._waiting_path, "too many registrations wait for the cloud")
            self._seal(self._waiting_path, msgspec.json.encode([*waiting, registration]))

    def settle(self, registration: str) -> None:
        """Forget one: the cloud has it."""
        with self._lock:
            left = [one for one in self.waiting() if one.registration != registration]
            self._seal(self._waiting_path, msgspec.json.encode(left))

    def _bound(self) -> _Bound:
        content = self._unseal(self._bound_path)
        return _Bound() if content is None else msgspec.json.decode(content, type=_Bound)

    def _seal(self, path: Path, content: bytes) -> None:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        write_file(path, nonce + self._cipher.encrypt(nonce, content, path.name.encode()))

    def _unseal(self, path: Path) -> bytes | None:
        try:
            sealed = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise IdentityUnusable(path, error.strerror or "it cannot be read") from error
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], path.name.encode())
        except (InvalidTag, ValueError) as error:
            raise IdentityUnusable(path, "it does not open with this key") from error


def new_registration_name() -> str:
    """The name of a registration: random, so that two places never share one."""
    return f"r-{secrets.token_hex(16)}"


def _open_key(path: Path) -> bytes:
    """The key in a file; made when there is none, of two that make it at once one wins."""
    try:
        if not path.exists():
            _make_key(path)
        mode, key = path.stat().st_mode, path.read_bytes()
    except OSError as error:
        raise IdentityUnusable(path, error.strerror or "it cannot be used") from error
    if mode & 0o077:
        raise IdentityUnusable(path, "other users may read it; run chmod 600 on it")
    if len(key) != _KEY_BYTES:
        raise IdentityUnusable(path, "it is no key of 32 bytes")
    return key


def _make_key(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secrets.token_bytes(_KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        return
    finally:
        draft.unlink()
