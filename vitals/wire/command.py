"""Commands from the cloud to an agent, and its replies (docs/wire-contract.md, "Commands").

A command is done once: its id is the key by which an agent knows that it has done it already, and then it
gives the same reply again. What a command says beyond its name are typed arguments of a few known kinds; a
name that an agent does not know is answered, never ignored.
"""

import secrets
import uuid
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

import msgspec

from vitals.wire.batch import VERSION, check_version, from_ms
from vitals.wire.errors import UNREADABLE, WireInvalid
from vitals.wire.topics import Lane

LONGEST_ID = 64
LONGEST_REASON = 500
_LARGEST = 2**63 - 2
Word = int | str | None


class CommandName(StrEnum):
    """What an agent can be told to do."""

    TIME = "time"  # say what your clock shows: the on-wire protocol of RFC 5905, section 8
    RESEND = "resend"  # send a range of a lane again
    BIRTH = "birth"  # say your birth message again


class ReplyState(StrEnum):
    """How far an agent has come with a command."""

    RECEIVED = "received"
    DONE = "done"
    FAILED = "failed"
    EXPIRED = "expired"

    @property
    def is_final(self) -> bool:
        """Whether nothing more follows."""
        return self is not ReplyState.RECEIVED


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One message on `…/cmd`. `name` is text, for there may be commands that this side does not know."""

    v: int = VERSION
    id: str
    name: str
    issued_at: int
    expires_at: int
    issued_by: str
    args: dict[str, Word] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandReply:
    """One message on `…/cmd/reply`."""

    v: int = VERSION
    id: str
    state: ReplyState
    at: int
    result: dict[str, Word] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeArgs:
    """`t1`: the cloud's clock when it asked, us.

    What the cloud knows of the agent's clock goes along: `off_ms`, to be added to the agent's time to get the
    cloud's, of which clock that was measured (`boot`, `step`), and the delay of that sample.
    """

    t1: int
    off_ms: int | None = None
    delay_ms: int | None = None
    boot: str = ""
    step: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeResult:
    """`t1` again; the agent's clock when it got the question (`t2`) and when it answered (`t3`), us.

    `boot` and `step` say which clock that was: `step` counts how often it jumped since that boot.
    """

    t1: int
    t2: int
    t3: int
    boot: str
    step: int
    src: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResendArgs:
    """The messages `first` to `last` of a lane of one spool."""

    ln: str
    lane: Lane
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResendResult:
    """How many were sent again, and up to where the lane has let go: what is below can never come again."""

    sent: int
    released: int


Said = TimeArgs | TimeResult | ResendArgs | ResendResult
_Said = TypeVar("_Said", TimeArgs, TimeResult, ResendArgs, ResendResult)
_Kind = TypeVar("_Kind", Command, CommandReply)


def new_command_id(now_ms: int) -> str:
    """A UUID version 7 (RFC 9562, section 5.7): ids sort by the time at which they were made."""
    value = (now_ms & (2**48 - 1)) << 80 | 7 << 76 | secrets.randbits(12) << 64 | 2 << 62
    return str(uuid.UUID(int=value | secrets.randbits(62)))


def as_words(said: Said) -> dict[str, Word]:
    """Arguments or a result as they go on the wire."""
    words: dict[str, Word] = msgspec.to_builtins(said)
    return words


def read_words(words: dict[str, Word], kind: type[_Said]) -> _Said:
    """Inverse of `as_words`.

    Raises:
        WireInvalid: a word is missing or cannot be.
    """
    try:
        said = msgspec.convert(words, kind)
    except msgspec.ValidationError as error:
        raise WireInvalid(str(error)) from error
    if isinstance(said, ResendArgs) and not 1 <= said.first <= said.last <= _LARGEST:
        raise WireInvalid(f"{said.first} to {said.last} is no range of a lane")
    return said


def encode_command(command: Command) -> bytes:
    """The JSON payload."""
    return msgspec.json.encode(command)


def encode_reply(reply: CommandReply) -> bytes:
    """The JSON payload."""
    return msgspec.json.encode(reply)


def decode_command(payload: bytes) -> Command:
    """Decode and check a payload.

    Raises:
        WireVersionUnknown, WireInvalid: as their names say.
    """
    command = _decode(payload, Command)
    from_ms(command.issued_at)
    from_ms(command.expires_at)
    return command


def decode_reply(payload: bytes) -> CommandReply:
    """Decode and check a payload.

    Raises:
        WireVersionUnknown, WireInvalid: as their names say.
    """
    reply = _decode(payload, CommandReply)
    from_ms(reply.at)
    if len(reply.reason) > LONGEST_REASON:
        raise WireInvalid("its reason is longer than reasons are")
    texts = (reply.reason, *reply.result, *(word for word in reply.result.values() if isinstance(word, str)))
    if any("\x00" in text for text in texts):
        raise WireInvalid("a text with NUL is none that could be kept")
    return reply


def _decode(payload: bytes, kind: type[_Kind]) -> _Kind:
    check_version(payload)
    try:
        message = msgspec.json.decode(payload, type=kind)
    except UNREADABLE as error:
        raise WireInvalid(str(error)) from error
    if not 0 < len(message.id) <= LONGEST_ID or not message.id.isprintable():
        raise WireInvalid("it has no id that can be one")
    return message
