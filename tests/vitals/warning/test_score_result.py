from decimal import Decimal

import pytest

from vitals.warning.score_result import Outcome, ScorePart, ScoreResult, round_half_up, sum_points
from vitals.warning.vital_inputs import PULSE, TEMP

OPEN = ScorePart("pulse", None, None, 0, 3)
RESULT = ScoreResult(
    parts=(ScorePart("temp", 38.05, 1, 1, 1, TEMP), OPEN),
    missing=("pulse",),
    total=None,
    total_min=1,
    total_max=4,
    outcomes=(Outcome(name="met", value=None, lowest=False, highest=True),),
)


def test_value_of_a_part_is_what_the_chart_shows() -> None:
    assert RESULT.parts[0].value == 38.1
    whole = ScorePart("pulse", 90.5, 1, 1, 1, PULSE).value
    assert (whole, type(whole)) == (91, int)
    assert OPEN.value is None
    assert ScorePart("acvpu", "A", 0, 0, 0).value == "A"


def test_sum_of_parts_is_a_pair_of_bounds() -> None:
    assert sum_points(RESULT.parts) == (1, 4)


@pytest.mark.parametrize(
    ("outcome", "fields"),
    [
        (Outcome(name="met", value=True, lowest=True, highest=True), {"met": True}),
        (Outcome(name="met", value=None, lowest=False, highest=True), {"met": None}),
        (
            Outcome(name="group", value=None, lowest="low", highest="high"),
            {"group": None, "group_min": "low", "group_max": "high"},
        ),
        (
            Outcome(name="risk", value=None, lowest="low", highest="low", null_while_open=False),
            {"risk_min": "low", "risk_max": "low"},
        ),
        (Outcome(name="criteria", value=(), lowest=(), highest=()), {"criteria": []}),
        (Outcome(name="reason", value=None, lowest=None, highest=None), {"reason": None}),
    ],
    ids=["known", "open decision", "open group", "bounds alone", "empty list", "nothing to tell"],
)
def test_outcome_is_told_or_left_open(outcome: Outcome, fields: dict[str, object]) -> None:
    assert outcome.build_fields() == fields


def test_outcome_is_found_by_its_name() -> None:
    assert RESULT.find_outcome("met").value is None
    with pytest.raises(KeyError, match="risk"):
        RESULT.find_outcome("risk")


@pytest.mark.parametrize(
    ("value", "rounded"), [("1.125", 1.13), ("1.1249", 1.12), ("0.9875", 0.99), ("0", 0.0)]
)
def test_number_for_show_is_rounded_half_up(value: str, rounded: float) -> None:
    assert round_half_up(Decimal(value), step="0.01") == rounded
