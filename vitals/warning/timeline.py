"""A watch whose samples may come late, twice or out of order.

The log of events is a function of the samples alone, so a late sample is simple: go back to the last state
that was kept before it, put it where it belongs, live through the rest again, and say which events came and
which are no longer so. What was sent stays sent; the record is right.
"""

from bisect import bisect_right, insort
from collections.abc import Iterable
from dataclasses import dataclass

from vitals.warning.event import Event
from vitals.warning.rule_set import RuleSet
from vitals.warning.sample import Sample
from vitals.warning.watch import Watch


@dataclass(frozen=True, slots=True, kw_only=True)
class Amendment:
    """What samples changed in the log. `too_late` lie before all that is kept: replay from the store."""

    added: tuple[Event, ...] = ()
    withdrawn: tuple[Event, ...] = ()
    too_late: tuple[Sample, ...] = ()


@dataclass(frozen=True, slots=True)
class _Kept:
    """A state and how many events had been said by then."""

    at_ms: int
    saved: bytes
    events: int


class Timeline:
    """One person's samples of the last `keep_ms`, a state every `every_ms`, and the log of that time."""

    def __init__(self, rules: RuleSet, *, keep_ms: int = 3_600_000, every_ms: int = 300_000) -> None:
        self._rules = rules
        self._keep_ms = keep_ms
        self._every_ms = every_ms
        self._watch = Watch(rules)
        self._instants: list[int] = []
        self._samples: dict[int, dict[tuple[str, str], Sample]] = {}
        self._kept: list[_Kept] = [_Kept(-1, self._watch.save(), 0)]
        self._log: list[Event] = []
        self._taken_ms = -1  # the last instant whose samples the watch has
        self._lived_ms = -1  # the last instant that it has lived through

    @property
    def log(self) -> tuple[Event, ...]:
        """Every event of the time that is kept."""
        return tuple(self._log)

    @property
    def watch(self) -> Watch:
        """How everything stands now."""
        return self._watch

    def take(self, samples: Iterable[Sample]) -> Amendment:
        """Take samples of any instants in any order; one that is known already changes nothing."""
        fresh: list[int] = []
        too_late: list[Sample] = []
        for sample in samples:
            if sample.at_ms <= self._kept[0].at_ms:
                too_late.append(sample)
            elif self._put(sample):
                fresh.append(sample.at_ms)
        if not fresh:
            return Amendment(too_late=tuple(too_late))
        lived_ms = self._lived_ms
        old = self._go_back(min(fresh)) if min(fresh) <= lived_ms else []
        before = len(self._log)
        self._live_through()
        if lived_ms > self._lived_ms:
            self._advance(lived_ms)
        new = self._log[before:]
        self._forget()
        return _compare(old, new, too_late)

    def advance(self, to_ms: int) -> list[Event]:
        """Live on without samples. Where nothing is due time stands still: a sample may yet come."""
        due_ms = self._watch.due_ms
        if to_ms <= self._lived_ms or due_ms is None or due_ms > to_ms:
            return []
        return self._advance(to_ms)

    def _advance(self, to_ms: int) -> list[Event]:
        events = self._watch.advance(to_ms)
        self._log += events
        self._lived_ms = to_ms
        return events

    def _put(self, sample: Sample) -> bool:
        """Whether it is new. Of two values of one stream at one instant the same stays in any order."""
        at_instant = self._samples.get(sample.at_ms)
        if at_instant is None:
            at_instant = self._samples[sample.at_ms] = {}
            insort(self._instants, sample.at_ms)
        stream = (sample.key, sample.src)
        held = at_instant.get(stream)
        if held is not None and _weight(held) <= _weight(sample):
            return False
        at_instant[stream] = sample
        return True

    def _go_back(self, before_ms: int) -> list[Event]:
        """Become as it was before an instant; the events that were said since."""
        while self._kept[-1].at_ms >= before_ms:
            self._kept.pop()
        kept = self._kept[-1]
        self._watch = Watch.load(self._rules, kept.saved)
        self._taken_ms = self._lived_ms = kept.at_ms
        old = self._log[kept.events :]
        del self._log[kept.events :]
        return old

    def _live_through(self) -> None:
        for at_ms in self._instants[bisect_right(self._instants, self._taken_ms) :]:
            self._log += self._watch.take(at_ms, self._samples[at_ms].values())
            self._taken_ms = self._lived_ms = at_ms
            if at_ms >= self._kept[-1].at_ms + self._every_ms:
                self._kept.append(_Kept(at_ms, self._watch.save(), len(self._log)))

    def _forget(self) -> None:
        """Keep one state at or before the limit and everything after it."""
        limit_ms = self._taken_ms - self._keep_ms
        number = bisect_right([kept.at_ms for kept in self._kept], limit_ms) - 1
        if number <= 0:
            return
        first = self._kept[number]
        for at_ms in self._instants[: bisect_right(self._instants, first.at_ms)]:
            del self._samples[at_ms]
        del self._instants[: bisect_right(self._instants, first.at_ms)]
        del self._log[: first.events]
        self._kept = [
            _Kept(kept.at_ms, kept.saved, kept.events - first.events) for kept in self._kept[number:]
        ]


def _compare(old: list[Event], new: list[Event], too_late: list[Sample]) -> Amendment:
    return Amendment(
        added=tuple(event for event in new if event not in old),
        withdrawn=tuple(event for event in old if event not in new),
        too_late=tuple(too_late),
    )


def _weight(sample: Sample) -> tuple[bool, str, str, tuple[str, ...]]:
    """An order of samples that differ in what they say; one with a value comes first."""
    return sample.value is None, repr(sample.value), repr(sample.quality), sample.flags
