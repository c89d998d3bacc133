import threading

import pytest
from structlog.testing import capture_logs

from cloud.series.stores.choice import choose_series
from cloud.series.stores.postgres import POSTGRES
from cloud.store.connection import await_database, connect
from cloud.store.errors import DatabaseNewer, DatabaseUnreachable, MigrationChanged, MigrationFailed
from cloud.store.migrate import Migration, find_migrations, migrate

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]

ONE = Migration(name="0001_one.sql", sql="CREATE TABLE one (n int);")
TWO = Migration(name="0002_two.sql", sql="CREATE TABLE two (n int); INSERT INTO two VALUES (2);")


@pytest.fixture
def connection(empty_database_url):
    with connect(empty_database_url) as opened:
        yield opened


def test_every_migration_is_applied_once(connection):
    assert migrate(connection) == [migration.name for migration in find_migrations()]
    assert migrate(connection) == []


def test_every_start_says_how_continuous_values_lie(connection):
    for _ in range(2):
        with capture_logs() as logs:
            migrate(connection)
        assert [entry["form"] for entry in logs if entry["event"] == "series_arranged"] == ["plain"]
    assert choose_series(connection) is POSTGRES


def test_arrangement_that_fails_stops_the_start(connection):
    migrate(connection)
    connection.execute(
        "CREATE OR REPLACE FUNCTION arrange_series() RETURNS text LANGUAGE sql AS 'SELECT (1 / 0)::text'"
    )
    with pytest.raises(MigrationFailed, match="arrange_series"):
        migrate(connection)


def test_only_what_is_missing_is_applied(connection):
    migrate(connection, [ONE])

    assert migrate(connection, [ONE, TWO]) == [TWO.name]
    assert connection.execute("SELECT n FROM two").fetchall() == [(2,)]


def test_changed_migration_is_refused(connection):
    migrate(connection, [ONE])

    with pytest.raises(MigrationChanged, match=r"0001_one\.sql was changed"):
        migrate(connection, [Migration(name=ONE.name, sql=ONE.sql + " -- again")])


def test_database_of_a_newer_version_is_refused(connection):
    migrate(connection, [ONE, TWO])

    with pytest.raises(DatabaseNewer, match="install the newer version"):
        migrate(connection, [ONE])


def test_failed_migration_leaves_nothing_behind(connection):
    broken = Migration(name="0003_broken.sql", sql="CREATE TABLE three (n int); SELECT nonsense;")

    with pytest.raises(MigrationFailed, match="rolled back"):
        migrate(connection, [ONE, broken])

    assert connection.execute("SELECT to_regclass('three')").fetchone() == (None,)
    assert migrate(connection, [ONE]) == []


def test_two_that_start_together_apply_each_migration_once(empty_database_url):
    applied: list[str] = []

    def run() -> None:
        with connect(empty_database_url) as opened:
            applied.extend(migrate(opened))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert applied == [migration.name for migration in find_migrations()]


def test_database_that_never_comes_is_told_in_a_sentence():
    pauses: list[float] = []

    with pytest.raises(DatabaseUnreachable, match=r"no database after 3 s .* QIANLI_DATABASE_URL"):
        await_database("postgresql://u@/none?host=/nowhere", patience_s=2, sleep=pauses.append)

    assert pauses == sorted(pauses)
