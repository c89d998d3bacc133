"""A missing input is never a zero and never normal: what a score says of it is what all completions say."""

from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fixtures.score_inputs import UNKNOWN_COUNTS, input_names, telling_values
from vitals.warning.errors import ScoreInputInvalid
from vitals.warning.score import Score, find_score, score_by_name
from vitals.warning.score_input import NumberInput
from vitals.warning.score_result import Outcome, ScoreResult

SCORES = sorted(score_by_name().values(), key=lambda score: score.name)
UNHURRIED = settings(deadline=None, max_examples=12)  # a busy machine is no failure
LISTS = {"criteria", "severe", "nonsevere"}
# Which of the two stands in an answer, and whether a reason does, follows from the class and the duration.
FOLLOWING = {"follow_up", "follow_up_days", "reason"}


@st.composite
def complete_inputs(draw: Any, score: Score) -> dict[str, object]:
    """Valid values for everything; numbers also between the edges."""
    drawn: dict[str, object] = {}
    for entry in score.inputs:
        if entry.name in input_names(score):
            values = st.sampled_from([value for value in telling_values(entry) if value != "NT"])
            anywhere = isinstance(entry, NumberInput) and draw(st.booleans())
            drawn[entry.name] = draw(st.floats(entry.low, entry.high) if anywhere else values)
    return drawn


def complete(score: Score, inputs: dict[str, object], names: list[str]) -> list[ScoreResult]:
    declared = {entry.name: entry for entry in score.inputs}
    possible = [[value for value in telling_values(declared[name]) if value != "NT"] for name in names]
    return [score.compute(inputs | dict(zip(names, values, strict=True))) for values in product(*possible)]


def check_outcome(outcome: Outcome, completions: list[ScoreResult]) -> None:
    values = {completion.find_outcome(outcome.name).value for completion in completions}
    if outcome.name in LISTS:
        assert set.intersection(*({*value} for value in values)) == {*outcome.value}
    elif outcome.value is not None:
        assert values == {outcome.value}
    else:
        assert {outcome.lowest, outcome.highest} <= values
        assert outcome.name == "risk" or len(values) > 1


@pytest.mark.slow
@pytest.mark.parametrize("score", SCORES, ids=lambda score: score.name)
@UNHURRIED
@given(st.data())
def test_bounds_are_exactly_what_all_completions_reach(score: Score, data: Any) -> None:
    inputs = data.draw(complete_inputs(score))
    names = sorted(set(inputs) - UNKNOWN_COUNTS.get(score.name, set()))
    gone = data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
    bounds = score.compute(inputs | dict.fromkeys(gone))
    completions = complete(score, inputs, gone)
    if bounds.total_min is not None:
        totals = [completion.total for completion in completions]
        assert (min(totals), max(totals)) == (bounds.total_min, bounds.total_max)
    for outcome in bounds.outcomes:
        if outcome.name not in FOLLOWING:
            check_outcome(outcome, completions)


@pytest.mark.parametrize("score", SCORES, ids=lambda score: score.name)
def test_score_that_knows_nothing_says_nothing(score: Score) -> None:
    result = score.compute({})
    optional = {entry.name for entry in score.inputs if entry.optional}
    assert not result.is_complete
    assert result.total is None
    assert set(result.missing) == {entry.name for entry in score.inputs} - optional
    assert set(result.assumed) == optional
    said = {outcome.value for outcome in result.outcomes if outcome.name not in LISTS}
    assert said <= {None}


@pytest.mark.parametrize("score", SCORES, ids=lambda score: score.name)
def test_null_leaves_open_what_leaving_out_would_settle(score: Score) -> None:
    optional = {entry.name for entry in score.inputs if entry.optional} - UNKNOWN_COUNTS.get(
        score.name, set()
    )
    inputs = {entry.name: None for entry in score.inputs}
    assert optional <= set(score.compute(inputs).missing)


JSON_VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers())


@pytest.mark.slow
@pytest.mark.parametrize("score", SCORES, ids=lambda score: score.name)
@UNHURRIED
@given(st.data())
def test_any_mapping_gives_a_result_or_a_typed_refusal(score: Score, data: Any) -> None:
    names = st.sampled_from([entry.name for entry in score.inputs])
    inputs = data.draw(st.dictionaries(names | st.text(), JSON_VALUES))
    refused: str | None = None
    try:
        assert score.compute(inputs).build_answer()
    except ScoreInputInvalid as error:
        refused = error.field
    assert refused in {*inputs, None}


def test_a_score_that_is_no_number_has_no_bounds():
    assert find_score("qSOFA").compute({"rr": 25}).bounds == (1, 3)
    with pytest.raises(ValueError, match="no number"):
        assert find_score("CGM_LEVEL").compute({}).bounds
