"""Ends bindings that were made for one reading when it comes."""

import asyncio

import psycopg
import structlog
from psycopg_pool import PoolTimeout

from cloud.binding.service import BindingService, Wall
from cloud.events import Event, LaneOf, ReadingsHeard, StoredUpTo
from vitals.observation import SourceId

_log = structlog.get_logger()
_TRY_AGAIN_S = 2.0


class BindingStream:
    """Takes events in the event loop; settles sources one after another in a thread.

    A reading of such a source is not shown before its binding has ended with it: a second one that comes in
    the same message may be the next person's.
    """

    def __init__(self, bindings: BindingService, wall: Wall) -> None:
        self._bindings = bindings
        self._wall = wall
        self._waiting: dict[SourceId, int] = {}
        self._unstored: dict[LaneOf, list[tuple[int, set[SourceId]]]] = {}
        self._changed = asyncio.Event()

    def take(self, event: Event) -> None:
        """Learn which sources have to be settled: before the wall sees the event.

        The database can only settle what is stored; until then the readings are held.
        """
        if isinstance(event, ReadingsHeard):
            sources = {reading.src for reading in event.readings} & self._bindings.once_sources
            if event.is_stored:
                self.ask(sources)
            elif sources:
                self._wall.hold(sources)
                self._unstored.setdefault(event.lane, []).append((event.s, sources))
        elif isinstance(event, StoredUpTo):
            self._take_stored(event)

    def _take_stored(self, event: StoredUpTo) -> None:
        waiting = self._unstored.pop(event.lane, [])
        later = [(s, sources) for s, sources in waiting if s > event.s]
        if later:
            self._unstored[event.lane] = later
        for s, sources in waiting:
            if s <= event.s:
                self._await_settling(sources)

    def ask(self, sources: set[SourceId]) -> None:
        """Settle these soon."""
        self._wall.hold(sources)
        self._await_settling(sources)

    def _await_settling(self, sources: set[SourceId]) -> None:
        for src in sources:
            self._waiting[src] = self._waiting.get(src, 0) + 1
            self._changed.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            while self._waiting:
                src = next(iter(self._waiting))
                if await asyncio.to_thread(self._settle, src):
                    for _ in range(self._waiting.pop(src)):
                        self._wall.settle([src])
                else:
                    await asyncio.sleep(_TRY_AGAIN_S)

    def _settle(self, src: SourceId) -> bool:
        try:
            self._bindings.settle_once(src)
        except (psycopg.OperationalError, PoolTimeout) as error:
            _log.warning("once_not_settled", error=type(error).__name__)
            return False
        return True
