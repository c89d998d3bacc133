"""An alarm as people see it: the events of one episode and what was done about it, folded into one state.

The state is a function of two sets, the events of the data and the acts of people, each with its own instant.
Nothing depends on the order in which they arrive, so acknowledging, clearing and shelving commute, and an act
that comes late is recorded without opening anything again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from vitals.warning.event import Change, Event
from vitals.warning.rule import Level, Rule

_MS_PER_MIN = 60_000
SHELF_MAX_MS: Mapping[Level, int] = MappingProxyType(
    {
        Level.HIGH: 10 * _MS_PER_MIN,
        Level.MEDIUM: 60 * _MS_PER_MIN,
        Level.LOW: 12 * 60 * _MS_PER_MIN,
        Level.INFO: 12 * 60 * _MS_PER_MIN,
    }
)
"""Nobody may put an alarm aside for longer."""


class AlarmState(StrEnum):
    """What a list of alarms shows."""

    ACTIVE_UNACK = "active_unack"
    ACTIVE_ACK = "active_ack"
    CLEARING = "clearing"
    LATCHED_UNACK = "latched_unack"
    SHELVED = "shelved"
    CLOSED = "closed"


class ActKind(StrEnum):
    """What a person may do about an alarm."""

    ACKNOWLEDGE = "acknowledge"
    SHELVE = "shelve"
    UNSHELVE = "unshelve"


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Something that a person did, with the name and the moment. `id` makes a repeat harmless."""

    id: str
    at_ms: int
    kind: ActKind
    by: str
    reason: str = ""
    until_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """One episode at an instant. `spoke_ms` is when it last called somebody; `was_missed` if nobody came."""

    state: AlarmState
    level: Level
    onset_ms: int
    spoke_ms: int
    acknowledged: Act | None
    shelved: Act | None
    closed_ms: int | None
    was_missed: bool


def fold_alarm(rule: Rule, events: Iterable[Event], acts: Iterable[Act], *, now_ms: int) -> Alarm | None:
    """How one episode stands at `now_ms`; None before it began. What is done before that does not count."""
    told = sorted((event for event in events if event.change in _RANKS and event.at_ms <= now_ms), key=_rank)
    begun = next((event for event in told if event.change in _BEGINS), None)
    if begun is None:
        return None
    acts = [act for act in _find_distinct(acts) if begun.at_ms <= act.at_ms <= now_ms]
    facts: list[Event | Act] = sorted([*told, *acts], key=_fact_order)
    episode = _Episode(rule, level=begun.level, spoke_ms=begun.at_ms)
    for fact in facts:
        if isinstance(fact, Event):
            episode.live_until(fact.at_ms - 1)
            episode.hear(fact)
        else:
            episode.live_until(fact.at_ms)
            episode.do(fact)
    episode.live_until(now_ms)
    return Alarm(
        state=episode.state,
        level=episode.level,
        onset_ms=begun.onset_ms,
        spoke_ms=episode.spoke_ms,
        acknowledged=episode.acknowledged,
        shelved=episode.shelved,
        closed_ms=episode.closed_ms,
        was_missed=episode.closed_ms is not None and not episode.is_acknowledged,
    )


def limit_shelf_ms(act: Act, level: Level) -> int:
    """When a shelf ends: as asked, but no later than its level allows."""
    longest_ms = act.at_ms + SHELF_MAX_MS[level]
    return longest_ms if act.until_ms is None else min(act.until_ms, longest_ms)


@dataclass(slots=True)
class _Episode:
    """The fold: facts come in the order of their instants, and time passes in between."""

    rule: Rule
    level: Level
    spoke_ms: int
    acknowledged: Act | None = None
    shelved: Act | None = None
    calls_ms: int | None = None
    """When it calls again: the shelf ends, or it was acknowledged long ago. Not while it is clearing."""
    is_clearing: bool = False
    closed_ms: int | None = None

    @property
    def is_acknowledged(self) -> bool:
        """Whether somebody has answered the last call."""
        return self.acknowledged is not None and self.acknowledged.at_ms >= self.spoke_ms

    @property
    def state(self) -> AlarmState:
        if self.closed_ms is not None:
            is_latched = self.rule.is_latching and not self.is_acknowledged
            return AlarmState.LATCHED_UNACK if is_latched else AlarmState.CLOSED
        if self.shelved is not None:
            return AlarmState.SHELVED
        if self.is_clearing:
            return AlarmState.CLEARING
        return AlarmState.ACTIVE_ACK if self.is_acknowledged else AlarmState.ACTIVE_UNACK

    def live_until(self, at_ms: int) -> None:
        if self.calls_ms is None or self.calls_ms > at_ms or self.closed_ms is not None:
            return
        self.shelved = None
        if not self.is_clearing:
            self._call(self.calls_ms)

    def hear(self, event: Event) -> None:
        match event.change:
            case Change.WORSENED:
                self._worsen(event)
            case Change.CLEARING:
                self.is_clearing = True
            case Change.RESUMED:
                self.is_clearing = False
                if self.calls_ms is not None and self.calls_ms <= event.at_ms:
                    self._call(event.at_ms)
            case Change.CLOSED | Change.TECHNICAL_CLOSED:
                self.closed_ms, self.shelved = event.at_ms, None

    def do(self, act: Act) -> None:
        if act.kind is ActKind.ACKNOWLEDGE:
            self._acknowledge(act)
        elif self.closed_ms is None and act.kind is ActKind.SHELVE:
            self._shelve(act)
        elif self.shelved is not None:
            self.calls_ms = act.at_ms
            self.live_until(act.at_ms)

    def _acknowledge(self, act: Act) -> None:
        self.acknowledged = act
        if self.shelved is None:
            repeat_ms = self.rule.repeat_after_ms
            self.calls_ms = None if repeat_ms is None else act.at_ms + repeat_ms

    def _shelve(self, act: Act) -> None:
        end_ms = limit_shelf_ms(act, self.level)
        if end_ms > act.at_ms:
            self.shelved, self.calls_ms = act, end_ms

    def _worsen(self, event: Event) -> None:
        """On its shelf it stays silent, unless it rises to a higher level."""
        if self.shelved is None or event.level > self.level:
            self._call(event.at_ms)
        self.level = max(self.level, event.level)

    def _call(self, at_ms: int) -> None:
        self.spoke_ms, self.shelved, self.calls_ms = at_ms, None, None


_BEGINS = (Change.ACTIVE, Change.TECHNICAL)
"""A technical alarm, an on-delay that could not end for want of values, is an episode of its own."""
_RANKS = {
    change: rank
    for rank, change in enumerate(
        (*_BEGINS, Change.RESUMED, Change.WORSENED, Change.CLEARING, Change.CLOSED, Change.TECHNICAL_CLOSED)
    )
}
"""What an episode is made of, in the order in which it is said at one instant."""


def _rank(event: Event) -> tuple[int, int]:
    return event.at_ms, _RANKS[event.change]


def _fact_order(fact: Event | Act) -> tuple[int, bool]:
    """At one instant the events come first; else they stay in their own order."""
    return fact.at_ms, isinstance(fact, Act)


def _find_distinct(acts: Iterable[Act]) -> list[Act]:
    """In order; of acts of one id the earliest."""
    found: dict[str, Act] = {}
    for act in sorted(acts, key=_act_order):
        found.setdefault(act.id, act)
    return list(found.values())


def _act_order(act: Act) -> tuple[int, str, str, str, str, int]:
    return act.at_ms, act.id, act.kind, act.by, act.reason, act.until_ms or 0
