"""CPSS, FAST and BE-FAST: one sign is enough, and only all of them looked for exclude."""

import pytest

from vitals.warning.score import Score
from vitals.warning.scores.be_fast import SCORE as BE_FAST
from vitals.warning.scores.cpss import SCORE as CPSS
from vitals.warning.scores.fast import SCORE as FAST


@pytest.mark.parametrize("score", [CPSS, FAST, BE_FAST], ids=lambda score: score.name)
def test_sign_decides_and_one_not_looked_for_leaves_it_open(score: Score) -> None:
    first, *others = [entry.name for entry in score.inputs]
    positive = score.compute({first: True})
    assert (positive.find_outcome("positive").value, positive.total, positive.total_min) == (True, None, 1)
    assert positive.missing == tuple(others)
    unsure = score.compute(dict.fromkeys(others, False))
    assert (unsure.find_outcome("positive").value, unsure.missing) == (None, (first,))
    negative = score.compute(dict.fromkeys([first, *others], False))
    assert (negative.find_outcome("positive").value, negative.total) == (False, 0)


def test_signs_are_three_three_and_five() -> None:
    assert [len(score.inputs) for score in (CPSS, FAST, BE_FAST)] == [3, 3, 5]
