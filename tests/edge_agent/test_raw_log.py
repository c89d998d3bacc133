import asyncio
import sqlite3
import threading

import pytest

from edge_agent import raw_log
from edge_agent.clock import OwnClock
from edge_agent.raw_log import RawLog
from edge_agent.spool import RawFrame, Spool
from vitals.observation import SourceId


class FlakyDisk:
    """A spool whose first writes fail as on a full disk."""

    def __init__(self, *, failures=0):
        self.failures = failures
        self.written = []
        self.wrote = asyncio.Event()
        self.loop = asyncio.get_running_loop()

    def append_raw(self, frames):
        if self.failures:
            self.failures -= 1
            raise sqlite3.OperationalError("database or disk is full")
        self.written += frames
        self.loop.call_soon_threadsafe(self.wrote.set)


class SlowDisk:
    """A spool whose first write takes until it may end."""

    def __init__(self):
        self.began, self.may_end = threading.Event(), threading.Event()
        self.written = []

    def append_raw(self, frames):
        if not self.began.is_set():
            self.began.set()
            self.may_end.wait(5)
        self.written += frames


def frame(n):
    return RawFrame(src=SourceId("s-1"), channel="2A37", received_us=n, payload=bytes([n]))


async def run_until_written(log, disk):
    task = asyncio.create_task(log.run())
    async with asyncio.timeout(5):
        await disk.wrote.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_urgent_frame_is_written_with_what_waited_before_it():
    disk = FlakyDisk()
    log = RawLog(disk, clock=OwnClock())
    log.append(frame(1))
    log.append(frame(2), urgent=True)

    await run_until_written(log, disk)

    assert [item.received_us for item in disk.written] == [1, 2]


async def test_full_disk_is_tried_again_without_loss(monkeypatch):
    monkeypatch.setattr(raw_log, "RETRY_S", 0.01)
    disk = FlakyDisk(failures=3)
    log = RawLog(disk, clock=OwnClock())
    log.append(frame(1), urgent=True)

    await run_until_written(log, disk)

    assert [item.received_us for item in disk.written] == [1]


async def test_what_waits_at_the_end_is_written(tmp_path):
    spool = Spool(tmp_path / "s")
    log = RawLog(spool, clock=OwnClock())
    task = asyncio.create_task(log.run())
    await asyncio.sleep(0)

    log.append(frame(7))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert [item.received_us for item in spool.read_raw(limit=9)] == [7]
    spool.close()


async def test_cancelled_write_loses_and_repeats_nothing():
    disk = SlowDisk()
    log = RawLog(disk, clock=OwnClock())
    log.append(frame(1), urgent=True)
    task = asyncio.create_task(log.run())
    await asyncio.to_thread(disk.began.wait, 5)
    log.append(frame(2), urgent=True)

    task.cancel()
    await asyncio.sleep(0)
    disk.may_end.set()
    await asyncio.gather(task, return_exceptions=True)

    assert [item.received_us for item in disk.written] == [1, 2]


async def test_frames_of_a_failed_write_are_tried_once_more_at_the_end():
    disk = FlakyDisk(failures=1)
    log = RawLog(disk, clock=OwnClock())
    log.append(frame(1), urgent=True)
    task = asyncio.create_task(log.run())
    async with asyncio.timeout(5):
        while disk.failures:  # noqa: ASYNC110 what is waited for has no event
            await asyncio.sleep(0.01)

    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert [item.received_us for item in disk.written] == [1]


async def test_full_queue_counts_what_it_drops(monkeypatch):
    monkeypatch.setattr(raw_log, "MAX_WAITING", 2)
    log = RawLog(FlakyDisk(), clock=OwnClock())

    for n in range(5):
        log.append(frame(n))

    assert log.dropped == 3
