"""SQL of the audit. Its tables tell of those who looked, and nobody reads them through a route yet."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from psycopg.rows import kwargs_row

from cloud.audit.model import Checkpoint, Entry, Head, from_us, to_us
from cloud.store.connection import Database

_LOCK = 0x6175646974  # "audit"
_ROWS_AT_ONCE = 5_000


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
            "target_id, outcome, origin, previous_hash, hash) FROM STDIN"
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
                )
            )


def iterate_entries(connection: Database, *, after: int, upto: int) -> Iterator[Entry]:
    """Entries in order, a few thousand at a time, within the caller's transaction."""
    with connection.cursor(name="audit_entries", row_factory=kwargs_row(_entry)) as cursor:
        cursor.itersize = _ROWS_AT_ONCE
        cursor.execute(
            """
            SELECT sequence, at, person, role, organisation, purpose, action, target_kind, target_id, outcome,
                   origin, encode(previous_hash, 'hex') AS previous_hash, encode(hash, 'hex') AS hash
              FROM audit_entry WHERE sequence > %s AND sequence <= %s ORDER BY sequence
            """,
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
