"""Bringing the messages of hours that are over together, hour by hour, while the service runs.

What comes late for an hour that was brought together already waits as messages for the next run, which writes
the hour and its rollups anew: so they are exact at any time, for whoever reads adds what waits.
"""

import asyncio
from datetime import timedelta

import msgspec
import psycopg
import structlog
from psycopg_pool import PoolTimeout
from zstandard import ZstdError

from cloud.events import Clock
from cloud.series.model import HOUR_MS
from cloud.series.port import SeriesStore
from cloud.series.stores.choice import choose_series
from cloud.store.connection import Database, Pool
from vitals.wire.batch import to_ms

_log = structlog.get_logger()
_EVERY_S = 60.0
_SOURCES_AT_A_TIME = 200
# What one source may be the reason of; it stays as it is and stops no other. Without a connection all wait.
_ITS_OWN = (
    psycopg.DataError,
    msgspec.MsgspecError,
    ZstdError,
    ValueError,
    TypeError,
    ArithmeticError,
    LookupError,
)


class CompactionStream:
    """Each source is a transaction of its own, so it may be killed at any moment."""

    def __init__(self, pool: Pool, *, after: timedelta | None, clock: Clock) -> None:
        self._pool = pool
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

    def compact(self) -> int:
        """Everything that ended before the last hour that is over long enough; returns how many messages."""
        if self._after is None:
            return 0
        over_ms = to_ms(self._clock() - self._after)
        before_ms, last, total = over_ms - over_ms % HOUR_MS, 0, 0
        with self._pool.connection() as connection:
            series = choose_series(connection)
            while found := series.find_old(
                connection, before_ms=before_ms, after=last, limit=_SOURCES_AT_A_TIME
            ):
                total += sum(
                    _compact_source(connection, series, src_no, before_ms=before_ms) for src_no in found
                )
                last = found[-1]
            series.tidy(connection, before_ms=before_ms)
        if total:
            _log.info("series_compacted", messages=total)
        return total


def _compact_source(connection: Database, series: SeriesStore, src_no: int, *, before_ms: int) -> int:
    total = 0
    try:
        while moved := series.compact(connection, src_no, before_ms=before_ms):
            total += moved
    except _ITS_OWN as error:
        _log.error("compaction_failed", source=src_no, error=type(error).__name__)
    return total
