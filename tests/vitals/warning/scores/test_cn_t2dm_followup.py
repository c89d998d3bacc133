import pytest

from vitals.warning.scores.cn_t2dm_followup import SCORE

WELL: dict[str, object] = {"fasting_glucose": 6.0, "sbp": 125, "dbp": 78}


def cls(**changes: object) -> object:
    return SCORE.compute(WELL | changes).find_outcome("cls").value


@pytest.mark.parametrize(
    ("glucose", "expected"),
    [(3.9, "urgent_referral"), (3.94, "urgent_referral"), (3.95, "controlled"), (6.94, "controlled"),
     (6.95, "adjust_treatment"), (16.6, "adjust_treatment"), (16.65, "urgent_referral")],
)  # fmt: skip
def test_glucose_is_judged_at_a_tenth(glucose: float, expected: str) -> None:
    assert cls(fasting_glucose=glucose) == expected


@pytest.mark.parametrize(
    "sign",
    [{"sustained_pulse": 101}, {"temp": 39.1}, {"danger_symptom": True}, {"sbp": 180}, {"dbp": 110},
     {"pregnant_or_lactating_with_high_glucose": True}],
    ids=str,
)  # fmt: skip
def test_each_urgent_sign_refers(sign: dict[str, object]) -> None:
    assert cls(**sign) == "urgent_referral"


def test_missing_glucose_is_never_taken_for_controlled() -> None:
    assert cls(fasting_glucose=None) is None
    assert cls(fasting_glucose=None, new_complication=True) is None


def test_pulse_and_fever_that_nobody_reports_are_assumed_absent_and_null_is_open() -> None:
    assert {"sustained_pulse", "temp"} <= set(SCORE.compute(WELL).assumed)
    assert cls(temp=None) is None
    assert cls(sustained_pulse=None) is None
