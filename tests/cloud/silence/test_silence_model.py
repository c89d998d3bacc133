from dataclasses import replace

import pytest

from cloud.events import (
    AgentBorn,
    AgentGone,
    AgentHeard,
    GapHeard,
    LaneOf,
    Part,
    PartState,
    Reading,
    ReadingsHeard,
    WaveHeard,
)
from cloud.silence.model import GapRecorder, SilenceWatch
from tests.fixtures.wire_messages import ECG, HEART_RATE, SOURCE, WireAgent, seconds, utc_now
from vitals.gap import Gap, GapCause
from vitals.observation import Flag, Quality
from vitals.wire.status import decode_status
from vitals.wire.topics import Lane

START = utc_now()
AGENT = "hut-1"
BIRTH = AgentBorn(
    agent=AGENT, sources=tuple(decode_status(WireAgent().birth().payload).sources), heard_at=START
)


def at(second):
    return START + seconds(second)


LANE = LaneOf(agent=AGENT, lineage="00", lane=Lane.LIVE)


def reading(second, value=70.0, **fields):
    moment = at(second)
    return Reading(
        src=SOURCE,
        key=HEART_RATE,
        value=value,
        unit="/min",
        measured_at=moment,
        received_at=moment,
        arrived_at=moment,
        stored_at=moment,
        quality=Quality.GOOD,
        flags=fields.get("flags", ()),
        late=fields.get("late", False),
    )


class Ward:
    """A watch with a clock of its own."""

    def __init__(self):
        self.watch = SilenceWatch(started_at=START)
        self.watch.take(BIRTH)
        self.second = 0.0

    def live(self, until, *, values=True, waves=True, beats=True):
        """Half a second at a time, everything that is asked for arrives."""
        while self.second < until:
            self.second += 0.5
            if beats:
                self.watch.take(AgentHeard(agent=AGENT, heard_at=at(self.second)))
            if values:
                self.hear(reading(self.second))
            if waves:
                self.watch.take(wave(self.second))
            self.watch.evaluate(at(self.second))

    def hear(self, value):
        self.watch.take(ReadingsHeard(readings=(value,), heard_at=at(self.second), lane=LANE, s=1))

    def silences(self, second=None):
        found = self.watch.evaluate(at(self.second if second is None else second))
        return [
            (verdict.silence.cause, verdict.silence.keys, (verdict.silence.since_at - START).total_seconds())
            for verdict in found[SOURCE]
        ]


def wave(second):
    class Block:
        stream = ECG

    return WaveHeard(agent=AGENT, src=SOURCE, block=Block(), late=False, heard_at=at(second))


@pytest.fixture
def ward():
    made = Ward()
    made.live(10)
    return made


def test_source_that_sends_is_not_silent(ward):
    assert ward.silences() == []


def test_source_that_stops_is_silent_within_five_seconds(ward):
    ward.live(14, values=False, waves=False)
    assert ward.silences() == []
    ward.live(14.5, values=False, waves=False)
    assert ward.silences() == [(GapCause.DEVICE_SILENT, (), 10.0)]


def test_one_key_that_stops_is_silent_alone(ward):
    ward.live(15, waves=False)

    assert ward.silences() == [(GapCause.UNKNOWN, (ECG,), 10.0)]


def test_slow_cadence_gives_more_time():
    ward = Ward()
    slow = replace(BIRTH.sources[0], cadence={HEART_RATE: 10.0}, waves=[])
    ward.watch.take(replace(BIRTH, sources=(slow,)))
    ward.live(10)
    ward.live(39, values=False, waves=False)
    assert ward.silences() == []
    ward.live(41, values=False, waves=False)
    assert ward.silences() == [(GapCause.DEVICE_SILENT, (), 10.0)]


def test_spot_source_is_never_overdue():
    ward = Ward()
    spot = replace(BIRTH.sources[0], cadence={}, waves=[])
    ward.watch.take(replace(BIRTH, sources=(spot,)))
    ward.live(600, values=False, waves=False)

    assert ward.silences() == []


def test_values_without_contact_say_that_the_sensor_is_off(ward):
    ward.live(15, values=False, waves=False)
    ward.hear(reading(15, None, flags=(Flag.NO_CONTACT,)))

    assert ward.silences() == [(GapCause.SENSOR_OFF, (), 10.0)]


def test_late_values_do_not_end_a_silence(ward):
    ward.live(15, values=False, waves=False)
    ward.hear(reading(15, late=True))

    assert ward.silences() == [(GapCause.DEVICE_SILENT, (), 10.0)]


def test_agent_without_beats_is_cut_off(ward):
    assert ward.silences(14) == []
    assert ward.silences(14.1) == [(GapCause.UPLINK_OFF, (), 10.0)]


def test_will_right_after_a_beat_says_that_the_agent_is_off(ward):
    ward.watch.take(AgentGone(agent=AGENT, heard_at=at(11)))

    assert ward.silences(11) == [(GapCause.AGENT_OFF, (), 10.0)]


def test_will_long_after_the_last_beat_says_that_the_link_is_cut(ward):
    ward.watch.take(AgentGone(agent=AGENT, heard_at=at(16)))

    assert ward.silences(16) == [(GapCause.UPLINK_OFF, (), 10.0)]


def test_agent_that_comes_back_ends_its_silence(ward):
    ward.watch.take(AgentGone(agent=AGENT, heard_at=at(11)))
    ward.live(30, values=False, waves=False, beats=False)
    ward.watch.take(replace(BIRTH, heard_at=at(30)))

    assert ward.silences(30) == []
    ward.live(34, values=False, waves=False)
    assert ward.silences(34.5) == [(GapCause.DEVICE_SILENT, (), 10.0)]


def test_retained_birth_is_no_sign_of_life(ward):
    ward.watch.take(AgentGone(agent=AGENT, heard_at=at(11)))
    ward.watch.take(replace(BIRTH, heard_at=None))

    assert ward.silences(12) == [(GapCause.AGENT_OFF, (), 10.0)]


@pytest.mark.parametrize(
    ("part", "cause"),
    [(Part.DATABASE, GapCause.DATABASE_OFF), (Part.BROKER, GapCause.BROKER_OFF)],
    ids=["database", "broker"],
)
def test_part_that_is_off_outranks_all_other_causes(ward, part, cause):
    ward.watch.take(AgentGone(agent=AGENT, heard_at=at(11)))
    ward.watch.note_part(PartState(part=part, ok=False, since_at=at(9)))

    assert ward.silences(12) == [(cause, (), 9.0)]


def test_nobody_is_late_right_after_the_broker_returns(ward):
    ward.watch.note_part(PartState(part=Part.BROKER, ok=False, since_at=at(10)))
    ward.silences(30)
    ward.watch.note_part(PartState(part=Part.BROKER, ok=True, since_at=at(30)))

    assert ward.silences(33) == []
    assert [cause for cause, _, _ in ward.silences(35)] == [GapCause.UPLINK_OFF]


def test_cause_that_becomes_clearer_keeps_the_beginning(ward):
    ward.live(15, values=False, waves=False)
    gap = Gap(src=SOURCE, keys=(), cause=GapCause.OUT_OF_RANGE, started_at=at(13))
    ward.watch.take(GapHeard(agent=AGENT, gap=gap))

    assert ward.silences() == [(GapCause.OUT_OF_RANGE, (), 10.0)]


def test_gap_of_the_edge_is_told_until_it_ends(ward):
    gap = Gap(src=SOURCE, keys=(HEART_RATE,), cause=GapCause.SENSOR_OFF, started_at=at(10))
    ward.watch.take(GapHeard(agent=AGENT, gap=gap))
    ward.live(20, values=False)
    assert ward.silences() == [(GapCause.SENSOR_OFF, (HEART_RATE,), 10.0)]

    ward.watch.take(GapHeard(agent=AGENT, gap=replace(gap, ended_at=at(20))))
    ward.live(20.5)
    assert ward.silences() == []


def test_value_measured_after_a_gap_began_refutes_it(ward):
    gap = Gap(src=SOURCE, keys=(), cause=GapCause.CABLE, started_at=at(10))
    ward.watch.take(GapHeard(agent=AGENT, gap=gap))
    ward.live(14)
    assert ward.silences() == [(GapCause.CABLE, (), 10.0)]
    ward.live(14.5)
    assert ward.silences() == []


def test_source_keeps_the_agent_that_declared_it(ward):
    ward.watch.take(replace(BIRTH, agent="hut-2"))
    ward.watch.take(AgentGone(agent="hut-2", heard_at=at(10)))

    assert ward.silences() == []


def follow(ward, recorder, second):
    recorder.follow(ward.watch.evaluate(at(second)), now=at(second))
    return recorder.pending()


def test_silence_that_only_the_cloud_sees_is_recorded_with_its_end(ward):
    recorder = GapRecorder()
    begun = follow(ward, recorder, 15)
    assert [(gap.cause, gap.started_at, gap.ended_at) for gap in begun] == [
        (GapCause.UPLINK_OFF, at(10), None)
    ]
    recorder.settle(begun)
    assert recorder.pending() == ()

    ward.watch.take(AgentHeard(agent=AGENT, heard_at=at(20)))
    assert [(gap.cause, gap.ended_at) for gap in follow(ward, recorder, 20)] == [
        (GapCause.UPLINK_OFF, at(20))
    ]


def test_gap_that_ends_while_it_is_being_stored_is_stored_again(ward):
    recorder = GapRecorder()
    being_stored = follow(ward, recorder, 15)
    ward.watch.take(AgentHeard(agent=AGENT, heard_at=at(20)))
    follow(ward, recorder, 20)
    recorder.settle(being_stored)

    assert [gap.ended_at for gap in recorder.pending()] == [at(20)]


def test_gap_of_the_edge_is_not_recorded_twice(ward):
    gap = Gap(src=SOURCE, keys=(), cause=GapCause.CABLE, started_at=at(10))
    ward.watch.take(GapHeard(agent=AGENT, gap=gap))

    assert follow(ward, GapRecorder(), 11) == ()


def test_values_live_on_while_nobody_stores_and_their_end_is_the_servers_doing(ward):
    ward.watch.note_part(PartState(part=Part.INGEST, ok=False, since_at=at(10)))
    ward.live(14)
    assert ward.silences() == []

    ward.live(20, values=False, waves=False)
    assert [cause for cause, _, _ in ward.silences()] == [GapCause.SERVER_OFF]


@pytest.mark.parametrize(
    ("flag", "cause"),
    [
        (Flag.SEARCHING, GapCause.SEARCHING),
        (Flag.NO_CONTACT, GapCause.SENSOR_OFF),
        (Flag.MOVEMENT, GapCause.UNKNOWN),
    ],
)
def test_key_without_values_is_silent_for_the_reason_that_its_device_gives(ward, flag, cause):
    while ward.second < 20:
        ward.live(ward.second + 0.5, values=False)
        ward.hear(reading(ward.second, value=None, flags=(flag,)))

    assert [(found, keys) for found, keys, _ in ward.silences()] == [(cause, (HEART_RATE,))]
