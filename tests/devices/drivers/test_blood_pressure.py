import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from devices.driver import Frame
from devices.drivers.blood_pressure import DRIVER, decode_blood_pressure
from devices.errors import FrameInvalid
from devices.formats.medfloat import NotANumber
from vitals.observation import Flag, Quality

NOW = datetime(2026, 11, 22, 8, 31, tzinfo=UTC)
VECTORS = json.loads((Path(__file__).parents[2] / "recordings/blood_pressure/vectors.json").read_text())
RECORDS = [vector for vector in VECTORS if vector["uuid"] == "2a35"]
GOOD = [vector for vector in RECORDS if vector["kind"] != "invalid"]
INVALID = [vector for vector in RECORDS if vector["kind"] == "invalid"]
UCUM = {"mmHg": "mm[Hg]", "kPa": "kPa"}


def feed(payload, channel="2A35"):
    frame = Frame(channel=channel, payload=bytes.fromhex(payload), received_at=NOW)
    return {observation.key: observation for observation in DRIVER.new_decoder().feed(frame)}


def plain(number):
    return number if number is None or isinstance(number, NotANumber) else float(number)


def plain_time(timestamp):
    if timestamp is None:
        return None
    if complete := timestamp.complete():
        return complete.isoformat()
    time = f"{timestamp.hour:02}:{timestamp.minute:02}:{timestamp.second:02}"
    return {"year": timestamp.year, "month": timestamp.month, "day": timestamp.day, "time": time}


@pytest.mark.parametrize("vector", GOOD, ids=lambda vector: vector["id"])
def test_measurement_vector(vector):
    record, expected = decode_blood_pressure(bytes.fromhex(vector["hex"])), vector["expected"]
    assert record.unit == UCUM[expected["unit"]]
    for field in ("systolic", "diastolic", "mean", "pulse_rate"):
        assert plain(getattr(record, field)) == expected.get(field), field
    assert (record.user_id, record.status) == (expected.get("user_id"), expected.get("status"))
    assert plain_time(record.timestamp) == expected.get("timestamp")


@pytest.mark.parametrize("vector", INVALID, ids=lambda vector: vector["id"])
def test_invalid_vector_is_refused(vector):
    with pytest.raises(FrameInvalid):
        feed(vector["hex"])


def test_full_record():
    record = feed("1e870055006600ea070b16081e004b00010400")
    values = {key: (each.value, each.unit) for key, each in record.items()}
    assert values == {
        "nibp_sys": (135, "mm[Hg]"),
        "nibp_dia": (85, "mm[Hg]"),
        "nibp_mean": (102, "mm[Hg]"),
        "pulse_rate_nibp": (75, "/min"),
        "bp_user": (1, "1"),
        "bp_status": (4, "1"),
    }
    assert record["nibp_sys"].device_time == datetime(2026, 11, 22, 8, 30)
    assert (record["nibp_sys"].measured_at, record["nibp_sys"].flags) == (NOW, (Flag.IRREGULAR_PULSE,))


@pytest.mark.parametrize(
    ("status", "flags", "quality"),
    [
        ("0100", (Flag.MOVEMENT,), Quality.QUESTIONABLE),
        ("0200", (Flag.CUFF_LOOSE,), Quality.QUESTIONABLE),
        ("0400", (Flag.IRREGULAR_PULSE,), Quality.GOOD),
        ("0800", (Flag.PULSE_ABOVE_RANGE,), Quality.GOOD),
        ("1000", (Flag.PULSE_BELOW_RANGE,), Quality.GOOD),
        ("1800", (), Quality.GOOD),
        ("2000", (Flag.BAD_POSITION,), Quality.QUESTIONABLE),
        ("c0ff", (), Quality.GOOD),
    ],
)
def test_status_bits_become_flags(status, flags, quality):
    systolic = feed("10780050005d00" + status)["nibp_sys"]
    assert (systolic.flags, systolic.quality) == (flags, quality)


def test_kilopascal_stays_kilopascal():
    record = feed("01bdf00b009ff0")
    assert (record["nibp_sys"].value, record["nibp_sys"].unit) == (18.9, "kPa")
    assert record["nibp_sys"].quality is Quality.GOOD


def test_missing_mean_does_not_lose_the_reading():
    record = feed("0678005000ff07ea070b16081e004800")
    assert (record["nibp_sys"].value, record["nibp_dia"].value) == (120, 80)
    assert (record["nibp_mean"].value, record["nibp_mean"].flags) == (None, (Flag.FAILED,))


def test_unknown_date_leaves_no_device_time_and_says_so():
    systolic = feed("02780050005d0000000411142939")["nibp_sys"]
    assert (systolic.device_time, systolic.flags) == (None, (Flag.CLOCK_NOT_SET,))


def test_unknown_user_is_marked_on_every_value():
    record = feed("0c780050005d004800ff")
    assert {record[key].flags for key in ("nibp_sys", "nibp_dia", "pulse_rate_nibp")} == {
        (Flag.UNKNOWN_USER,)
    }
    assert (record["bp_user"].value, record["bp_user"].flags) == (255, ())


def test_pulse_of_zero_is_a_failure_and_never_a_rate():
    pulse = feed("04780050005d000000")["pulse_rate_nibp"]
    assert (pulse.value, pulse.quality, pulse.flags) == (None, Quality.INVALID, (Flag.FAILED,))


def test_intermediate_pressure_is_the_cuff_and_nothing_else():
    record = feed("006400ff07ff07", "2A36")
    assert list(record) == ["nibp_cuff"]
    assert (record["nibp_cuff"].value, record["nibp_cuff"].flags) == (100, (Flag.INTERMEDIATE,))


def test_pulse_beside_an_intermediate_pressure_is_intermediate_too():
    record = feed("046400ff07ff074800", "2A36")
    assert record["pulse_rate_nibp"].flags == (Flag.INTERMEDIATE,)


def test_feature_bits():
    assert feed("2701", "2A49")["bp_feature"].value == 0x0127
