import pytest

from vitals.warning.errors import ScoreItemOutOfRange
from vitals.warning.scores.nihss import SCORE

LEAST: dict[str, object] = {entry.name: 0 for entry in SCORE.inputs}


def test_most_points_are_42() -> None:
    assert SCORE.compute({}).total_max == 42


def test_limb_that_cannot_be_tested_is_not_summed() -> None:
    result = SCORE.compute(LEAST | {"arm_l": "UN", "gaze": 2})
    assert (result.total, result.missing) == (2, ())


def test_item_without_an_answer_leaves_bounds() -> None:
    result = SCORE.compute(LEAST | {"gaze": None})
    assert (result.total, result.total_min, result.total_max, result.missing) == (None, 0, 2, ("gaze",))


@pytest.mark.parametrize(("item", "value"), [("facial", 4), ("loc", -1), ("neglect", 3), ("arm_l", 4.5)])
def test_number_that_an_item_does_not_have_is_refused(item: str, value: float) -> None:
    with pytest.raises(ScoreItemOutOfRange) as caught:
        SCORE.compute(LEAST | {item: value})
    assert caught.value.field == item
