"""Whether the database answers, and what it says of who stores; asked every second."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import psycopg
import structlog

from cloud.events import Clock, Part, PartState
from cloud.store.connection import Database, connect

_log = structlog.get_logger()
_EVERY_S = 1.0
_STUCK_AFTER = timedelta(seconds=3)


@dataclass(slots=True)
class DatabaseWatch:
    """Whether the database answers. An answer that takes too long counts as none."""

    _state: PartState
    _busy_since: datetime | None = field(default=None)

    def begin(self, now: datetime) -> None:
        """A question is put to the database."""
        self._busy_since = self._busy_since or now

    def note(self, now: datetime, *, ok: bool) -> None:
        """It answered, or it did not."""
        since_at = self._busy_since if not ok and self._busy_since else now
        self._busy_since = None
        if self._state.ok is not ok:
            self._state = PartState(part=Part.DATABASE, ok=ok, since_at=since_at)

    def state(self, now: datetime) -> PartState:
        """As it is now."""
        busy_since = self._busy_since
        if self._state.ok and busy_since is not None and now - busy_since > _STUCK_AFTER:
            return PartState(part=Part.DATABASE, ok=False, since_at=busy_since)
        return self._state


class DatabasePulse:
    """A thread with a connection of its own; `is_storing` is asked of the database while it answers."""

    def __init__(self, database_url: str, *, is_storing: Callable[[Database], bool], clock: Clock) -> None:
        self._database_url = database_url
        self._is_storing = is_storing
        self._clock = clock
        self._watch = DatabaseWatch(PartState(part=Part.DATABASE, ok=True, since_at=clock()))
        self._storing = PartState(part=Part.INGEST, ok=True, since_at=clock())
        self._stopping = threading.Event()
        self._database: Database | None = None
        self._thread = threading.Thread(target=self._run, name="database-pulse", daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """Ask no more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=1.5)

    def states(self) -> tuple[PartState, PartState]:
        """Database and ingest as they are now; of ingest nothing is known while the database is away."""
        return self._watch.state(self._clock()), self._storing

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._watch.begin(self._clock())
            try:
                self._ask()
            except psycopg.Error as error:
                self._watch.note(self._clock(), ok=False)
                _log.warning("database_failed", error=" ".join(str(error).split()))
                self._disconnect()
            else:
                self._watch.note(self._clock(), ok=True)
            self._stopping.wait(_EVERY_S)
        self._disconnect()

    def _ask(self) -> None:
        if self._database is None:
            self._database = connect(self._database_url)
        is_storing = self._is_storing(self._database)
        if is_storing is not self._storing.ok:
            self._storing = PartState(part=Part.INGEST, ok=is_storing, since_at=self._clock())

    def _disconnect(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None
