"""A simulated agent keeps the wire contract and the rules of the real spool."""

from collections import Counter, defaultdict

import pytest

from qianli.fleet.agent import Answer
from qianli.fleet.ledger import VitalSum, WaveSum
from qianli.fleet.scenario import ClockError, ClockStep, Kind, Silences
from qianli.fleet.sensors import SENSORS
from tests.qianli.fleet.conftest import START_MS, at
from vitals.wire.batch import VitalsBatch, read_batch
from vitals.wire.event import GapEvent
from vitals.wire.status import decode_beat, decode_status, read_wave_layout
from vitals.wire.topics import Lane
from vitals.wire.wave_block import WaveMessage


def vitals(heard):
    return [one for one in heard if isinstance(one, VitalsBatch)]


def waves(heard):
    return [one for one in heard if isinstance(one, WaveMessage)]


def gaps(heard):
    return [one for one in heard if isinstance(one, GapEvent)]


@pytest.mark.parametrize(
    ("kind", "messages", "samples", "wave_samples"),
    [
        (Kind.HOME, 6, 480, 0),
        (Kind.HOME_MINUTE, 1, 8, 0),
        (Kind.AMBULANCE, 60, 720, 60 * (3 * 250 + 125)),
        (Kind.HUT, 6, 120, 0),
    ],
)
def test_kind_sends_what_it_says_in_a_minute(make_bench, kind, messages, samples, wave_samples):
    bench = make_bench(kind)
    bench.run(0, 300)
    heard = bench.run(300, 360)
    oximeter_or_monitor = [one for one in vitals(heard) if one.src == bench.agent.voice.sources[0]]

    assert len(oximeter_or_monitor) == messages
    assert sum(len(read_batch(one)) for one in oximeter_or_monitor) == samples
    assert sum(len(one.block.samples) for one in waves(heard)) == wave_samples


@pytest.mark.parametrize("kind", list(Kind))
def test_ledger_holds_exactly_what_was_sent(make_bench, kind):
    bench = make_bench(kind, pace=2, silences=Silences(every_s=50, for_s=12))
    heard = bench.run(0, 400)
    sums = defaultdict(lambda: [0, 0, 0])
    for batch in vitals(heard):
        for one in read_batch(batch):
            add(
                sums[batch.src, one.key], 1, round(one.measured_at.timestamp() * 1000), round(one.value * 100)
            )
    for one in waves(heard):
        add(
            sums[one.src, one.block.stream],
            len(one.block.samples),
            one.block.t0_us,
            int(one.block.samples.sum()),
        )
    ledger = bench.books.ledger.sources
    told = {
        (src, key): fields(known)
        for src, one in ledger.items()
        for key, known in (one.vitals | one.waves).items()
    }

    assert told == {place: tuple(known) for place, known in sums.items()}
    assert ledger[bench.agent.voice.sources[0]].gaps == len({gap.from_ms for gap in gaps(heard)}) > 0


def add(known, *more):
    known[:] = [a + b for a, b in zip(known, more, strict=True)]


def fields(known: VitalSum | WaveSum):
    return tuple(getattr(known, name) for name in known.__struct_fields__)


def test_no_moment_is_measured_twice(make_bench):
    bench = make_bench(Kind.AMBULANCE, pace=3.7)
    heard = bench.run(0, 120)
    moments = Counter(
        (batch.src, key, batch.t0 + offset)
        for batch in vitals(heard)
        for offset in batch.dt
        for key in batch.m
    ) + Counter((one.src, one.block.stream, one.block.t0_us) for one in waves(heard))

    assert set(moments.values()) == {1}


def test_message_stays_until_an_acknowledgement_covers_it(make_bench):
    bench = make_bench(pace=10)
    bench.run(0, 5, is_acknowledged=False)
    waiting = len(bench.agent.spool)
    bench.acknowledge({Lane.LIVE: 2}, at(5))

    assert waiting == 5
    assert len(bench.agent.spool) == 3
    assert bench.agent.spool.released()[Lane.LIVE] == 2


def test_what_is_not_acknowledged_in_time_is_sent_again(make_bench):
    bench = make_bench()
    first = bench.run(0, 12, is_acknowledged=False)
    again = bench.run(12, 17, is_acknowledged=False)

    assert [one.s for one in first] == [1]
    assert [one.s for one in again if one.s == 1] == [1]
    assert bench.books.figures.sent_again == 1


def test_new_connection_repeats_what_is_not_known_to_be_stored(make_bench):
    bench = make_bench()
    bench.run(0, 12, is_acknowledged=False)

    assert len(bench.agent.outgoing(at(12), is_new_link=True)) == 1
    assert bench.agent.outgoing(at(12)) == []


def test_no_more_is_under_way_than_the_window_holds(make_bench):
    bench = make_bench(pace=100)
    heard = bench.run(0, 20, is_acknowledged=False)

    assert max(one.s for one in heard if one.lane is Lane.LIVE) == 64


def test_after_an_outage_the_young_go_live_and_the_old_are_history(make_bench):
    bench = make_bench()
    bench.run(0, 100, is_linked=False)
    heard = vitals(bench.run(100, 100.5))
    by_lane = {lane: [one.h for one in heard if one.lane is lane] for lane in (Lane.LIVE, Lane.BACKLOG)}

    assert set(by_lane[Lane.LIVE]) == {0}
    assert set(by_lane[Lane.BACKLOG]) == {1}
    assert len(heard) == 10
    assert bench.books.figures.late == len(by_lane[Lane.BACKLOG])


def test_silent_sensor_says_so_when_it_begins_and_when_it_ends(make_bench):
    bench = make_bench(pace=10, silences=Silences(every_s=20, for_s=5))
    heard = bench.run(0, 40)
    begun, ended = gaps(heard)[:2]
    between = [one.t0 for one in vitals(heard) if begun.from_ms < one.t0 < ended.to_ms - 1000]

    assert begun.lane is Lane.EVENT
    assert (begun.to_ms, ended.from_ms) == (None, begun.from_ms)
    assert ended.to_ms - begun.from_ms == pytest.approx(5000, abs=1000)
    assert between == []


def test_same_seed_and_name_measure_the_same_in_any_shard(make_bench):
    one, same = (make_bench(seed=3).run(0, 60) for _ in range(2))
    other_seed, other_name = make_bench(seed=4).run(0, 60), make_bench(seed=3, name="town-00001").run(0, 60)

    assert [(batch.t0, batch.m) for batch in one] == [(batch.t0, batch.m) for batch in same]
    assert one[0].t0 != other_seed[0].t0
    assert one[0].t0 != other_name[0].t0


def test_wrong_clock_stands_in_every_time_that_is_told(make_bench):
    clock = ClockError(offset_s=-90, source="rtc", steps=(ClockStep(at_s=30, by_s=200),))
    bench = make_bench(pace=10, clock=clock)
    early, late = bench.run(0, 10), bench.run(40, 50)

    assert early[-1].t0 + early[-1].dt[-1] == pytest.approx(START_MS - 80_000, abs=1000)
    assert late[-1].t0 + late[-1].dt[-1] == pytest.approx(START_MS + 160_000, abs=1000)
    assert late[-1].clk.src == "rtc"


def test_duplicates_and_shuffles_change_the_order_and_nothing_else(make_bench):
    bench = make_bench(pace=100, duplicates=0.5, shuffle=8)
    bench.run(0, 3, is_linked=False)
    heard = bench.run(3, 3.5)
    sequences = [one.s for one in heard if one.lane is Lane.LIVE]

    assert sequences != sorted(sequences)
    assert len(sequences) > len(set(sequences))
    assert set(sequences) == set(range(1, max(sequences) + 1))


def test_acknowledgement_of_another_spool_is_none(make_bench):
    bench = make_bench()
    bench.run(0, 12, is_acknowledged=False)

    assert bench.acknowledge({Lane.LIVE: 9}, at(12), lineage="ffffffffffffffff") is Answer.FOREIGN
    assert bench.agent.acknowledge(b"{", at(12)) is Answer.FOREIGN
    assert len(bench.agent.spool) == 1


def test_cloud_that_forgot_is_noticed(make_bench):
    bench = make_bench()
    bench.run(0, 25)

    assert bench.acknowledge({Lane.LIVE: 1}, at(25)) is Answer.KNOWS_LESS
    assert decode_status(bench.agent.birth(at(25))).released[Lane.LIVE] == 2


def test_birth_declares_every_sensor_as_it_sends(make_bench):
    bench = make_bench(Kind.AMBULANCE, pace=2)
    status = decode_status(bench.agent.birth(at(0)))
    heard = bench.run(0, 10)
    (source,) = status.sources

    assert {one.src for one in heard} == {source.src}
    assert {wave.stream: read_wave_layout(wave).rate_hz for wave in source.waves} == {
        one.block.stream: one.block.rate_hz for one in waves(heard)
    }
    assert source.simulated


def test_beat_tells_depth_and_age(make_bench):
    bench = make_bench()
    bench.run(0, 45, is_linked=False)
    beat = decode_beat(bench.agent.beat(at(45)))

    assert beat.depth == 4
    assert START_MS <= beat.oldest <= START_MS + 10_000


@pytest.mark.parametrize(
    "sensor", [one for sensors in SENSORS.values() for one in sensors], ids=lambda one: one.name
)
def test_every_key_is_in_the_vocabulary(sensor):
    from qianli.fleet.sensors import unit_of, values_of  # noqa: PLC0415

    assert all(unit_of(key) for key in sensor.keys)
    assert all(len(set(values_of(key))) > 3 for key in sensor.keys)
