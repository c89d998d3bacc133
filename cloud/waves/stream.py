"""Moving waves on while the service runs: blocks into windows, windows into objects."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import psycopg
import structlog
from psycopg_pool import PoolTimeout
from zstandard import ZstdError

from cloud.errors import CloudError
from cloud.events import Clock
from cloud.series.model import to_us
from cloud.store.connection import Database, Pool
from cloud.waves import postgres
from cloud.waves.model import DAY_US, WINDOW_US
from cloud.waves.service import Waves
from vitals.observation import SourceId
from vitals.wire.errors import WireError

_log = structlog.get_logger()
_EVERY_S = 60.0
_OBJECTS_EVERY_S = 3600.0
_DAYS_AT_A_TIME = 200
# What one stream or day may be the reason of; it stays and stops no other. Without a connection all wait.
_ITS_OWN = (
    psycopg.DataError,
    CloudError,
    WireError,
    ZstdError,
    ValueError,
    TypeError,
    ArithmeticError,
    LookupError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ages:
    """How old waves are when they move on; None is never."""

    into_windows: timedelta | None
    into_objects: timedelta | None


class WaveStream:
    """Each step is a transaction of its own, or writes before it removes: it may be killed at any moment."""

    def __init__(self, pool: Pool, *, waves: Waves, ages: Ages, clock: Clock) -> None:
        self._pool = pool
        self._waves = waves
        self._ages = ages
        self._clock = clock

    async def run(self) -> None:
        """Until it is cancelled."""
        objects_at_mono_s = time.monotonic() + _EVERY_S
        while True:
            await asyncio.sleep(_EVERY_S)
            await self._try(self.compact)
            if time.monotonic() >= objects_at_mono_s:
                await self._try(self.move)
                await self._try(self.sweep)
                objects_at_mono_s = time.monotonic() + _OBJECTS_EVERY_S

    async def _try(self, step: Callable[[], int]) -> None:
        try:
            await asyncio.to_thread(step)
        except (psycopg.Error, PoolTimeout, CloudError) as error:
            _log.warning("waves_postponed", step=step.__name__, error=type(error).__name__)

    def compact(self) -> int:
        """Bring together what began before the last window that is over long enough; returns how many."""
        if self._ages.into_windows is None:
            return 0
        over_us = to_us(self._clock() - self._ages.into_windows)
        before_us = over_us - over_us % WINDOW_US
        total = 0
        with self._pool.connection() as connection:
            for src, stream in postgres.find_old(connection, before_us=before_us):
                try:
                    while moved := self._waves.compact(connection, src, stream, before_us=before_us):
                        total += moved
                except _ITS_OWN as error:
                    _log.error("waves_failed", source=src, stream=stream, error=type(error).__name__)
        if total:
            _log.info("waves_compacted", blocks=total)
        return total

    def move(self) -> int:
        """Let whole days that are over long enough lie in objects; returns how many windows."""
        if self._ages.into_objects is None:
            return 0
        over_us = to_us(self._clock() - self._ages.into_objects)
        before_us, total = over_us - over_us % DAY_US, 0
        last: tuple[str, int] = ("", 0)
        with self._pool.connection() as connection:
            while days := postgres.find_ripe(
                connection, before_us=before_us, after=last, limit=_DAYS_AT_A_TIME
            ):
                total += sum(self._move_day(connection, src, day_us) for src, day_us in days)
                last = days[-1]
        if total:
            _log.info("waves_moved", windows=total)
        return total

    def sweep(self) -> int:
        """Remove objects in which nothing lies any more; returns how many."""
        if self._ages.into_objects is None:
            return 0
        total = 0
        with self._pool.connection() as connection:
            while removed := self._waves.sweep(connection):
                total += removed
        if total:
            _log.info("objects_removed", objects=total)
        return total

    def _move_day(self, connection: Database, src: SourceId, day_us: int) -> int:
        total = 0
        try:
            while moved := self._waves.move(connection, src, day_us=day_us):
                total += moved
        except _ITS_OWN as error:
            _log.error(
                "waves_failed", source=src, day_us=day_us, error=type(error).__name__, reason=str(error)
            )
        return total
