import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fixtures.warning_rules import MIN, S, make_rule
from vitals.warning.alarm import SHELF_MAX_MS, Act, ActKind, AlarmState, fold_alarm, limit_shelf_ms
from vitals.warning.event import Change, Event
from vitals.warning.rule import Level, RuleKind

RULE = make_rule()
REPEATING = make_rule(repeat_after="15 min")
LATCHING = make_rule(latching=True)
NOW_MS = 24 * 60 * MIN


def event(change, minute, level=Level.MEDIUM):
    return Event(
        at_ms=round(minute * MIN), rule="spo2-low", version=1, kind=RuleKind.PHYSIOLOGICAL, change=change,
        level=level, onset_ms=-30 * S,
    )  # fmt: skip


def act(kind, minute, *, until=None, name=None):
    until_ms = None if until is None else round(until * MIN)
    return Act(id=name or f"{kind}-{minute}", at_ms=round(minute * MIN), kind=ActKind(kind), by="nurse",
               until_ms=until_ms)  # fmt: skip


ACTIVE = event(Change.ACTIVE, 0)


def see(facts, minute, rule=RULE):
    """How an alarm that began at 0 stands."""
    events = [ACTIVE, *(fact for fact in facts if isinstance(fact, Event))]
    acts = [fact for fact in facts if isinstance(fact, Act)]
    return fold_alarm(rule, events, acts, now_ms=round(minute * MIN))


ACK, LATE_ACK = act("acknowledge", 2), act("acknowledge", 30)
SHELVE, UNSHELVE = act("shelve", 3), act("unshelve", 5)
CLEARING, RESUMED, CLOSED = event(Change.CLEARING, 9), event(Change.RESUMED, 11), event(Change.CLOSED, 10)


@pytest.mark.parametrize(
    ("facts", "minute", "state", "spoke"),
    [
        ((), 0, "active_unack", 0),
        ((ACK,), 1.9, "active_unack", 0),
        ((ACK,), 2, "active_ack", 0),
        ((ACK,), 999, "active_ack", 0),
        ((act("acknowledge", 0),), 1, "active_ack", 0),
        ((act("acknowledge", -1),), 1, "active_unack", 0),
        ((ACK, event(Change.WORSENED, 4, Level.HIGH)), 4, "active_unack", 4),
        ((ACK, event(Change.WORSENED, 4)), 4, "active_unack", 4),
        ((ACK, event(Change.WORSENED, 4), act("acknowledge", 5)), 5, "active_ack", 4),
        ((ACK, CLEARING), 9, "clearing", 0),
        ((ACK, CLEARING, RESUMED), 11, "active_ack", 0),
        ((CLEARING, RESUMED), 11, "active_unack", 0),
        ((CLEARING, CLOSED), 10, "closed", 0),
        ((CLEARING, CLOSED, LATE_ACK), 40, "closed", 0),
        ((SHELVE,), 3, "shelved", 0),
        ((SHELVE,), 62.9, "shelved", 0),
        ((SHELVE,), 63, "active_unack", 63),
        ((act("shelve", 3, until=8),), 7.9, "shelved", 0),
        ((act("shelve", 3, until=8),), 8, "active_unack", 8),
        ((act("shelve", 3, until=99),), 63, "active_unack", 63),
        ((act("shelve", 3, until=3),), 3, "active_unack", 0),
        ((ACK, act("shelve", 3, until=1)), 4, "active_ack", 0),
        ((ACK, SHELVE), 63, "active_unack", 63),
        ((SHELVE, act("acknowledge", 4)), 5, "shelved", 0),
        ((SHELVE, act("acknowledge", 4)), 63, "active_unack", 63),
        ((SHELVE, UNSHELVE), 5, "active_unack", 5),
        ((ACK, SHELVE, UNSHELVE), 5, "active_unack", 5),
        ((ACK, UNSHELVE), 5, "active_ack", 0),
        ((SHELVE, UNSHELVE, act("acknowledge", 6)), 99, "active_ack", 5),
        ((SHELVE, act("shelve", 4, until=5)), 5, "active_unack", 5),
        ((SHELVE, event(Change.WORSENED, 4, Level.HIGH)), 4, "active_unack", 4),
        ((SHELVE, event(Change.WORSENED, 4, Level.HIGH), act("acknowledge", 5)), 99, "active_ack", 4),
        ((SHELVE, event(Change.WORSENED, 4)), 5, "shelved", 0),
        ((SHELVE, CLEARING), 9, "shelved", 0),
        ((SHELVE, CLEARING), 63, "clearing", 0),
        ((SHELVE, CLEARING, event(Change.RESUMED, 70)), 70, "active_unack", 70),
        ((SHELVE, CLEARING, RESUMED), 12, "shelved", 0),
        ((CLEARING, act("shelve", 9.5), act("unshelve", 10)), 10, "clearing", 0),
        ((CLEARING, act("shelve", 9.5), act("unshelve", 10), RESUMED), 11, "active_unack", 11),
        ((CLEARING, act("shelve", 9.5), act("unshelve", 10), act("acknowledge", 10.5), RESUMED), 11,
         "active_ack", 0),
        ((SHELVE, CLEARING, CLOSED), 99, "closed", 0),
        ((CLEARING, CLOSED, act("shelve", 11)), 12, "closed", 0),
        ((CLEARING, CLOSED, act("unshelve", 11)), 12, "closed", 0),
        ((event(Change.CLEARING, 63), event(Change.CLOSED, 63), SHELVE), 63, "closed", 0),
    ],
)  # fmt: skip
def test_what_a_person_sees(facts, minute, state, spoke):
    alarm = see(facts, minute)

    assert (alarm.state, alarm.spoke_ms / MIN) == (state, spoke)


@pytest.mark.parametrize(
    ("facts", "minute", "state", "spoke"),
    [
        ((ACK,), 16.9, "active_ack", 0),
        ((ACK,), 17, "active_unack", 17),
        ((ACK, act("acknowledge", 10)), 24, "active_ack", 0),
        ((ACK, act("acknowledge", 10)), 25, "active_unack", 25),
        ((ACK, act("acknowledge", 20)), 34, "active_ack", 17),
        ((ACK, act("acknowledge", 20)), 35, "active_unack", 35),
        ((ACK, CLEARING), 30, "clearing", 0),
        ((ACK, CLEARING, event(Change.RESUMED, 30)), 30, "active_unack", 30),
        ((ACK, CLEARING, event(Change.RESUMED, 12)), 17, "active_unack", 17),
        ((ACK, event(Change.CLEARING, 16), event(Change.CLOSED, 17)), 99, "closed", 0),
        ((ACK, act("shelve", 10)), 30, "shelved", 0),
        ((act("acknowledge", -1),), 15, "active_unack", 0),
        ((), 999, "active_unack", 0),
    ],
)  # fmt: skip
def test_what_was_acknowledged_long_ago_calls_again(facts, minute, state, spoke):
    alarm = see(facts, minute, REPEATING)

    assert (alarm.state, alarm.spoke_ms / MIN) == (state, spoke)


@pytest.mark.parametrize(
    ("facts", "state", "was_missed"),
    [
        ((CLEARING, CLOSED), "latched_unack", True),
        ((ACK, CLEARING, CLOSED), "closed", False),
        ((CLEARING, CLOSED, LATE_ACK), "closed", False),
        ((ACK, event(Change.WORSENED, 4), CLEARING, CLOSED), "latched_unack", True),
        ((CLEARING, CLOSED, act("shelve", 11)), "latched_unack", True),
        ((CLEARING,), "clearing", False),
    ],
)
def test_a_latching_alarm_stays_until_somebody_has_seen_it(facts, state, was_missed):
    alarm = see(facts, 99, LATCHING)

    assert (alarm.state, alarm.was_missed) == (state, was_missed)


def test_an_alarm_that_nobody_answered_was_missed():
    assert see((CLEARING, CLOSED), 99).was_missed
    assert not see((ACK, CLEARING, CLOSED), 99).was_missed
    assert not see((), 99).was_missed


def test_a_late_acknowledge_is_recorded_and_opens_nothing():
    alarm = see((CLEARING, CLOSED, LATE_ACK), 40)

    assert (alarm.state, alarm.acknowledged, alarm.closed_ms) == (AlarmState.CLOSED, LATE_ACK, 10 * MIN)


def test_before_it_begins_there_is_no_alarm():
    asked = event(Change.REMEASURE, -5, Level.HIGH)

    assert fold_alarm(RULE, [asked], [], now_ms=NOW_MS) is None
    assert fold_alarm(RULE, [asked, ACTIVE], [], now_ms=-1) is None
    assert fold_alarm(RULE, [asked, ACTIVE], [], now_ms=0).level is Level.MEDIUM


def test_an_alarm_has_the_highest_level_that_it_reached():
    events = (event(Change.WORSENED, 4, Level.HIGH), event(Change.WORSENED, 5, Level.LOW))

    assert [see(events, minute).level for minute in (3, 4, 6)] == [Level.MEDIUM, Level.HIGH, Level.HIGH]
    assert see((), 1).onset_ms == -30 * S


def test_who_acknowledged_and_who_shelved_is_shown():
    alarm = see((ACK, SHELVE), 5)

    assert (alarm.acknowledged, alarm.shelved, alarm.closed_ms) == (ACK, SHELVE, None)
    assert see((ACK, SHELVE, CLEARING, CLOSED), 20).shelved is None


@pytest.mark.parametrize(("level", "minutes"), [("HIGH", 10), ("MEDIUM", 60), ("LOW", 720), ("INFO", 720)])
def test_no_shelf_is_longer_than_its_level_allows(level, minutes):
    longest_ms = (minutes + 3) * MIN

    assert SHELF_MAX_MS[Level[level]] == minutes * MIN
    assert limit_shelf_ms(SHELVE, Level[level]) == longest_ms
    assert limit_shelf_ms(act("shelve", 3, until=minutes + 4), Level[level]) == longest_ms
    assert limit_shelf_ms(act("shelve", 3, until=minutes + 2), Level[level]) == longest_ms - MIN


def test_the_shelf_of_a_worse_alarm_is_shorter():
    worse = event(Change.WORSENED, 2, Level.HIGH)

    assert see((worse, SHELVE), 12.9).state is AlarmState.SHELVED
    assert see((worse, SHELVE), 13).state is AlarmState.ACTIVE_UNACK


FACTS = [
    ACK, act("acknowledge", 12), SHELVE, UNSHELVE, CLEARING, CLOSED, LATE_ACK, event(Change.WORSENED, 4,
    Level.HIGH),
]  # fmt: skip


@pytest.mark.parametrize("rule", [RULE, REPEATING, LATCHING], ids=["plain", "repeating", "latching"])
def test_the_order_in_which_facts_arrive_never_matters(rule):
    for count in range(1, 5):
        for chosen in itertools.combinations(FACTS, count):
            for minute in (3, 5, 9.5, 17, 70):
                seen = {see(order, minute, rule) for order in itertools.permutations(chosen)}
                assert len(seen) == 1, chosen


@given(order=st.permutations(FACTS), minute=st.integers(0, 80))
def test_the_order_of_all_facts_never_matters(order, minute):
    assert see(order, minute, REPEATING) == see(FACTS, minute, REPEATING)


@pytest.mark.parametrize("rule", [RULE, REPEATING, LATCHING], ids=["plain", "repeating", "latching"])
@pytest.mark.parametrize(
    "others", [(), ("shelve",), ("shelve", "unshelve"), ("worsen",), ("shelve", "worsen")]
)
def test_acknowledge_clear_and_shelve_end_in_one_state_whenever_each_happens(rule, others):
    """The last acknowledge comes after all that calls, or after the end: the alarm ends the same."""
    ends = set()
    for order in itertools.permutations(("clear", *others)):
        facts = [act("acknowledge", 50, name="last")]
        for minute, name in enumerate(order, start=1):
            if name == "clear":
                facts += [event(Change.CLEARING, minute), event(Change.CLOSED, minute)]
            elif name == "worsen" and not any(isinstance(f, Event) for f in facts):
                facts.append(event(Change.WORSENED, minute))
            elif name != "worsen":
                facts.append(act(name, minute))
        for place in range(len(facts)):
            facts.insert(place, facts.pop())
            alarm = see(facts, 60, rule)
            ends.add((alarm.state, alarm.shelved, alarm.was_missed, alarm.acknowledged.id))
    assert ends == {(AlarmState.CLOSED, None, False, "last")}


@pytest.mark.parametrize("first", [1, 2, 3])
def test_acknowledge_and_shelve_commute_while_it_is_open(first):
    later = 4 - first
    facts = (act("acknowledge", first), act("shelve", later, until=10))

    assert [see(facts, minute).state for minute in (5, 10)] == [AlarmState.SHELVED, AlarmState.ACTIVE_UNACK]


def test_an_act_that_is_told_twice_counts_once():
    again = Act(id=ACK.id, at_ms=20 * MIN, kind=ActKind.ACKNOWLEDGE, by="other")

    for order in ((ACK, again), (again, ACK), (ACK, ACK)):
        assert see(order, 30).acknowledged == ACK


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ((Change.RESUMED, Change.WORSENED), "active_unack"),
        ((Change.CLEARING, Change.CLOSED), "closed"),
    ],
)
def test_events_of_one_instant_are_told_in_their_own_order(changes, state):
    facts = [event(Change.CLEARING, 8), ACK, *(event(change, 9) for change in changes)]

    assert see(facts, 9).state == see(facts[::-1], 9).state == state


def test_a_technical_alarm_is_acknowledged_and_ends_as_any_other():
    events = [event(Change.TECHNICAL, 0), event(Change.TECHNICAL_CLOSED, 9)]
    acts = [act("acknowledge", 5)]
    seen = [fold_alarm(RULE, events, acts, now_ms=minute * MIN) for minute in (1, 6, 10)]
    assert [alarm.state for alarm in seen] == [
        AlarmState.ACTIVE_UNACK, AlarmState.ACTIVE_ACK, AlarmState.CLOSED,
    ]  # fmt: skip
