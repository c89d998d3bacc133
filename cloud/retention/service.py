"""Giving a person's whole record away, and deleting it where the law allows."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from html import escape
from threading import BoundedSemaphore
from typing import Any, Protocol
from weakref import finalize

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud.act import Action, Origin, Recorder, Target, TargetKind, target
from cloud.events import Clock
from cloud.identity.errors import NotAllowed
from cloud.identity.model import SYSTEM, Purpose, Role, Scope, Subject
from cloud.identity.queries import find_sight
from cloud.retention import queries
from cloud.retention.formats.archive import StreamedZip
from cloud.retention.formats.fhir import write_bundle
from cloud.retention.formats.lines import to_line
from cloud.retention.model import (
    CLASS_BY_TABLE,
    Deletion,
    DeletionRefused,
    ExportsBusy,
    Policy,
    RecordUnknown,
    Tombstone,
)
from cloud.series.stores.choice import choose_series
from cloud.store.connection import Database, Pool

_log = structlog.get_logger()
FORMAT = b"qianli-export-1\n"
# Each keeps a connection for as long as its reader takes; the pool has six, and everybody else needs some.
MOST_EXPORTS = 2


class Numbers(Protocol):
    """Port: kind, issuer and number of a person's identifiers, masked unless `is_open`."""

    def __call__(
        self, connection: Database, subject: Subject, patient_ids: list[str], *, is_open: bool
    ) -> list[tuple[str, str, str]]:
        """The numbers."""


MayOpen = Callable[[Subject], bool]
"""Port: whether numbers go into an export as they are."""
Signed = Callable[[bytes], tuple[str, str]]
"""Port: public key and signature of some bytes, both as hexadecimal text."""


def signed_with(key: Ed25519PrivateKey) -> Signed:
    """Exports are signed with the key of the audit, whose fingerprint is noted outside already."""
    public = key.public_key().public_bytes_raw().hex()
    return lambda content: (public, key.sign(content).hex())


def for_oneself(subject: Subject) -> bool:
    """Numbers are open to the person they are of; everybody else gets them masked."""
    return subject.purpose is Purpose.SELF or subject.role is Role.SYSTEM


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What other rooms do for an export."""

    numbers: Numbers
    signed: Signed
    waves: queries.WaveStore
    may_open: MayOpen = for_oneself


class RetentionService:
    """Use cases; safe to call from several threads. What is shown or done is recorded first."""

    def __init__(self, pool: Pool, *, recorder: Recorder, clock: Clock, ports: Ports, policy: Policy) -> None:
        self._pool = pool
        self._recorder = recorder
        self._clock = clock
        self._ports = ports
        self._policy = policy
        self._exports = BoundedSemaphore(MOST_EXPORTS)

    def export(self, subject: Subject, patient_id: str, *, origin: Origin = Origin.HTTP) -> Iterator[bytes]:
        """A zip of everything about a person, from one moment, piece by piece.

        Whoever takes it sees at least what every table holds (`CLASS_BY_TABLE`).

        Raises:
            RecordUnknown: not there, or not for this subject.
            NotAllowed: the subject sees less of this person than the record holds.
            ExportsBusy: others are being given theirs.
            AuditUnavailable: the entry could not be written, so nothing is given.
        """
        with self._pool.connection() as connection:
            group = self._group(connection, subject, patient_id)
            sight = find_sight(connection, subject, group[0])
        if sight is None or not all(map(sight.up_to.reaches, CLASS_BY_TABLE.values())):
            raise NotAllowed
        if not self._exports.acquire(blocking=False):
            raise ExportsBusy
        try:
            acts = [
                subject.act(Action.EXPORT_PERSON, on, origin=origin, basis=sight.basis)
                for on in _patients(group)
            ]
            self._recorder.begin(*acts)()
            pieces = self._stream(subject, group)
        except BaseException:
            self._exports.release()
            raise
        # A reader may stop anywhere, even before the first piece: then nobody has the pieces any more.
        finalize(pieces, self._exports.release)
        return pieces

    def request_deletion(self, subject: Subject, patient_id: str, *, reason: str) -> Deletion:
        """Ask for a deletion; refused at once where the law still asks for keeping.

        Raises:
            RecordUnknown, DeletionRefused: as their names say.
        """
        if Scope.EDIT_PATIENTS not in subject.scopes or subject.organisation is None:
            raise NotAllowed
        with self._pool.connection() as connection, connection.transaction():
            group = self._group(connection, subject, patient_id)
            self._require_period_over(connection, subject, group)
            asked = Deletion(
                deletion_id=0,
                patient_id=group[0],
                organisation_id=subject.organisation,
                requested_at=self._clock(),
                requested_by=subject.person,
                reason=reason.strip(),
            )
            number = queries.insert_deletion(connection, asked)
            if number is None:
                raise DeletionRefused("a request waits for its decision already")
            acts = [subject.act(Action.REQUEST_DELETION, on, origin=Origin.HTTP) for on in _patients(group)]
            self._recorder.begin(*acts)()
            (made,) = queries.find_deletions(connection, subject, deletion_id=number)
        return made

    def list_deletions(self, subject: Subject) -> list[Deletion]:
        """Requests and decisions of the subject's organisation; they hold no name and no value."""
        with self._pool.connection() as connection:
            found = queries.find_deletions(connection, subject)
        act = subject.act(Action.READ_DELETIONS, target(TargetKind.DELETION, "all"), origin=Origin.HTTP)
        self._recorder.begin(act)()
        return found

    def decide(self, subject: Subject, deletion_id: int, *, approved: bool) -> Tombstone | None:
        """Approve, which deletes at once, or reject. Nobody decides on one's own request.

        Raises:
            RecordUnknown: no such request in the subject's organisation.
            DeletionRefused: decided already, one's own, or the period of keeping runs (again).
        """
        if Scope.REVIEW_ACCESS not in subject.scopes:
            raise NotAllowed
        with self._pool.connection() as connection, connection.transaction():
            found = queries.find_deletions(connection, subject, deletion_id=deletion_id)
            if not found:
                raise RecordUnknown
            self._require_open(subject, found[0])
            now = self._clock()
            queries.decide_deletion(connection, deletion_id, at=now, by=subject.person, approved=approved)
            on = target(TargetKind.DELETION, f"{deletion_id}:{'approved' if approved else 'rejected'}")
            acts = [subject.act(Action.DECIDE_DELETION, on, origin=Origin.HTTP)]
            tombstone = self._erase(connection, found[0], now=now) if approved else None
            if tombstone is not None:
                acts.append(subject.act(Action.ERASE_PERSON, _buried(tombstone), origin=Origin.HTTP))
            self._recorder.begin(*acts)()
        _log.info("deletion_decided", deletion=deletion_id, by=subject.person, approved=approved)
        return tombstone

    def _require_open(self, subject: Subject, deletion: Deletion) -> None:
        if deletion.decided_at is not None:
            raise DeletionRefused("it is decided already")
        if deletion.requested_by == subject.person:
            raise DeletionRefused("nobody decides on one's own request")

    def _erase(self, connection: Database, deletion: Deletion, *, now: datetime) -> Tombstone:
        # The decision is the auditor's, who may not read people; the deletion itself is the system's.
        group = queries.find_group(connection, SYSTEM, deletion.patient_id)
        measured = self._measured_by(connection)
        queries.lock_group(connection, group, measured=measured)
        self._require_period_over(connection, SYSTEM, group)
        running, counts = sha256(), dict[str, int]()
        tables = queries.find_personal_tables(connection)
        for name in queries.MEASURED_TABLES:
            for row in queries.iterate_measured(connection, name, group=group, measured=measured):
                running.update(to_line(row))
            counts[name] = queries.erase_measured(connection, name, group=group, measured=measured)
        for name, columns in tables.items():
            for row in queries.iterate_rows(connection, name, columns, group=group):
                running.update(to_line(row))
            counts[name] = queries.erase_rows(connection, name, columns, group=group)
        left = {
            name: queries.count_rows(connection, name, where, group=group) for name, where in tables.items()
        }
        if any(left.values()):
            raise DeletionRefused(f"rows remained in {sorted(name for name, count in left.items() if count)}")
        tombstone = Tombstone(
            deletion_id=deletion.deletion_id,
            patient_id=deletion.patient_id,
            erased_at=now,
            counts={name: count for name, count in counts.items() if count},
            hash=running.digest(),
        )
        queries.insert_tombstone(connection, tombstone)
        return tombstone

    def _measured_by(self, connection: Database) -> queries.Measured:
        return queries.Measured(series=choose_series(connection), waves=self._ports.waves)

    def _require_period_over(self, connection: Database, subject: Subject, group: list[str]) -> None:
        contact = queries.find_last_contact(connection, subject, group)
        if contact is None:
            return
        until = self._policy.kept_until(contact)
        if until > self._clock():
            raise DeletionRefused(
                f"{contact.care.value} records are kept until {until.date().isoformat()} "
                "(医疗机构病历管理规定 art. 29)"
            )

    def _group(self, connection: Database, subject: Subject, patient_id: str) -> list[str]:
        group = [] if "\0" in patient_id else queries.find_group(connection, subject, patient_id)
        if not group:
            raise RecordUnknown
        return group

    def _stream(self, subject: Subject, group: list[str]) -> Iterator[bytes]:
        now = self._clock()
        archive = StreamedZip(at=now)
        with self._pool.connection() as connection, connection.transaction():
            queries.freeze_moment(connection)
            measured = self._measured_by(connection)
            numbers = self._ports.numbers(connection, subject, group, is_open=self._ports.may_open(subject))
            tables = queries.find_personal_tables(connection)
            patients = list(queries.iterate_rows(connection, "patient", tables["patient"], group=group))
            for name, columns in tables.items():
                rows = queries.iterate_rows(connection, name, columns, group=group)
                yield from archive.add(f"tables/{name}.jsonl", map(to_line, rows))
            for name in queries.MEASURED_TABLES:
                rows = queries.iterate_measured(connection, name, group=group, measured=measured)
                yield from archive.add(f"tables/{name}.jsonl", map(to_line, rows))
            spoken = [to_line({"kind": k, "issuer": i, "number": n}) for k, i, n in numbers]
            yield from archive.add("identifiers.jsonl", spoken)
            # As they are now: the survivor of every merge speaks for all of them.
            person = next(row for row in patients if row["patient_id"] == group[0])
            observations = queries.iterate_measured(connection, "observation", group=group, measured=measured)
            yield from archive.add("fhir.json", write_bundle(person, numbers, observations))
        yield from archive.add("index.html", [_index(person, numbers, archive.lines, now).encode()])
        sums = "".join(f"{digest}  {name}\n" for name, digest in sorted(archive.checksums.items())).encode()
        public_key, signature = self._ports.signed(FORMAT + sums)
        yield from archive.add("SHA256SUMS", [sums])
        said = {"format": FORMAT.decode().strip(), "public_key": public_key, "signature": signature}
        yield from archive.add("signature.json", [json.dumps(said).encode()])
        yield archive.finish()


def _patients(group: list[str]) -> list[Target]:
    return [target(TargetKind.PATIENT, patient_id) for patient_id in group]


def _buried(tombstone: Tombstone) -> Target:
    rows = sum(tombstone.counts.values())
    return target(TargetKind.DELETION, f"{tombstone.deletion_id}:{rows}:{tombstone.hash.hex()}")


def _index(
    person: Mapping[str, Any], numbers: list[tuple[str, str, str]], lines: Mapping[str, int], at: datetime
) -> str:
    """A page for people, both languages; everything in it is escaped."""
    name = escape(person["name_zh"] or person["name_en"])
    spoken = "".join(f"<tr><td>{escape(kind)}<td>{escape(value)}" for kind, _, value in numbers)
    counted = "".join(
        f"<tr><td><a href='{escape(file)}'>{escape(file)}</a><td>{count}" for file, count in lines.items()
    )
    return (
        "<!doctype html><html lang='zh'><meta charset='utf-8'><title>千里 Qianli</title>"
        f"<h1>{name}</h1><p>导出时间 · exported at {at.isoformat()}</p>"
        f"<h2>证件与号码 · numbers</h2><table>{spoken}</table>"
        f"<h2>内容 · content</h2><table><tr><th>文件 · file<th>行 · lines{counted}</table>"
        "<p>fhir.json: FHIR R4 Bundle. SHA256SUMS: 校验和 · checksums. signature.json: Ed25519.</p></html>\n"
    )
