"""The one thread that writes the audit: whatever waits goes into one transaction.

    begin / note -> queue (bounded) -> lock, head, COPY, COMMIT -> the waiting go on

Who looks at a person's values waits for the commit, and is refused when it fails. What happened already (a
refusal, a logout, a patient who came into a view that runs) waits in the queue until the database is back,
and finds room there even when those who want to look fill the rest.
"""

import signal
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field

import psycopg
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud.act import Act, AuditUnavailable, Written
from cloud.audit.model import ChainBroken, TimedAct
from cloud.audit.service import append_acts, sign_chain, why_not_written
from cloud.events import Clock
from cloud.store.connection import Database, connect

_log = structlog.get_logger()
_ENTRIES_WAITING = 20_000
_KEPT_FOR_NOTES = 5_000
_TRANSACTION_ENTRIES = 2_000
_SIGN_AFTER_ENTRIES = 1_000
_SIGN_EVERY_S = 60.0
_LOOK_AT_BROKEN_EVERY_S = 3600.0
_PAUSE_S = 0.5
_PATIENCE_S = 3.0
_STOP_WITHIN_S = 2.0


@dataclass(slots=True)
class _Waiting:
    acts: tuple[TimedAct, ...]
    outlives_failure: bool
    written: "Future[None]" = field(default_factory=Future)


class AuditStream:
    """Takes note of acts; safe to call from any thread. It never drops an entry without a line in the log."""

    def __init__(self, database_url: str, key: Ed25519PrivateKey, *, clock: Clock) -> None:
        self._database_url = database_url
        self._key = key
        self._clock = clock
        self._queue: deque[_Waiting] = deque()
        self._entries = 0
        self._changed = threading.Condition()
        self._is_stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._connection: Database | None = None
        self._is_failing = False
        self._unsigned = 1  # perhaps an earlier run, or a command, left entries without a signature
        self._sign_at_mono_s = time.monotonic()

    def start(self) -> None:
        """Begin to write."""
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, sign it, and end."""
        self._is_stopping.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(_STOP_WITHIN_S)
        if self._entries:
            _log.error("audit_entries_lost", entries=self._entries)

    def begin(self, *acts: Act) -> Written:
        """Begin to write; calling the result waits for the commit, or raises AuditUnavailable."""
        waiting = self._offer(acts, outlives_failure=False)

        def await_commit() -> None:
            if waiting is None:
                raise AuditUnavailable
            try:
                waiting.written.result(_PATIENCE_S)
            except TimeoutError as error:
                waiting.written.cancel()
                raise AuditUnavailable from error
            except CancelledError as error:
                raise AuditUnavailable from error

        return await_commit

    def note(self, *acts: Act) -> None:
        """Write as soon as it can be done."""
        if self._offer(acts, outlives_failure=True) is None:
            _log.error("audit_entries_lost", entries=len(acts), actions=sorted({act.action for act in acts}))

    def _offer(self, acts: Sequence[Act], *, outlives_failure: bool) -> _Waiting | None:
        now = self._clock()
        waiting = _Waiting(tuple(TimedAct(act=act, at=now) for act in acts), outlives_failure)
        room = _ENTRIES_WAITING - (0 if outlives_failure else _KEPT_FOR_NOTES)
        with self._changed:
            if self._entries + len(acts) > room or self._is_stopping.is_set():
                return None
            self._queue.append(waiting)
            self._entries += len(acts)
            self._changed.notify()
        return waiting

    def _run(self) -> None:
        try:
            self._write_until_stopped()
        except Exception as error:
            _log.exception("audit_failed", error=type(error).__name__)
            signal.raise_signal(signal.SIGTERM)  # a service that refuses every look is better started anew

    def _write_until_stopped(self) -> None:
        while not self._is_stopping.is_set() or self._queue:
            batch = self._take_batch()
            if batch and not self._write(batch) and self._is_stopping.wait(_PAUSE_S):
                break
            if self._unsigned and (self._unsigned >= _SIGN_AFTER_ENTRIES or self._seconds_to_signing() <= 0):
                self._sign()
        if self._unsigned and not self._is_failing:
            self._sign()
        self._disconnect()

    def _seconds_to_signing(self) -> float:
        return self._sign_at_mono_s - time.monotonic()

    def _take_batch(self) -> list[_Waiting]:
        """What waits, up to the size of a transaction; nothing when it is time to sign."""
        patience_s = max(0.0, self._seconds_to_signing()) if self._unsigned else None
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._is_stopping.is_set(), timeout=patience_s)
            batch: list[_Waiting] = []
            taken = 0
            while self._queue and taken < _TRANSACTION_ENTRIES:
                waiting = self._queue.popleft()
                taken += len(waiting.acts)
                batch.append(waiting)
            self._entries -= taken
        return [waiting for waiting in batch if waiting.written.set_running_or_notify_cancel()]

    def _write(self, batch: list[_Waiting]) -> bool:
        acts = [timed for waiting in batch for timed in waiting.acts]
        if not acts:
            return self._settle(batch)
        try:
            self._append(acts)
        except psycopg.Error as error:
            if not self._is_failing:
                _log.error("audit_not_written", entries=len(acts), error=why_not_written(error))
            self._is_failing = True
            self._disconnect()
            self._take_back(batch)
            return False
        if self._is_failing:
            _log.warning("audit_written_again")
        self._is_failing = False
        if not self._unsigned:
            self._sign_at_mono_s = time.monotonic() + _SIGN_EVERY_S
        self._unsigned += len(acts)
        return self._settle(batch)

    def _append(self, acts: list[TimedAct]) -> None:
        """A connection that died since its last use gets one successor at once: nobody is refused for it."""
        was_open = self._connection is not None and not self._connection.closed
        try:
            append_acts(self._connected(), acts)
        except psycopg.OperationalError:
            if not was_open:
                raise
            self._disconnect()
            append_acts(self._connected(), acts)

    def _settle(self, batch: list[_Waiting]) -> bool:
        for waiting in batch:
            waiting.written.set_result(None)
        return True

    def _take_back(self, batch: list[_Waiting]) -> None:
        """Those who wait are refused; what happened already is tried again, in its order."""
        kept = [
            _Waiting(waiting.acts, outlives_failure=True) for waiting in batch if waiting.outlives_failure
        ]
        for waiting in batch:
            waiting.written.set_exception(AuditUnavailable())
        with self._changed:
            self._queue.extendleft(reversed(kept))
            self._entries += sum(len(waiting.acts) for waiting in kept)

    def _sign(self) -> None:
        next_in_s = _SIGN_EVERY_S
        try:
            sign_chain(self._connected(), self._key, now=self._clock())
            self._unsigned = 0
        except ChainBroken as error:
            _log.critical("audit_chain_broken", sequence=error.sequence, reason=error.reason)
            self._unsigned = 1
            next_in_s = _LOOK_AT_BROKEN_EVERY_S
        except psycopg.Error as error:
            _log.error("audit_not_signed", error=why_not_written(error))
            self._disconnect()
            self._unsigned = 1
        self._sign_at_mono_s = time.monotonic() + next_in_s

    def _connected(self) -> Database:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._database_url)
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
