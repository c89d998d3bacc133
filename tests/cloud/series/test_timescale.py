"""What only a database with TimescaleDB does; what both do is in `test_series_store`."""

import signal

import pytest

from cloud.ingest.service import Writer
from cloud.series.model import HOUR_MS, BatchRow
from cloud.series.stores.choice import choose_series
from cloud.series.stores.postgres import POSTGRES
from cloud.series.stores.timescale import TIMESCALE
from cloud.store.connection import connect
from cloud.store.fence import UNCONTESTED
from cloud.store.migrate import find_migrations, migrate
from tests.cloud.series.batches import START_MS, batch
from tests.cloud.series.filled import DAY, KEY, Filled, steps_by_hand
from tests.fixtures.services import TIMESCALE_SETTINGS, make_database, make_server, short_home
from tests.fixtures.wire_messages import WireAgent, seconds, utc_now
from vitals.wire.batch import encode_batch

pytestmark = [
    pytest.mark.timescale,
    pytest.mark.system,
    pytest.mark.slow,
    pytest.mark.enable_socket,
]

DAYS_LATER_MS = START_MS + 48 * HOUR_MS


@pytest.fixture
def database_url(timescale_server):
    yield from make_database(timescale_server)


@pytest.fixture
def older(timescale_server):
    """A database of the version before, on a server that has loaded the extension since."""
    for url in make_database(timescale_server, template="template1"):
        with connect(url) as connection:
            migrate(connection, [one for one in find_migrations() if one.name < "0017"])
            yield connection


def listed(database):
    """The minutes that SQL sees, as `steps_by_hand` tells them, and how many values were in them."""
    rows = database.execute(
        "SELECT key, floor(extract(epoch FROM minute))::int, lowest, highest, first, last, n "
        "FROM series_minute JOIN source USING (src_no) WHERE src = 's-1'"
    ).fetchall()
    found = {(key, second - START_MS // 1000): tuple(four) for key, second, *four, _ in rows}
    return found, sum(row[-1] for row in rows)


def hypertables(database):
    rows = database.execute("SELECT hypertable_name FROM timescaledb_information.hypertables ORDER BY 1")
    return [name for (name,) in rows]


def days(database, table="series_batch"):
    return database.execute("SELECT count(*) FROM show_chunks(%s::regclass)", (table,)).fetchone()[0]


def test_one_statement_writes_into_it_too(database, monkeypatch):
    agent, now = WireAgent(), utc_now()
    beats = [agent.vitals(s, 60 + s, at=now - seconds(10 - s)) for s in range(1, 4)]
    writer = Writer(UNCONTESTED, series=TIMESCALE)
    writer.write(database, [agent.birth(), beats[0]], now=now)
    monkeypatch.setattr(writer, "_transact", None)  # whatever goes step by step would end here

    writer.write(database, [*beats[1:], agent.wave(4, [1, 2], at=now)], now=now)

    assert database.execute("SELECT array_agg(s ORDER BY s) FROM series_batch").fetchone() == ([1, 2, 3],)
    assert database.execute("SELECT s FROM wave_block").fetchall() == [(4,)]


def test_empty_database_takes_the_extension_that_its_server_has_loaded(database):
    assert choose_series(database) is TIMESCALE
    assert hypertables(database) == ["series_batch", "series_chunk", "series_minute"]


def test_stored_values_are_moved_once_the_owner_creates_the_extension(older):
    series = Filled(older, form="both")
    migrate(older)
    assert choose_series(older) is POSTGRES
    older.execute("CREATE EXTENSION timescaledb")
    migrate(older)

    assert (choose_series(older), days(older), days(older, "series_chunk")) == (TIMESCALE, 1, 1)
    assert series.stored() == series.values
    assert listed(older) == ({}, 0)
    TIMESCALE.tidy(older, before_ms=START_MS)
    moved = {place: value for place, value in series.values.items() if place[1] < 7200}
    assert listed(older) == (steps_by_hand(moved, [(0, DAY)], 60), len(moved))
    assert older.execute("SELECT count(*) FROM series_unlisted").fetchone() == (0,)


def test_extension_without_its_columnstore_leaves_everything_plain(timescale_server):
    settings = f"{TIMESCALE_SETTINGS}timescaledb.license = apache\n"
    with short_home() as home:
        server = make_server(home, timescale_server.programs, settings=settings)
        with connect(server.url("postgres")) as database:
            migrate(database)
            (arranged,) = database.execute("SELECT arrange_series()").fetchone()
            assert arranged.startswith("plain: timescaledb 2.")
            assert arranged.endswith("runs without its columnstore (timescaledb.license)")
            assert (choose_series(database), hypertables(database)) == (POSTGRES, [])
        server.stop(signal.SIGQUIT)


def test_minutes_in_sql_follow_what_is_erased_also_out_of_the_columnstore(database):
    series = Filled(database, form="hours")
    assert listed(database) == (steps_by_hand(series.values, [(0, DAY)], 60), len(series.values))
    TIMESCALE.tidy(database, before_ms=DAYS_LATER_MS)
    assert settled_days(database) == [True]
    with database.transaction():
        TIMESCALE.erase(database, [series.held(5, 3605), series.held(9000, 20_000)])

    left = {place: value for place, value in series.values.items() if place[1] < 5 or 3605 <= place[1] < 9000}
    assert listed(database) == (steps_by_hand(left, [(0, DAY)], 60), len(left))
    assert settled_days(database) == [False]
    TIMESCALE.tidy(database, before_ms=DAYS_LATER_MS)
    assert settled_days(database) == [True]
    assert listed(database) == (steps_by_hand(left, [(0, DAY)], 60), len(left))


def settled_days(database):
    rows = database.execute(
        "SELECT _timescaledb_functions.chunk_status(chunk) = 1 FROM show_chunks('series_minute') AS chunk"
    )
    return [is_settled for (is_settled,) in rows]


def test_minutes_of_a_doubtful_hour_are_listed_once_somebody_vouches(database):
    series = Filled(database, form="hours", shift_us=30_000_000)
    assert listed(database) == ({}, 0)
    with database.transaction():
        TIMESCALE.vouch(database, [series.held(0, DAY)])

    assert listed(database) == (steps_by_hand(series.values, [(0, DAY)], 60), len(series.values))


def test_day_is_dropped_when_no_message_is_left_in_it_and_comes_back_with_one(database):
    series = Filled(database, form="both")
    TIMESCALE.tidy(database, before_ms=DAYS_LATER_MS)
    assert (days(database), series.stored()) == (1, series.values)
    series.compact(hours=3)
    TIMESCALE.tidy(database, before_ms=START_MS + 23 * HOUR_MS)
    assert days(database) == 1
    TIMESCALE.tidy(database, before_ms=DAYS_LATER_MS)
    assert (days(database), series.stored()) == (0, series.values)

    late = batch(9999, times=[4100], columns={KEY: [300.0]})
    row = BatchRow(series.src_no, 2, late.t0, 9999, late.t0, 1, 0, encode_batch(late))
    TIMESCALE.append(database, [row])
    assert (days(database), series.stored()) == (1, series.values | {(KEY, 4100): 300.0})


def test_day_in_which_somebody_writes_is_left_alone(database, database_url):
    series = Filled(database, form="hours")
    late = batch(9999, times=[4100], columns={KEY: [300.0]})
    row = BatchRow(series.src_no, 2, late.t0, 9999, late.t0, 1, 0, encode_batch(late))
    with connect(database_url) as other, other.transaction():
        TIMESCALE.append(other, [row])
        TIMESCALE.tidy(database, before_ms=DAYS_LATER_MS)
    assert series.stored() == series.values | {(KEY, 4100): 300.0}


def test_question_looks_at_its_own_days_only(database):
    series = Filled(database, form="messages")
    for day in range(1, 5):
        t0_ms = START_MS + day * 24 * HOUR_MS
        far = batch(day, times=[0], columns={KEY: [60.0]})
        TIMESCALE.append(database, [BatchRow(series.src_no, 3, t0_ms, day, t0_ms, 1, 0, encode_batch(far))])
    with database.transaction():
        TIMESCALE.read_range(database, [series.held(0, DAY)], step_ms=60_000)
        (touched,) = database.execute(
            "SELECT count(DISTINCT chunk) FROM show_chunks('series_batch') AS chunk "
            "JOIN pg_locks ON relation = chunk AND pid = pg_backend_pid()"
        ).fetchone()
    assert (days(database), touched) == (5, 1)
