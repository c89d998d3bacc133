import pytest

from tests.fixtures.warning_rules import make_rule
from vitals.warning.errors import RuleInvalid
from vitals.warning.rule_check import check_rule

ACTIVE = {"at": "30 s", "event": "active"}


def check(*, expect, series="95 88x5", **test):
    changes = test.pop("changes", {})
    series = {"spo2": series} | test.pop("more", {})
    return check_rule(
        make_rule(tests=[{"step": "10 s", "series": series, "expect": expect} | test], **changes)
    )


def fail(**test):
    with pytest.raises(RuleInvalid) as caught:
        check(**test)
    return caught.value.reason.removeprefix("its test fails: ")


def test_a_rule_that_keeps_its_word_loads():
    assert (
        check(expect=[{"at": "40 s", "event": "active", "priority": "medium"}]).rules[0].rule.id == "spo2-low"
    )
    assert check(expect=[], series="95x100")


@pytest.mark.parametrize(
    ("test", "reason"),
    [
        ({"expect": []}, "did not expect active (medium) at 40 s"),
        ({"expect": [ACTIVE]}, "expected active at 30 s, found active (medium) at 40 s"),
        (
            {"expect": [ACTIVE | {"at": "40 s", "event": "closed"}]},
            "expected closed at 40 s, found active (medium) at 40 s",
        ),
        (
            {"expect": [ACTIVE | {"at": "40 s", "priority": "high"}]},
            "expected active (high) at 40 s, found active (medium) at 40 s",
        ),
        (
            {"expect": [ACTIVE | {"at": "40 s"}, ACTIVE | {"at": "50 s", "priority": "low"}]},
            "expected active (low) at 50 s, found nothing more",
        ),
        ({"expect": [], "more": {"temp": "37"}}, "there is no input 'temp'"),
        ({"expect": [], "more": {"temp.quality": "1"}}, "there is no input 'temp.quality'"),
        ({"expect": [], "given": {"limit": 5}}, "'limit' is neither of the person nor a parameter"),
        ({"expect": [], "given": {"patient.age": "old"}}, "patient.age may not be 'old'"),
        ({"expect": [], "given": {"patient.pregnant": 1}}, "patient.pregnant may not be 1"),
        (
            {"expect": [], "given": {"patient.height": 5}},
            "'patient.height' is neither of the person nor a parameter",
        ),
    ],
)
def test_a_rule_that_does_not_keep_its_word_does_not_load(test, reason):
    assert fail(**test) == reason


def test_a_failing_test_is_told_with_its_rule_and_line():
    with pytest.raises(RuleInvalid) as caught:
        check(expect=[])

    assert (caught.value.line, caught.value.rule) == (1, "spo2-low")


def test_a_condition_that_says_nothing_is_told_before_its_tests():
    assert fail(expect=[], changes={"raise_when": "spo < 5"}).startswith("raise_when: knows no 'spo'")


@pytest.mark.parametrize(
    ("quality", "events"), [("1x6", 1), ("0.4x6", 0), ("nullx6", 1), ("1", 1), ("Ax6", 1)]
)
def test_a_series_may_have_a_quality(quality, events):
    expect = [ACTIVE | {"at": "40 s"}][:events]

    assert check(expect=expect, more={"spo2.quality": quality})


def test_what_is_given_is_known_from_the_first_step_on():
    changes = {
        "applies_when": "not patient.pregnant",
        "raise_when": "spo2 < limit",
        "parameters": {"limit": {"value": 85, "from": 80, "to": 90}},
    }

    assert check(expect=[], changes=changes)
    assert check(expect=[ACTIVE | {"at": "40 s"}], given={"limit": 90}, changes=changes)
    assert check(expect=[], given={"limit": 90, "patient.pregnant": True}, changes=changes)


def test_steps_without_a_value_are_lived_through():
    assert check(series="88 nullx3", expect=[ACTIVE])
    assert check(series="88 nullx2", expect=[])
    assert check(series="null 88 null", expect=[])


def test_series_of_different_lengths_are_told_to_their_ends():
    changes = {"inputs": {"spo2": {}, "rr": {"keys": ["resp_rate"]}}, "raise_when": "spo2 < 90 or rr > 30"}

    assert check(series="95", more={"rr": "10 35x4"}, changes=changes, expect=[ACTIVE | {"at": "40 s"}])


@pytest.mark.parametrize("limit", [70, 96, "low"])
def test_a_parameter_in_a_test_lies_within_its_limits(limit):
    changes = {"parameters": {"limit": {"value": 90, "from": 80, "to": 95}}, "raise_when": "spo2 < limit"}
    assert f"limit may not be {limit!r}" in fail(expect=[], given={"limit": limit}, changes=changes)
