"""What the cloud tells this agent to do: done once, and answered as often as it is asked."""

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import structlog

from edge_agent.clock import OwnClock
from edge_agent.spool import Spool
from vitals.wire.command import (
    Command,
    CommandName,
    CommandReply,
    ReplyState,
    ResendArgs,
    ResendResult,
    TimeArgs,
    TimeResult,
    Word,
    as_words,
    decode_command,
    decode_reply,
    encode_reply,
    read_words,
)
from vitals.wire.errors import WireError, WireInvalid
from vitals.wire.topics import Lane

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """What the uplink does for a command."""

    announce: Callable[[], None]
    """Say the birth message."""
    resend: Callable[[Lane, int, int], int]
    """Send a range of a lane again; how many messages that were."""


class CommandDesk:
    """Takes the messages of `…/cmd`. One thread uses it.

    A command that was done has its reply in the spool for a week: a repeat gets that, and nothing is done.
    Commands that tell the time do nothing and hurry, so their reply is kept after it is sent.
    """

    def __init__(self, spool: Spool, *, boot: str, clock: OwnClock, hooks: Hooks) -> None:
        self._spool = spool
        self._boot = boot
        self._clock = clock
        self._hooks = hooks

    def take(self, payload: bytes) -> Iterator[CommandReply]:
        """Do what a message says; gives each reply when it is to be sent."""
        arrived_us = self._clock.hands.wall_us()
        try:
            command = decode_command(payload)
        except WireError as error:
            log.warning("command_unreadable", reason=str(error))
            return
        known = self._spool.find_reply(command.id)
        if known is not None:
            yield decode_reply(known)
            return
        if command.name == CommandName.TIME:
            reply = self._tell_time(command, arrived_us)
        elif self._is_expired(command, arrived_us):
            reply = self._reply(command, ReplyState.EXPIRED)
        else:
            yield self._reply(command, ReplyState.RECEIVED)
            reply = self._execute(command)
        yield reply
        try:
            self._spool.keep_reply(command.id, encode_reply(reply), now_ms=reply.at)
        except sqlite3.Error as error:  # a full disk: a repeat will be done again, which these commands allow
            log.warning("reply_not_kept", id=command.id, reason=str(error))
        log.info("command_done", id=command.id, name=command.name, state=reply.state.value)

    def _execute(self, command: Command) -> CommandReply:
        try:
            match command.name:
                case CommandName.BIRTH:
                    self._hooks.announce()
                    return self._reply(command, ReplyState.DONE)
                case CommandName.RESEND:
                    return self._resend(command)
        except WireInvalid as error:
            return self._reply(command, ReplyState.FAILED, reason=str(error))
        return self._reply(command, ReplyState.FAILED, reason="this agent knows no such command")

    def _resend(self, command: Command) -> CommandReply:
        """What is here no longer is told by `released`, here and in the birth message that follows."""
        asked = read_words(command.args, ResendArgs)
        if asked.ln != self._spool.lineage:
            return self._reply(command, ReplyState.FAILED, reason="it speaks of another spool")
        sent = self._hooks.resend(asked.lane, asked.first, asked.last)
        if sent <= asked.last - asked.first:
            self._hooks.announce()
        result = ResendResult(sent=sent, released=self._spool.released()[asked.lane])
        return self._reply(command, ReplyState.DONE, result=as_words(result))

    def _tell_time(self, command: Command, arrived_us: int) -> CommandReply:
        try:
            asked = read_words(command.args, TimeArgs)
        except WireInvalid as error:
            return self._reply(command, ReplyState.FAILED, reason=str(error))
        if asked.off_ms is not None and asked.boot == self._boot:
            self._clock.learn(asked.off_ms, step=asked.step)
        source = self._clock.hands.source()
        result = TimeResult(
            t1=asked.t1,
            t2=arrived_us,
            t3=self._clock.hands.wall_us(),
            boot=self._boot,
            step=self._clock.step,
            src=source,
        )
        return self._reply(command, ReplyState.DONE, result=as_words(result))

    def _is_expired(self, command: Command, arrived_us: int) -> bool:
        """By the cloud's time, as far as it is known here.

        An agent that does not know what time it is does what it is told: it has no lasting session, so that
        no broker keeps a command for it.
        """
        offset_ms = self._clock.offset_ms()
        if offset_ms is None and self._clock.hands.source() != "ntp":
            return False
        return arrived_us // 1000 + (offset_ms or 0) > command.expires_at

    def _reply(
        self,
        command: Command,
        state: ReplyState,
        *,
        result: dict[str, Word] | None = None,
        reason: str = "",
    ) -> CommandReply:
        at = self._clock.hands.wall_us() // 1000
        return CommandReply(id=command.id, state=state, at=at, result=result or {}, reason=reason[:500])
