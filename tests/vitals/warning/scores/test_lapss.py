import pytest

from vitals.warning.scores.lapss import SCORE

EXAMINED: dict[str, object] = {"glucose_mg_dl": 110, "unilateral_asymmetry": True}


def decide(**inputs: object) -> object:
    return SCORE.compute(inputs).find_outcome("positive").value


@pytest.mark.parametrize("history", [{}, {"age": None, "seizure_history": None}], ids=str)
def test_unknown_history_counts_as_yes_and_is_told(history: dict[str, object]) -> None:
    result = SCORE.compute(EXAMINED | history)
    assert result.find_outcome("positive").value is True
    assert result.assumed == ("age", "seizure_history", "symptom_hours", "ambulatory_before")


def test_unknown_glucose_or_examination_does_not() -> None:
    assert decide(unilateral_asymmetry=True) is None
    assert decide(glucose_mg_dl=110) is None
    assert decide(unilateral_asymmetry=False) is False


@pytest.mark.parametrize(
    "history",
    [{"age": 45}, {"seizure_history": True}, {"symptom_hours": 24}, {"ambulatory_before": False}],
    ids=str,
)
def test_known_history_excludes(history: dict[str, object]) -> None:
    assert decide(**EXAMINED | history) is False


def test_glucose_may_be_given_in_either_unit() -> None:
    values = [decide(glucose_mmol_l=glucose, unilateral_asymmetry=True) for glucose in (3.2, 3.3, 22.2, 22.3)]
    assert values == [False, True, True, False]


def test_just_below_a_day_is_within_it() -> None:
    assert [decide(**EXAMINED, symptom_hours=hours) for hours in (23.99, 23.996)] == [True, False]
