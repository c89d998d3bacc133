"""The warning engine put to the test.

    python -m tests.benchmarks.measure_warning unsafe [--cases 1000000] [--seed 1]
    python -m tests.benchmarks.measure_warning mutants [--sample 400] [--seed 1] [--module alarm]

`unsafe` asks random conditions about random values of which some are missing, and looks for an answer that
does not hold for every completion. `mutants` changes the engine in one place at a time and counts the changes
that its fast tests find.
"""

import argparse
import random
import time

from tests.benchmarks.warning_mutants import count_killed
from tests.fixtures.random_conditions import find_unsafe, make_condition

CASES_OF_ONE_CONDITION = 100


def count_unsafe(cases: int, *, seed: int) -> int:
    """How many of so many cases are answered unsafely; the first of them are printed."""
    chance = random.Random(seed)
    unsafe = 0
    begun = time.perf_counter()
    for number in range(0, cases, CASES_OF_ONE_CONDITION):
        condition = make_condition(chance)
        for _ in range(CASES_OF_ONE_CONDITION):
            problem = find_unsafe(condition, chance)
            unsafe += problem is not None
            if problem is not None and unsafe <= 10:
                print(problem)
        if number % 50_000 == 0:
            print(f"{number} cases, {unsafe} unsafe, {time.perf_counter() - begun:.0f} s", flush=True)
    print(f"{cases} cases, {unsafe} unsafe, seed {seed}, {time.perf_counter() - begun:.0f} s")
    return unsafe


def main() -> int:
    """Run one of the two; 1 if an answer was unsafe."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("unsafe", "mutants"))
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--sample", type=int, default=0, help="so many mutants of all; 0: every one")
    parser.add_argument(
        "--module", action="append", help="of vitals/warning; without it, those of the engine"
    )
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.what == "unsafe":
        return int(count_unsafe(arguments.cases, seed=arguments.seed) > 0)
    count_killed(arguments.module, sample=arguments.sample, seed=arguments.seed)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
