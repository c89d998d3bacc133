from vitals.warning.score_result import Outcome
from vitals.warning.scores.cn_smi_risk import SCORE


def cls(**inputs: object) -> Outcome:
    return SCORE.compute(inputs).find_outcome("cls")


def test_levels_0_to_5_without_symptoms() -> None:
    classes = [cls(danger_level=level, symptoms_marked_or_severe_adr=False).value for level in range(6)]
    assert classes == ["stable", "basically_stable", "basically_stable", "unstable", "unstable", "unstable"]


def test_unknown_symptoms_or_level_are_never_taken_for_stable() -> None:
    assert (cls(danger_level=0).lowest, cls(danger_level=0).highest) == ("stable", "unstable")
    assert cls(danger_level=3).value == "unstable"
    assert cls(symptoms_marked_or_severe_adr=True).value == "unstable"
    assert cls(symptoms_marked_or_severe_adr=False).value is None


def test_action_belongs_to_the_class() -> None:
    open_answer = SCORE.compute({"danger_level": 1}).build_answer()
    assert open_answer["action"] is None
    assert open_answer["action_max"] == "refer at once, follow up within 2 weeks"
