import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fixtures.warning_rules import MIN, S, make_rule_set, make_stream, say, spo2, watch_samples
from vitals.warning.condition import Phase
from vitals.warning.rule import Level
from vitals.warning.sample import Sample
from vitals.warning.watch import Watch

RECORDINGS = Path(__file__).parents[2] / "recordings" / "ews"
LIFECYCLE = json.loads((RECORDINGS / "alarm_lifecycle.json").read_text("utf-8"))
RULES = make_rule_set()
ASKING = make_rule_set(
    remeasure={"rest": "1 min", "within": "5 min", "unanswered": "high", "text": {"zh": "休息", "en": "Rest"}}
)


def live(rules, *values, until_s=None):
    """The watch and its events after (second, value) one after another."""
    watch = Watch(rules)
    events = []
    for at_s, value in values:
        events += watch.take(at_s * S, [spo2(at_s, value)])
    return watch, events if until_s is None else events + watch.advance(until_s * S)


def standing(watch):
    return next(watch.conditions())


UP = ((0, 88), (20, 88))
SCENARIOS = {
    "condition true (valid data only)": (((0, 0), (5, 150), (10, 88)), 20, [], Phase.PENDING),
    "condition false before on-delay ends": (((0, 88), (29, 95)), 200, [], Phase.NORMAL),
    "condition true for the whole on-delay": (((0, 88),), 30, [(30, "active")], Phase.ACTIVE),
    "data unknown": (((0, 88), (10, None)), 40, [(40, "technical")], Phase.NORMAL),
    "re-notify interval or priority rise": (
        (*UP, (40, 84), (50, 83)), 60, [(30, "active"), (40, "worsened")], Phase.ACTIVE,
    ),
    "condition false by the clear threshold (hysteresis)": (
        (*UP, (40, 91), (50, 92)), 60, [(30, "active"), (50, "clearing")], Phase.CLEARING,
    ),
    "condition true again before off-delay ends": (
        (*UP, (40, 92), (90, 88)), 95, [(30, "active"), (40, "clearing"), (90, "resumed")], Phase.ACTIVE,
    ),
    "off-delay ends and (acknowledged or non-latching)": (
        (*UP, (40, 92), (90, 93)), 100, [(30, "active"), (40, "clearing"), (100, "closed")], Phase.NORMAL,
    ),
    "data unknown while active": ((*UP, (40, None), (50, 0)), 10**6, [(30, "active")], Phase.ACTIVE),
}  # fmt: skip
OF_PEOPLE = {
    "acknowledge by an authorised person",
    "re-alert timer ends while still true, or condition worsens by the rule step "
    "(e.g. score +2 or next priority)",
    "off-delay ends, never acknowledged, rule is latching",
    "acknowledge",
    "shelve with reason, person and end time (max per priority: high 10 min, medium 60 min, low 12 h)",
    "shelf ends and condition still true",
    "late acknowledge",
}
"""`test_alarm` has these."""


@pytest.mark.parametrize("trigger", SCENARIOS)
def test_the_data_move_a_condition_as_its_lifecycle_says(trigger):
    values, until_s, told, phase = SCENARIOS[trigger]
    watch, events = live(RULES, *values, until_s=until_s)

    assert say(events) == told
    assert standing(watch).phase is phase


def test_every_transition_of_the_lifecycle_is_tested():
    assert {trigger for _, _, trigger, _ in LIFECYCLE["transitions"]} == OF_PEOPLE | set(SCENARIOS)


def test_what_ends_within_the_delay_is_counted():
    watch, _ = live(RULES, (0, 88), (10, 95), (20, 88), (30, 95))

    assert standing(watch).suppressed == 2


@pytest.mark.parametrize(("at_s", "told"), [(29, []), (30, [(30, "active")]), (31, [(30, "active")])])
def test_the_delay_ends_at_its_instant(at_s, told):
    watch, events = live(RULES, (0, 88), until_s=at_s)

    assert say(events) == told
    assert standing(watch).onset_ms == 0


def test_a_value_of_the_very_end_of_the_delay_still_counts():
    assert say(live(RULES, (0, 88), (30, 95), until_s=100)[1]) == []


def test_a_delay_of_nothing_ends_at_once():
    rules = make_rule_set(raise_for="0 s", clear_for="0 s")

    assert say(live(rules, (0, 88), (10, 95))[1]) == [(0, "active"), (10, "clearing"), (10, "closed")]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (((0, 88), (10, None), (35, 88)), [(55, "active")]),
        (((0, 88), (10, None), (20, None), (39, 88)), [(59, "active")]),
        (((0, 88), (10, None), (15, 88), (20, None), (30, 88)), [(45, "active")]),
        (((0, 88), (10, None), (35, 95)), []),
        (((0, 88), (10, None), (40, 88)), [(60, "active")]),
        (((0, 88), (10, None), (41, 88)), [(40, "technical"), (41, "technical_closed"), (71, "active")]),
        (((0, 88), (10, None), (50, 95)), [(40, "technical"), (50, "technical_closed")]),
        (((0, 88), (10, None), (50, None)), [(40, "technical")]),
    ],
    ids=[
        "stands still",
        "one pause",
        "two pauses",
        "ends",
        "at its end",
        "after it",
        "well again",
        "goes on",
    ],
)
def test_unknown_values_stop_the_delay_for_the_grace_at_most(values, told):
    assert say(live(RULES, *values, until_s=90)[1]) == told


def test_a_technical_alarm_is_closed_as_what_it_was():
    _, events = live(RULES, (0, 88), (10, None), (50, 84), until_s=90)

    assert [(e.change, e.onset_ms // S, e.level) for e in events] == [
        ("technical", 0, Level.MEDIUM),
        ("technical_closed", 0, Level.MEDIUM),
        ("active", 50, Level.HIGH),
    ]


@pytest.mark.parametrize(("value", "level"), [(88, Level.MEDIUM), (84, Level.HIGH)])
def test_level_is_the_highest_that_holds(value, level):
    _, events = live(RULES, (0, value), until_s=30)

    assert [event.level for event in events] == [level]


def test_the_lowest_level_needs_no_condition_that_holds():
    rules = make_rule_set(priority={"low": "spo2 < 70", "high": "spo2 < 60"})

    assert [event.level for event in live(rules, (0, 88), until_s=30)[1]] == [Level.LOW]


def test_level_never_falls_while_the_alarm_is_open():
    _, events = live(RULES, (0, 84), (40, 88), (50, 84), (60, 92), (70, 84), until_s=80)

    assert say(events) == [(30, "active"), (60, "clearing"), (70, "resumed")]
    assert {event.level for event in events} == {Level.HIGH}


def test_a_rise_after_it_was_clearing_is_told_as_both():
    _, events = live(RULES, (0, 88), (40, 92), (50, 84))

    assert say(events) == [(30, "active"), (40, "clearing"), (50, "resumed"), (50, "worsened")]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ((88, 89, 90), []), ((88, 90), []), ((88, 86), [20]), ((88, 87, 86), [30]), ((88, 89, 87), [30]),
        ((88, 86, 85), [20]), ((88, 86, 84), [20, 30]), ((88, None, 86), [30]), ((88, 89, 89, 87, 86), [40]),
    ],
)  # fmt: skip
def test_an_open_alarm_speaks_again_when_it_is_worse_than_it_was(values, told):
    rules = make_rule_set(
        worsens={"value": "100 - spo2", "by": 2}, raise_for="0 s", priority="low", clear_when="spo2 > 95"
    )
    _, events = live(rules, *((10 * number, value) for number, value in enumerate(values, start=1)))

    assert [at_s for at_s, change in say(events) if change == "worsened"] == told


def test_unknown_takes_an_alarm_that_was_clearing_back():
    _, events = live(RULES, *UP, (40, 92), (60, None), (70, 92), until_s=200)

    assert say(events)[1:] == [(40, "clearing"), (60, "resumed"), (70, "clearing"), (130, "closed")]


@pytest.mark.parametrize(("silent_s", "told"), [(59, [(100, "closed")]), (10**6, [(100, "closed")])])
def test_a_value_clears_only_as_long_as_it_is_known(silent_s, told):
    _, events = live(RULES, *UP, (40, 92), until_s=41 + silent_s)

    assert say(events)[2:] == told
    slow = make_rule_set(clear_for="10 min")
    assert say(live(slow, *UP, (40, 92), until_s=10**6)[1])[2:] == [(160.001, "resumed")]


ASKED = [(30, "remeasure")]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (((100, 88),), [(100, "active")]),
        (((100, 95),), [(100, "refuted")]),
        (((89, 95), (90, 88)), [(90, "active")]),
        (((89, 88), (90, 95)), [(90, "refuted")]),
        (((100, None), (110, 88)), [(110, "active")]),
        (((100, 0),), [(330, "active")]),
        ((), [(330, "active")]),
        (((331, 88),), [(330, "active")]),
        (((330, 95),), [(330, "refuted")]),
    ],
    ids=[
        "confirmed",
        "refuted",
        "rested",
        "not rested",
        "unknown",
        "zero",
        "silent",
        "too late",
        "at the end",
    ],
)
def test_a_second_reading_after_rest_decides(values, told):
    assert say(live(ASKING, *UP, *values, until_s=400)[1]) == ASKED + told


@pytest.mark.parametrize(("unanswered", "told"), [("drop", "refuted"), ("low", "active")])
def test_without_an_answer_the_rule_decides(unanswered, told):
    text = {"zh": "休息", "en": "Rest"}
    rules = make_rule_set(
        remeasure={"rest": "1 min", "within": "5 min", "unanswered": unanswered, "text": text}
    )
    watch, events = live(rules, (0, 84), until_s=400)

    assert say(events)[1:] == [(330, told)]
    assert [event.level for event in events] == [Level.HIGH, Level.HIGH if told == "refuted" else Level.LOW]
    assert standing(watch).suppressed == (told == "refuted")


def test_asking_has_the_level_of_now_and_not_of_the_last_alarm():
    _, events = live(ASKING, (0, 84), (100, 84), (110, 95), (180, 88), until_s=220)

    assert [(event.change, event.level) for event in events if event.change == "remeasure"] == [
        ("remeasure", Level.HIGH), ("remeasure", Level.MEDIUM),
    ]  # fmt: skip


LEAVING = {"applies_when": "not patient.pregnant"}


@pytest.mark.parametrize(
    ("extra", "values", "told"),
    [
        ({}, UP, [(30, "active"), (200, "closed")]),
        ({}, (*UP, (180, 95)), [(30, "active"), (180, "clearing"), (200, "closed")]),
        ({"raise_for": "10 min"}, UP, []),
        ({}, ((0, 88), (10, None)), [(40, "technical"), (200, "technical_closed")]),
        ({"remeasure": {"rest": "1 min", "within": "5 min", "unanswered": "low", "text": {"zh": "a",
         "en": "b"}}},
         UP, [(30, "remeasure"), (200, "refuted")]),
    ],
    ids=["active", "clearing", "pending", "technical", "asked"],
)  # fmt: skip
def test_what_was_heard_ends_when_the_rule_stops_applying(extra, values, told):
    rules = make_rule_set(**LEAVING, **extra)
    samples = [spo2(at_s, value) for at_s, value in values]
    samples.append(Sample("patient.pregnant", "staff", 200 * S, value=True))

    assert say(watch_samples(rules, samples, until_s=400)) == told


def test_a_rule_applies_unless_it_is_known_not_to():
    rules = make_rule_set(**LEAVING)
    no = Sample("patient.pregnant", "staff", 0, value=False)
    yes = Sample("patient.pregnant", "staff", 0, value=True)

    assert say(watch_samples(rules, [spo2(0, 88)], until_s=30)) == [(30, "active")]
    assert say(watch_samples(rules, [no, spo2(0, 88)], until_s=30)) == [(30, "active")]
    assert say(watch_samples(rules, [yes, spo2(0, 88)], until_s=30)) == []


def test_whether_a_rule_can_be_answered_is_shown():
    watch, _ = live(RULES, (0, 95))
    assert not standing(watch).is_unknown
    watch.take(10 * S, [spo2(10, None)])
    assert standing(watch).is_unknown

    watch, _ = live(RULES, *UP, (40, None))
    assert (standing(watch).phase, standing(watch).is_unknown) == (Phase.ACTIVE, True)


@given(seed=st.integers(0, 2**32), silence=st.lists(st.sampled_from([None, 0, 250]), max_size=4))
def test_an_active_alarm_never_clears_because_data_stop(seed, silence):
    watch = Watch(RULES)
    for sample in (sample for sample in make_stream(seed, count=60) if sample.src == "a"):
        watch.take(sample.at_ms, [sample])
        if standing(watch).phase is Phase.ACTIVE:
            break
    was_active = standing(watch).phase is Phase.ACTIVE
    events = []
    for value in silence:
        at_ms = watch.now_ms + random.Random(seed).randrange(1, 20 * MIN)
        events += watch.take(at_ms, [Sample("spo2", "a", at_ms, value)])
    events += watch.advance(watch.now_ms + 10**9)

    assert not was_active or (standing(watch).phase, say(events)) == (Phase.ACTIVE, [])


def test_an_alarm_about_a_moment_ends_by_itself_and_only_gets_worse():
    rules = make_rule_set(
        ends_after="5 min", latching=True, clear_when=None, clear_for=None, raise_for="0 s",
        worsens={"value": "100 - spo2", "by": 5},
    )  # fmt: skip
    samples = [spo2(0, 88), spo2(60, 97), spo2(120, 82), spo2(180, 97), spo2(240, 97), spo2(299, 97)]
    events = watch_samples(rules, samples, until_s=400)
    assert [(event.at_ms // S, event.change) for event in events] == [
        (0, "active"), (120, "worsened"), (300, "closed"),
    ]  # fmt: skip


def test_the_next_reading_after_a_moment_is_judged_anew():
    rules = make_rule_set(
        ends_after="1 min", latching=True, clear_when=None, clear_for=None, raise_for="0 s"
    )  # fmt: skip
    events = watch_samples(rules, [spo2(0, 88), spo2(90, 87)], until_s=100)
    assert [event.change for event in events] == ["active", "closed", "active"]


def test_a_probe_that_flickers_has_no_more_grace_than_one_that_is_off():
    """One bad second a minute, zeros between: the pauses of an on-delay are added up."""
    rules = make_rule_set(raise_for="20 s", grace="60 s")
    samples = [spo2(at, 70 if at % 30 == 0 else 0) for at in range(0, 200)]
    first = watch_samples(rules, samples)[0]
    assert (first.change, first.at_ms <= 90 * S) == ("technical", True)


def test_an_unanswered_alarm_does_not_rise_by_silence_or_by_a_normal_value():
    text = {"zh": "休息", "en": "Rest"}
    rules = make_rule_set(
        inputs={"spo2": {"stale_after": "20 min"}}, raise_for="0 s", priority="high",
        remeasure={"rest": "1 min", "within": "5 min", "unanswered": "low", "text": text},
    )  # fmt: skip
    silent = watch_samples(rules, [spo2(0, 88)], until_s=3_600)
    normal = watch_samples(rules, [spo2(0, 88), spo2(400, 91)], until_s=500)
    worse = watch_samples(rules, [spo2(0, 88), spo2(400, 87)], until_s=500)
    assert [event.change for event in silent] == ["remeasure", "active"]
    assert [event.change for event in normal] == ["remeasure", "active"]
    assert [event.change for event in worse] == ["remeasure", "active", "worsened"]


def test_a_window_that_empties_while_it_clears_takes_the_alarm_back():
    rules = make_rule_set(
        inputs={"spo2": {}}, raise_for="0 s", raise_when="spo2 < 90", clear_for="1 h",
        clear_when="mean(spo2) over 10 min with 2 values >= 92",
    )  # fmt: skip
    events = watch_samples(rules, [spo2(0, 88), spo2(60, 97), spo2(61, 97)], until_s=7_200)
    assert [event.change for event in events] == ["active", "clearing", "resumed"]
