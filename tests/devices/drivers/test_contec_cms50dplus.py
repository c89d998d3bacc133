import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.driver import Frame, SensorState
from devices.drivers.contec_cms50dplus import ALL_KEYS, DRIVER, NUMERIC_KEYS, STORED_CHANNEL
from devices.formats.contec_frame import (
    REQUEST_STORED,
    LiveFrame,
    LiveFrameSplitter,
    decode_live_frame,
    encode_live_frame,
)
from vitals.gap import GapCause
from vitals.observation import Flag, Observation, Quality
from vitals.wave import WaveBlock

NOW = datetime(2026, 11, 22, 8, 30, tzinfo=UTC)
VECTORS = json.loads((Path(__file__).parents[2] / "recordings/contec_cms50dplus/vectors.json").read_text())
VECTOR = {vector["id"]: vector for vector in VECTORS}
LIVE = [vector for vector in VECTORS if vector["frame"] == "live"]


def live(pleth=45, **changes):
    return encode_live_frame(LiveFrame(**{"spo2": 97, "pulse_rate": 72, "pleth": pleth, **changes}))


def feed(decoder, payload, received_at=NOW, channel="serial"):
    return decoder.feed(Frame(channel=channel, payload=payload, received_at=received_at))


def of(kind, readings):
    return [reading for reading in readings if isinstance(reading, kind)]


@pytest.mark.parametrize("vector", LIVE, ids=lambda vector: vector["id"])
def test_live_vector(vector):
    frame = decode_live_frame(bytes.fromhex(vector["hex"]))
    assert {name: getattr(frame, name) for name in vector["expected"]} == vector["expected"]


def test_stream_vector_finds_the_whole_frame_and_counts_the_cut_one():
    splitter = LiveFrameSplitter()
    frames = splitter.split(bytes.fromhex(VECTOR["contec-cms50dplus-04"]["hex"]))
    assert [frame.hex() for frame in frames] == ["862e074861"]
    assert splitter.rejected == 1


def test_stored_vector():
    payload = bytes.fromhex(VECTOR["contec-cms50dplus-05"]["hex"])
    readings = feed(DRIVER.new_decoder(), payload, channel=STORED_CHANNEL)
    assert [(each.key, each.value) for each in readings] == [("spo2", 96), ("pulse_rate_spo2", 145)]
    assert {each.flags for each in readings} == {(Flag.STORED,)}


def test_stored_sample_without_value_failed():
    readings = feed(DRIVER.new_decoder(), b"\xf0\x80\x00", channel=STORED_CHANNEL)
    assert [(each.value, each.flags) for each in readings] == [(None, (Flag.STORED, Flag.FAILED))] * 2


def test_request_for_the_stored_samples():
    assert REQUEST_STORED == b"\xf5\xf5"


@given(
    numbers=st.tuples(st.integers(1, 126), st.integers(1, 254), st.integers(0, 127)),
    levels=st.tuples(st.integers(0, 15), st.integers(0, 15)),
    bits=st.tuples(*[st.booleans()] * 5),
)
def test_live_frame_round_trip(numbers, levels, bits):
    frame = LiveFrame(
        **dict(zip(("spo2", "pulse_rate", "pleth"), numbers, strict=True)),
        **dict(zip(("bar", "signal"), levels, strict=True)),
        **dict(zip(("beep", "spo2_drop", "finger_out", "probe_error", "searching"), bits, strict=True)),
    )
    assert decode_live_frame(encode_live_frame(frame)) == frame


def test_numerics_come_once_a_second_and_pleth_always():
    decoder = DRIVER.new_decoder()
    readings = []
    for quarter in range(12):
        received_at = NOW + timedelta(milliseconds=250 * quarter)
        readings += feed(decoder, b"".join(map(live, range(15))), received_at)
    assert len(of(Observation, readings)) == 2 * 3
    assert [len(block.samples) for block in of(WaveBlock, readings)] == [15] * 12


def test_change_is_told_at_once_with_its_own_time():
    readings = feed(DRIVER.new_decoder(), live() + live(spo2=96) + live(spo2=96))
    spo2 = [reading for reading in of(Observation, readings) if reading.key == "spo2"]
    assert [each.value for each in spo2] == [97, 96]
    assert [each.measured_at for each in spo2] == [
        NOW - timedelta(seconds=2 / 60),
        NOW - timedelta(seconds=1 / 60),
    ]
    assert {each.received_at for each in spo2} == {NOW}


def test_pleth_blocks_are_seamless():
    decoder = DRIVER.new_decoder()
    readings = feed(decoder, live(1) + live(2)) + feed(decoder, live(3), NOW + timedelta(milliseconds=90))
    first, second = of(WaveBlock, readings)
    assert (first.samples.tolist(), second.samples.tolist()) == ([1, 2], [3])
    assert (second.t0_us, second.first_sample) == (first.end_us, 2)


def test_finger_out_silences_everything_until_it_is_back():
    decoder = DRIVER.new_decoder()
    out = feed(decoder, live(finger_out=True))
    assert out[0] == SensorState(cause=GapCause.SENSOR_OFF, keys=ALL_KEYS, at=NOW)
    assert {(each.value, each.quality, each.flags) for each in out[1:]} == {
        (None, Quality.INVALID, (Flag.NO_CONTACT,))
    }
    back = feed(decoder, live(), NOW + timedelta(seconds=1))
    assert (back[0].cause, back[0].keys) == (None, ALL_KEYS)


def test_pleth_has_a_hole_while_the_finger_is_out():
    readings = feed(DRIVER.new_decoder(), live(1) + live(finger_out=True) * 6 + live(2) + live(3))
    before, after = of(WaveBlock, readings)
    assert (before.samples.tolist(), after.samples.tolist()) == ([1], [2, 3])
    assert (before.first_sample, after.first_sample) == (0, 7)
    assert after.t0_us - before.end_us == 100_000


def test_searching_silences_the_numbers_but_not_the_pleth():
    state, spo2, pulse, block = feed(DRIVER.new_decoder(), live(searching=True))
    assert (state.cause, state.keys) == (GapCause.SEARCHING, NUMERIC_KEYS)
    assert {(each.value, each.flags) for each in (spo2, pulse)} == {(None, (Flag.SEARCHING,))}
    assert block.samples.tolist() == [45]


def test_probe_error_is_a_sensor_fault():
    state, spo2, pulse = feed(DRIVER.new_decoder(), live(probe_error=True))
    assert (state.cause, state.keys) == (GapCause.SENSOR_FAULT, ALL_KEYS)
    assert {(each.value, each.flags) for each in (spo2, pulse)} == {(None, (Flag.SENSOR_FAULT,))}


@pytest.mark.parametrize(("spo2", "pulse_rate"), [(0, 0), (127, 255)])
def test_numbers_that_mean_nothing_are_no_values(spo2, pulse_rate):
    observations = of(Observation, feed(DRIVER.new_decoder(), live(spo2=spo2, pulse_rate=pulse_rate)))
    assert [(each.value, each.flags) for each in observations] == [(None, (Flag.SEARCHING,))] * 2


@pytest.mark.parametrize(
    ("stray", "rejected"),
    [("", 0), ("862d", 1), ("862d862d", 2), ("010203", 1), ("ffffff", 3)],
    ids=["none", "cut", "cut twice", "run of stray bytes", "burst of sync"],
)
def test_next_good_frame_is_found_and_rejections_are_counted(stray, rejected):
    decoder = DRIVER.new_decoder()
    readings = feed(decoder, live(1) + bytes.fromhex(stray) + live(2))
    assert [block.samples.tolist() for block in of(WaveBlock, readings)] == [[1, 2]]
    assert decoder.rejected == rejected


def test_frame_may_come_byte_by_byte():
    decoder = DRIVER.new_decoder()
    readings = [reading for byte in live() for reading in feed(decoder, bytes([byte]))]
    assert [reading.key for reading in of(Observation, readings)] == ["spo2", "pulse_rate_spo2"]
    assert decoder.rejected == 0
