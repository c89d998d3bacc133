"""Group commit of raw frames: many frames, one durable write, and indications at once."""

import asyncio
import sqlite3
from collections import deque
from dataclasses import replace

import structlog

from edge_agent.clock import OwnClock
from edge_agent.spool import RawFrame, Spool

log = structlog.get_logger()

GATHER_S = 0.2
RETRY_S = 1.0
MAX_WAITING = 20_000


class RawLog:
    """A bounded queue in front of the spool's raw table.

    Callbacks of the radio stack cannot wait, so that `append` never blocks: when the disk cannot keep up and
    the queue is full, the frame is counted in `dropped`, which the panel shows.
    """

    def __init__(self, spool: Spool, *, clock: OwnClock) -> None:
        self._spool = spool
        self._clock = clock
        self._waiting: deque[RawFrame] = deque()
        self._wake = asyncio.Event()
        self._urgent = asyncio.Event()
        self.dropped = 0

    def append(self, frame: RawFrame, *, urgent: bool = False) -> None:
        """Queue a frame; `urgent` (an indication, a link change) is written without gathering."""
        if len(self._waiting) >= MAX_WAITING:
            self.dropped += 1
            return
        self._waiting.append(replace(frame, clock=self._clock.run()))
        self._wake.set()
        if urgent:
            self._urgent.set()

    async def run(self) -> None:
        """Write until cancelled; what waits then is written still."""
        try:
            while True:
                await self._wake.wait()
                await self._gather()
                self._wake.clear()
                self._urgent.clear()
                await self._write()
        finally:
            self._spool.append_raw(self._waiting)

    async def _gather(self) -> None:
        try:
            async with asyncio.timeout(GATHER_S):
                await self._urgent.wait()
        except TimeoutError:
            return

    async def _write(self) -> None:
        while True:
            frames = list(self._waiting)
            writing = asyncio.create_task(asyncio.to_thread(self._spool.append_raw, frames))
            try:
                await asyncio.shield(writing)
            except sqlite3.Error as error:
                log.warning("raw_not_written", reason=str(error), frames=len(frames))
                await asyncio.sleep(RETRY_S)
            except asyncio.CancelledError:
                await asyncio.wait([writing])  # what comes after it must not overtake it
                self._forget(0 if writing.exception() else len(frames))
                raise
            else:
                self._forget(len(frames))
                return

    def _forget(self, number: int) -> None:
        for _ in range(number):
            self._waiting.popleft()
