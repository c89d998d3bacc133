import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from devices.registry import find_driver
from edge_agent.clock import ClockRun, OwnClock
from edge_agent.pipeline import Pace, Pipeline, is_continuous, place_in_time, separate_times
from edge_agent.spool import LINK, RawFrame, Spool
from tests.fixtures.full_disk import fill_disk, free_disk
from vitals.gap import GapCause
from vitals.observation import Flag, Observation, SourceId, VitalKey
from vitals.wire.batch import decode_batch, read_batch
from vitals.wire.event import decode_event
from vitals.wire.topics import Lane
from vitals.wire.wave_block import decode_wave

SHANGHAI = ZoneInfo("Asia/Shanghai")
NOW = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
NOW_US = int(NOW.timestamp() * 1e6)
SRC = SourceId("s-1")


class Hands:
    """A clock that is moved by hand."""

    now = NOW

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Hands()


@pytest.fixture
def spool(tmp_path):
    opened = Spool(tmp_path / "spool.sqlite3")
    yield opened
    opened.close()


def open_pipeline(spool, clock, driver="heart_rate"):
    spool.put_source(SRC, driver=driver, declaration=b"{}")
    return Pipeline(spool, boot="00" * 8, zone=SHANGHAI, clock=clock)


def append(spool, payload, *, channel="2A37", after_s=0.0):
    received_us = NOW_US + round(after_s * 1e6)
    spool.append_raw([RawFrame(src=SRC, channel=channel, received_us=received_us, payload=payload)])


def messages(spool, lane, *, now_ms=NOW_US // 1000):
    return spool.assign(lane, now_ms=now_ms, limit=99)


def test_frames_become_a_vitals_batch(spool, clock):
    pipeline = open_pipeline(spool, clock)
    append(spool, b"\x00\x48")

    taken = pipeline.run_once()

    (message,) = messages(spool, Lane.LIVE)
    (item,) = read_batch(decode_batch(message.payload))
    assert (taken, message.topic, item.key, item.value) == (1, "vitals", "heart_rate", 72)


def test_serial_pleth_becomes_a_wave_message(spool, clock):
    pipeline = open_pipeline(spool, clock, "contec_cms50dplus")
    append(spool, bytes.fromhex("c62d074861") * 30, channel="serial")
    append(spool, bytes.fromhex("c62d074861") * 30, channel="serial", after_s=0.5)

    pipeline.run_once()

    waves = [m for m in messages(spool, Lane.LIVE) if m.topic == "wave/pleth"]
    blocks = [decode_wave(m.payload, stream=VitalKey("pleth")).block for m in waves]
    assert sum(len(block.samples) for block in blocks) >= 30


def test_a_crash_before_the_commit_repeats_the_parsing(spool, clock):
    append(spool, b"\x00\x48")
    spool.put_source(SRC, driver="heart_rate", declaration=b"{}")

    open_pipeline(spool, clock).run_once()
    open_pipeline(spool, clock).run_once()

    assert len([m for m in messages(spool, Lane.LIVE) if m.topic == "vitals"]) == 1


def test_restart_tells_how_long_the_agent_was_off(spool, clock):
    open_pipeline(spool, clock).run_once()
    clock.now = NOW + timedelta(minutes=5)
    pipeline = open_pipeline(spool, clock)

    append(spool, b"\x00\x48", after_s=301)
    pipeline.run_once()

    gaps = [decode_event(m.payload) for m in messages(spool, Lane.EVENT)]
    assert [(gap.cause, gap.to_ms) for gap in gaps] == [
        (GapCause.AGENT_OFF, None),
        (GapCause.AGENT_OFF, NOW_US // 1000 + 301_000),
    ]
    assert gaps[0].from_ms == NOW_US // 1000


def test_open_gap_is_remembered_over_a_restart(spool, clock):
    pipeline = open_pipeline(spool, clock)
    append(spool, b"out_of_range", channel=LINK)
    pipeline.run_once()

    again = open_pipeline(spool, clock)

    assert GapCause.OUT_OF_RANGE in {gap.cause for gap in again.open_gaps()}


def test_unreadable_frame_does_not_stop_the_others(spool, clock):
    pipeline = open_pipeline(spool, clock)
    append(spool, b"")
    append(spool, b"\x00\x48")

    pipeline.run_once()

    assert len(messages(spool, Lane.LIVE)) == 1
    assert len(spool.rejected()) == 1


def test_full_disk_forgets_no_gap(spool, clock):
    pipeline = open_pipeline(spool, clock)
    append(spool, b"\x00\x48" + bytes(4000))  # rejected and kept whole: needs pages that are not there
    append(spool, b"cable", channel=LINK)
    fill_disk(spool)
    with pytest.raises(sqlite3.OperationalError, match="full"):
        pipeline.run_once()
    assert pipeline.open_gaps() == []
    free_disk(spool)

    pipeline.run_once()

    gaps = [decode_event(m.payload) for m in messages(spool, Lane.EVENT)]
    assert [(gap.cause, gap.to_ms) for gap in gaps] == [(GapCause.CABLE, None)]


def cuff(device_time, unit="mm[Hg]", value=120.0):
    return Observation(
        key=VitalKey("nibp_sys"),
        value=value,
        unit=unit,
        measured_at=NOW,
        received_at=NOW,
        device_time=device_time,
    )


@pytest.mark.parametrize(
    ("device_time", "measured_at", "flags"),
    [
        pytest.param(None, NOW, (), id="no clock"),
        pytest.param(datetime(2026, 11, 25, 16, 1), NOW, (), id="agrees"),
        pytest.param(
            datetime(2026, 11, 25, 7, 30), NOW - timedelta(hours=8.5), (Flag.STORED,), id="from memory"
        ),
        pytest.param(datetime(2026, 11, 26, 16, 0), NOW, (Flag.CLOCK_NOT_SET,), id="ahead"),
    ],
)
def test_device_clock_places_a_reading(device_time, measured_at, flags):
    placed = place_in_time(cuff(device_time), zone=SHANGHAI)

    assert (placed.measured_at, placed.flags) == (measured_at, flags)


@pytest.mark.parametrize("hour_utc", [5, 6], ids=["before", "after"])
def test_hour_that_a_zone_has_twice_is_the_one_of_reception(hour_utc):
    received_at = datetime(2026, 11, 1, hour_utc, 30, tzinfo=UTC)
    item = replace(cuff(datetime(2026, 11, 1, 1, 30)), measured_at=received_at, received_at=received_at)

    placed = place_in_time(item, zone=ZoneInfo("America/New_York"))

    assert (placed.measured_at, placed.flags) == (received_at, ())


@pytest.mark.parametrize(
    ("device_time", "zone"),
    [
        pytest.param(datetime(9999, 12, 31, 23, 59), "America/New_York", id="last"),
        pytest.param(datetime(1, 1, 1, 0, 0), "Asia/Shanghai", id="first"),
    ],
)
def test_end_of_the_calendar_is_a_clock_that_is_not_set(device_time, zone):
    placed = place_in_time(cuff(device_time), zone=ZoneInfo(zone))

    assert (placed.measured_at, placed.flags) == (NOW, (Flag.CLOCK_NOT_SET,))


def test_pressure_in_kilopascal_is_kept_in_millimetres_of_mercury():
    placed = place_in_time(cuff(None, unit="kPa", value=16.0), zone=SHANGHAI)

    assert (round(placed.value), placed.unit) == (120, "mm[Hg]")


def test_two_values_of_one_millisecond_are_both_kept():
    separated = separate_times([cuff(None), cuff(None), cuff(None)])

    assert [item.measured_at - NOW for item in separated] == [timedelta(milliseconds=n) for n in range(3)]


def open_slow_pipeline(spool, clock, driver="heart_rate"):
    spool.put_source(SRC, driver=driver, declaration=b"{}")
    pace = Pace(own_clock=OwnClock(), batch_s=10)
    return Pipeline(spool, boot="00" * 8, zone=SHANGHAI, clock=clock, pace=pace)


def test_continuous_values_of_ten_seconds_become_one_batch(spool, clock):
    pipeline = open_slow_pipeline(spool, clock)
    for second in range(12):
        clock.now = NOW + timedelta(seconds=second)
        append(spool, b"\x00\x48", after_s=second)
        pipeline.run_once()
        if second < 10:
            assert messages(spool, Lane.LIVE, now_ms=NOW_US // 1000 + second * 1000) == []

    (message,) = messages(spool, Lane.LIVE, now_ms=NOW_US // 1000 + 11_000)
    assert len(read_batch(decode_batch(message.payload))) == 10


def test_message_is_of_the_clock_that_its_frames_were_stamped_with(spool, clock):
    before, after = (ClockRun(machine="m", ahead_us=ahead_us) for ahead_us in (1, 3_600_000_000))
    pipeline = open_pipeline(spool, clock)
    for run in (before, after):
        frame = RawFrame(src=SRC, channel="2A37", received_us=NOW_US, payload=b"\x00\x48", clock=run)
        spool.append_raw([frame])

    while pipeline.run_once():
        pass

    told = [message.clock for message in messages(spool, Lane.LIVE)]
    assert told == [replace(before, was_set_after=True), after]


def test_decoder_begins_anew_when_our_clock_was_set(spool, clock):
    made = []
    plain = find_driver("heart_rate")

    def new_decoder():
        made.append(1)
        return plain.new_decoder()

    pipeline = open_pipeline(spool, clock)
    pipeline.add_source(SRC, replace(plain, new_decoder=new_decoder))
    for ahead_us in (1, 1, 3_600_000_000):
        run = ClockRun(machine="m", ahead_us=ahead_us)
        spool.append_raw(
            [RawFrame(src=SRC, channel="2A37", received_us=NOW_US, payload=b"\x00\x48", clock=run)]
        )
        pipeline.run_once()

    assert len(made) == 2


def test_state_of_the_clock_in_a_message_is_of_its_frames(spool, clock):
    pipeline = open_pipeline(spool, clock)
    run = ClockRun(machine="m", ahead_us=1, offset_ms=-40)
    spool.append_raw([RawFrame(src=SRC, channel="2A37", received_us=NOW_US, payload=b"\x00\x48", clock=run)])
    pipeline.run_once()

    (message,) = messages(spool, Lane.LIVE)
    assert decode_batch(message.payload).clk.off_ms == -40


def test_spot_value_goes_at_once_and_so_does_an_event(spool, clock):
    pipeline = open_slow_pipeline(spool, clock, "blood_pressure")
    append(spool, bytes.fromhex("00780050005d00"), channel="2A35")
    spool.append_raw([RawFrame(src=SRC, channel=LINK, received_us=NOW_US, payload=b"out_of_range")])

    pipeline.run_once()

    assert {m.topic for m in messages(spool, Lane.LIVE)} == {"vitals"}
    assert {m.topic for m in messages(spool, Lane.EVENT)} == {"event"}


def test_reading_from_a_memory_is_not_continuous():
    item = Observation(
        key=VitalKey("heart_rate"),
        value=70.0,
        unit="/min",
        measured_at=NOW,
        received_at=NOW,
        flags=(Flag.STORED,),
    )

    assert not is_continuous(item, {VitalKey("heart_rate"): 1.0})
    assert is_continuous(replace(item, flags=()), {VitalKey("heart_rate"): 1.0})
    assert not is_continuous(replace(item, flags=()), {})
