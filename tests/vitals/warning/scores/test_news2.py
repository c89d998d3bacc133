from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fixtures.score_inputs import CASES
from vitals.warning.errors import ScoreInputInvalid
from vitals.warning.score_result import ScoreResult
from vitals.warning.scores.news2 import SCORE, compute_news2

NEWS2_CASES = [case for case in CASES if case["score"] == "NEWS2"]
WELL: dict[str, object] = {
    "rr": 16, "spo2": 98, "spo2_scale": 1, "oxygen": "air",
    "sbp": 120, "pulse": 70, "acvpu": "A", "temp": 37.0,
}  # fmt: skip
# One value of every band on every scale: with these, completions reach every total that any value can.
EVERY_BAND: dict[str, tuple[object, ...]] = {
    "rr": (8, 11, 20, 24, 25),
    "spo2": (83, 85, 87, 91, 92, 93, 95, 96, 97),
    "spo2_scale": (1, 2),
    "oxygen": ("air", "oxygen"),
    "sbp": (90, 100, 110, 219, 220),
    "pulse": (40, 50, 90, 110, 130, 131),
    "acvpu": ("A", "C"),
    "temp": (35.0, 36.0, 38.0, 39.0, 39.1),
}
RISKS = ("low", "low-medium", "medium", "high")
NUMBERS = {
    "rr": st.floats(0, 300), "spo2": st.floats(0, 100), "sbp": st.floats(0, 500), "pulse": st.floats(0, 500),
    "temp": st.floats(0, 60),
}  # fmt: skip
WORDS = {name: st.sampled_from(EVERY_BAND[name]) for name in ("spo2_scale", "oxygen", "acvpu")}
UNHURRIED = settings(deadline=None)  # a busy machine is no failure
COMPLETE = st.fixed_dictionaries(NUMBERS | WORDS)


def _risks(result: ScoreResult) -> tuple[int, int]:
    risk = result.find_outcome("risk")
    return RISKS.index(str(risk.lowest)), RISKS.index(str(risk.highest))


def _answer(**changes: object) -> dict[str, Any]:
    return compute_news2(WELL | changes).build_answer()


@pytest.mark.parametrize("case", NEWS2_CASES, ids=lambda case: case["id"])
def test_case_is_answered_as_expected(case: dict[str, Any]) -> None:
    answer = compute_news2(case["inputs"]).build_answer()
    expected = case["expected"]
    assert {key: answer[key] for key in expected} == expected
    always = {"parts", "missing"} if expected["complete"] else {"parts", "missing", "risk_min", "risk_max"}
    assert set(answer) == set(expected) | always


@pytest.mark.parametrize(
    ("changes", "points"),
    [
        ({"rr": 8.49}, 3), ({"rr": 8.5}, 1), ({"rr": 11.5}, 0), ({"rr": 20.5}, 2), ({"rr": 24.49}, 2),
        ({"sbp": 219.49}, 0), ({"sbp": 219.5}, 3), ({"sbp": 90.49}, 3), ({"sbp": 0}, 3),
        ({"pulse": 40.5}, 1), ({"pulse": 90.5}, 1), ({"pulse": 110.5}, 2),
        ({"temp": 35.04}, 3), ({"temp": 35.05}, 1), ({"temp": 36.05}, 0), ({"temp": 38.05}, 1),
        ({"temp": 39.05}, 2), ({"temp": 39.049}, 1),
        ({"spo2": 0}, 3), ({"spo2": 93.5}, 1), ({"spo2": 100}, 0),
    ],
    ids=str,
)  # fmt: skip
def test_value_between_two_bands_is_rounded_half_up_first(changes: dict[str, object], points: int) -> None:
    assert _answer(**changes)["total"] == points


@pytest.mark.parametrize(
    ("changes", "risk", "monitoring"),
    [
        ({}, "low", "minimum 12-hourly"),
        ({"temp": 38.1}, "low", "minimum 4-6-hourly"),
        ({"pulse": 111, "rr": 21}, "low", "minimum 4-6-hourly"),
        ({"acvpu": "C"}, "low-medium", "minimum 1-hourly"),
        ({"acvpu": "C", "temp": 38.1}, "low-medium", "minimum 1-hourly"),
        ({"acvpu": "C", "oxygen": "oxygen"}, "medium", "minimum 1-hourly"),
        ({"acvpu": "C", "rr": 25}, "medium", "minimum 1-hourly"),
        ({"acvpu": "C", "rr": 25, "temp": 38.1}, "high", "continuous"),
    ],
    ids=str,
)
def test_risk_and_monitoring_follow_total_and_single_3(
    changes: dict[str, object], risk: str, monitoring: str
) -> None:
    answer = _answer(**changes)
    assert (answer["risk"], answer["monitoring"]) == (risk, monitoring)


def test_part_carries_the_charted_value_and_its_points() -> None:
    parts = {part["input"]: part for part in _answer(rr=24.5, temp=38.05)["parts"]}
    assert parts["rr"] == {"input": "rr", "value": 25, "points": 3, "points_min": 3, "points_max": 3}
    assert parts["temp"] == {"input": "temp", "value": 38.1, "points": 1, "points_min": 1, "points_max": 1}
    assert parts["acvpu"]["value"] == "A"


def test_absent_and_null_are_both_missing() -> None:
    absent = {name: value for name, value in WELL.items() if name != "temp"}
    assert compute_news2(absent) == compute_news2(WELL | {"temp": None})


def test_zero_is_a_value_and_not_missing() -> None:
    assert _answer(rr=0)["missing"] == []


def test_incomplete_score_bounds_the_risk_instead_of_naming_one() -> None:
    answer = _answer(acvpu=None, oxygen=None, rr=21)
    assert (answer["total"], answer["total_min"], answer["total_max"]) == (None, 2, 7)
    assert (answer["risk_min"], answer["risk_max"]) == ("low", "high")
    assert "risk" not in answer


def test_scale_2_without_known_oxygen_leaves_given_saturation_unscored() -> None:
    answer = _answer(spo2=94, spo2_scale=2, oxygen=None)
    spo2 = answer["parts"][1]
    assert (spo2["value"], spo2["points"], spo2["points_min"], spo2["points_max"]) == (94, None, 0, 1)
    assert (answer["missing"], answer["total_min"], answer["total_max"]) == (["spo2", "oxygen"], 0, 3)


def test_missing_scale_is_not_taken_for_scale_1() -> None:
    answer = _answer(spo2=90, spo2_scale=None)
    assert (answer["sub"]["spo2"], answer["missing"]) == (None, ["spo2", "spo2_scale"])
    assert (answer["total_min"], answer["total_max"]) == (0, 3)


def test_result_knows_whether_it_is_complete() -> None:
    assert compute_news2(WELL).is_complete
    assert not compute_news2(WELL | {"rr": None}).is_complete


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rr", -1), ("rr", 301), ("rr", "16"), ("rr", True), ("spo2", 100.4), ("spo2", float("nan")),
        ("spo2_scale", 3), ("spo2_scale", True), ("oxygen", "Air"), ("oxygen", 2), ("sbp", float("inf")),
        ("pulse", 511), ("pulse", {}), ("acvpu", "X"), ("acvpu", "a"), ("acvpu", ""), ("temp", 98.6),
        ("temp", [37]), ("resp", 16),
    ],
    ids=str,
)  # fmt: skip
def test_input_outside_the_domain_is_refused_by_its_name(field: str, value: object) -> None:
    with pytest.raises(ScoreInputInvalid) as caught:
        compute_news2(WELL | {field: value})
    assert caught.value.field == field
    assert caught.value.reason


def test_every_input_tells_which_vitals_may_feed_it() -> None:
    assert set(SCORE.input_keys) == set(WELL)
    assert SCORE.input_keys["sbp"][0] == "nibp_sys"
    assert "temp_skin" not in SCORE.input_keys["temp"]


@UNHURRIED
@given(COMPLETE)
def test_every_value_of_the_domain_has_a_total_from_0_to_20(inputs: dict[str, object]) -> None:
    result = compute_news2(inputs)
    assert result.total is not None
    assert 0 <= result.total <= 20
    assert (
        result.total_min == result.total == result.total_max == sum(part.points or 0 for part in result.parts)
    )
    risk = result.find_outcome("risk")
    assert risk.lowest == risk.value == risk.highest


@pytest.mark.slow
@UNHURRIED
@given(COMPLETE, st.sets(st.sampled_from(sorted(EVERY_BAND)), max_size=3))
def test_completions_lie_within_the_bounds_and_reach_both_ends(
    inputs: dict[str, object], gone: set[str]
) -> None:
    bounds = compute_news2({name: value for name, value in inputs.items() if name not in gone})
    names = sorted(gone)
    completions = [
        compute_news2(inputs | dict(zip(names, values, strict=True)))
        for values in product(*(EVERY_BAND[name] for name in names))
    ]
    totals = [completion.total_min for completion in completions]
    risks = [_risks(completion)[0] for completion in completions]
    assert (min(totals), max(totals)) == (bounds.total_min, bounds.total_max)
    assert (min(risks), max(risks)) == _risks(bounds)
    own = compute_news2(inputs)
    assert bounds.total_min <= own.total_min <= bounds.total_max
    assert bounds.is_complete == (not gone)


@pytest.mark.slow
@UNHURRIED
@given(COMPLETE, st.permutations(sorted(EVERY_BAND)))
def test_bounds_never_widen_as_inputs_arrive(inputs: dict[str, object], order: list[str]) -> None:
    known: dict[str, object] = {}
    before = compute_news2(known)
    for name in order:
        known[name] = inputs[name]
        after = compute_news2(known)
        assert before.total_min <= after.total_min <= after.total_max <= before.total_max
        before = after
    assert before.is_complete


JSON_VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers())


@pytest.mark.slow
@UNHURRIED
@given(st.dictionaries(st.sampled_from(sorted(EVERY_BAND)) | st.text(), JSON_VALUES))
def test_any_mapping_gives_a_result_or_a_typed_refusal(inputs: dict[str, object]) -> None:
    refused: str | None = None
    missing: tuple[str, ...] = ()
    try:
        missing = compute_news2(inputs).missing
    except ScoreInputInvalid as error:
        refused = error.field
    assert refused in {*inputs, None}
    assert not {name for name in missing if inputs.get(name) is not None} - {"spo2"}
