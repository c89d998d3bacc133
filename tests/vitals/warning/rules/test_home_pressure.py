"""The rules for blood pressure at home in a small clinic; `measure_home_pressure` runs the whole one."""

import pytest

from tests.fixtures.home_pressure import PATIENTS, RAISED, SITTINGS, is_over, simulate_year
from tests.fixtures.pressure_clinic import (
    RULES,
    Home,
    count_repeats,
    read_home_rules,
    run_clinic,
)
from vitals.warning.event import Change
from vitals.warning.rule import Level
from vitals.warning.rule_check import check_rule
from vitals.warning.rule_file import read_rules
from vitals.warning.rule_set import compile_rules
from vitals.warning.sample import Sample
from vitals.warning.watch import Watch

SEED = 66066
DAY_MS = 86_400_000


def make_year(patients, **changes):
    """A clinic of fewer people, each of whom measures as often."""
    return list(
        simulate_year(SEED, patients=patients, sittings=round(SITTINGS / PATIENTS * patients), **changes)
    )


@pytest.fixture(scope="module")
def load():
    return run_clinic(read_home_rules(), make_year(18))


@pytest.fixture(scope="module")
def sick_year():
    """So high that there is much to miss."""
    return make_year(6, higher=(30, 18))


@pytest.fixture(scope="module")
def sick_load(sick_year):
    return run_clinic(read_home_rules(), sick_year)


def read_rule(name):
    (rule,) = read_rules((RULES / f"{name}.yaml").read_text("utf-8"), origin=name)
    return rule


@pytest.mark.parametrize("name", sorted(path.stem for path in RULES.glob("home-pressure-*.yaml")))
def test_rule_passes_its_own_tests(name):
    rule = read_rule(name)

    assert check_rule(rule).rules[0].rule.id == name


@pytest.mark.slow
def test_people_handle_six_of_a_hundred_measurements_at_most(load):
    assert load.sittings > 2500
    assert 0 < load.handled_per_100 <= 6
    assert load.handled_per_100 < load.naive_per_100 / 2
    assert load.confirmed > load.missed == 0


@pytest.mark.slow
def test_no_confirmed_180_110_is_missed(sick_load):
    assert sick_load.confirmed > sick_load.measured_again > 100
    assert sick_load.missed == 0


@pytest.mark.slow
def test_confirmed_after_rest_is_a_high_alarm(sick_load):
    assert sick_load.confirmed_not_high == 0
    assert sick_load.calls["home-pressure-urgent", Level.HIGH] >= sick_load.measured_again


@pytest.mark.slow
def test_who_does_not_measure_again_is_looked_for(sick_load):
    silent = sick_load.confirmed - sick_load.measured_again

    assert sick_load.calls["home-pressure-urgent", Level.MEDIUM] >= silent > 0


@pytest.mark.slow
def test_without_the_urgent_rule_every_confirmed_one_is_missed(sick_year):
    others = compile_rules([read_rule("home-pressure-mean-raised"), read_rule("home-pressure-low")])

    load = run_clinic(others, sick_year[:4])

    assert load.missed == load.confirmed > 0


@pytest.mark.slow
def test_a_reminder_leaves_fewer_to_look_for(sick_year, sick_load):
    reminded = run_clinic(read_home_rules(), sick_year, home=Home(reminds=True))

    urgent = "home-pressure-urgent", Level.MEDIUM
    assert reminded.measured_again > sick_load.measured_again
    assert reminded.calls[urgent] < sick_load.calls[urgent]
    assert reminded.missed == 0


@pytest.mark.slow
def test_the_clinic_is_as_busy_as_the_published_one():
    firsts = [sitting.readings[0] for _, sittings in make_year(40) for sitting in sittings]

    raised = sum(is_over((first.sys, first.dia), RAISED) for first in firsts)

    assert 0.9 < len(firsts) / (40 * SITTINGS / PATIENTS) < 1.1
    assert 0.5 < raised / len(firsts) < 0.65


def test_a_seed_gives_the_same_year_again():
    first = list(simulate_year(3, patients=2, sittings=40))

    assert list(simulate_year(3, patients=2, sittings=40)) == first
    assert list(simulate_year(4, patients=2, sittings=40)) != first


def test_a_mean_that_stays_up_comes_back_to_the_list_every_28_days():
    rule = read_rule("home-pressure-mean-raised")
    watch, events = Watch(compile_rules([rule])), []
    for half_day in range(2 * 75):
        at_ms = half_day * DAY_MS // 2
        values = (("nibp_sys", 142.0), ("nibp_dia", 86.0))
        events += watch.take(at_ms, [Sample(key, "cuff", at_ms, value) for key, value in values])

    assert [event.change for event in events] == [Change.ACTIVE]
    assert count_repeats(rule, events, until_ms=watch.now_ms) == 2
