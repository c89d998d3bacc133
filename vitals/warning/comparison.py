"""A changed rule against the one that is active: which alarms come and which go, and whose.

Two alarms of one person are the same if they overlap. An alarm that began earlier or ended later is kept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vitals.warning.backtest import PersonReplay, Span


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedAlarm:
    """An alarm that only one of the two raises."""

    person: str
    from_ms: int
    to_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One rule, before and after."""

    rule: str
    kept: int
    gained: tuple[ChangedAlarm, ...]
    lost: tuple[ChangedAlarm, ...]


def compare_rule(rule: str, before: Sequence[PersonReplay], after: Sequence[PersonReplay]) -> Comparison:
    """What changes for the persons of both; one whom only one of them has counts with nothing there."""
    old, new = _spans_by_person(rule, before), _spans_by_person(rule, after)
    persons = sorted(old.keys() | new.keys())
    gained = [
        span for person in persons for span in _missing_in(old.get(person, []), new.get(person, []), person)
    ]
    lost = [
        span for person in persons for span in _missing_in(new.get(person, []), old.get(person, []), person)
    ]
    kept = sum(len(spans) for spans in new.values()) - len(gained)
    return Comparison(rule=rule, kept=kept, gained=tuple(gained), lost=tuple(lost))


def _spans_by_person(rule: str, replays: Sequence[PersonReplay]) -> Mapping[str, list[Span]]:
    found: dict[str, list[Span]] = {}
    for replay in replays:
        found.setdefault(replay.person, []).extend(replay.spans(rule))
    return found


def _missing_in(others: Sequence[Span], spans: Sequence[Span], person: str) -> list[ChangedAlarm]:
    return [
        ChangedAlarm(person=person, from_ms=span.from_ms, to_ms=span.to_ms)
        for span in spans
        if not any(other.from_ms <= span.to_ms and span.from_ms <= other.to_ms for other in others)
    ]
