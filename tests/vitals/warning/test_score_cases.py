"""Every recorded case, by the score that it asks for."""

from collections import Counter
from typing import Any

import pytest

from tests.fixtures.score_inputs import CASES
from vitals.warning.errors import ScoreItemOutOfRange
from vitals.warning.score import find_score, score_by_name


def answer_case(case: dict[str, Any]) -> dict[str, Any]:
    try:
        return find_score(case["score"]).compute(case["inputs"]).build_answer()
    except ScoreItemOutOfRange:
        return {"error": "item out of range"}


@pytest.mark.parametrize("name", sorted({case["score"] for case in CASES}))
def test_every_case_of_the_score_is_answered_as_expected(name: str) -> None:
    cases = [case for case in CASES if case["score"] == name]
    answers = {case["id"]: answer_case(case) for case in cases}
    assert cases
    for case in cases:
        answer = answers[case["id"]]
        assert {key: answer[key] for key in case["expected"]} == case["expected"], case["id"]


def test_there_are_841_cases_of_25_scores_and_each_of_them_is_declared() -> None:
    counted = Counter(case["score"] for case in CASES)
    assert (counted.total(), len(counted)) == (841, 25)
    assert counted["NEWS2"] == 157
    assert set(score_by_name()) - set(counted) == {"FAST"}
    assert set(counted) <= set(score_by_name())
