import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from devices.driver import Frame, SensorState
from devices.drivers.pulse_oximeter import DRIVER, FINGER_KEYS, decode_continuous, decode_spot_check
from devices.formats.medfloat import NotANumber
from vitals.gap import GapCause
from vitals.observation import Flag, Observation, Quality

NOW = datetime(2026, 11, 22, 8, 31, tzinfo=UTC)
VECTORS = json.loads((Path(__file__).parents[2] / "recordings/pulse_oximeter/vectors.json").read_text())
SPOT = [vector for vector in VECTORS if vector["uuid"] == "2a5e"]
CONTINUOUS = [vector for vector in VECTORS if vector["uuid"] == "2a5f"]


def feed(payload, channel="2A5F", decoder=None):
    decoder = decoder or DRIVER.new_decoder()
    return decoder.feed(Frame(channel=channel, payload=bytes.fromhex(payload), received_at=NOW))


def observed(payload, channel="2A5F"):
    return {each.key: each for each in feed(payload, channel) if isinstance(each, Observation)}


def plain(number):
    return number if number is None or isinstance(number, NotANumber) else float(number)


def plain_pair(pair):
    return None if pair is None else [plain(pair.spo2), plain(pair.pulse_rate)]


@pytest.mark.parametrize("vector", SPOT, ids=lambda vector: vector["id"])
def test_spot_check_vector(vector):
    measurement, expected = decode_spot_check(bytes.fromhex(vector["hex"])), vector["expected"]
    assert plain_pair(measurement.normal) == [expected["spo2"], expected["pulse_rate"]]
    assert measurement.measurement_status == expected.get("measurement_status")
    assert measurement.device_status == expected.get("device_sensor_status")
    assert plain(measurement.pulse_amplitude_index) == expected.get("pai")
    assert measurement.clock_not_set is expected.get("clock_not_set", False)
    time = None if measurement.timestamp is None else measurement.timestamp.complete().isoformat()
    assert time == expected.get("timestamp")


@pytest.mark.parametrize("vector", CONTINUOUS, ids=lambda vector: vector["id"])
def test_continuous_vector(vector):
    measurement, expected = decode_continuous(bytes.fromhex(vector["hex"])), vector["expected"]
    assert plain_pair(measurement.normal) == [expected["spo2"], expected["pulse_rate"]]
    assert plain_pair(measurement.fast) == expected.get("fast")
    assert plain_pair(measurement.slow) == expected.get("slow")
    assert measurement.measurement_status == expected.get("measurement_status")
    assert measurement.device_status == expected.get("device_sensor_status")
    assert plain(measurement.pulse_amplitude_index) == expected.get("pai")


def test_each_average_has_its_own_key():
    values = {key: each.value for key, each in observed("1f5d00580061004b006300460020002100001ef0").items()}
    assert values == {
        "spo2": 93,
        "pulse_rate_spo2": 88,
        "spo2_fast": 97,
        "pulse_rate_fast": 75,
        "spo2_slow": 99,
        "pulse_rate_slow": 70,
        "perfusion_index": 3,
        "plx_measurement_status": 0x20,
        "plx_device_status": 0x21,
    }


def test_fast_average_never_stands_in_for_a_missing_normal_one():
    values = observed("01ff07ff0761004b00")
    assert (values["spo2"].value, values["spo2"].flags) == (None, (Flag.FAILED,))
    assert values["spo2_fast"].value == 97


def test_zero_is_searching_and_never_a_value():
    values = observed("0000000000")
    assert [(each.value, each.flags) for each in values.values()] == [(None, (Flag.SEARCHING,))] * 2


@pytest.mark.parametrize(
    ("bit", "quality", "flags"),
    [
        (5, Quality.GOOD, ()),
        (6, Quality.QUESTIONABLE, ()),
        (7, Quality.GOOD, ()),
        (8, Quality.GOOD, ()),
        (9, Quality.GOOD, (Flag.STORED,)),
        (10, Quality.INVALID, (Flag.DEMONSTRATION,)),
        (11, Quality.INVALID, (Flag.TESTING,)),
        (12, Quality.QUESTIONABLE, ()),
        (13, Quality.INVALID, (Flag.FAILED,)),
        (14, Quality.QUESTIONABLE, ()),
        (15, Quality.INVALID, (Flag.FAILED,)),
    ],
)
def test_measurement_status_bit(bit, quality, flags):
    spo2 = observed("0462004800" + (1 << bit).to_bytes(2, "little").hex())["spo2"]
    assert (spo2.value, spo2.quality, spo2.flags) == (98, quality, flags)


@pytest.mark.parametrize(
    ("bit", "quality", "flags"),
    [
        (0, Quality.GOOD, ()),
        (1, Quality.INVALID, (Flag.SENSOR_FAULT,)),
        (2, Quality.QUESTIONABLE, (Flag.SIGNAL_WEAK,)),
        (3, Quality.QUESTIONABLE, (Flag.SIGNAL_WEAK,)),
        (4, Quality.QUESTIONABLE, (Flag.SIGNAL_WEAK,)),
        (5, Quality.GOOD, (Flag.LOW_PERFUSION,)),
        (6, Quality.QUESTIONABLE, (Flag.SIGNAL_WEAK,)),
        (7, Quality.QUESTIONABLE, (Flag.SIGNAL_WEAK,)),
        (8, Quality.QUESTIONABLE, ()),
        (9, Quality.GOOD, ()),
        (10, Quality.QUESTIONABLE, (Flag.SIGNAL_WEAK,)),
        (11, Quality.INVALID, (Flag.NO_CONTACT,)),
        (12, Quality.QUESTIONABLE, (Flag.SENSOR_FAULT,)),
        (13, Quality.QUESTIONABLE, (Flag.BAD_POSITION,)),
        (14, Quality.INVALID, (Flag.SENSOR_FAULT,)),
        (15, Quality.INVALID, (Flag.NO_CONTACT,)),
        (16, Quality.GOOD, ()),
    ],
)
def test_device_status_bit(bit, quality, flags):
    spo2 = observed("0862004800" + (1 << bit).to_bytes(3, "little").hex())["spo2"]
    assert (spo2.value, spo2.quality, spo2.flags) == (98, quality, flags)


@pytest.mark.parametrize(
    ("payload", "cause"),
    [
        ("0c620048000004000800", GapCause.DEMO_MODE),
        ("0862004800020800", GapCause.SENSOR_FAULT),
        ("0862004800004000", GapCause.SENSOR_FAULT),
        ("08ff07ff07000800", GapCause.SENSOR_OFF),
        ("08ff07ff07008000", GapCause.SENSOR_OFF),
    ],
    ids=["demonstration", "malfunction", "sensor malfunction", "not on user", "disconnected"],
)
def test_sensor_state_is_told_and_ends_with_a_good_value(payload, cause):
    decoder = DRIVER.new_decoder()
    began = feed(payload, decoder=decoder)[0]
    ended = feed("0062004800", decoder=decoder)[0]
    assert began == SensorState(cause=cause, keys=FINGER_KEYS, at=NOW)
    assert ended == SensorState(cause=None, keys=FINGER_KEYS, at=NOW)


def test_spot_check_keeps_the_time_of_the_device():
    spo2 = observed("0162004800ea070b16081e00", "2A5E")["spo2"]
    assert spo2.device_time == datetime(2026, 11, 22, 8, 30)
    assert (spo2.measured_at, spo2.flags) == (NOW, ())


@pytest.mark.parametrize(
    "payload",
    ["1162004800ea070b16081e00", "016200480000000b16081e00", "1062004800"],
    ids=["clock not set", "year unknown", "no time at all"],
)
def test_time_that_the_device_disowns_is_not_used(payload):
    spo2 = observed(payload, "2A5E")["spo2"]
    assert (spo2.device_time, spo2.flags) == (None, (Flag.CLOCK_NOT_SET,))


@pytest.mark.parametrize(
    ("payload", "values"),
    [
        ("4f00", [0x4F]),
        ("4f00e007", [0x4F, 0x07E0]),
        ("4f00e007feff00", [0x4F, 0x07E0, 0xFFFE]),
        ("4e00feff00", [0x4E, 0xFFFE]),
        ("4c00", [0x4C]),
    ],
)
def test_features_with_what_follows_them(payload, values):
    assert [each.value for each in feed(payload, "2A60")] == values
