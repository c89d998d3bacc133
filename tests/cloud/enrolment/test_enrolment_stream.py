"""Whose places are held, how long, and what a failure changes: with places that only take note."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import pytest

from cloud.enrolment.stream import HOLD, MOST_PLACES, EvictionStream
from tests.cloud.enrolment.conftest import MovedClock

NOW = datetime(2026, 5, 1, tzinfo=UTC)


class NotedPlace:
    def __init__(self, said, agent):
        self.said, self.agent = said, agent
        self.contested_at = None

    def start(self):
        self.said.append(("take", self.agent))

    def stop(self):
        self.said.append(("leave", self.agent))


class Broker:
    def __init__(self):
        self.put_out, self.said, self.places = {}, [], {}
        self.clock = MovedClock(NOW)
        self.asked = threading.Semaphore(0)
        self.stream = EvictionStream(self.find, self.make, clock=self.clock, every_s=0)

    async def looked(self, *, times):
        for _ in range(times):
            await asyncio.to_thread(self.asked.acquire, timeout=10)

    def find(self, since):
        self.asked.release()
        if self.put_out is None:
            raise ConnectionError
        return {agent: at for agent, at in self.put_out.items() if at > since}

    def make(self, agent):
        self.places[agent] = NotedPlace(self.said, agent)
        return self.places[agent]


@pytest.fixture
def broker():
    return Broker()


def test_place_is_taken_once_and_left_after_ten_quiet_minutes(broker):
    broker.put_out["hut-1"] = NOW
    for _ in range(2):
        broker.stream.look()
    assert broker.said == [("take", "hut-1")]
    broker.clock.now += HOLD
    broker.stream.look()
    broker.stream.look()

    assert broker.said == [("take", "hut-1"), ("leave", "hut-1")]


def test_contested_place_is_held_for_ten_minutes_after_that(broker):
    broker.put_out["hut-1"] = NOW
    broker.stream.look()
    broker.places["hut-1"].contested_at = NOW + timedelta(minutes=9)
    broker.clock.now += timedelta(minutes=18)
    broker.stream.look()
    assert broker.stream.held == {"hut-1"}
    broker.clock.now += timedelta(minutes=1)
    broker.stream.look()

    assert broker.stream.held == frozenset()


def test_place_is_held_for_a_day_at_most(broker):
    broker.put_out["hut-1"] = NOW
    broker.stream.look()
    broker.clock.now += timedelta(days=1)
    broker.places["hut-1"].contested_at = broker.clock.now
    broker.stream.look()

    assert broker.said[-1] == ("leave", "hut-1")


def test_agent_that_was_let_in_again_gets_its_place_back(broker):
    broker.put_out["hut-1"] = NOW
    broker.stream.look()
    del broker.put_out["hut-1"]
    broker.stream.look()

    assert broker.said == [("take", "hut-1"), ("leave", "hut-1")]


def test_old_revocation_takes_no_place(broker):
    broker.put_out["hut-1"] = NOW - HOLD
    broker.stream.look()

    assert broker.said == []


def test_newest_come_first_where_there_are_too_many(broker):
    broker.put_out = {f"hut-{n}": NOW - timedelta(seconds=n) for n in range(MOST_PLACES + 5)}
    broker.stream.look()

    assert broker.stream.held == {f"hut-{n}" for n in range(MOST_PLACES)}


async def test_failure_leaves_what_is_held_and_the_end_leaves_all(broker, capsys):
    broker.put_out["hut-1"] = NOW
    task = asyncio.create_task(broker.stream.run())
    await broker.looked(times=2)
    broker.put_out = None
    await broker.looked(times=2)
    assert broker.said == [("take", "hut-1")]
    assert "eviction_not_looked" in capsys.readouterr().out
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert broker.said == [("take", "hut-1"), ("leave", "hut-1")]
