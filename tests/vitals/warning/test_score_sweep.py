"""Each number that a score takes, in fine steps where its edges lie: one answer everywhere, no hole."""

import json
from collections.abc import Iterator
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal
from typing import Any

import pytest

from tests.fixtures.score_inputs import FOLDER, fingerprint, input_names, telling_values
from vitals.warning.score import Score, find_score, score_by_name
from vitals.warning.score_input import NumberInput

TABLES = json.loads((FOLDER / "score_tables.json").read_text(encoding="utf-8"))
RATIOS = {"SHOCK_INDEX", "SIPA"}
MOST_STEPS = 300
SWEPT = [
    pytest.param(score, entry, id=f"{score.name}-{entry.name}")
    for score in score_by_name().values()
    for entry in score.inputs
    if isinstance(entry, NumberInput)
]
# MEWS: the paper gives neither of them points.
GAPS = {("MEWS", "pulse", Decimal(40)): 2, ("MEWS", "temp", Decimal("35.0")): 0}


def complete_inputs(score: Score) -> dict[str, object]:
    declared = {entry.name: entry for entry in score.inputs}
    return {name: telling_values(declared[name])[-1] for name in input_names(score)}


def fine_steps(entry: NumberInput) -> Iterator[Decimal]:
    """Halves of the chart's resolution, and tenths from each telling value to the next charted one."""
    half = entry.resolution / 2
    for number in range(min(int((entry.high - entry.low) / half), MOST_STEPS)):
        yield entry.low + number * half
    for value in telling_values(entry):
        for number in range(11):
            yield min(Decimal(str(value)) + number * entry.resolution / 10, Decimal(entry.high))
    yield Decimal(entry.high)


def chart_by_hand(entry: NumberInput, value: Decimal) -> Decimal:
    if entry.completed:
        return (value / entry.resolution).to_integral_value(ROUND_FLOOR) * entry.resolution
    shifted = value - entry.low  # half up, also below zero
    return shifted.quantize(entry.resolution, rounding=ROUND_HALF_UP) + entry.low


@pytest.mark.slow
@pytest.mark.parametrize(("score", "entry"), SWEPT)
def test_every_number_has_the_one_answer_of_its_charted_value(score: Score, entry: NumberInput) -> None:
    inputs = complete_inputs(score)
    charted_answers: dict[Decimal, object] = {}
    for value in fine_steps(entry):
        charted = value if score.name in RATIOS else chart_by_hand(entry, value)
        if charted not in charted_answers:
            found = score.compute(inputs | {entry.name: float(charted)})
            assert found.is_complete
            charted_answers[charted] = fingerprint(found)
        assert fingerprint(score.compute(inputs | {entry.name: float(value)})) == charted_answers[charted], (
            value
        )


@pytest.mark.parametrize("name", sorted(TABLES))
def test_each_charted_value_has_the_points_of_the_one_band_in_which_the_table_has_it(name: str) -> None:
    score = find_score(name)
    inputs = complete_inputs(score)
    for entry in score.inputs:
        if not isinstance(entry, NumberInput) or entry.name not in TABLES[name]:
            continue
        for value in charted_values(entry):
            part = part_named(score, inputs | {entry.name: float(value)}, entry.name)
            found = [points for low, end, points in TABLES[name][entry.name] if lies_within(value, low, end)]
            assert (found or [GAPS[name, entry.name, value]]) == [part.points], (entry.name, value)


@pytest.mark.parametrize(
    ("table", "inputs"),
    [
        ("spo2_scale1", {"spo2_scale": 1, "oxygen": "air"}),
        ("spo2_scale1", {"spo2_scale": 1, "oxygen": "oxygen"}),
        ("spo2_scale2_air", {"spo2_scale": 2, "oxygen": "air"}),
        ("spo2_scale2_oxygen", {"spo2_scale": 2, "oxygen": "oxygen"}),
    ],
    ids=str,
)
def test_each_saturation_has_the_points_of_its_scale(table: str, inputs: dict[str, object]) -> None:
    for value in range(101):
        part = part_named(find_score("NEWS2"), inputs | {"spo2": value}, "spo2")
        assert [points for low, end, points in TABLES["NEWS2"][table] if low <= value <= end] == [part.points]


def charted_values(entry: NumberInput) -> Iterator[Decimal]:
    for number in range(int((entry.high - entry.low) / entry.resolution) + 1):
        yield entry.low + number * entry.resolution


def lies_within(value: Decimal, low: float, end: float | None) -> bool:
    return Decimal(str(low)) <= value and (end is None or value <= Decimal(str(end)))


def part_named(score: Score, inputs: dict[str, object], name: str) -> Any:
    return next(part for part in score.compute(inputs).parts if part.input == name)
