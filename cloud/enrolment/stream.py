"""What keeps trust fresh while the service runs: lists and certificates in time, revoked agents cut off."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from cloud.enrolment.authority.certificates import STAND_IN_LASTS
from cloud.events import Clock

_log = structlog.get_logger()
EVERY_S = 6 * 3600.0
LOOK_EVERY_S = 1.0
HOLD = timedelta(minutes=10)
MOST_PLACES = 100


class TrustStream:
    """Runs what keeps the installation's own trust fresh; each step by itself."""

    def __init__(self, *steps: Callable[[], object], every_s: float = EVERY_S) -> None:
        self._steps = steps
        self._every_s = every_s

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await asyncio.sleep(self._every_s)
            for step in self._steps:
                await self._take(step)

    async def _take(self, step: Callable[[], object]) -> None:
        try:
            await asyncio.to_thread(step)
        except Exception as error:  # the root of a task: the next round tries again
            _log.exception("trust_not_refreshed", error=type(error).__name__)


class Place(Protocol):
    """An agent's place at the broker, taken by us (`cloud.broker.stand_in`)."""

    contested_at: datetime | None

    def start(self) -> None:
        """Take it."""

    def stop(self) -> None:
        """Leave it."""


class EvictionStream:
    """Holds the places of revoked agents at the broker until the broker must have read the new list.

    A place is taken within a second or two of the revocation, also of one made while this process was down,
    and held for ten minutes after it, or after somebody last took it back; at most for a day. An agent that
    is let in again gets its place back at once.
    """

    def __init__(
        self,
        find_put_out: Callable[[datetime], Mapping[str, datetime]],
        make_place: Callable[[str], Place],
        *,
        clock: Clock,
        every_s: float = LOOK_EVERY_S,
    ) -> None:
        self._find_put_out = find_put_out
        self._make_place = make_place
        self._clock = clock
        self._every_s = every_s
        self._places: dict[str, Place] = {}

    @property
    def held(self) -> frozenset[str]:
        """Whose places are taken now."""
        return frozenset(self._places)

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            while True:
                try:
                    await asyncio.to_thread(self.look)
                except Exception as error:  # the root of a task: the next round tries again
                    _log.warning("eviction_not_looked", error=type(error).__name__)
                await asyncio.sleep(self._every_s)
        finally:
            await asyncio.to_thread(self.leave)

    def look(self) -> None:
        """Take the places that are to be taken, and leave the others."""
        now = self._clock()
        put_out = self._find_put_out(now - STAND_IN_LASTS)
        for agent, place in list(self._places.items()):
            if agent not in put_out or not _is_due(put_out[agent], place.contested_at, now):
                del self._places[agent]
                place.stop()
                _log.info("agent_place_left", agent=agent)
        due = [agent for agent, revoked_at in put_out.items() if _is_due(revoked_at, None, now)]
        for agent in sorted(due, key=put_out.__getitem__, reverse=True):
            if agent not in self._places and len(self._places) < MOST_PLACES:
                place = self._make_place(agent)
                place.start()
                self._places[agent] = place

    def leave(self) -> None:
        """Leave all places."""
        for place in self._places.values():
            place.stop()
        self._places.clear()


def _is_due(revoked_at: datetime, contested_at: datetime | None, now: datetime) -> bool:
    return now - max(revoked_at, contested_at or revoked_at) < HOLD
