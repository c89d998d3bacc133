"""Bringing the messages of hours that are over together, hour by hour, while the service runs.

What comes late for an hour that was brought together already waits as messages for the next run, which writes
the hour and its rollups anew: so they are exact at any time, for whoever reads adds what waits.
"""

import asyncio
from datetime import timedelta

import psycopg
import structlog
from psycopg_pool import PoolTimeout

from cloud.events import Clock
from cloud.series.model import HOUR_MS
from cloud.series.port import Compacted, SeriesStore
from cloud.store.connection import Pool
from vitals.wire.batch import to_ms

_log = structlog.get_logger()
_EVERY_S = 60.0
_SOURCES_AT_A_TIME = 200


class CompactionStream:
    """Each source is a transaction of its own, so it may be killed at any moment."""

    def __init__(self, pool: Pool, *, series: SeriesStore, after: timedelta | None, clock: Clock) -> None:
        self._pool = pool
        self._series = series
        self._after = after
        self._clock = clock

    async def run(self) -> None:
        """Every minute, until it is cancelled; never without a time after which an hour is over."""
        while self._after is not None:
            await asyncio.sleep(_EVERY_S)
            try:
                await asyncio.to_thread(self.compact)
            except (psycopg.Error, PoolTimeout) as error:
                _log.warning("compaction_postponed", error=type(error).__name__)

    def compact(self) -> Compacted:
        """Everything that ended before the last whole hour that is over long enough."""
        total = Compacted(sources=0, messages=0)
        if self._after is None:
            return total
        over_ms = to_ms(self._clock() - self._after)
        before_ms = over_ms - over_ms % HOUR_MS
        while True:
            with self._pool.connection() as connection:
                done = self._series.compact(connection, before_ms=before_ms, limit=_SOURCES_AT_A_TIME)
            total = Compacted(sources=total.sources + done.sources, messages=total.messages + done.messages)
            if done.messages == 0:
                break
        if total.messages:
            _log.info("series_compacted", sources=total.sources, messages=total.messages)
        return total
