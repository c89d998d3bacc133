"""Whatever fails or is killed while waves move: every block is there once, at every instant."""

import asyncio
import threading
from contextlib import closing
from datetime import timedelta

import psycopg
import pytest
from structlog.testing import capture_logs

from cloud.objects.errors import ObjectStoreUnusable
from cloud.objects.stores.filesystem import open_store
from cloud.series.model import from_us
from cloud.store.connection import build_pool, connect
from cloud.waves import postgres
from cloud.waves.service import Waves
from cloud.waves.stream import Ages, WaveStream
from tests.cloud.waves.blocks import SECOND, T0, WINDOW, block, held, insert
from tests.cloud.waves.test_waves import DAY, LATE, bring, counts, times
from tests.fixtures.s3 import s3_place

pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]
NONE = timedelta(0)


class Killed(BaseException):
    """Nothing of the process goes on after this."""


class FailingStore:
    """A store that works until a step, and then never again."""

    def __init__(self, store, step):
        self._store, self._step = store, step

    def __getattr__(self, name):
        def call(*asked, **part):
            if self._step == f"before {name}":
                raise Killed
            answer = getattr(self._store, name)(*asked, **part)
            if self._step == f"after {name}":
                raise Killed
            return answer

        return call


def failing(place, step):
    return Waves(lambda: type(place)(store=FailingStore(place.store, step), sealer=place.sealer))


@pytest.mark.parametrize("step", ["before put", "after put", "before get", "after get"])
def test_move_that_is_killed_loses_nothing_and_leaves_nothing(waves, database, place, step):
    insert(database, "s", block(0), block(700))
    bring(database, waves, "windows")
    with pytest.raises(Killed):
        failing(place, step).move(database, "s", day_us=DAY)

    assert counts(database) == (0, 2, 0, 1)
    assert times(waves, database, held()) == [0, 700]
    assert waves.sweep(database) == 0  # it might be written just now
    assert waves.sweep(database, after=NONE) == 1
    assert list(place.store.iterate("waves")) == []
    assert waves.move(database, "s", day_us=DAY) == 2
    assert times(waves, database, held()) == [0, 700]


@pytest.mark.parametrize("step", ["replace_chunk", "delete_blocks"])
def test_compaction_that_is_killed_changes_nothing(waves, database, monkeypatch, step):
    insert(database, "s", block(0), block(1))

    def kill(*_args, **_fields):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(postgres, step, kill)
        with pytest.raises(Killed):
            waves.compact(database, "s", "ecg", before_us=LATE)

    assert counts(database) == (2, 0, 0, 0)
    bring(database, waves, "windows")
    assert times(waves, database, held()) == [0, 1]


@pytest.mark.parametrize("step", ["before delete", "after delete"])
def test_sweep_that_is_killed_is_done_again(waves, database, place, step):
    insert(database, "s", block(0))
    bring(database, waves, "objects")
    waves.erase(database, [held()])
    with pytest.raises(Killed):
        failing(place, step).sweep(database, after=NONE)

    assert counts(database)[3] == 1
    assert waves.sweep(database, after=NONE) == 1
    assert counts(database)[3] == 0
    assert list(place.store.iterate("waves")) == []


def test_object_stays_for_a_day_after_the_last_that_lay_in_it(waves, database, place):
    insert(database, "s", block(0), block(700))
    bring(database, waves, "objects")
    waves.erase(database, [held("s", 0, 2)])
    assert waves.sweep(database, after=NONE) == 0
    waves.erase(database, [held()])

    assert waves.sweep(database) == 0
    database.execute("UPDATE wave_object SET unused_since = unused_since - interval '25 hours'")
    assert waves.sweep(database) == 1
    assert list(place.store.iterate("waves")) == []


def test_window_that_is_written_anew_during_a_move_stays_in_the_database(waves, database, place):
    insert(database, "s", block(0), block(700))
    bring(database, waves, "windows")
    put = place.store.put

    def put_slowly(name, content):
        insert(database, "s", block(10))
        bring(database, waves, "windows")
        put(name, content)

    place.store.put = put_slowly
    assert waves.move(database, "s", day_us=DAY) == 1
    assert counts(database) == (0, 1, 1, 1)
    assert times(waves, database, held()) == [0, 10, 700]


def test_move_that_was_swept_meanwhile_is_given_up(waves, database, place):
    insert(database, "s", block(0))
    bring(database, waves, "windows")
    put = place.store.put
    place.store.put = lambda name, content: (put(name, content), waves.sweep(database, after=NONE))
    with pytest.raises(Exception, match="no object"):
        waves.move(database, "s", day_us=DAY)

    assert counts(database) == (0, 1, 0, 0)
    assert times(waves, database, held()) == [0]


def test_move_that_took_half_a_day_is_given_up(waves, database, place):
    insert(database, "s", block(0))
    bring(database, waves, "windows")
    put = place.store.put
    place.store.put = lambda name, content: (
        put(name, content),
        database.execute("UPDATE wave_object SET made_at = made_at - interval '13 hours'"),
    )
    assert waves.move(database, "s", day_us=DAY) == 0
    assert times(waves, database, held()) == [0]


@pytest.fixture
def journal(database):
    database.execute("SELECT pg_create_physical_replication_slot('qianli_journal')")
    yield
    database.execute("SELECT pg_drop_replication_slot('qianli_journal')")


def test_nothing_moves_into_a_folder_that_no_journal_follows(waves, database, place, journal):
    insert(database, "s", block(0))
    bring(database, waves, "objects")
    assert counts(database) == (0, 1, 0, 0)
    elsewhere = Waves(lambda: type(place)(store=place.store, sealer=place.sealer, is_folder=False))

    assert elsewhere.move(database, "s", day_us=DAY) == 1


def test_object_is_no_larger_than_it_may_be(waves, database, place, monkeypatch):
    monkeypatch.setattr("cloud.waves.service.LARGEST_OBJECT", 1)
    insert(database, "s", block(0), block(700), block(1300))
    bring(database, waves, "windows")

    assert [waves.move(database, "s", day_us=DAY) for _ in range(4)] == [1, 1, 1, 0]
    assert counts(database) == (0, 0, 3, 3)
    assert times(waves, database, held()) == [0, 700, 1300]


def test_reader_misses_nothing_and_sees_nothing_twice_while_everything_moves(waves, database, database_url):
    seen, stop = [], threading.Event()
    insert(database, "s", *[block(second) for second in range(0, 1800, 30)])

    def read():
        with closing(connect(database_url)) as connection:
            while not stop.is_set():
                seen.append(times(waves, connection, held()))

    reader = threading.Thread(target=read)
    reader.start()
    for second in (5, 605, 1205):
        bring(database, waves, "objects")
        insert(database, "s", block(second))
    stop.set()
    reader.join()

    whole = set(range(0, 1800, 30))
    assert len(seen) > 3
    assert all(len(one) == len(set(one)) and whole <= set(one) for one in seen)


def test_all_of_it_in_a_bucket(database, sealer, place):
    with s3_place() as bucket:
        waves = Waves(lambda: type(place)(store=open_store(bucket), sealer=sealer))
        insert(database, "s", *[block(second) for second in range(0, 1200, 10)])
        bring(database, waves, "objects")
        assert counts(database) == (0, 0, 2, 1)
        assert times(waves, database, held().within(T0 + 50 * SECOND, T0 + 70 * SECOND)) == [50, 60]
        insert(database, "s", block(5))
        bring(database, waves, "objects")
        assert len(times(waves, database, held())) == 121
        assert waves.erase(database, [held()]) == 121
        assert waves.sweep(database, after=NONE) == 2
        assert list(open_store(bucket).iterate("waves")) == []


@pytest.fixture
def stream(database_url, waves):
    pool = build_pool(database_url)
    pool.open()

    def make(*, now_us=T0 + 10 * 86_400 * SECOND, windows=timedelta(hours=2), objects=timedelta(days=3)):
        ages = Ages(into_windows=windows, into_objects=objects)
        return WaveStream(pool, waves=waves, ages=ages, clock=lambda: from_us(now_us))

    yield make
    pool.close()


def test_what_is_old_enough_moves_and_the_rest_stays(stream, waves, database):
    insert(database, "s", block(0), block(599), block(600))
    young = stream(now_us=T0 + 7200 * SECOND + WINDOW + 599 * SECOND)
    assert (young.compact(), young.move(), young.sweep()) == (2, 0, 0)
    assert counts(database) == (1, 1, 0, 0)
    old = stream()

    assert (old.compact(), old.move(), old.sweep()) == (1, 2, 0)
    assert counts(database) == (0, 0, 2, 1)
    assert times(waves, database, held()) == [0, 599, 600]


def test_without_ages_nothing_moves(stream, waves, database):
    insert(database, "s", block(0))
    never = stream(windows=None, objects=None)

    assert (never.compact(), never.move(), never.sweep()) == (0, 0, 0)
    assert counts(database) == (1, 0, 0, 0)


def test_stream_that_fails_stays_and_stops_no_other(stream, waves, database):
    insert(database, "a", block(0))
    insert(database, "b", block(0))
    database.execute("UPDATE wave_block SET samples = 'x' WHERE src = 'a'")
    with capture_logs() as logs:
        assert stream().compact() == 1

    assert [line["source"] for line in logs if line["event"] == "waves_failed"] == ["a"]
    assert times(waves, database, held("b")) == [0]


def test_store_that_is_away_is_told_and_everything_waits(stream, waves, database, place):
    insert(database, "s", block(0))

    def refuse(name, _content):
        raise ObjectStoreUnusable(name, "away")

    place.store.put = refuse
    mover = stream()
    mover.compact()
    with capture_logs() as logs:
        assert mover.move() == 0

    assert [line["error"] for line in logs if line["event"] == "waves_failed"] == ["ObjectStoreUnusable"]
    assert times(waves, database, held()) == [0]


async def test_stream_goes_on_when_the_database_is_away(stream, monkeypatch):
    steps, enough, loop = [], asyncio.Event(), asyncio.get_running_loop()
    monkeypatch.setattr("cloud.waves.stream._EVERY_S", 0.001)

    def fail(name):
        def step():
            steps.append(name)
            if steps.count("compact") == 3:
                loop.call_soon_threadsafe(enough.set)
            raise psycopg.OperationalError

        step.__name__ = name
        return step

    one = stream()
    for name in ("compact", "move", "sweep"):
        monkeypatch.setattr(one, name, fail(name))
    task = asyncio.create_task(one.run())
    await asyncio.wait_for(enough.wait(), timeout=10)
    task.cancel()
    assert steps[:4] == ["compact", "move", "sweep", "compact"]
    with pytest.raises(asyncio.CancelledError):
        await task
