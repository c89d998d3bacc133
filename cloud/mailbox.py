"""How events and changes of bindings come from other threads to the wall."""

import asyncio
from collections.abc import Callable, Collection, Sequence

from cloud.events import BindingsChanged, Event
from cloud.live.service import Hub
from vitals.observation import SourceId


class Mailbox:
    """Carries events from the threads of ingest into the event loop."""

    def __init__(self, take: Callable[[Event], None]) -> None:
        self._take = take
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """From now on events are carried."""
        self._loop = loop

    def close(self) -> None:
        """Events that come later have no reader."""
        self._loop = None

    def deliver(self, events: Sequence[Event]) -> None:
        """Hand over from any thread; returns at once."""
        loop = self._loop
        if loop is not None and events:
            loop.call_soon_threadsafe(self._take_all, tuple(events))

    def _take_all(self, events: Sequence[Event]) -> None:
        for event in events:
            self._take(event)


class LiveWall:
    """The wall as those see it who change bindings, from any thread."""

    def __init__(self, hub: Hub, mailbox: Mailbox) -> None:
        self._hub = hub
        self._mailbox = mailbox

    def hold(self, sources: Collection[SourceId]) -> None:
        """Show nothing of these until they are settled."""
        self._hub.hold(sources)

    def settle(self, sources: Collection[SourceId]) -> None:
        """Look at the bindings again, then show what waited as it belongs."""
        self._mailbox.deliver([BindingsChanged(sources=tuple(sources))])
