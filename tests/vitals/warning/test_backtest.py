import pytest

from tests.fixtures.warning_rules import make_rule, make_rule_set
from vitals.warning.backtest import Span, count_burden, join_instants, replay_person
from vitals.warning.rule_set import compile_rules
from vitals.warning.sample import Sample
from vitals.warning.series_csv import Instant, read_table

H = 3_600_000
HOURLY = {"inputs": {"spo2": {}}, "raise_for": "0 s", "clear_for": "1 h", "priority": "low"}
RULES = make_rule_set(**HOURLY)


def replay(*values, rules=RULES, person="a", outcome_from=None):
    """One value an hour."""
    instants = [
        Instant(
            at_ms=hour * H, samples=() if value is None else (Sample("spo2", "csv", hour * H, value),),
            outcome=None if outcome_from is None else hour >= outcome_from,
        )
        for hour, value in enumerate(values)
    ]  # fmt: skip
    return replay_person(rules, person, instants)


def hours(replayed, rule="spo2-low"):
    return [(span.from_ms / H, span.to_ms / H) for span in replayed.spans(rule)]


@pytest.mark.parametrize(
    ("values", "spans"),
    [
        ((95,) * 6, []),
        ((95, 88, 88, 95, 95, 95), [(1, 4)]),
        ((88, 95, 95, 88, 95, 95), [(0, 2), (3, 5)]),
        ((95, 95, 88, 88), [(2, 4)]),
        ((95, 95, 95, 88), [(3, 4)]),
        ((88, 95), [(0, 2)]),
        ((88, 95, 88, 95, 95), [(0, 4)]),
    ],
)
def test_time_in_alarm_runs_from_active_to_closed_or_to_the_end(values, spans):
    assert hours(replay(*values)) == spans
    assert hours(replay(*values), rule="other") == []


def test_a_stay_of_24_hourly_lines_is_a_day():
    replayed = replay(*(95,) * 24)

    assert (replayed.days, replayed.step_ms, replayed.from_ms, replayed.to_ms) == (1, H, 0, 24 * H)


def test_a_record_of_one_instant_lasts_no_time():
    replayed = replay(88)

    assert (replayed.days, replayed.step_ms, hours(replayed)) == (0, 0, [(0, 0)])


def test_the_usual_step_is_the_median_of_those_that_pass_time():
    table = read_table(["pid,hour,spo2", "a,3,95", "a,0,95", "a,1,95", "a,1,95", "a,9,95"])
    replayed = replay_person(RULES, "a", table.instants_by_person["a"])

    assert (replayed.step_ms, replayed.to_ms) == (2 * H, 11 * H)


def test_what_ends_with_the_record_is_lived_through():
    rules = make_rule_set(**HOURLY | {"raise_for": "59 min"})

    assert [event.at_ms for event in replay(95, 88, rules=rules).events] == [H + 59 * 60_000]
    assert replay(95, 88, rules=make_rule_set(**HOURLY | {"raise_for": "1 h"})).events == ()


def test_every_call_is_a_disturbance():
    rules = make_rule_set(**HOURLY | {"priority": {"low": "spo2 < 90", "high": "spo2 < 80"}})
    replayed = replay(88, 79, 95, 79, 95, 95, 88, rules=rules)

    assert [at_ms / H for at_ms in replayed.disturbances("spo2-low")] == [0, 1, 6]
    assert replayed.disturbances("other") == []


def test_outcome_is_the_first_instant_at_which_it_is_marked():
    assert replay(95, 95, 95, outcome_from=1).outcome_ms == H
    assert replay(95, 95, outcome_from=9).outcome_ms is None
    assert replay(95).outcome_ms is None


def test_what_was_suppressed_is_counted():
    rules = make_rule_set(**HOURLY | {"raise_for": "2 h"})

    assert replay(88, 95, 88, 95, rules=rules).suppressed == 2


def test_burden_is_counted_over_all_records():
    rules = compile_rules(
        [make_rule(**HOURLY), make_rule(id="never", **HOURLY | {"raise_when": "spo2 < 60"})]
    )
    replays = [replay(88, 95, 95, 88, 95, 95, *(95,) * 18, rules=rules), replay(*(95,) * 24, rules=rules)]
    low, never = sorted(count_burden(rules, iter(replays)), key=lambda burden: -burden.alarms)

    assert (low.rule, low.alarms, low.persons, low.patient_days, low.hours_in_alarm) == (
        "spo2-low",
        2,
        1,
        2,
        4,
    )
    assert (low.alarms_per_patient_day, low.share_of_time) == (1, 4 / 48)
    assert (never.alarms, never.persons, never.share_of_time) == (0, 0, 0)


def test_no_time_has_no_rate():
    (burden,) = count_burden(RULES, [])

    assert (burden.alarms_per_patient_day, burden.share_of_time) == (None, None)


def test_an_alarm_to_the_end_is_one_span():
    assert list(replay(95, 88).spans("spo2-low")) == [Span(rule="spo2-low", from_ms=H, to_ms=2 * H)]


def test_of_two_values_of_one_stream_at_one_instant_the_first_stays():
    first, second, other = Sample("spo2", "a", 5, 1), Sample("spo2", "a", 5, 2), Sample("spo2", "b", 5, 3)
    later = Sample("spo2", "a", 6, 4)
    instants = [
        Instant(at_ms=5, samples=(first,), outcome=None), Instant(at_ms=5, samples=(second, other),
        outcome=None),
        Instant(at_ms=6, samples=(later,), outcome=None),
    ]  # fmt: skip

    assert list(join_instants(instants)) == [(5, [first, other]), (6, [later])]
    assert list(join_instants([])) == []


def test_what_is_known_of_a_person_holds_from_the_beginning():
    rules = make_rule_set(**HOURLY, applies_when="patient.age >= 16")
    instants = [Instant(at_ms=0, samples=(Sample("spo2", "csv", 0, 80.0),), outcome=None)]

    assert replay_person(rules, "a", instants, known=[Sample("patient.age", "x", 0, 10.0)]).events == ()
    assert len(replay_person(rules, "a", instants).events) == 1


def test_a_line_that_tells_the_rules_nothing_is_a_look():
    """The value of the first hour counts in the mean at each line, also where only the age is said again."""
    rules = make_rule_set(
        inputs={"spo2": {}}, raise_when="mean(spo2) over 6 h with 3 values < 90 and patient.age > 16",
        raise_for="0 s", clear_when=None, priority="low",
    )  # fmt: skip
    lines = ("pid,hour,O2Sat,Age,Urine", "a,0,88,60,", "a,1,,60,200", "a,2,,60,")
    table = read_table([line + "\n" for line in lines])
    replayed = replay_person(rules, "a", table.instants_by_person["a"])
    assert [event.at_ms for event in replayed.events] == [2 * H]
