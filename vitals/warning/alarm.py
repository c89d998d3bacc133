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
    """How one episode stands at `now_ms`; None before it began."""
    known = sorted((event for event in events if event.at_ms <= now_ms), key=_event_order)
    done = sorted({act.id: act for act in acts if act.at_ms <= now_ms}.values(), key=_act_order)
    if not any(event.change is Change.ACTIVE for event in known):
        return None
    closed_ms = next((event.at_ms for event in known if event.change is Change.CLOSED), None)
    level = max(event.level for event in known)
    until_ms = now_ms if closed_ms is None else closed_ms
    shelved = _find_shelf(known, done, now_ms=until_ms)
    spoke_ms = _find_spoken(rule, known, done, until_ms=until_ms)
    acknowledged = next((act for act in reversed(done) if act.kind is ActKind.ACKNOWLEDGE), None)
    is_acknowledged = acknowledged is not None and acknowledged.at_ms >= spoke_ms
    return Alarm(
        state=_find_state(
            rule,
            known,
            is_acknowledged=is_acknowledged,
            is_shelved=shelved is not None and closed_ms is None,
        ),
        level=level,
        onset_ms=known[0].onset_ms,
        spoke_ms=spoke_ms,
        acknowledged=acknowledged,
        shelved=shelved,
        closed_ms=closed_ms,
        was_missed=closed_ms is not None and not is_acknowledged,
    )


def limit_shelf_ms(act: Act, level: Level) -> int:
    """When a shelf ends: as asked, but no later than its level allows."""
    longest_ms = act.at_ms + SHELF_MAX_MS[level]
    return longest_ms if act.until_ms is None else min(act.until_ms, longest_ms)


def _find_state(rule: Rule, known: list[Event], *, is_acknowledged: bool, is_shelved: bool) -> AlarmState:
    last = [event.change for event in known if event.change is not Change.WORSENED][-1]
    if last is Change.CLOSED:
        latched = rule.is_latching and not is_acknowledged
        return AlarmState.LATCHED_UNACK if latched else AlarmState.CLOSED
    if is_shelved:
        return AlarmState.SHELVED
    if last is Change.CLEARING:
        return AlarmState.CLEARING
    return AlarmState.ACTIVE_ACK if is_acknowledged else AlarmState.ACTIVE_UNACK


def _find_shelf(known: list[Event], done: list[Act], *, now_ms: int) -> Act | None:
    """The shelf on which the alarm lies; one that rises to a higher level comes off."""
    last = next((act for act in reversed(done) if act.kind is not ActKind.ACKNOWLEDGE), None)
    if last is None or last.kind is ActKind.UNSHELVE or last.at_ms > now_ms:
        return None
    level = _level_at(known, last.at_ms)
    if level is None or now_ms >= limit_shelf_ms(last, level):
        return None
    rose = any(event.at_ms > last.at_ms and event.level > level for event in known)
    return None if rose else last


def _find_spoken(rule: Rule, known: list[Event], done: list[Act], *, until_ms: int) -> int:
    """The last instant at which the alarm called: begun, worse, off its shelf, or acknowledged long ago."""
    spoken = [event.at_ms for event in known if event.change in (Change.ACTIVE, Change.WORSENED)]
    acknowledged = [act for act in done if act.kind is ActKind.ACKNOWLEDGE]
    shelved = [act for act in done if act.kind is not ActKind.ACKNOWLEDGE]
    if acknowledged and rule.repeat_after_ms is not None:
        spoken.append(acknowledged[-1].at_ms + rule.repeat_after_ms)
    if shelved:
        level = _level_at(known, shelved[-1].at_ms)
        if level is not None:
            is_taken = shelved[-1].kind is ActKind.UNSHELVE
            spoken.append(shelved[-1].at_ms if is_taken else limit_shelf_ms(shelved[-1], level))
    return max(at_ms for at_ms in spoken if at_ms < until_ms or at_ms == spoken[0])


def _level_at(known: list[Event], at_ms: int) -> Level | None:
    """The level at an instant while the alarm is open, None before and after."""
    closed = any(event.change is Change.CLOSED and event.at_ms <= at_ms for event in known)
    levels = [event.level for event in known if event.at_ms <= at_ms]
    return None if closed or not levels else max(levels)


def _event_order(event: Event) -> tuple[int, str]:
    return event.at_ms, event.change


def _act_order(act: Act) -> tuple[int, str]:
    return act.at_ms, act.id
