"""Keeping the watch: what it knows at the start, and what it has found out in the database."""

import psycopg
import structlog

from cloud.events import Clock, PartState, Silence
from cloud.silence import queries
from cloud.silence.model import QUIET_ALLOWED, GapRecorder, SilenceWatch
from cloud.store.connection import Database, Pool
from vitals.observation import SourceId

_log = structlog.get_logger()


class SilenceService:
    """Judges twice a second and records what only the cloud can know."""

    def __init__(self, pool: Pool, *, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._recorder = GapRecorder()
        self.watch = SilenceWatch(started_at=clock())

    def load(self, connection: Database) -> None:
        """Sources and open gaps as the last run left them."""
        queries.close_after_restart(connection, now=self._clock(), at_least_s=QUIET_ALLOWED.total_seconds())
        for agent, heard_at in queries.find_agents(connection).items():
            self.watch.remember_agent(agent, heard_at=heard_at)
        for source in queries.find_declared_sources(connection):
            self.watch.declare(source.src, agent=source.agent, cadence=source.cadence, streams=source.streams)
        for gap in queries.find_open_gaps(connection):
            self.watch.note_gap(gap)

    def judge(self, parts: tuple[PartState, ...]) -> dict[SourceId, tuple[Silence, ...]]:
        """The silences of every source now."""
        for part in parts:
            self.watch.note_part(part)
        now = self._clock()
        verdicts = self.watch.evaluate(now)
        self._recorder.follow(verdicts, now=now)
        return {src: tuple(verdict.silence for verdict in found) for src, found in verdicts.items()}

    def record(self) -> None:
        """Store what began and ended; while the database is away it stays in memory (blocking)."""
        pending = self._recorder.pending()
        if not pending:
            return
        try:
            with self._pool.connection() as connection:
                queries.store_gaps(connection, pending)
        except psycopg.Error as error:
            _log.warning("gaps_not_recorded", waiting=len(pending), error=" ".join(str(error).split()))
            return
        self._recorder.settle(pending)
