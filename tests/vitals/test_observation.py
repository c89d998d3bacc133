import dataclasses
from datetime import UTC, datetime

import pytest

from vitals.observation import Flag, Observation, Quality, VitalKey

AT = datetime(2025, 3, 1, 8, 0, tzinfo=UTC)


def _observation(*, value: float | None = 97.0) -> Observation:
    return Observation(key=VitalKey("spo2"), value=value, unit="%", measured_at=AT, received_at=AT)


def test_observation_is_good_and_unflagged_unless_said_otherwise() -> None:
    observation = _observation()
    assert (observation.quality, observation.flags, observation.device_time) == (Quality.GOOD, (), None)


def test_missing_value_is_not_equal_to_zero() -> None:
    assert _observation(value=None) != _observation(value=0.0)


def test_observation_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        _observation().value = 98.0  # type: ignore[misc]


def test_observation_takes_named_values_only() -> None:
    with pytest.raises(TypeError):
        Observation(VitalKey("spo2"), 97.0, "%", AT, AT)  # type: ignore[call-arg]


@pytest.mark.parametrize("word", [*Flag, *Quality])
def test_word_on_the_wire_is_its_name_in_lower_case(word: Flag | Quality) -> None:
    assert str(word) == word.name.lower()


def test_qualities_are_the_three_of_the_wire_contract() -> None:
    assert [str(quality) for quality in Quality] == ["good", "questionable", "invalid"]
