"""SQL of the migrations themselves."""

from collections.abc import Iterator
from contextlib import contextmanager

from cloud.store.connection import Database

_LOCK = 0x7169616E6C69  # "qianli"


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


def apply_migration(connection: Database, *, name: str, sql: str, checksum: str) -> None:
    """Run one file inside the caller's transaction and remember it."""
    connection.execute(sql.encode())
    connection.execute("INSERT INTO schema_migration (name, checksum) VALUES (%s, %s)", (name, checksum))
