"""A year of a telemonitored hypertension clinic under the home rules: whom they call, and whom they miss.

    python -m tests.benchmarks.measure_home_pressure [SEED ...]

`tests.fixtures.home_pressure` says what is assumed of the people, `tests.fixtures.pressure_clinic` how they
are watched. The first seed is also run with a reminder after 15 minutes, with one reading after rest instead
of two, and with people whose pressure is 6/4 mmHg higher than assumed.
"""

import json
import sys
import time
from collections.abc import Mapping

from tests.benchmarks.measure_demo import commit
from tests.fixtures.home_pressure import Pressure, simulate_year
from tests.fixtures.pressure_clinic import OUR_HOME, Home, Load, read_home_rules, run_clinic
from vitals.warning.rule_set import RuleSet

SEEDS = (66066, *range(1, 13))
HIGHER = (6.0, 4.0)
VARIANTS: Mapping[str, tuple[Home, Pressure]] = {
    "with_reminder": (Home(reminds=True), (0.0, 0.0)),
    "one_reading_after_rest": (Home(readings_after_rest=1), (0.0, 0.0)),
    "6/4_mmhg_higher": (OUR_HOME, HIGHER),
}


def measure(rules: RuleSet, seed: int, *, home: Home = OUR_HOME, higher: Pressure = (0.0, 0.0)) -> Load:
    return run_clinic(rules, simulate_year(seed, higher=higher), home=home)


def tell(load: Load) -> dict[str, object]:
    return {
        "readings": load.sittings,
        "human_per_100": round(load.handled_per_100, 2),
        "naive_human_per_100": round(load.naive_per_100, 2),
        "confirmed": load.confirmed,
        "missed": load.missed,
        "confirmed_after_rest": load.measured_again,
        "confirmed_after_rest_not_high": load.confirmed_not_high,
        "latent_severe": load.severe,
        "latent_severe_uncalled": load.severe_uncalled,
    }


def tell_rules(load: Load) -> dict[str, object]:
    return {
        "calls": {
            f"{rule} {level.name.lower()}": count for (rule, level), count in sorted(load.calls.items())
        },
        "repeats": dict(load.repeats),
        "symptoms": load.symptoms,
        "requests_without_a_person": {rule: count for rule, count in sorted(load.requests.items()) if count},
        "refuted": load.refuted,
    }


def main() -> None:
    seeds = [int(seed) for seed in sys.argv[1:]] or list(SEEDS)
    rules = read_home_rules()
    began = time.process_time()
    first = measure(rules, seeds[0])
    took_s = time.process_time() - began
    loads = {seed: measure(rules, seed) for seed in seeds[1:]}
    told = {
        "commit": commit(),
        "rules": rules.digest[:12],
        "seed": seeds[0],
        **tell(first),
        **tell_rules(first),
        "processor_s": round(took_s, 1),
        "variants": {
            name: tell(measure(rules, seeds[0], home=home, higher=higher))
            for name, (home, higher) in VARIANTS.items()
        },
        "other_seeds": {seed: tell(load) for seed, load in loads.items()},
    }
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
