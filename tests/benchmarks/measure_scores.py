"""Every shared case, every number in fine steps, and what a score costs.

    python -m tests.benchmarks.measure_scores

The sweep goes through the domain of every number in hundredths (at most 200,000 steps) and compares each
answer with that of the charted value, as a person would round it.
"""

import timeit
from collections.abc import Iterator
from decimal import Decimal

from tests.benchmarks.measure_demo import commit
from tests.fixtures.score_inputs import CASES, fingerprint
from tests.vitals.warning.test_score_cases import answer_case
from tests.vitals.warning.test_score_sweep import RATIOS, chart_by_hand, complete_inputs
from vitals.warning.score import Score, find_score, score_by_name
from vitals.warning.score_input import NumberInput

MOST_STEPS = 200_000
COUNTED = 500
PARTLY = {"rr": 16.5, "spo2": 98, "spo2_scale": 1, "pulse": 70.2}
WHOLE = PARTLY | {"oxygen": "air", "sbp": 120, "acvpu": "A", "temp": 37.0}


def count_right() -> int:
    answers = [(answer_case(case), case["expected"]) for case in CASES]
    return sum({key: answer.get(key) for key in expected} == expected for answer, expected in answers)


def hundredths(entry: NumberInput) -> Iterator[Decimal]:
    for number in range(min((entry.high - entry.low) * 100, MOST_STEPS) + 1):
        yield entry.low + number * Decimal("0.01")


def sweep(score: Score, entry: NumberInput) -> tuple[int, int]:
    """How many numbers were tried, and how many had not the one answer of their charted value."""
    inputs = complete_inputs(score)
    tried = wrong = 0
    charted_answer: tuple[Decimal | None, object] = (None, None)
    for value in hundredths(entry):
        result = score.compute(inputs | {entry.name: float(value)})
        tried += 1
        if score.name in RATIOS:
            wrong += not result.is_complete
            continue
        charted = chart_by_hand(entry, value)
        if charted != charted_answer[0]:
            charted_answer = (charted, fingerprint(score.compute(inputs | {entry.name: float(charted)})))
        wrong += fingerprint(result) != charted_answer[1] or not result.is_complete
    return tried, wrong


def cost_us(score: Score, inputs: dict[str, object]) -> float:
    return min(timeit.repeat(lambda: score.compute(inputs), number=COUNTED, repeat=120)) / COUNTED * 1e6


def main() -> None:
    print(f"commit {commit()}")
    print(f"cases: {count_right()} of {len(CASES)}")
    print(f"NEWS2 complete: {cost_us(find_score('NEWS2'), dict(WHOLE)):.1f} us")
    print(f"NEWS2 with half of its inputs: {cost_us(find_score('NEWS2'), dict(PARTLY)):.1f} us")
    swept = [
        sweep(score, entry)
        for score in score_by_name().values()
        for entry in score.inputs
        if isinstance(entry, NumberInput)
    ]
    tried, wrong = (sum(column) for column in zip(*swept, strict=True))
    print(
        f"sweep: {len(swept)} inputs, {tried} numbers, {wrong} without the one answer of their charted value"
    )


if __name__ == "__main__":
    main()
