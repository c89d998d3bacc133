"""Ends bindings that were made for one reading when it comes."""

import asyncio

import psycopg
import structlog
from psycopg_pool import PoolTimeout

from cloud.binding.service import BindingService, Wall
from cloud.events import Event, ReadingsStored
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
        self._changed = asyncio.Event()

    def take(self, event: Event) -> None:
        """Learn which sources have to be settled: before the wall sees the event."""
        if isinstance(event, ReadingsStored):
            self.ask({reading.src for reading in event.readings} & self._bindings.once_sources)

    def ask(self, sources: set[SourceId]) -> None:
        """Settle these soon."""
        for src in sources:
            self._wall.hold([src])
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
