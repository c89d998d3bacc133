"""The way of commands: its own connection to the broker, the questions about clocks, and what is asked again.

The link's thread takes births and replies and goes on with an exchange at once, for each millisecond counts.
What belongs into the database waits in bounded memory for the timer, which looks once a second.
"""

import asyncio
import random
import threading
from collections import deque
from dataclasses import replace
from datetime import datetime

import psycopg
import structlog

from cloud.broker.address import BrokerAddress
from cloud.broker.link import BrokerLink, Delivery, LinkRole
from cloud.commands.model import AgentClock, ClockRounds
from cloud.commands.service import CommandService
from cloud.events import Clock
from vitals.wire.batch import to_ms
from vitals.wire.command import (
    Command,
    CommandName,
    CommandReply,
    TimeResult,
    as_words,
    decode_reply,
    encode_command,
    new_command_id,
    read_words,
)
from vitals.wire.errors import WireError
from vitals.wire.status import decode_status
from vitals.wire.topics import ROOT, AgentTopic, parse_agent_topic

_log = structlog.get_logger()
SUBSCRIPTIONS = ((f"{ROOT}/+/+/status", 1), (f"{ROOT}/+/+/cmd/reply", 1))
CLIENT_ID = "qianli-commands"
TICK_S = 1.0
LOOK_EVERY_TICKS = 10
CLEAN_EVERY_TICKS = 3600
ASKED_IN_A_TICK = 500
REPLIES_KEPT = 10_000
QUESTION_LASTS_MS = 60_000
SPREAD_S = 60.0
"""Agents that are there already when this process begins are asked within a minute, not all at once."""


class CommandStream:
    """Sends commands and takes replies; `post` may be called from any thread."""

    def __init__(self, service: CommandService, address: BrokerAddress, *, clock: Clock) -> None:
        self._service = service
        self._clock = clock
        self._rounds = ClockRounds()
        self._clocks: dict[str, AgentClock] = {}
        self._replies: deque[tuple[str, CommandReply]] = deque()
        self._lock = threading.Lock()
        self._ticks = 0
        role = LinkRole(client_id=CLIENT_ID, subscriptions=SUBSCRIPTIONS, is_lasting=True)
        self._link = BrokerLink(
            address, role, on_delivery=self.receive, on_connected=lambda: None, clock=clock
        )

    async def run(self) -> None:
        """Work until cancelled."""
        self._link.start()
        try:
            while True:
                try:
                    await asyncio.to_thread(self.tick)
                except Exception as error:  # the root of a task: the next round tries again
                    _log.warning("commands_not_looked", error=type(error).__name__)
                await asyncio.sleep(TICK_S)
        finally:
            await asyncio.to_thread(self._link.stop)

    def post(self, agent: str, command: Command) -> bool:
        """Give a command to its agent's topic; one that asks for the time is stamped now."""
        if command.name == CommandName.TIME:
            with self._lock:
                asked = self._rounds.ask(agent, command.id, t1_us=_as_us(self._clock()))
            command = replace(command, args=as_words(asked))
        topic = str(AgentTopic(agent=agent, name="cmd"))
        return self._link.publish(topic, encode_command(command), retain=False)

    def receive(self, delivery: Delivery) -> None:
        """Take one message from the broker (the link's thread)."""
        now = self._clock()
        delivery.acknowledge()
        try:
            topic = parse_agent_topic(delivery.topic)
            if topic.name == "status":
                self._take_status(topic.agent, delivery, now)
            elif topic.name == "cmd/reply" and not delivery.retained:
                self._take_reply(topic.agent, decode_reply(delivery.payload), now)
        except WireError as error:
            _log.warning("reply_unreadable", topic=delivery.topic, error=str(error))

    def tick(self) -> None:
        """Ask whose clock is to be asked, keep what was learned, and now and then look at what is missing."""
        now_s = self._clock().timestamp()
        with self._lock:
            due = self._rounds.due(now_s, limit=ASKED_IN_A_TICK)
        for agent in due:
            self._ask_time(agent)
        self._keep()
        if self._ticks % LOOK_EVERY_TICKS == 0:
            self._service.send_again()
            self._service.ask_for_missing()
        if self._ticks % CLEAN_EVERY_TICKS == 0:
            self._service.forget_old()
        self._ticks += 1

    def _keep(self) -> None:
        while self._replies:
            agent, reply = self._replies[0]
            try:
                self._service.take_reply(agent, reply)
            except psycopg.DataError as error:
                _log.warning("reply_refused", agent=agent, id=reply.id, error=type(error).__name__)
            self._replies.popleft()
        with self._lock:
            clocks, self._clocks = self._clocks, {}
        if clocks:
            self._service.save_clocks(list(clocks.values()))

    def _take_status(self, agent: str, delivery: Delivery, now: datetime) -> None:
        status = decode_status(delivery.payload)
        with self._lock:
            if not status.online:
                self._rounds.note_gone(agent, now_s=now.timestamp())
                return
            wait_s = random.uniform(0, SPREAD_S) if delivery.retained else 0.0  # noqa: S311 # to spread work
            knows = status.clk.off_ms is not None
            self._rounds.note_birth(agent, knows_offset=knows, wait_s=wait_s, now_s=now.timestamp())
            is_due = not delivery.retained and self._rounds.is_due(agent, now.timestamp())
        if is_due:
            self._ask_time(agent)

    def _take_reply(self, agent: str, reply: CommandReply, now: datetime) -> None:
        with self._lock:
            is_own = self._rounds.is_own(agent, reply.id)
        if is_own and reply.state.is_final:
            self._learn(agent, reply, now)
        if len(self._replies) >= REPLIES_KEPT:
            # The agent gives the same reply again when the command is sent again.
            self._replies.popleft()
            _log.warning("replies_dropped", kept=REPLIES_KEPT)
        self._replies.append((agent, reply))

    def _learn(self, agent: str, reply: CommandReply, now: datetime) -> None:
        try:
            told = read_words(reply.result, TimeResult)
        except WireError as error:
            _log.warning("time_unreadable", agent=agent, reason=reply.reason or str(error))
            return
        with self._lock:
            clock = self._rounds.take(agent, reply.id, told, t4_us=_as_us(now))
            if clock is not None:
                self._clocks[agent] = clock
            goes_on = self._rounds.wants_more(agent, now.timestamp())
        if goes_on:
            self._ask_time(agent)

    def _ask_time(self, agent: str) -> None:
        now_ms = to_ms(self._clock())
        question = Command(
            id=new_command_id(now_ms),
            name=CommandName.TIME.value,
            issued_at=now_ms,
            expires_at=now_ms + QUESTION_LASTS_MS,
            issued_by="system",
        )
        self.post(agent, question)


def _as_us(moment: datetime) -> int:
    return to_ms(moment) * 1000 + moment.microsecond % 1000
