import pytest

from vitals.warning.errors import ScoreInputInvalid
from vitals.warning.scores.shock_index import SCORE


def answer(pulse: float | None, sbp: float | None) -> dict[str, object]:
    return SCORE.compute({"pulse": pulse, "sbp": sbp}).build_answer()


def test_limit_is_judged_before_rounding() -> None:
    assert (answer(199, 200)["value"], answer(199, 200)["ge_1_0"]) == (1.0, False)
    assert (answer(81, 90)["value"], answer(81, 90)["ge_0_9"]) == (0.9, True)


def test_missing_value_leaves_the_decisions_open() -> None:
    told = answer(100, None)
    assert (told["value"], told["ge_0_9"], told["ge_1_0"], told["missing"]) == (None, None, None, ["sbp"])


def test_decision_that_no_pressure_can_change_is_told() -> None:
    assert answer(0.5, None)["ge_0_9"] is False


def test_pressure_of_0_has_no_index() -> None:
    with pytest.raises(ScoreInputInvalid, match=r"'sbp' must not be below 1 mm\[Hg\]"):
        answer(100, 0)


def test_total_for_rules_is_not_rounded() -> None:
    assert SCORE.compute({"pulse": 80, "sbp": 90}).total == pytest.approx(8 / 9, rel=1e-15)
