"""The state of the way from agents to the database, as far as it tells of devices, not of people."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from cloud.errors import CloudError
from cloud.events import AgentHeard, Event


class LetterUnknown(CloudError):
    """There is no such dead letter, or not in this organisation: the answer is the same."""

    def __str__(self) -> str:
        return "no such message"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerState:
    """A worker, the groups that it holds, and what it has counted since its start."""

    name: str
    seen_at: datetime
    groups: tuple[int, ...]
    tally: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupState:
    """A group of shards; `holder` is the last that served it."""

    group: int
    holder: str | None
    is_held: bool
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingRange:
    """Messages of a lane that were sent (later ones are here) and have not come."""

    lane: str
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Spooled:
    """What an agent said of its spool, and when."""

    depth: int
    oldest_at: datetime | None
    told_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentFlow:
    """What of an agent has come, and what has not."""

    agent: str
    site_id: str
    is_online: bool
    last_seen_at: datetime | None
    missing: tuple[MissingRange, ...]
    refused: int
    conflicts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A message that was not taken. What it holds is not shown: it may be about a person."""

    letter_id: int
    agent: str
    name: str
    reason: str
    detail: str
    size: int
    received_at: datetime
    replay_asked_at: datetime | None
    replayed_at: datetime | None


SPOKE_LATELY = timedelta(minutes=10)
"""Of whoever is silent for longer nobody knows the backlog; it counts no more."""


class SpoolWatch:
    """Remembers what agents say of their spools."""

    def __init__(self) -> None:
        self._spooled: dict[str, Spooled] = {}

    def take(self, event: Event) -> None:
        """Learn from a beat."""
        if isinstance(event, AgentHeard) and event.depth is not None:
            self._spooled[event.agent] = Spooled(
                depth=event.depth, oldest_at=event.oldest_at, told_at=event.heard_at
            )

    def recent(self, now: datetime) -> list[Spooled]:
        """Of every agent that spoke lately the last; from any thread."""
        return [one for one in self._spooled.values() if now - one.told_at < SPOKE_LATELY]

    def of(self, agent: str) -> Spooled | None:
        """The last that an agent said since we run."""
        return self._spooled.get(agent)
