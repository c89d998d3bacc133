"""Adding to the chain, signing it, and giving it away as a file."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud.act import (
    Act,
    Action,
    AuditUnavailable,
    Origin,
    RecordedAct,
    Recorder,
    Target,
    TargetKind,
    Written,
)
from cloud.asked_patient import asked_patient
from cloud.audit import queries
from cloud.audit.lines import write_lines
from cloud.audit.model import (
    AuditQuestion,
    ChainBroken,
    Checkpoint,
    Entry,
    Head,
    TimedAct,
    chain_acts,
    check_checkpoint,
    follow,
    from_us,
    sign_head,
)
from cloud.errors import CloudError
from cloud.events import Clock
from cloud.identity.model import Subject
from cloud.store.connection import Database, Pool

KEY_NAME = "audit-signing.pem"


class DirectRecorder:
    """The recorder of a command, which ends before a stream could write: each entry is written at once."""

    def __init__(self, connection: Database, *, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    def begin(self, *acts: Act) -> Written:
        """Write when the result is called.

        Raises (from the call of the result):
            AuditUnavailable: it could not be written.
        """

        def written() -> None:
            try:
                append_acts(self._connection, [TimedAct(act=act, at=self._clock()) for act in acts])
            except psycopg.Error as error:
                raise AuditUnavailable from error

        return written

    def note(self, *acts: Act) -> None:
        """Write now."""
        self.begin(*acts)()


class AuditReader:
    """Reading what was written: for auditors, and for those whom it is about."""

    def __init__(self, pool: Pool, *, recorder: Recorder) -> None:
        self._pool = pool
        self._recorder = recorder

    def search(self, subject: Subject, question: AuditQuestion) -> list[RecordedAct]:
        """What an auditor looks for in the own organisation; the search itself is an entry."""
        with self._pool.connection() as connection:
            found = queries.find_entries(connection, subject, question)
        on = Target(kind=TargetKind.AUDIT, id="search")
        if question.patient is not None:
            on = asked_patient(question.patient)
        self._recorder.begin(subject.act(Action.SEARCH_AUDIT, on, origin=Origin.HTTP))()
        return [_recorded(entry) for entry in found]

    def find_acts_about(
        self, patient_ids: Sequence[str], *, before: int | None, limit: int
    ) -> list[RecordedAct]:
        """The newest acts on any of these patients; whoever asks has checked who may know."""
        with self._pool.connection() as connection:
            found = queries.find_about(connection, patient_ids, before=before, limit=limit)
        return [_recorded(entry) for entry in found]


def _recorded(entry: Entry) -> RecordedAct:
    return RecordedAct(sequence=entry.sequence, at=from_us(entry.at_us), act=entry.act())


class SigningKeyUnusable(CloudError):
    """The key that signs checkpoints cannot be read or made."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"the audit's signing key {self.path} cannot be used: {self.reason}"


class NothingToExport(CloudError):
    """The audit holds no entry."""

    def __str__(self) -> str:
        return "the audit holds no entry yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written to a file."""

    entries: int
    head_hash: str
    key: str


def load_signing_key(folder: Path, *, may_make: bool = False) -> Ed25519PrivateKey:
    """The key of this installation, which only its owner may read; the service makes it at its first start.

    Raises:
        SigningKeyUnusable: there is none, the folder cannot be written, or the file is no such key.
    """
    path = folder / KEY_NAME
    try:
        if may_make and not path.exists():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _make_key(path)
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise SigningKeyUnusable(path, error.strerror or "it cannot be read") from error
    except (ValueError, TypeError) as error:
        raise SigningKeyUnusable(path, "it is not a PEM file without a password") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SigningKeyUnusable(path, "it is not an Ed25519 key")
    return key


def _make_key(path: Path) -> None:
    """Write a new key whole and durable before it has its name; of two that start together one wins."""
    text = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    with suppress(FileExistsError):
        os.link(draft, path)
    draft.unlink()


def append_acts(connection: Database, acts: Sequence[TimedAct]) -> None:
    """Add entries in one transaction, or in the caller's."""
    if not acts:
        return
    with connection.transaction():
        queries.lock_chain(connection)
        queries.insert_entries(connection, chain_acts(queries.find_head(connection), acts))


def sign_chain(connection: Database, key: Ed25519PrivateKey, *, now: datetime) -> Checkpoint | None:
    """Sign everything since the last checkpoint, after a look whether it still is what was written.

    Returns None when there is no entry at all.

    Raises:
        ChainBroken: somebody changed it; nothing is signed.
    """
    with connection.transaction():
        last = queries.find_last_checkpoint(connection)  # first: another may sign a later head meanwhile
        end = queries.find_head(connection)
        if last is not None and last.sequence == end.sequence:
            check_checkpoint(end, last)
            return last
        head = Head() if last is None else Head(sequence=last.sequence, hash=last.hash)
        if last is not None:
            check_checkpoint(head, last)
        for entry in queries.iterate_entries(connection, after=head.sequence, upto=end.sequence):
            head = follow(head, entry)
        if head != end:
            raise ChainBroken(head.sequence + 1, "it is missing")
        if not head.sequence:
            return None
        checkpoint = sign_head(key, head, at=now)
        queries.insert_checkpoint(connection, checkpoint)
    return checkpoint


def export_audit(connection: Database, key: Ed25519PrivateKey, path: Path, *, now: datetime) -> Exported:
    """Sign the chain and write all of it to a file that only its owner may read.

    Raises:
        NothingToExport: there is no entry.
        ChainBroken: the newest entries are not what was written.
    """
    signed = sign_chain(connection, key, now=now)
    if signed is None:
        raise NothingToExport
    draft = path.with_name(f"{path.name}.part")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file, connection.transaction():
        entries = queries.iterate_entries(connection, after=0, upto=signed.sequence)
        file.writelines(write_lines(entries, queries.find_checkpoints(connection)))
    draft.replace(path)
    return Exported(entries=signed.sequence, head_hash=signed.hash, key=signed.fingerprint)


def why_not_written(error: psycopg.Error) -> str:
    """One line for the log, without parameters."""
    return " ".join(str(error.diag.message_primary or type(error).__name__).split())
