"""Two sensors that came under one name: nobody knows which value is the person's."""

import pytest

from vitals.warning.channel import DISAGREES_FOR_MS, DISAGREES_WITHIN_MS, Channel
from vitals.warning.event import Change
from vitals.warning.rule import Input
from vitals.warning.rule_pack import shipped_rules
from vitals.warning.rule_set import compile_rules
from vitals.warning.sample import Sample
from vitals.warning.watch import Watch

GLUCOSE = Input(keys=("glucose_isf",), low=20, high=600, stale_after_ms=2_100_000, jump_by=36)
RULES = compile_rules(rule for rule in shipped_rules() if rule.packs == ("cgm",))
MINUTE_MS = 60_000


def sample(at_ms: int, value: float) -> Sample:
    return Sample("glucose_isf", "s", at_ms, value)


@pytest.mark.parametrize(
    ("after_ms", "value", "contradicts"),
    [
        (DISAGREES_WITHIN_MS, 137, True),
        (DISAGREES_WITHIN_MS, 136, False),
        (DISAGREES_WITHIN_MS, 63, True),
        (DISAGREES_WITHIN_MS + 1, 200, False),
    ],
)
def test_a_stream_that_jumps_within_minutes_contradicts_itself(after_ms, value, contradicts):
    channel = Channel(GLUCOSE)
    channel.take(sample(0, 100.0), 0)
    channel.take(sample(after_ms, value), 0)
    assert (channel.disagreed_ms is not None) == contradicts


def test_what_is_contradicted_is_unknown_until_it_is_quiet_again() -> None:
    watch = Watch(RULES)
    events = watch.take(0, [sample(0, 100.0)])
    events += watch.take(MINUTE_MS, [sample(MINUTE_MS, 40.0)])
    assert {seen.rule for seen in watch.conditions() if seen.is_unknown} == {
        "cgm-high", "cgm-low", "cgm-very-low",
    }  # fmt: skip
    quiet_ms = MINUTE_MS + DISAGREES_FOR_MS + 1
    events += watch.advance(quiet_ms)
    assert not any(seen.is_unknown for seen in watch.conditions())
    assert events == []


def test_two_mixed_streams_raise_one_technical_alarm_and_no_other() -> None:
    watch = Watch(RULES)
    events = []
    for number in range(2_000):
        at_ms = number * 2 * MINUTE_MS + (number % 2) * MINUTE_MS
        events += watch.take(at_ms, [sample(at_ms, 50.0 if number % 2 else 260.0)])
    assert [event.rule for event in events if event.change is Change.ACTIVE] == ["glucose-two-streams"]
    assert {event.change for event in events} == {Change.ACTIVE, Change.TECHNICAL}
