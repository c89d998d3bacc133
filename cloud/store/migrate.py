"""Forward-only migrations: numbered SQL files, each applied once, whole or not at all."""

import hashlib
from dataclasses import dataclass
from importlib import resources

import psycopg
import structlog

from cloud.store import queries
from cloud.store.connection import Database
from cloud.store.errors import DatabaseNewer, MigrationChanged, MigrationFailed

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One file of `cloud/store/migrations/`."""

    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def find_migrations() -> list[Migration]:
    """All migrations of this version, in order."""
    folder = resources.files("cloud.store") / "migrations"
    files = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".sql")), key=lambda e: e.name)
    return [Migration(name=entry.name, sql=entry.read_text(encoding="utf-8")) for entry in files]


def migrate(connection: Database, migrations: list[Migration] | None = None) -> list[str]:
    """Apply what is missing and return its names. Two processes that start together wait for each other.

    Afterwards, every time, the tables are arranged by the extensions that the database has.

    Raises:
        MigrationChanged, DatabaseNewer, MigrationFailed: as their names say.
    """
    known = find_migrations() if migrations is None else migrations
    with queries.migration_lock(connection):
        queries.create_migration_table(connection)
        applied = queries.applied_migrations(connection)
        _check(known, applied)
        missing = [migration for migration in known if migration.name not in applied]
        for migration in missing:
            _apply(connection, migration)
        _arrange(connection)
    return [migration.name for migration in missing]


def _check(known: list[Migration], applied: dict[str, str]) -> None:
    checksums = {migration.name: migration.checksum for migration in known}
    for name, checksum in applied.items():
        if name not in checksums:
            raise DatabaseNewer(name)
        if checksums[name] != checksum:
            raise MigrationChanged(name)


def _apply(connection: Database, migration: Migration) -> None:
    try:
        with connection.transaction():
            queries.apply_migration(
                connection, name=migration.name, text=migration.sql, checksum=migration.checksum
            )
    except psycopg.Error as error:
        raise MigrationFailed(migration.name, " ".join(str(error).split())) from error
    _log.info("migration_applied", name=migration.name)


def _arrange(connection: Database) -> None:
    """What depends on the extensions of the database: an extension may come after the migrations."""
    try:
        arranged = queries.arrange_series(connection)
    except psycopg.Error as error:
        raise MigrationFailed("arrange_series", " ".join(str(error).split())) from error
    if arranged is not None:
        _log.info("series_arranged", form=arranged)
