"""SQL of the migrations themselves, of what is sealed wherever it lies, and of what somebody else demands."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from psycopg import sql

from cloud.store.connection import Database
from cloud.store.sealing import SealedColumn

_LOCK = 0x7169616E6C69  # "qianli"


def is_so(connection: Database, condition: str, values: Mapping[str, object]) -> bool:
    """Whether a condition of our own words holds."""
    row = connection.execute(f"SELECT {condition}", values).fetchone()  # our own words
    return row is not None and bool(row[0])


@contextmanager
def migration_lock(connection: Database) -> Iterator[None]:
    """Hold the advisory lock that lets one process migrate at a time."""
    connection.execute("SET lock_timeout = 0")
    connection.execute("SET statement_timeout = 0")
    connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
    try:
        yield
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))
        connection.execute("RESET lock_timeout")
        connection.execute("RESET statement_timeout")


def create_migration_table(connection: Database) -> None:
    """The one table that no migration creates."""
    connection.execute(
        """
        CREATE TABLE IF NOT EXISTS schema_migration (
            name       text PRIMARY KEY,
            checksum   text NOT NULL,
            applied_at timestamptz NOT NULL DEFAULT now()
        )
        """
    )


def applied_migrations(connection: Database) -> dict[str, str]:
    """Checksum by name of what was applied."""
    return dict(connection.execute("SELECT name, checksum FROM schema_migration ORDER BY name").fetchall())


def apply_migration(connection: Database, *, name: str, text: str, checksum: str) -> None:
    """Run one file inside the caller's transaction and remember it."""
    connection.execute(text.encode())
    connection.execute("INSERT INTO schema_migration (name, checksum) VALUES (%s, %s)", (name, checksum))


def arrange_series(connection: Database) -> str | None:
    """Let continuous values lie as the extensions of this database allow, and say how; None before 0017."""
    row = connection.execute("SELECT to_regprocedure('arrange_series()') IS NOT NULL").fetchone()
    if row is None or not row[0]:
        return None
    row = connection.execute("SELECT arrange_series()").fetchone()
    return None if row is None else str(row[0])


def find_stale_seals(
    connection: Database, place: SealedColumn, *, newest: int, after: object, limit: int
) -> list[tuple[object, bytes, tuple[object, ...]]]:
    """Key, sealed value and what names it, where an older key was used; held until the transaction ends."""
    later = sql.SQL("true") if after is None else sql.SQL("{} > %(after)s").format(sql.Identifier(place.key))
    rows = connection.execute(
        sql.SQL("SELECT {}, {}, {} FROM {} WHERE {} AND {} ORDER BY {} LIMIT %(limit)s FOR UPDATE").format(
            sql.Identifier(place.key),
            sql.Identifier(place.column),
            sql.SQL(", ").join(map(sql.Identifier, place.named_by)),
            sql.Identifier(place.table),
            _is_stale(place),
            later,
            sql.Identifier(place.key),
        ),
        {"newest": newest, "after": after, "limit": limit},
    ).fetchall()
    return [(key, bytes(sealed), tuple(names)) for key, sealed, *names in rows]


def count_stale_seals(connection: Database, place: SealedColumn, *, newest: int) -> int:
    """How many values are sealed with an older key."""
    row = connection.execute(
        sql.SQL("SELECT count(*) FROM {} WHERE {}").format(sql.Identifier(place.table), _is_stale(place)),
        {"newest": newest},
    ).fetchone()
    return 0 if row is None else int(row[0])


def replace_seals(connection: Database, place: SealedColumn, sealed_by_key: dict[object, bytes]) -> None:
    """The same values, sealed anew."""
    statement = sql.SQL("UPDATE {} SET {} = %s WHERE {} = %s").format(
        sql.Identifier(place.table), sql.Identifier(place.column), sql.Identifier(place.key)
    )
    with connection.cursor() as cursor:
        cursor.executemany(statement, [(sealed, key) for key, sealed in sealed_by_key.items()])


def _is_stale(place: SealedColumn) -> sql.Composed:
    # The first byte is the number of the key; an empty value has none and is as broken as a strange one.
    column = sql.Identifier(place.column)
    return sql.SQL(
        "CASE WHEN octet_length({column}) = 0 THEN true ELSE get_byte({column}, 0) <> %(newest)s END"
    ).format(column=column)
