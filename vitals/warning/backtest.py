"""Replay stored series through rules and count what would have happened.

An alarm is every time that a person would have been disturbed: an alarm that began, and one that spoke again
because it worsened. Time in alarm runs from active to closed. A person's record lasts from the first instant
to one usual step after the last, so that a stay of 24 hourly lines is a day.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from vitals.warning.event import Change, Event
from vitals.warning.rule_file import PATIENT
from vitals.warning.rule_set import RuleSet
from vitals.warning.sample import Sample
from vitals.warning.series_csv import Instant
from vitals.warning.watch import Watch

DISTURBS = (Change.ACTIVE, Change.WORSENED)
_MS_PER_DAY = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """An alarm from its beginning to its end, or to the end of the record."""

    rule: str
    from_ms: int
    to_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonReplay:
    """What one person's record gave."""

    person: str
    from_ms: int
    to_ms: int
    step_ms: int
    outcome_ms: int | None
    """The first instant at which the outcome is marked; None if it never is."""
    events: tuple[Event, ...]
    suppressed: int

    @property
    def days(self) -> float:
        """How long the record is."""
        return (self.to_ms - self.from_ms) / _MS_PER_DAY

    def spans(self, rule: str) -> Iterator[Span]:
        """The alarms of one rule."""
        begun: int | None = None
        for event in self.events:
            if event.rule != rule:
                continue
            if event.change is Change.ACTIVE:
                begun = event.at_ms
            elif event.change is Change.CLOSED and begun is not None:
                yield Span(rule=rule, from_ms=begun, to_ms=event.at_ms)
                begun = None
        if begun is not None:
            yield Span(rule=rule, from_ms=begun, to_ms=self.to_ms)

    def disturbances(self, rule: str) -> list[int]:
        """The instants at which the rule would have called somebody."""
        return [event.at_ms for event in self.events if event.rule == rule and event.change in DISTURBS]


@dataclass(frozen=True, slots=True, kw_only=True)
class Burden:
    """One rule over all records."""

    rule: str
    alarms: int
    persons: int
    patient_days: float
    hours_in_alarm: float

    @property
    def alarms_per_patient_day(self) -> float | None:
        """None without any time."""
        return self.alarms / self.patient_days if self.patient_days else None

    @property
    def share_of_time(self) -> float | None:
        """The part of the time that the alarm was open."""
        return self.hours_in_alarm / (24 * self.patient_days) if self.patient_days else None


def replay_person(
    rules: RuleSet, person: str, instants: Sequence[Instant], *, known: Sequence[Sample] = ()
) -> PersonReplay:
    """Run one record, in the order of its own times; `known` is true of the person from the beginning."""
    ordered = sorted(instants, key=lambda instant: instant.at_ms)
    steps = [later.at_ms - earlier.at_ms for earlier, later in itertools.pairwise(ordered)]
    step_ms = round(median(step for step in steps if step > 0)) if any(steps) else 0
    watch = Watch(rules)
    events = watch.take(ordered[0].at_ms, known) if known else []
    read = _Reader(rules)
    for at_ms, samples in join_instants(ordered):
        events += watch.take(at_ms, [sample for sample in samples if read.has_news(sample)])
    end_ms = ordered[-1].at_ms + step_ms
    events += watch.advance(max(ordered[-1].at_ms, end_ms - 1))
    marked = [instant.at_ms for instant in ordered if instant.outcome]
    return PersonReplay(
        person=person,
        from_ms=ordered[0].at_ms,
        to_ms=end_ms,
        step_ms=step_ms,
        outcome_ms=min(marked, default=None),
        events=tuple(events),
        suppressed=sum(seen.suppressed for seen in watch.conditions()),
    )


class _Reader:
    """What of a line the rules read, and of the person only what is new: the rest of the line is a look."""

    def __init__(self, rules: RuleSet) -> None:
        self._rules = rules
        self._known: dict[str, object] = {}

    def has_news(self, sample: Sample) -> bool:
        """Whether the watch must have it."""
        if sample.key.startswith(PATIENT):
            if self._known.get(sample.key) == sample.value:
                return False
            self._known[sample.key] = sample.value
        return sample.key in self._rules.channels_by_key


def join_instants(ordered: Iterable[Instant]) -> Iterator[tuple[int, list[Sample]]]:
    """All samples of one instant together; of two values of one stream at one instant the first stays."""
    at_ms: int | None = None
    samples: dict[tuple[str, str], Sample] = {}
    for instant in ordered:
        if instant.at_ms != at_ms:
            if at_ms is not None:
                yield at_ms, list(samples.values())
            at_ms, samples = instant.at_ms, {}
        for sample in instant.samples:
            samples.setdefault((sample.key, sample.src), sample)
    if at_ms is not None:
        yield at_ms, list(samples.values())


def count_burden(rules: RuleSet, replays: Iterable[PersonReplay]) -> list[Burden]:
    """The burden of each rule."""
    known = list(replays)
    days = sum(replay.days for replay in known)
    return [_count_rule(compiled.rule.id, known, days) for compiled in rules.rules]


def _count_rule(rule: str, replays: Sequence[PersonReplay], days: float) -> Burden:
    alarms = [len(replay.disturbances(rule)) for replay in replays]
    in_alarm_ms = sum(span.to_ms - span.from_ms for replay in replays for span in replay.spans(rule))
    return Burden(
        rule=rule,
        alarms=sum(alarms),
        persons=sum(number > 0 for number in alarms),
        patient_days=days,
        hours_in_alarm=in_alarm_ms / 3_600_000,
    )
