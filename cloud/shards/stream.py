"""The steward of a worker: opens what serves a group when it gets the lease, and ends it when it loses it."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import psycopg
import structlog

from cloud.shards.model import LEASE_LASTS, Lease
from cloud.shards.service import LeaseBook
from cloud.store.connection import Database, connect

_log = structlog.get_logger()
ROUND_EVERY_S = 2.0


class Tenure(Protocol):
    """What serves a group while the lease is ours."""

    def start(self) -> None:
        """Begin, in the background."""

    def stop(self) -> None:
        """End; returns when nothing is written any more."""

    def tally(self) -> Mapping[str, float]:
        """What it has counted so far, by name."""


class Steward:
    """One thread that keeps the leases; `run` is the loop of a worker. `facts` are told with the tally."""

    def __init__(
        self,
        database_url: str,
        book: LeaseBook,
        *,
        open_tenure: Callable[[Lease], Tenure],
        facts: Mapping[str, float],
    ) -> None:
        self._database_url = database_url
        self._book = book
        self._open_tenure = open_tenure
        self._facts = facts
        self._tenures: dict[Lease, Tenure] = {}
        self._counted: Counter[str] = Counter()
        self._stopping = threading.Event()
        self._database: Database | None = None

    def stop(self) -> None:
        """Let `run` give everything back and return; from any thread or a signal handler."""
        self._stopping.set()

    def run(self) -> None:
        """Until it is stopped.

        Who cannot renew for as long as a lease lasts serves no more: if it is only we who do not reach the
        database, another worker holds the group by now, and both would take turns at the broker's session.
        """
        renewed_mono_s = time.monotonic()
        try:
            while not self._stopping.is_set():
                began_mono_s = time.monotonic()
                try:
                    self._go_round()
                    renewed_mono_s = began_mono_s
                except psycopg.Error as error:
                    _log.warning("leases_not_renewed", error=" ".join(str(error).split()))
                    self._disconnect()
                    if time.monotonic() - renewed_mono_s > LEASE_LASTS.total_seconds():
                        self._end(list(self._tenures))
                self._stopping.wait(ROUND_EVERY_S)
        finally:
            self._leave()

    def _go_round(self) -> None:
        database = self._connection()
        self._book.follow(database, tally=self.tally())
        self._end([lease for lease in self._tenures if lease not in self._book.held])
        surplus = self._book.surplus(database)
        if surplus:
            self._end(surplus)
            self._book.give_back(database, surplus)
        for lease in self._book.held:
            if lease not in self._tenures:
                _log.info("group_taken", group=lease.group, groups=lease.groups, token=lease.token)
                self._tenures[lease] = self._open_tenure(lease)
                self._tenures[lease].start()

    def tally(self) -> dict[str, float]:
        """What all tenures have counted; one that ended keeps its part. From any thread."""
        total = Counter(self._counted)
        for tenure in list(self._tenures.values()):
            total.update(tenure.tally())
        return {**total, **self._facts}

    def _end(self, leases: Sequence[Lease]) -> None:
        for lease in leases:
            tenure = self._tenures.pop(lease, None)
            if tenure is not None:
                tenure.stop()
                self._counted.update(tenure.tally())
                _log.info("group_left", group=lease.group, token=lease.token)

    def _connection(self) -> Database:
        if self._database is None:
            self._database = connect(self._database_url)
        return self._database

    def _disconnect(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    def _leave(self) -> None:
        self._end(list(self._tenures))
        try:
            self._book.leave(self._connection())
        except psycopg.Error as error:
            _log.warning("leases_not_given_back", error=" ".join(str(error).split()))
        self._disconnect()
