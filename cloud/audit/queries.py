"""SQL of the audit. Its tables tell of those who looked."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from psycopg.rows import kwargs_row

from cloud.audit.model import AuditQuestion, Checkpoint, Entry, Head, from_us, to_us
from cloud.identity.model import Scope, Subject
from cloud.store.connection import Database

_LOCK = 0x6175646974  # "audit"
_ROWS_AT_ONCE = 5_000
_COLUMNS = (
    "sequence, at, person, role, organisation, purpose, action, target_kind, target_id, outcome, origin, "
    "encode(previous_hash, 'hex') AS previous_hash, encode(hash, 'hex') AS hash, basis"
)


def lock_chain(connection: Database) -> None:
    """Be the only one who adds, until the caller's transaction ends."""
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))


def find_head(connection: Database) -> Head:
    """Where the chain ends."""
    row = connection.execute(
        "SELECT sequence, encode(hash, 'hex') FROM audit_entry ORDER BY sequence DESC LIMIT 1"
    ).fetchone()
    return Head() if row is None else Head(sequence=row[0], hash=row[1])


def insert_entries(connection: Database, entries: Iterable[Entry]) -> None:
    """Add entries that follow the head, within the transaction that holds the lock."""
    with (
        connection.cursor() as cursor,
        cursor.copy(
            "COPY audit_entry (sequence, at, person, role, organisation, purpose, action, target_kind, "
            "target_id, outcome, origin, previous_hash, hash, basis) FROM STDIN"
        ) as copy,
    ):
        for entry in entries:
            copy.write_row(
                (
                    entry.sequence,
                    from_us(entry.at_us),
                    entry.person,
                    entry.role,
                    entry.organisation,
                    entry.purpose,
                    entry.action,
                    entry.target_kind,
                    entry.target_id,
                    entry.outcome,
                    entry.origin,
                    bytes.fromhex(entry.previous_hash),
                    bytes.fromhex(entry.hash),
                    entry.basis,
                )
            )


def iterate_entries(connection: Database, *, after: int, upto: int) -> Iterator[Entry]:
    """Entries in order, a few thousand at a time, within the caller's transaction."""
    with connection.cursor(name="audit_entries", row_factory=kwargs_row(_entry)) as cursor:
        cursor.itersize = _ROWS_AT_ONCE
        cursor.execute(
            f"SELECT {_COLUMNS} FROM audit_entry "  # noqa: S608 only our own column list
            "WHERE sequence > %s AND sequence <= %s ORDER BY sequence",
            (after, upto),
        )
        yield from cursor


def insert_checkpoint(connection: Database, checkpoint: Checkpoint) -> None:
    """Keep a signature; a second one below the same entry adds nothing."""
    connection.execute(
        "INSERT INTO audit_checkpoint (sequence, at, hash, public_key, signature) "
        "VALUES (%s, %s, %s, %s, %s) ON CONFLICT (sequence) DO NOTHING",
        (
            checkpoint.sequence,
            from_us(checkpoint.at_us),
            bytes.fromhex(checkpoint.hash),
            bytes.fromhex(checkpoint.public_key),
            bytes.fromhex(checkpoint.signature),
        ),
    )


def find_checkpoints(connection: Database) -> list[Checkpoint]:
    """Every signature, in order."""
    rows = connection.execute(
        "SELECT sequence, at, hash, public_key, signature FROM audit_checkpoint ORDER BY sequence"
    ).fetchall()
    return [_checkpoint(row) for row in rows]


def find_last_checkpoint(connection: Database) -> Checkpoint | None:
    """The newest signature."""
    row = connection.execute(
        "SELECT sequence, at, hash, public_key, signature FROM audit_checkpoint "
        "ORDER BY sequence DESC LIMIT 1"
    ).fetchone()
    return None if row is None else _checkpoint(row)


def _entry(*, sequence: int, at: datetime, **words: str) -> Entry:
    return Entry(sequence=sequence, at_us=to_us(at), **words)


def _checkpoint(row: tuple[int, datetime, bytes, bytes, bytes]) -> Checkpoint:
    sequence, at, signed_hash, public_key, signature = row
    return Checkpoint(sequence, to_us(at), signed_hash.hex(), public_key.hex(), signature.hex())


def find_about(
    connection: Database, patient_ids: Sequence[str], *, before: int | None, limit: int
) -> list[Entry]:
    """The newest entries on any of these patients, newest first. Who asks is checked by who asks for it.

    Somebody who was not logged in saw nothing, and could bury with attempts those who did.
    """
    with connection.cursor(row_factory=kwargs_row(_entry)) as cursor:
        return cursor.execute(
            f"""
            SELECT {_COLUMNS} FROM audit_entry
             WHERE target_kind = 'patient' AND target_id = ANY(%(patients)s) AND role <> 'anonymous'
               AND (%(before)s::bigint IS NULL OR sequence < %(before)s)
             ORDER BY sequence DESC LIMIT %(limit)s
            """.encode(),  # noqa: S608 only our own column list
            {"patients": list(patient_ids), "before": before, "limit": limit},
        ).fetchall()


def find_entries(connection: Database, subject: Subject, question: AuditQuestion) -> list[Entry]:
    """What was done by people of the subject's organisation, or to its patients; newest first."""
    with connection.cursor(row_factory=kwargs_row(_entry)) as cursor:
        return cursor.execute(
            f"""
            SELECT {_COLUMNS} FROM audit_entry e
             WHERE %(may_read)s
               AND (e.organisation = %(organisation)s OR (e.target_kind = 'patient' AND EXISTS (
                    SELECT FROM patient p
                     WHERE p.patient_id = e.target_id AND p.organisation_id = %(organisation)s)))
               AND (%(person)s::text IS NULL OR e.person = %(person)s)
               AND (%(patient)s::text IS NULL OR (e.target_kind = 'patient' AND e.target_id = %(patient)s))
               AND (%(action)s::text IS NULL OR e.action = %(action)s)
               AND (%(outcome)s::text IS NULL OR e.outcome = %(outcome)s)
               AND (%(from_at)s::timestamptz IS NULL OR e.at >= %(from_at)s)
               AND (%(to_at)s::timestamptz IS NULL OR e.at < %(to_at)s)
               AND (%(before)s::bigint IS NULL OR e.sequence < %(before)s)
             ORDER BY e.sequence DESC LIMIT %(limit)s
            """.encode(),  # noqa: S608 only our own column list
            {
                "may_read": Scope.READ_AUDIT in subject.scopes,
                "organisation": subject.organisation,
                "person": question.person,
                "patient": question.patient,
                "action": question.action,
                "outcome": question.outcome,
                "from_at": question.from_at,
                "to_at": question.to_at,
                "before": question.before,
                "limit": question.limit,
            },
        ).fetchall()
