import dataclasses
from datetime import UTC, datetime
from pathlib import Path

import pytest

from vitals.gap import Gap, GapCause
from vitals.observation import SourceId, VitalKey

STARTED_AT = datetime(2025, 3, 1, 8, 0, tzinfo=UTC)


def _gap(**changes: object) -> Gap:
    gap = Gap(src=SourceId("s1"), keys=(VitalKey("spo2"),), cause=GapCause.SENSOR_OFF, started_at=STARTED_AT)
    return dataclasses.replace(gap, **changes)  # type: ignore[arg-type]


def test_gap_lasts_until_it_is_told_to_have_ended() -> None:
    assert _gap().ended_at is None


def test_repetition_with_an_end_keeps_what_names_the_gap() -> None:
    ended = _gap(ended_at=datetime(2025, 3, 1, 8, 5, tzinfo=UTC))
    open_gap = _gap()
    assert ended != open_gap
    names = ("src", "keys", "cause", "started_at")
    assert [getattr(ended, name) for name in names] == [getattr(open_gap, name) for name in names]


def test_equal_gaps_are_one_in_a_set() -> None:
    assert len({_gap(), _gap()}) == 1


def test_gap_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        _gap().cause = GapCause.UNKNOWN  # type: ignore[misc]


@pytest.mark.parametrize("cause", GapCause)
def test_cause_on_the_wire_is_its_name_in_lower_case(cause: GapCause) -> None:
    assert cause.value == cause.name.lower()
    assert GapCause(str(cause)) is cause


def test_live_contract_points_to_the_causes() -> None:
    contract = Path(__file__).parents[2] / "docs" / "live-api.md"
    assert "vitals.gap.GapCause" in contract.read_text(encoding="utf-8")
