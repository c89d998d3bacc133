import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.driver import Frame, SensorState
from devices.drivers.heart_rate import DRIVER
from devices.errors import FrameInvalid
from devices.formats.heart_rate_measurement import (
    HeartRateMeasurement,
    decode_heart_rate_measurement,
    encode_heart_rate_measurement,
)
from vitals.gap import GapCause
from vitals.observation import Flag, Quality

NOW = datetime(2026, 11, 22, 8, 30, tzinfo=UTC)
VECTORS = json.loads((Path(__file__).parents[2] / "recordings/heart_rate/vectors.json").read_text())
MEASUREMENTS = [vector for vector in VECTORS if vector["uuid"] == "2a37"]
GOOD = [vector for vector in MEASUREMENTS if vector["kind"] != "invalid"]
INVALID = [vector for vector in MEASUREMENTS if vector["kind"] == "invalid"]


def feed(decoder, payload, channel="2A37", received_at=NOW):
    return decoder.feed(Frame(channel=channel, payload=bytes.fromhex(payload), received_at=received_at))


@pytest.mark.parametrize("vector", GOOD, ids=lambda vector: vector["id"])
def test_measurement_vector(vector):
    measurement = decode_heart_rate_measurement(bytes.fromhex(vector["hex"]))
    expected = {"energy_kj": None, "rr_1024": [], **vector["expected"]}
    assert measurement.heart_rate == expected["heart_rate"]
    assert measurement.has_contact is expected["contact"]
    assert measurement.energy_kj == expected["energy_kj"]
    assert list(measurement.rr_1024) == expected["rr_1024"]


@pytest.mark.parametrize("vector", INVALID, ids=lambda vector: vector["id"])
def test_invalid_vector_is_refused(vector):
    with pytest.raises(FrameInvalid):
        decode_heart_rate_measurement(bytes.fromhex(vector["hex"]))


@given(
    heart_rate=st.integers(0, 0xFFFF),
    has_contact=st.sampled_from([None, True, False]),
    energy_kj=st.none() | st.integers(0, 0xFFFF),
    rr_1024=st.lists(st.integers(0, 0xFFFF), max_size=9),
)
def test_round_trip(heart_rate, has_contact, energy_kj, rr_1024):
    measurement = HeartRateMeasurement(
        heart_rate=heart_rate, has_contact=has_contact, energy_kj=energy_kj, rr_1024=tuple(rr_1024)
    )
    assert decode_heart_rate_measurement(encode_heart_rate_measurement(measurement)) == measurement


def test_live_value_is_measured_when_received():
    (observation,) = feed(DRIVER.new_decoder(), "0055")
    assert (observation.key, observation.value, observation.unit) == ("heart_rate", 85, "/min")
    assert (observation.measured_at, observation.quality, observation.flags) == (NOW, Quality.GOOD, ())


def test_zero_is_searching_and_never_a_rate():
    (observation,) = feed(DRIVER.new_decoder(), "0000")
    assert (observation.value, observation.flags) == (None, (Flag.SEARCHING,))


def test_intervals_are_milliseconds_oldest_first():
    _, older, newer = feed(DRIVER.new_decoder(), "105a00080004")
    assert [(each.value, each.unit) for each in (older, newer)] == [(2000.0, "ms"), (1000.0, "ms")]
    assert older.measured_at == newer.measured_at == NOW


def test_impossible_interval_is_kept_and_marked():
    _, interval = feed(DRIVER.new_decoder(), "105a0000")
    assert (interval.value, interval.flags) == (0, (Flag.IMPLAUSIBLE,))


def test_lost_contact_is_told_once_and_its_values_are_invalid():
    decoder = DRIVER.new_decoder()
    state, heart_rate, interval = feed(decoder, "144b0004")
    assert state == SensorState(cause=GapCause.SENSOR_OFF, keys=("heart_rate", "rr_interval"), at=NOW)
    assert heart_rate.value == 75
    assert {heart_rate.quality, interval.quality} == {Quality.INVALID}
    assert heart_rate.flags == interval.flags == (Flag.NO_CONTACT,)
    assert len(feed(decoder, "044b")) == 1


def test_contact_found_again_ends_it():
    decoder = DRIVER.new_decoder()
    feed(decoder, "044b")
    state, heart_rate = feed(decoder, "064b")
    assert (state.cause, heart_rate.quality) == (None, Quality.GOOD)


def test_field_behind_a_reserved_flag_is_ignored():
    (observation,) = feed(DRIVER.new_decoder(), "2055aabb")
    assert observation.value == 85


@pytest.mark.parametrize(
    ("channel", "payload", "key", "value", "unit"),
    [("2A38", "01", "body_sensor_location", 1, "1"), ("2A19", "64", "battery", 100, "%")],
)
def test_value_that_is_read_once(channel, payload, key, value, unit):
    (observation,) = feed(DRIVER.new_decoder(), payload, channel)
    assert (observation.key, observation.value, observation.unit) == (key, value, unit)


def test_battery_above_a_hundred_per_cent_is_implausible():
    (observation,) = feed(DRIVER.new_decoder(), "ff", "2A19")
    assert observation.flags == (Flag.IMPLAUSIBLE,)


def test_energy_is_in_kilojoule():
    _, energy = feed(DRIVER.new_decoder(), "0e4b8000")
    assert (energy.key, energy.value, energy.unit) == ("energy_expended", 128, "kJ")
