"""The port through which the parts of the cloud say what took how long.

What may be said is closed: the names of `Facts` are checked where they are given, and none of them can name a
person, a device or an agent. Texts of errors, paths and payloads have no way in.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from enum import StrEnum
from typing import Protocol, TypedDict, Unpack


class Span(StrEnum):
    """What is traced."""

    REQUEST = "request"
    STORE = "store"
    COMMAND = "command"


class Facts(TypedDict, total=False):
    """What is told of it: `route` with the names of its parts, not with what stood there."""

    method: str
    route: str
    status: int
    messages: int
    group: str
    command: str
    state: str


class Note(Protocol):
    """A span that goes on."""

    def tell(self, **facts: Unpack[Facts]) -> None:
        """This is known now."""


class Tracer(Protocol):
    """Safe to call from several threads; never waits and never fails."""

    def trace(self, span: Span, **facts: Unpack[Facts]) -> AbstractContextManager[Note]:
        """A span that lasts as long as the block."""

    def note(self, span: Span, *, began_at: datetime, ended_at: datetime, **facts: Unpack[Facts]) -> None:
        """A span that is over."""

    def close(self) -> None:
        """Say what is left to say, for two seconds at most."""


class _Untold:
    """Tells nobody, and costs next to nothing."""

    @contextmanager
    def trace(self, span: Span, **facts: Unpack[Facts]) -> Iterator[Note]:
        """Nobody is told."""
        yield self

    def tell(self, **facts: Unpack[Facts]) -> None:
        """Nobody is told."""

    def note(self, span: Span, *, began_at: datetime, ended_at: datetime, **facts: Unpack[Facts]) -> None:
        """Nobody is told."""

    def close(self) -> None:
        """There is nothing to say."""


NO_TRACES: Tracer = _Untold()
