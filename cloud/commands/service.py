"""Issuing commands, following their replies, and asking for what is missing."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import structlog

from cloud.act import Action, Origin, Recorder, TargetKind, target
from cloud.commands import queries
from cloud.commands.model import (
    COMMAND_LASTS,
    HOLE_ALLOWED,
    AgentClock,
    AgentUnknown,
    IssuedCommand,
    MissingRange,
    Order,
    SpoolUnknown,
)
from cloud.events import Clock
from cloud.identity.errors import NotAllowed
from cloud.identity.model import SYSTEM, Scope, Subject
from cloud.store.connection import Pool
from cloud.tracing.port import NO_TRACES, Facts, Span, Tracer
from vitals.wire.batch import from_ms, to_ms
from vitals.wire.command import (
    Command,
    CommandName,
    CommandReply,
    ReplyState,
    ResendResult,
    as_words,
    new_command_id,
    read_words,
)
from vitals.wire.errors import WireError

_log = structlog.get_logger()
Post = Callable[[str, Command], bool]
"""Port: give a command to an agent's topic now; False when there is no way to the broker."""
LISTED = 100
AT_ONCE = 200
POST_AGAIN_AFTER = timedelta(seconds=10)


class CommandService:
    """Use cases of commands; safe to call from several threads."""

    def __init__(
        self, pool: Pool, *, recorder: Recorder, clock: Clock, post: Post, tracer: Tracer = NO_TRACES
    ) -> None:
        self._pool = pool
        self._recorder = recorder
        self._clock = clock
        self._post = post
        self._tracer = tracer

    def list_commands(self, subject: Subject, agent: str) -> list[IssuedCommand]:
        """The newest commands of an agent, newest first.

        Raises:
            NotAllowed, AgentUnknown.
        """
        _check_scope(subject)
        with self._pool.connection() as connection:
            if queries.find_agent(connection, subject, agent) is None:
                raise AgentUnknown
            return queries.list_commands(connection, subject, agent, limit=LISTED)

    def clock_of(self, subject: Subject, agent: str) -> AgentClock | None:
        """How an agent's clock stands; None: nothing was measured yet.

        Raises:
            NotAllowed, AgentUnknown.
        """
        _check_scope(subject)
        with self._pool.connection() as connection:
            if queries.find_agent(connection, subject, agent) is None:
                raise AgentUnknown
            return queries.find_clock(connection, agent)

    def issue(self, subject: Subject, agent: str, order: Order) -> IssuedCommand:
        """Tell an agent to do something. What finds no way to it now is sent again until it expires.

        Raises:
            NotAllowed, AgentUnknown, SpoolUnknown.
        """
        _check_scope(subject)
        with self._pool.connection() as connection, connection.transaction():
            found = queries.find_agent(connection, subject, agent)
            if found is None:
                raise AgentUnknown
            lineage = found[1]
            if order.resend is not None and lineage is None:
                raise SpoolUnknown
            command = self._make(agent, order, lineage or "", by=subject.person, lasts=COMMAND_LASTS)
            queries.insert_command(connection, command)
            act = subject.act(Action.ISSUE_COMMAND, target(TargetKind.AGENT, agent), origin=Origin.HTTP)
            self._recorder.begin(act)()
        self._send(command)
        return command

    def take_reply(self, agent: str, reply: CommandReply) -> None:
        """Note what an agent says about one of its commands."""
        now = self._clock()
        with self._pool.connection() as connection, connection.transaction():
            command = queries.lock_command(connection, reply.id, agent=agent)
            if command is None or command.state.after(reply.state) is command.state:
                return
            state = command.state.after(reply.state)
            queries.save_state(
                connection,
                replace(
                    command,
                    state=state,
                    received_at=command.received_at or now,
                    ended_at=now if state.is_final else None,
                    result=reply.result,
                    reason=reply.reason,
                ),
            )
        _log.info("command_replied", agent=agent, name=command.name.value, state=state.value)
        if state.is_final:
            told: Facts = {"command": command.name.value, "state": state.value}
            self._tracer.note(Span.COMMAND, began_at=command.issued_at, ended_at=now, **told)
        if command.name is CommandName.RESEND and reply.state is ReplyState.DONE:
            _tell_released(command, reply)

    def send_again(self) -> None:
        """What was never answered goes again, with the same id; what is over ends."""
        now = self._clock()
        with self._pool.connection() as connection:
            expired = queries.expire_commands(connection, now=now)
            open_ones = queries.list_unanswered(connection, issued_before=now - POST_AGAIN_AFTER, now=now)
        if expired:
            _log.info("commands_expired", number=expired)
        for command in open_ones:
            self._send(command)

    def ask_for_missing(self) -> list[MissingRange]:
        """Look for numbers that are missing for too long, and ask their agents for them."""
        now = self._clock()
        commands: list[IssuedCommand] = []
        with self._pool.connection() as connection, connection.transaction():
            queries.note_holes(connection, now=now)
            missing = queries.take_overdue_holes(connection, now=now, limit=AT_ONCE)
            for hole in missing:
                order = Order(name=CommandName.RESEND, resend=hole.range)
                command = self._make(hole.agent, order, hole.lineage, by=SYSTEM.person, lasts=HOLE_ALLOWED)
                queries.insert_command(connection, command)
                commands.append(command)
        for command in commands:
            _log.warning("resend_asked", agent=command.agent, **command.args)
            self._send(command)
        return missing

    def forget_old(self) -> None:
        """Remove commands that nobody needs any more."""
        with self._pool.connection() as connection:
            queries.delete_old_commands(connection, now=self._clock())

    def save_clocks(self, clocks: Sequence[AgentClock]) -> None:
        """Keep how these clocks stand."""
        with self._pool.connection() as connection:
            queries.save_clocks(connection, clocks)

    def _make(self, agent: str, order: Order, lineage: str, *, by: str, lasts: timedelta) -> IssuedCommand:
        issued_ms = to_ms(self._clock())
        return IssuedCommand(
            command_id=new_command_id(issued_ms),
            agent=agent,
            name=order.name,
            args={} if order.resend is None else as_words(order.resend.of_spool(lineage)),
            issued_by=by,
            issued_at=from_ms(issued_ms),
            expires_at=from_ms(issued_ms) + lasts,
        )

    def _send(self, command: IssuedCommand) -> None:
        wire = Command(
            id=command.command_id,
            name=command.name.value,
            issued_at=to_ms(command.issued_at),
            expires_at=to_ms(command.expires_at),
            issued_by=command.issued_by,
            args=dict(command.args),
        )
        if not self._post(command.agent, wire):
            _log.info("command_waits", agent=command.agent, name=command.name.value)


def _check_scope(subject: Subject) -> None:
    if Scope.MANAGE_DEVICES not in subject.scopes:
        raise NotAllowed


def _tell_released(command: IssuedCommand, reply: CommandReply) -> None:
    """A spool has let go of what we miss: its birth message follows, and ingest counts it as received."""
    try:
        told = read_words(reply.result, ResendResult)
    except WireError:
        return
    first = command.args.get("first")
    if isinstance(first, int) and told.released >= first:
        _log.warning(
            "missing_messages_released",
            agent=command.agent,
            lane=command.args.get("lane"),
            first=first,
            last=command.args.get("last"),
            released=told.released,
        )
