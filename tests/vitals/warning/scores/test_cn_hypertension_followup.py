import pytest

from vitals.warning.score_result import Outcome
from vitals.warning.scores.cn_hypertension_followup import SCORE


def cls(**inputs: object) -> Outcome:
    return SCORE.compute(inputs).find_outcome("cls")


@pytest.mark.parametrize(
    ("age", "sbp", "expected"),
    [(64, 139, "controlled"), (64, 140, "adjust_treatment"), (64.9, 149, "adjust_treatment"),
     (65, 149, "controlled"), (65, 149.5, "adjust_treatment"), (90, 180, "urgent_referral")],
)  # fmt: skip
def test_target_of_the_systolic_pressure_depends_on_completed_years(
    age: float, sbp: float, expected: str
) -> None:
    assert cls(age=age, sbp=sbp, dbp=80).value == expected


def test_unknown_age_matters_only_between_the_two_targets() -> None:
    assert [cls(sbp=sbp, dbp=80).value for sbp in (139, 145, 150)] == ["controlled", None, "adjust_treatment"]


def test_missing_pressure_is_never_taken_for_controlled() -> None:
    open_class = cls(age=50, sbp=120)
    assert (open_class.value, open_class.lowest, open_class.highest) == (
        None,
        "controlled",
        "urgent_referral",
    )
    assert cls(age=50, dbp=110).value == "urgent_referral"


def test_box_left_out_was_not_ticked_and_null_leaves_the_class_open() -> None:
    well = {"age": 50, "sbp": 120, "dbp": 70}
    result = SCORE.compute(well)
    assert result.find_outcome("cls").value == "controlled"
    assert len(result.assumed) == 5
    assert cls(**well, danger_symptom=None).highest == "urgent_referral"
    assert cls(**well, adverse_drug_reaction=None).highest == "adjust_treatment"
    assert cls(**well, previous_visit_uncontrolled=None).value == "controlled"
