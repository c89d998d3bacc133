import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fixtures.random_conditions import find_unsafe, make_condition
from tests.fixtures.warning_rules import make_rule_set
from vitals.warning.errors import RuleInvalid

TYPES = {"a": "spo2", "b": "temp", "c": "resp_rate", "t": "steps", "w": "acvpu"}


def build(text, **fields):
    """The answer to a condition as a function of a, b, c (numbers), t (a truth) and w (a word)."""
    kinds = {"t": "truth", "w": "word"}
    inputs = {
        name: {"keys": [key], "type": kinds.get(name, "number"), "range": [-1000, 1000]}
        for name, key in TYPES.items()
    }
    reads_all = "a > 0 or b > 0 or c > 0 or t or w = w"
    rules = make_rule_set(
        inputs=inputs, raise_when=text, clear_when=None, applies_when=reads_all, priority="low", **fields
    )
    numbers = {name: rules.channels_by_key[key][0][0] for name, key in TYPES.items()}

    def ask(**values):
        frame = rules.build_frame()
        for name, value in values.items():
            frame.values[numbers[name]] = value
        return rules.rules[0].raises(frame)

    return ask


@pytest.mark.parametrize(
    ("text", "values", "truth"),
    [
        ("a < 90", {"a": 89.9}, True), ("a < 90", {"a": 90.0}, False), ("a < 90", {}, None),
        ("a <= 90", {"a": 90.0}, True), ("a <= 90", {"a": 90.1}, False),
        ("a > 90", {"a": 90.0}, False), ("a > 90", {"a": 90.1}, True),
        ("a >= 90", {"a": 90.0}, True), ("a >= 90", {"a": 89.9}, False),
        ("a = 90", {"a": 90.0}, True), ("a != 90", {"a": 90.0}, False), ("a = 90", {}, None),
        ("90 > a", {"a": 89.0}, True), ("90 > a", {}, None), ("a < b", {"a": 1.0}, None),
        ("a < b", {"b": 1.0}, None),
        ("a < b", {"a": 1.0, "b": 2.0}, True), ("a < b", {"a": 2.0, "b": 2.0}, False),
        ("a + b * 2 = 8", {"a": 2.0, "b": 3.0}, True), ("a - b = -1", {"a": 2.0, "b": 3.0}, True),
        ("a / b = 2", {"a": 6.0, "b": 3.0}, True), ("a / b > 0", {"a": 6.0, "b": 0.0}, None),
        ("a + b > 0", {"a": 6.0}, None), ("a + b > 0", {"b": 6.0}, None), ("-a < 0", {"a": 6.0}, True),
        ('w = "A"', {"w": "A"}, True), ('w = "A"', {"w": "V"}, False), ('w != "A"', {"w": "V"}, True),
        ('w = "A"', {}, None), ("t", {"t": True}, True), ("t", {"t": False}, False), ("t", {}, None),
        ("t = (a > 1)", {"t": False, "a": 0.0}, True), ("t != (a > 1)", {"t": False, "a": 0.0}, False),
        ("not t", {"t": True}, False), ("not t", {"t": False}, True), ("not t", {}, None),
        ("1 < 2", {}, True),
    ],
)  # fmt: skip
def test_a_missing_input_is_unknown_and_never_false(text, values, truth):
    assert build(text)(**values) is truth


LETTERS = {True: "a", False: "b", None: "c"}


@pytest.mark.parametrize("first", [True, False, None])
@pytest.mark.parametrize("second", [True, False, None])
@pytest.mark.parametrize("third", [True, False, None])
def test_joined_truths_follow_kleene(first, second, third):
    known = {"a": 1.0, "b": -1.0}  # c is missing
    parts = [f"{LETTERS[truth]} > 0" for truth in (first, second, third)]
    truths = [first, second, third]

    def expected(number):
        if truths.count(True) >= number:
            return True
        return None if truths.count(True) + truths.count(None) >= number else False

    assert build(" or ".join(parts))(**known) is expected(1)
    assert build(" and ".join(parts))(**known) is expected(3)
    assert build(f"at least 2 of ({', '.join(parts)})")(**known) is expected(2)


@pytest.mark.parametrize(
    "text", ["a * {n} * {n} - a * {n} * {n} < 5", "a * {n} * {n} > 5", "a * {n} * {n} < 5"]
)
def test_what_no_number_can_hold_is_unknown(text):
    assert build(text.format(n="9" * 300))(a=5.0) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a", "expected a truth, found a number (at column 1)"),
        ("a < 5 + t", "expected a number, found a truth (at column 9)"),
        ("w + 1 < 5", "expected a number, found a word (at column 1)"),
        ("not a", "expected a truth, found a number (at column 5)"),
        ("a or t", "expected a truth, found a number (at column 1)"),
        ("a < w", "cannot compare a number with a word (at column 3)"),
        ("n.total < n.total", "cannot compare a score with a score (at column 9)"),
        ('n.total = "A"', "cannot compare a score with a word (at column 9)"),
        ('w < "B"', "cannot order a word (at column 3)"),
        ("t < t", "cannot order a truth (at column 3)"),
        ("mean(t) over 5 min > 1", "mean() takes a number, found a truth (at column 1)"),
        ("count(a) over 5 min > 1", "count() takes a truth, found a number (at column 1)"),
        ("mean(n.total) over 5 min > 1", "mean() takes a number, found a score (at column 1)"),
        ("n.total + 1 > 3", "expected a number, found a score (at column 1)"),
    ],
)  # fmt: skip
def test_a_tree_that_says_nothing_is_refused(text, reason):
    with pytest.raises(RuleInvalid) as caught:
        build(text, scores={"n": {"score": "NEWS2", "inputs": {"spo2": "a"}}})

    assert caught.value.reason == f"raise_when: {reason}"


@pytest.mark.parametrize("text", ["n.total > a", "a < n.total", "n.total = a"])
def test_a_score_is_compared_with_a_known_number_only(text):
    ask = build(text, scores={"n": {"score": "NEWS2", "inputs": {"rr": "c"}}})

    assert ask(c=25.0) is None
    assert ask(c=25.0, a=-1.0) is ("=" not in text)


@given(st.integers(0, 2**32))
def test_whatever_is_answered_holds_for_every_completion_of_what_is_missing(seed):
    chance = random.Random(seed)
    condition = make_condition(chance)
    for _ in range(8):
        assert find_unsafe(condition, chance) is None


@pytest.mark.parametrize(
    "text",
    [
        "a + b > 0", "a > b", "a > 0 and b > 0", "a > 0 or b > 0", "not (a > b)",
        "mean(a - b) over 5 min > 0",
        "at least 2 of (a > 0, b > 0, a > b)", "count(a > b) over 5 min > 1",
    ],
)  # fmt: skip
def test_whatever_is_read_can_change_the_answer(text):
    inputs = {"a": {"keys": ["spo2"]}, "b": {"keys": ["temp"]}}
    rules = make_rule_set(inputs=inputs, raise_when=text, clear_when=None, priority="low")

    assert rules.rules[0].channels == rules.rules[0].answer_channels == {0, 1}
    assert all(window.channels == {0, 1} for window in rules.windows)
