"""All agents of a shard in one event loop."""

import asyncio
import logging
import random
import secrets
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf

from qianli.fleet.agent import Answer, Books, Instant, SimulatedAgent
from qianli.fleet.figures import Figures
from qianli.fleet.ledger import Ledger
from qianli.fleet.link import UNREACHABLE, BrokerAddress, Link, LinkRole
from qianli.fleet.scenario import Group, Member, Scenario, members

BEAT_EVERY_S = 2.0
LONGEST_BACK_OFF_S = 5.0
CONNECTING_AT_ONCE = 32
"""More would wait for each other until none is in time."""
_LOOK_S = 0.05

Tell = Callable[[Mapping[str, object]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a run goes: which part of the fleet, for how long, how long at most until all is stored."""

    shard: tuple[int, int] = (1, 1)
    duration_s: float | None = None
    drain_s: float = 60.0
    tell_every_s: float = 1.0


class RunClock:
    """Moments of the run, and when measuring ends; a step of this machine's clock moves nothing."""

    def __init__(self, until_s: float) -> None:
        self._started_mono_s = time.monotonic()
        self._started_ms = round(time.time() * 1000)
        self._until_s = until_s

    @property
    def until_s(self) -> float:
        """After this nothing is measured any more."""
        return self._until_s

    def end(self) -> None:
        """Measure nothing from now on."""
        self._until_s = min(self._until_s, self.now().elapsed_s)

    def now(self) -> Instant:
        """This moment."""
        elapsed_s = time.monotonic() - self._started_mono_s
        return Instant(self._started_ms + round(elapsed_s * 1000), elapsed_s)


@dataclass(slots=True)
class _Reach:
    """Whether a group has a link, and how long its members take to come back when it has one again."""

    group: Group
    spread_s: float
    is_there: asyncio.Event
    doors: asyncio.Semaphore


class RunningAgent:
    """One agent at work: it measures on time and keeps its connection."""

    def __init__(self, agent: SimulatedAgent, address: BrokerAddress, *, clock: RunClock) -> None:
        self.agent = agent
        self._clock = clock
        voice = agent.voice
        role = LinkRole(
            agent=agent.name, will=(voice.topics["status"], voice.will()), listens_to=voice.topics["ack"]
        )
        self.link = Link(address, role, on_message=self._take)

    async def measure(self) -> None:
        """Measure what is due, say that we live, and send; for ever."""
        beat_s = self._clock.now().elapsed_s + random.uniform(0, BEAT_EVERY_S)  # noqa: S311 # spreads load
        while True:
            now = self._clock.now()
            until_s = self._clock.until_s
            if self.agent.next_due_s <= until_s:
                over_s = max(0.0, now.elapsed_s - until_s)
                self.agent.measure(Instant(now.true_ms - round(over_s * 1000), now.elapsed_s - over_s))
            if now.elapsed_s >= beat_s:
                beat_s = now.elapsed_s + BEAT_EVERY_S
                self.link.publish(self.agent.voice.topics["beat"], self.agent.beat(now), qos=0)
            self._send(now)
            next_s = min(beat_s, self.agent.next_due_s if self.agent.next_due_s <= until_s else inf)
            await asyncio.sleep(max(0.0, next_s - self._clock.now().elapsed_s))

    async def keep_linked(self, reach: _Reach, figures: Figures, *, first_after_s: float) -> None:
        """Connect, and again whenever the connection is lost and the group has a link; for ever."""
        await asyncio.sleep(first_after_s)
        pause_s = 0.25
        while True:
            if not reach.is_there.is_set():
                await reach.is_there.wait()
                await asyncio.sleep(random.uniform(0, reach.spread_s))  # noqa: S311 # spreads load
                continue
            try:
                async with reach.doors:
                    await self.link.open()
            except UNREACHABLE:
                pause_s = min(pause_s * 2, LONGEST_BACK_OFF_S)
                await asyncio.sleep(random.uniform(pause_s / 2, pause_s))  # noqa: S311 # spreads load
                continue
            if not reach.is_there.is_set():  # it went away while we connected
                self.link.cut()
            pause_s = 0.25
            figures.connections += 1
            now = self._clock.now()
            self._say_birth(now)
            self._send(now, is_new_link=True)
            await self.link.until_lost()

    def _say_birth(self, now: Instant) -> None:
        self.link.publish(self.agent.voice.topics["status"], self.agent.birth(now), retain=True)

    def _send(self, now: Instant, *, is_new_link: bool = False) -> None:
        if self.link.is_open:
            for topic, payload in self.agent.outgoing(now, is_new_link=is_new_link):
                self.link.publish(topic, payload)

    def _take(self, payload: bytes) -> None:
        now = self._clock.now()
        answer = self.agent.acknowledge(payload, now)
        if answer is Answer.KNOWS_LESS:
            self._say_birth(now)
        if answer is not Answer.FOREIGN:
            self._send(now)


class Fleet:
    """Build it inside a running event loop, then await `run`."""

    def __init__(self, scenario: Scenario, address: BrokerAddress, *, plan: Plan) -> None:
        logging.getLogger("gmqtt").setLevel(logging.CRITICAL)  # it warns of every lost connection
        self.books = Books(figures=Figures(), ledger=Ledger())
        self._scenario = scenario
        self._plan = plan
        self._clock = RunClock(plan.duration_s or scenario.duration_s or inf)
        self._address = address
        self._running = [self._build(member) for member in members(scenario, shard=plan.shard)]
        doors = asyncio.Semaphore(CONNECTING_AT_ONCE)
        self._reach = {group.name: self._reach_of(group, doors) for group in scenario.group}

    @property
    def is_ended(self) -> bool:
        """Whether measuring is over."""
        return self._clock.now().elapsed_s >= self._clock.until_s

    def end(self) -> None:
        """Measure nothing more; `run` goes on until all is stored."""
        self._clock.end()

    async def run(self, tell: Tell) -> bool:
        """Until the time is over and all is stored, or the patience for it is over; True if all is stored."""
        asyncio.get_running_loop().set_exception_handler(_pass_over_gmqtt)
        async with asyncio.TaskGroup() as tasks:
            started = [tasks.create_task(self._watch_outages()), tasks.create_task(self._tell(tell))]
            for number, one in enumerate(self._running):
                reach = self._reach[one.agent.group.name]
                first_after_s = number / self._scenario.connects_per_s
                linked = one.keep_linked(reach, self.books.figures, first_after_s=first_after_s)
                started += [tasks.create_task(one.measure()), tasks.create_task(linked)]
            try:
                await self._until_stored()
            finally:
                for task in started:
                    task.cancel()
        await asyncio.gather(*(one.link.close() for one in self._running))
        tell({"summary": True, **self._described(is_end=True)})
        return self._waiting() == 0

    def _build(self, member: Member) -> RunningAgent:
        agent = SimulatedAgent(
            member,
            seed=self._scenario.seed,
            lineage=secrets.token_hex(8),
            boot=secrets.token_hex(8),
            books=self.books,
        )
        return RunningAgent(agent, self._address, clock=self._clock)

    def _reach_of(self, group: Group, doors: asyncio.Semaphore) -> _Reach:
        reach = _Reach(group, group.number / self._scenario.connects_per_s, asyncio.Event(), doors)
        if not group.is_out(0):
            reach.is_there.set()
        return reach

    async def _watch_outages(self) -> None:
        while True:
            at_s = self._clock.now().elapsed_s
            for reach in self._reach.values():
                if not reach.group.is_out(at_s):
                    reach.is_there.set()
                elif reach.is_there.is_set():
                    reach.is_there.clear()
                    for one in self._running:
                        if one.agent.group is reach.group:
                            one.link.cut()
            await asyncio.sleep(_LOOK_S)

    async def _tell(self, tell: Tell) -> None:
        while True:
            await asyncio.sleep(self._plan.tell_every_s)
            tell(self._described(is_end=False))

    async def _until_stored(self) -> None:
        # Measuring may be ended early, and any of thousands may be the last that waits: no event tells of it.
        while self._clock.now().elapsed_s < self._clock.until_s + _LOOK_S:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_S)
        patience_ends_s = self._clock.until_s + self._plan.drain_s
        while self._waiting() and self._clock.now().elapsed_s < patience_ends_s:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_S)

    def _waiting(self) -> int:
        return self.books.figures.made - self.books.figures.acknowledged

    def _described(self, *, is_end: bool) -> dict[str, object]:
        connected = sum(one.link.is_open for one in self._running)
        at_s = self._clock.now().elapsed_s
        return self.books.figures.described(at_s=at_s, connected=connected, is_end=is_end)


def _pass_over_gmqtt(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """Connections that end while they are made trip gmqtt up; nothing of it reaches an agent."""
    error = context.get("exception")
    if isinstance(error, AttributeError) and error.__traceback__ is not None:
        *_, (last, _) = traceback.walk_tb(error.__traceback__)
        if last.f_globals.get("__name__", "").startswith("gmqtt."):
            return
    loop.default_exception_handler(context)
