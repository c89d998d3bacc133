import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.driver import Frame, SensorState
from devices.drivers.polar_h10 import DRIVER
from devices.formats.polar_pmd import (
    CONTROL_UUID,
    DATA_UUID,
    START_ACCELERATION,
    START_ECG,
    AccelerationFrame,
    ControlAnswer,
    EcgFrame,
    MeasurementsStopped,
    decode_control_value,
    decode_data_frame,
    encode_control_answer,
    encode_ecg_frame,
)
from vitals.gap import GapCause

NOW = datetime(2026, 11, 22, 8, 30, tzinfo=UTC)
VECTORS = json.loads((Path(__file__).parents[2] / "recordings/polar_h10/vectors.json").read_text())
VECTOR = {vector["id"]: vector for vector in VECTORS}


def feed(decoder, payload, channel=DATA_UUID, received_at=NOW):
    return decoder.feed(Frame(channel=channel, payload=payload, received_at=received_at))


def ecg_frame(second, samples_uv=(0,) * 65):
    return encode_ecg_frame(EcgFrame(last_sample_ns=round(second * 1e9), samples_uv=tuple(samples_uv)))


def vector_bytes(vector_id):
    return bytes.fromhex(VECTOR[vector_id]["hex"])


def test_start_requests_are_the_bytes_of_the_vectors():
    assert vector_bytes("polar-h10-01") == START_ECG
    assert vector_bytes("polar-h10-02") == START_ACCELERATION
    assert [(write.uuid, write.payload) for write in DRIVER.start] == [(CONTROL_UUID, START_ECG)]


@pytest.mark.parametrize("vector_id", ["polar-h10-03", "polar-h10-04"])
def test_started_or_already_started_is_success(vector_id):
    expected = VECTOR[vector_id]["expected"]
    answer = decode_control_value(vector_bytes(vector_id))
    assert answer == ControlAnswer(
        operation=expected["op"], measurement=expected["type"], status=expected["error"]
    )
    assert answer.is_success
    assert feed(DRIVER.new_decoder(), vector_bytes(vector_id), CONTROL_UUID) == []


def test_ecg_vector():
    expected = VECTOR["polar-h10-05"]["expected"]
    assert decode_data_frame(vector_bytes("polar-h10-05")) == EcgFrame(
        last_sample_ns=expected["timestamp_ns"], samples_uv=tuple(expected["samples_uv"])
    )


def test_acceleration_vector():
    expected = VECTOR["polar-h10-06"]["expected"]
    assert decode_data_frame(vector_bytes("polar-h10-06")) == AccelerationFrame(
        last_sample_ns=expected["timestamp_ns"], samples_mg=tuple(map(tuple, expected["samples_mg"]))
    )


def test_acceleration_that_nobody_asked_for_is_no_reading():
    assert feed(DRIVER.new_decoder(), vector_bytes("polar-h10-06")) == []


@given(
    last_sample_ns=st.integers(0, 2**64 - 1),
    samples_uv=st.lists(st.integers(-(2**23), 2**23 - 1), min_size=1, max_size=80),
)
def test_ecg_frame_round_trip(last_sample_ns, samples_uv):
    frame = EcgFrame(last_sample_ns=last_sample_ns, samples_uv=tuple(samples_uv))
    assert decode_data_frame(encode_ecg_frame(frame)) == frame


def test_control_answer_round_trip():
    answer = ControlAnswer(operation=2, measurement=0, status=13)
    assert decode_control_value(encode_control_answer(answer)) == answer


def test_samples_are_microvolt_in_a_layout_of_millivolt():
    (block,) = feed(DRIVER.new_decoder(), ecg_frame(1, [1000, -75]))
    (layout,) = DRIVER.waves
    assert (block.stream, block.rate_hz, block.samples.tolist()) == ("ecg", 130, [1000, -75])
    assert (layout.stream, layout.unit, 1000 * layout.gain) == ("ecg", "mV", 1.0)


def test_blocks_of_any_length_follow_one_another_in_spite_of_jitter():
    decoder = DRIVER.new_decoder()
    blocks = []
    for half_second, late_ms in enumerate((0, 80, 15, 40), start=1):
        received_at = NOW + timedelta(milliseconds=500 * half_second + late_ms)
        blocks += feed(decoder, ecg_frame(half_second / 2), received_at=received_at)
    blocks += feed(decoder, ecg_frame(2.1, range(13)), received_at=NOW + timedelta(seconds=2.1))
    for before, after in pairwise(blocks):
        assert after.t0_us == before.end_us
        assert after.first_sample == before.first_sample + len(before.samples)


def test_refused_start_is_a_sensor_fault_until_ecg_comes():
    decoder = DRIVER.new_decoder()
    refused = feed(decoder, bytes.fromhex("f002000d00"), CONTROL_UUID)
    assert refused == [SensorState(cause=GapCause.SENSOR_FAULT, keys=("ecg",), at=NOW)]
    state, _block = feed(decoder, ecg_frame(1))
    assert state == SensorState(cause=None, keys=("ecg",), at=NOW)


def test_strap_that_stops_ecg_by_itself_has_a_sensor_fault():
    assert decode_control_value(b"\x01\x00\x82") == MeasurementsStopped(measurements=(0, 2))
    (state,) = feed(DRIVER.new_decoder(), b"\x01\x00", CONTROL_UUID)
    assert (state.cause, state.keys) == (GapCause.SENSOR_FAULT, ("ecg",))


@pytest.mark.parametrize(
    "payload",
    ["0f05", "0102", "f003000d", "f002020d"],
    ids=["features", "acceleration stopped", "stop refused", "acceleration refused"],
)
def test_other_control_values_do_not_concern_ecg(payload):
    assert feed(DRIVER.new_decoder(), bytes.fromhex(payload), CONTROL_UUID) == []


def test_heart_rate_comes_as_from_any_strap():
    heart_rate, interval = feed(DRIVER.new_decoder(), bytes.fromhex("10484103"), "2A37")
    assert (heart_rate.key, heart_rate.value) == ("heart_rate", 72)
    assert (interval.key, interval.value) == ("rr_interval", 833 * 1000 / 1024)
