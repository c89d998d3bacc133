"""The timers of the live state, each its own, so that no stall of one hides behind another."""

import asyncio
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import psycopg
import structlog
from psycopg_pool import PoolTimeout

from cloud.events import BindingsChanged, Clock, Part, PartState, Reading, Silence
from cloud.identity.model import SYSTEM, Subject
from cloud.identity.queries import find_sights
from cloud.identity.sight import Sight
from cloud.live import queries
from cloud.live.model import Ward
from cloud.live.service import Hub
from cloud.store.connection import Database, Pool
from vitals.observation import SourceId

_log = structlog.get_logger()
JUDGE_EVERY_S = 0.5
TICK_EVERY_S = 1.0
RESCORE_EVERY_S = 5.0
REREAD_EVERY_S = 3.0
LOOK_AT_RIGHTS_EVERY_S = 1.5
FULLY_EVERY = 5

Parts = Callable[[], tuple[PartState, ...]]


class SilenceBooks(Protocol):
    """Who judges silence and keeps the books of it."""

    def judge(self, parts: tuple[PartState, ...]) -> Mapping[SourceId, tuple[Silence, ...]]:
        """The silences of every source now."""

    def record(self) -> None:
        """Store what began and ended (blocking)."""


def load_hub(hub: Hub, connection: Database, *, clock: Clock) -> None:
    """Fill the hub from the database."""
    hub.load(
        queries.find_ward(connection, SYSTEM),
        sources=queries.find_sources(connection),
        latest=queries.find_latest(connection, SYSTEM, now=clock()),
    )


class LiveStream:
    """Runs the timers until it is cancelled."""

    def __init__(self, hub: Hub, pool: Pool, *, parts: Parts, books: SilenceBooks, clock: Clock) -> None:
        self._hub = hub
        self._pool = pool
        self._parts = parts
        self._books = books
        self._clock = clock
        self._reading = asyncio.Lock()

    async def run(self) -> None:
        """All timers together; if one fails all end, and with them the process."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._judge(), name="judge-silence")
            group.create_task(self._tick(), name="tick")
            group.create_task(self._rescore(), name="rescore")
            group.create_task(self._keep_books(), name="books")
            group.create_task(self._follow_bindings(), name="bindings")
            group.create_task(self._look_at_rights(), name="rights")

    async def _judge(self) -> None:
        while True:
            self._hub.take_silences(self._books.judge(self._parts()))
            await asyncio.sleep(JUDGE_EVERY_S)

    async def _tick(self) -> None:
        while True:
            self._hub.tick(self._parts())
            await asyncio.sleep(TICK_EVERY_S)

    async def _rescore(self) -> None:
        while True:
            await asyncio.sleep(RESCORE_EVERY_S)
            self._hub.rescore()

    async def _follow_bindings(self) -> None:
        """Show changed bindings at once; values of these sources wait for it."""
        while True:
            await self._hub.has_to_read.wait()
            changed = self._hub.take_changed()
            if not await self._reread(settled=changed, fully=True):
                await asyncio.sleep(REREAD_EVERY_S)
                self._hub.take(BindingsChanged(sources=tuple(changed)))

    async def _reread(self, *, settled: Sequence[SourceId] = (), fully: bool = False) -> bool:
        """Whether the hub knows patients and bindings as they are; `fully`: the latest values too."""
        async with self._reading:
            try:
                ward = await asyncio.to_thread(self._read_ward, fully=fully)
            except (psycopg.Error, PoolTimeout) as error:
                _log.warning("ward_not_read", error=" ".join(str(error).split()))
                return False
            if ward is not None:
                self._hub.place_ward(ward[0], latest=ward[1], settled=settled)
            return True

    async def _keep_books(self) -> None:
        """Record gaps, see whether somebody changed patients or bindings, and now and then read the values.

        Whatever was heard wrongly or not at all is put right by what is stored.
        """
        for number in itertools.count(1):
            await asyncio.sleep(REREAD_EVERY_S)
            if not all(state.ok for state in self._parts() if state.part is Part.DATABASE):
                continue
            await asyncio.to_thread(self._books.record)
            await self._reread(fully=number % FULLY_EVERY == 0)

    async def _look_at_rights(self) -> None:
        """Whom each viewer may see now: a right that ended shows nothing any more.

        While the database is away nothing new is stored, so nothing new is shown either.
        """
        while True:
            await asyncio.sleep(LOOK_AT_RIGHTS_EVERY_S)
            viewers, patient_ids = self._hub.viewers(), self._hub.patient_ids()
            if not viewers:
                continue
            subjects = {viewer.subject for viewer in viewers}
            sights = await asyncio.to_thread(self._read_sights, subjects, patient_ids)
            for viewer in viewers:
                if viewer.subject in sights:
                    self._hub.place_sights(viewer, sights[viewer.subject])

    def _read_sights(
        self, subjects: Iterable[Subject], patient_ids: Sequence[str]
    ) -> dict[Subject, Mapping[str, Sight]]:
        try:
            with self._pool.connection() as connection:
                return {subject: find_sights(connection, subject, patient_ids) for subject in subjects}
        except psycopg.Error as error:
            _log.warning("rights_not_read", error=" ".join(str(error).split()))
            return {}

    def _read_ward(self, *, fully: bool) -> tuple[Ward, list[Reading]] | None:
        with self._pool.connection() as connection:
            ward = queries.find_ward(connection, SYSTEM)
            if ward == self._hub.state.ward and not fully:
                return None
            return ward, queries.find_latest(connection, SYSTEM, now=self._clock())
