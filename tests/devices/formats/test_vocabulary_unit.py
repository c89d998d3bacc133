from datetime import UTC, datetime

import pytest

from devices.formats.vocabulary_unit import to_vocabulary_unit
from vitals.observation import Flag, Observation, Quality

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def observation(value, unit, **more):
    return Observation(key="nibp_sys", value=value, unit=unit, measured_at=NOW, received_at=NOW, **more)


def test_kilopascal_becomes_millimetre_of_mercury():
    converted = to_vocabulary_unit(observation(16.0, "kPa"))
    assert converted.unit == "mm[Hg]"
    assert converted.value == pytest.approx(120.01, abs=0.001)


def test_missing_value_stays_missing_with_its_reason():
    failed = observation(None, "kPa", quality=Quality.INVALID, flags=(Flag.FAILED,))
    converted = to_vocabulary_unit(failed)
    assert (converted.value, converted.unit, converted.flags) == (None, "mm[Hg]", (Flag.FAILED,))


def test_unit_of_the_vocabulary_is_left_alone():
    already = observation(120.0, "mm[Hg]")
    assert to_vocabulary_unit(already) is already
