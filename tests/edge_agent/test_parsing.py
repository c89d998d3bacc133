from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import numpy as np
import pytest

from devices.formats.polar_pmd import CONTROL_UUID, DATA_UUID, EcgFrame, encode_ecg_frame
from devices.registry import find_driver
from edge_agent.gap_tracker import GapTracker
from edge_agent.parsing import Parser, from_us, merge_blocks, spread_rr
from edge_agent.spool import LINK, RawFrame
from vitals.gap import GapCause
from vitals.observation import Observation, SourceId, VitalKey
from vitals.wave import WaveBlock

START_US = 1_790_000_000_000_000
BELT = SourceId("s-belt")
CUFF = SourceId("s-cuff")
CLIP = SourceId("s-clip")
STRAP = SourceId("s-strap")


def make_parser():
    drivers = {
        BELT: find_driver("heart_rate"),
        CUFF: find_driver("blood_pressure"),
        CLIP: find_driver("contec_cms50dplus"),
        STRAP: find_driver("polar_h10"),
    }
    return Parser(drivers, GapTracker.resume([]))


def frame(payload, *, after_s=0.0, src=BELT, channel="2A37"):
    return RawFrame(src=src, channel=channel, received_us=START_US + round(after_s * 1e6), payload=payload)


def at(after_s):
    return from_us(START_US + round(after_s * 1e6))


def values(parsed, src=BELT):
    return [(item.key, item.value) for item in parsed.observations.get(src, [])]


def test_frame_becomes_an_observation_at_its_reception():
    parsed = make_parser().parse([frame(b"\x00\x48", after_s=2)], now=at(2))

    (item,) = parsed.observations[BELT]
    assert (item.key, item.value, item.measured_at) == ("heart_rate", 72, at(2))


def test_unreadable_frame_is_kept_with_its_reason():
    parsed = make_parser().parse([frame(b"")], now=at(0))

    assert [(item[0].payload, bool(item[1])) for item in parsed.rejected] == [(b"", True)]


def test_flaw_in_a_driver_costs_one_frame():
    class Flawed:
        rejected = 0

        def feed(self, frame):
            raise ZeroDivisionError

    flawed = replace(find_driver("blood_pressure"), new_decoder=Flawed)
    parser = Parser({BELT: find_driver("heart_rate"), CUFF: flawed}, GapTracker.resume([]))

    parsed = parser.parse([frame(b"\x00", src=CUFF, channel="2A35"), frame(b"\x00\x48")], now=at(0))

    assert (len(parsed.rejected), values(parsed)) == (1, [("heart_rate", 72)])


def test_frame_of_an_unknown_source_is_kept():
    parsed = make_parser().parse([frame(b"\x00\x48", src=SourceId("s-x"))], now=at(0))

    assert "no driver" in parsed.rejected[0][1]


def test_lost_link_opens_a_gap_at_the_last_frame():
    parser = make_parser()
    parser.parse([frame(b"\x00\x48")], now=at(0))

    parsed = parser.parse([frame(b"out_of_range", after_s=4, channel=LINK)], now=at(4))

    (gap,) = parsed.gaps
    assert (gap.cause, gap.started_at, gap.ended_at) == (GapCause.OUT_OF_RANGE, at(0), None)


def test_first_frame_after_the_link_ends_the_gap():
    parser = make_parser()
    parser.parse([frame(b"out_of_range", channel=LINK), frame(b"", after_s=5, channel=LINK)], now=at(5))

    parsed = parser.parse([frame(b"\x00\x48", after_s=6)], now=at(6))

    assert [(gap.cause, gap.ended_at) for gap in parsed.gaps] == [(GapCause.OUT_OF_RANGE, at(6))]


def test_link_alone_ends_the_gap_of_a_spot_device():
    parser = make_parser()
    parser.parse([frame(b"out_of_range", channel=LINK, src=CUFF)], now=at(0))

    parsed = parser.parse([frame(b"", after_s=5, channel=LINK, src=CUFF)], now=at(5))

    assert [gap.ended_at for gap in parsed.gaps] == [at(5)]


@pytest.mark.parametrize(("quiet_s", "causes"), [(2.9, []), (3.1, [GapCause.DEVICE_SILENT])])
def test_linked_device_without_frames_is_silent(quiet_s, causes):
    parser = make_parser()
    parser.parse([frame(b"", channel=LINK), frame(b"\x00\x48")], now=at(0))

    parsed = parser.parse([], now=at(quiet_s))

    assert [gap.cause for gap in parsed.gaps] == causes


def test_spot_device_is_never_called_silent():
    parser = make_parser()
    parser.parse([frame(b"", channel=LINK, src=CUFF)], now=at(0))

    assert parser.parse([], now=at(3600)).gaps == []


def test_strap_off_is_a_gap_until_a_good_value():
    parser = make_parser()

    off = parser.parse([frame(b"\x04\x48")], now=at(0))
    on = parser.parse([frame(b"\x06\x48", after_s=1)], now=at(1))

    assert [gap.cause for gap in off.gaps] == [GapCause.SENSOR_OFF]
    assert [(gap.cause, gap.ended_at) for gap in on.gaps] == [(GapCause.SENSOR_OFF, at(1))]


def test_samples_end_the_gap_of_their_stream_after_a_new_link():
    parser = make_parser()
    stopped = frame(b"\x01\x00", src=STRAP, channel=CONTROL_UUID)
    ecg = encode_ecg_frame(EcgFrame(last_sample_ns=10**9, samples_uv=(1, 2, 3)))
    (gap,) = parser.parse([stopped], now=at(0)).gaps

    parsed = parser.parse(
        [
            frame(b"", after_s=1, src=STRAP, channel=LINK),
            frame(ecg, after_s=2, src=STRAP, channel=DATA_UUID),
        ],
        now=at(2),
    )

    assert (gap.cause, gap.keys) == (GapCause.SENSOR_FAULT, ("ecg",))
    assert [(item.cause, item.ended_at is not None) for item in parsed.gaps] == [
        (GapCause.SENSOR_FAULT, True)
    ]


def test_finger_that_comes_out_within_a_frame_stays_out():
    finger_in, finger_out = bytes.fromhex("c62d074861"), bytes.fromhex("d62d074861")
    parser = make_parser()

    parser.parse([frame(finger_in * 3 + finger_out * 3, src=CLIP, channel="serial")], now=at(0))

    (gap,) = parser.mark().gaps
    assert (gap.src, gap.cause) == (CLIP, GapCause.SENSOR_OFF)


def test_intermediate_cuff_pressure_is_never_stored():
    parser = make_parser()

    parsed = parser.parse([frame(bytes.fromhex("006400ff07ff07"), src=CUFF, channel="2A36")], now=at(0))

    assert values(parsed, CUFF) == []


def test_fact_about_the_device_is_no_value_of_the_person():
    parser = make_parser()

    parsed = parser.parse([frame(b"\x01", channel="2A38"), frame(b"\x00\x48")], now=at(0))

    assert values(parsed) == [("heart_rate", 72)]


def observe(key, value):
    return Observation(key=VitalKey(key), value=value, unit="ms", measured_at=at(9), received_at=at(9))


def test_rr_intervals_end_one_after_another():
    spread = spread_rr(
        [observe("heart_rate", 60.0), observe("rr_interval", 900.0), observe("rr_interval", 1100.0)]
    )

    assert [item.measured_at for item in spread] == [at(9), at(9) - timedelta(milliseconds=1100), at(9)]


def block(first, n, *, t0_us=None, stream="ecg"):
    start_us = START_US + round(first * 1e6 / 130) if t0_us is None else t0_us
    return WaveBlock(
        stream=VitalKey(stream),
        t0_us=start_us,
        rate_hz=Fraction(130),
        first_sample=first,
        samples=np.arange(first, first + n, dtype=np.int32),
    )


def test_blocks_that_follow_one_another_are_joined():
    ((_, joined),) = merge_blocks([(BELT, block(0, 73)), (BELT, block(73, 57))])

    assert joined.samples.tolist() == list(range(130))


@pytest.mark.parametrize(
    "second", [block(74, 10), block(73, 10, t0_us=START_US + 2_000_000), block(73, 10, stream="pleth")]
)
def test_blocks_with_a_hole_between_stay_apart(second):
    assert len(merge_blocks([(BELT, block(0, 73)), (BELT, second)])) == 2


def test_long_run_is_cut_into_blocks_that_fit_a_message():
    minute = [(BELT, block(65 * n, 65, t0_us=START_US + 500_000 * n)) for n in range(120)]

    merged = [item for _, item in merge_blocks(minute)]

    assert [len(item.samples) for item in merged] == [650] * 12
    assert [item.first_sample for item in merged] == [650 * n for n in range(12)]


def test_time_of_a_frame_is_utc():
    assert from_us(0) == datetime(1970, 1, 1, tzinfo=UTC)
