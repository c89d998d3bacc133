"""The store of series on a real database, against dictionaries that hold the same."""

from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from cloud.series.model import HOUR_MS, BatchRow
from cloud.series.port import Watched
from cloud.series.stores import postgres
from cloud.series.stream import CompactionStream
from cloud.store.connection import build_pool
from tests.cloud.series.batches import START_MS, batch
from tests.cloud.series.filled import DAY, KEY, Filled, second_of, steps_by_hand
from vitals.observation import Quality
from vitals.wire.batch import encode_batch, from_ms

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]


@pytest.fixture(params=["messages", "hours", "both"])
def series(request, database):
    """Three hours of one key every second and another every ten, with holes, in one form or the other."""
    return Filled(database, form=request.param)


@pytest.mark.parametrize("step_s", [10, 60, 120, 3600])
def test_every_step_is_exact_where_a_binding_begins_and_ends_anywhere(series, step_s):
    ranges = [(17, 3700), (3701, 8000), (9005, 9006)]
    lines = series.store.read_range(
        series.database, [series.held(*one) for one in ranges], step_ms=step_s * 1000
    )

    found = {}
    for line in lines:
        steps = line.steps
        columns = (steps.starts_ms, steps.lowest, steps.highest, steps.first, steps.last)
        for start, *four in zip(*(column.tolist() for column in columns), strict=True):
            found[line.key, start // 1000 - START_MS // 1000] = tuple(four)
    assert found == steps_by_hand(series.values, ranges, step_s)


def test_one_key_is_read_alone(series):
    lines = series.store.read_range(series.database, [series.held(0, DAY)], step_ms=60_000, keys=["spo2"])

    assert [line.key for line in lines] == ["spo2"]


def test_values_are_counted_as_they_are_told(series):
    asked = [series.held(5, 4500), series.held(5005, 5006)]
    told = list(series.store.iterate(series.database, asked))

    expected = {place for place in series.values if 5 <= place[1] < 4500 or place[1] == 5005}
    assert {(cell["key"], second_of(cell)) for cell in told} == expected
    assert len(told) == len(expected) == series.store.count(series.database, asked)


def test_erased_is_what_was_held_and_nothing_else(series):
    asked = [series.held(5, 3605), series.held(9000, 20_000)]
    with series.database.transaction():
        erased = series.store.erase(series.database, asked)

    left = {place: value for place, value in series.values.items() if place[1] < 5 or 3605 <= place[1] < 9000}
    assert series.stored() == left
    assert erased == len(series.values) - len(left)
    lines = series.store.read_range(series.database, [series.held(0, DAY)], step_ms=3_600_000)
    assert sum(int(line.steps.counts.sum()) for line in lines) == len(left)


def test_newest_value_of_an_interval_is_found(series):
    for from_s, to_s, second in ((0, DAY, DAY - 1), (0, 4800, 3999), (4000, 5000, None), (0, 3600, 3599)):
        found = series.store.find_newest(series.database, series.held(from_s, to_s), KEY)
        if second is None:
            assert found is None
        else:
            assert (found.measured_us, found.value) == (
                (START_MS + second * 1000) * 1000,
                series.values[KEY, second],
            )


def test_what_nobody_had_is_told_by_minute(series):
    watched = Watched(
        during=series.held(0, 600),
        owned=(series.held(-100, 90), series.held(200, 900)),
        dismissed=(series.held(190, 200),),
    )
    minutes = [one for one in series.store.find_loose(series.database, [watched]) if one.key == KEY]

    start_us = START_MS * 1000
    told = [
        ((one.first_us - start_us) // 10**6, (one.last_us - start_us) // 10**6, one.count) for one in minutes
    ]
    assert told == [(90, 119, 30), (120, 179, 60), (180, 189, 10)]
    assert (minutes[0].value, minutes[0].is_clock) == (series.values[KEY, 119], False)


@pytest.mark.parametrize("form", ["messages", "hours"])
def test_shifted_values_belong_to_whoever_held_both_times_until_somebody_vouches(database, form):
    series = Filled(database, form=form, shift_us=30_000_000)
    owned, other = series.held(0, 1000), series.held(1000, DAY)

    assert series.store.count(database, [owned]) == 970 + 97
    chosen = series.held(900, 965)
    assert series.store.count(database, [owned.within(chosen.from_us, chosen.to_us)]) == 65 + 7
    watched = Watched(during=series.held(0, 2000), owned=(owned, other), dismissed=())
    loose = [one for one in series.store.find_loose(database, [watched]) if one.key == KEY]
    assert {one.is_clock for one in loose} == {True}
    assert sum(one.count for one in loose) == 30
    with database.transaction():
        assert series.store.vouch(database, [series.held(980, 1000)]) == 22
    assert series.store.count(database, [owned]) == 970 + 97 + 22
    assert series.store.vouch(database, [series.held(980, 1000)]) == 0
    assert series.stored() == series.values


def test_late_value_makes_the_steps_of_its_hour_exact_again(database):
    series = Filled(database, form="hours")
    late = batch(9999, times=[4100, 4101], columns={KEY: [300.0, 1.0]})
    series.store.append(
        database, [BatchRow(series.src_no, 2, late.t0, 9999, late.t0 + 1000, 1, 0, encode_batch(late))]
    )
    asked = [series.held(3600, 7200)]
    for _ in range(2):
        (line,) = series.store.read_range(database, asked, step_ms=3_600_000, keys=[KEY])
        assert (line.steps.lowest.tolist(), line.steps.highest.tolist()) == ([1.0], [300.0])
        assert line.steps.counts.tolist() == [2602]
        series.compact(hours=3)


def test_rejected_value_is_kept_and_in_no_step(database):
    series = Filled(database, form="messages")
    bad = batch(9999, times=[4100], columns={KEY: [300.0]}, q={KEY: [Quality.INVALID]})
    series.store.append(database, [BatchRow(series.src_no, 2, bad.t0, 9999, bad.t0, 1, 0, encode_batch(bad))])
    series.compact(hours=3)

    assert series.stored() == series.values | {(KEY, 4100): 300.0}
    assert series.store.read_range(database, [series.held(4000, 4900)], step_ms=60_000) == []


def test_stream_brings_whole_hours_together_once_they_are_over(database, database_url):
    series = Filled(database, form="messages")
    now = from_ms(START_MS + 4 * HOUR_MS + 1)
    with build_pool(database_url) as pool:
        for after, left in ((None, 3), (timedelta(hours=2), 1), (timedelta(0), 0)):
            stream = CompactionStream(pool, after=after, clock=lambda: now)
            stream.compact()
            hours = database.execute("SELECT count(DISTINCT t0_ms / 3600000) FROM series_batch").fetchone()[0]
            assert hours == left
    assert series.stored() == series.values


@pytest.mark.parametrize("step", ["_hours", "_find_hours"])
def test_reader_misses_nothing_that_moves_while_it_reads(database, monkeypatch, step):
    series = Filled(database, form="messages")
    asked, read_hours = [series.held(0, DAY)], getattr(postgres, step)

    def read_after_the_move(*arguments, **named):
        series.compact(hours=3)
        return read_hours(*arguments, **named)

    monkeypatch.setattr(postgres, step, read_after_the_move)
    if step == "_hours":
        told = {
            (cell["key"], second_of(cell)): cell["value"] for cell in series.store.iterate(database, asked)
        }
        assert told == series.values
    else:
        lines = series.store.read_range(database, asked, step_ms=3_600_000, keys=[KEY])
        highest = lines[0].steps.highest.tolist()
        expected = steps_by_hand({p: v for p, v in series.values.items() if p[0] == KEY}, [(0, DAY)], 3600)
        assert highest == [steps[1] for _, steps in sorted(expected.items())]


def test_source_that_cannot_be_brought_together_stops_no_other(database, database_url):
    series = Filled(database, form="messages")
    broken = database.execute("SELECT src_no FROM source WHERE src = 's-2'").fetchone()[0]
    database.execute("UPDATE source SET src = 's-0' WHERE src_no = %s", (broken,))
    database.execute(
        "INSERT INTO series_batch SELECT %s, lane_no, t0_ms, s, until_ms, stored_us, shift_us, 'no JSON' "
        "FROM series_batch WHERE s = 1",
        (broken,),
    )
    with build_pool(database_url) as pool, capture_logs() as logs:
        now = from_ms(START_MS + 4 * HOUR_MS)
        CompactionStream(pool, after=timedelta(0), clock=lambda: now).compact()

    assert [entry["source"] for entry in logs if entry["event"] == "compaction_failed"] == [broken]
    assert database.execute("SELECT DISTINCT src_no FROM series_batch").fetchall() == [(broken,)]
    assert series.stored() == series.values
