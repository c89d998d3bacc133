"""What a simulated agent has measured and does not yet know to be stored.

The rules are those of the real spool (`edge_agent.spool`): a message gets lane and sequence when it is first
sent, young ones in `live`, old ones in `backlog`, and leaves when an acknowledgement covers it. It lies here
as a few numbers; its bytes are made when it is sent.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from itertools import islice, takewhile
from typing import NamedTuple

from vitals.gap import Gap
from vitals.wire.batch import HISTORICAL_AFTER_MS
from vitals.wire.lane_window import LaneWindow
from vitals.wire.topics import LANES, Lane

WINDOW = {Lane.EVENT: 32, Lane.LIVE: 64, Lane.BACKLOG: 32}
VITALS, GAP = -1, -2


class Made(NamedTuple):
    """A message that was measured: which part of which sensor, its number there, and when."""

    sensor: int
    part: int
    """`VITALS`, `GAP`, or the number of the stream."""
    number: int
    t0_us: int
    newest_ms: int
    made_s: float
    gap: Gap | None = None


class Numbered(NamedTuple):
    """A message with its place in the sequence."""

    lane: Lane
    s: int
    made: Made


class LaneOut:
    """What of one lane was sent and is not known to be stored."""

    def __init__(self, size: int) -> None:
        self.next_s = 1
        self.sent: dict[int, Made] = {}
        self.window = LaneWindow(size)

    def released(self) -> int:
        """Everything up to this is let go."""
        return next(iter(self.sent), self.next_s) - 1

    def number(self, made: Made, mono_s: float) -> int:
        """The next place in the sequence, for a message that is sent now."""
        s = self.next_s
        self.sent[s] = made
        self.window.note_sent(s, mono_s)
        self.next_s += 1
        return s

    def acknowledge(self, upto: int, mono_s: float) -> list[Made]:
        """Let go of what is stored."""
        self.window.acknowledge(upto, mono_s)
        stored = list(takewhile(lambda s: s <= upto, self.sent))
        return [self.sent.pop(s) for s in stored]

    def probe(self, mono_s: float) -> list[tuple[int, Made]]:
        """The oldest few once more, when nothing was stored for too long."""
        if not self.window.is_overdue(mono_s):
            return []
        oldest = list(islice(self.sent.items(), self.window.probes))
        self._note_again(oldest, mono_s)
        if oldest:
            self.window.note_probe(oldest[-1][0], mono_s)
        return oldest

    def resend(self, mono_s: float) -> list[tuple[int, Made]]:
        """All of it once more: the connection is new."""
        self.window.forget()
        self._note_again(self.sent.items(), mono_s)
        return list(self.sent.items())

    def _note_again(self, several: Iterable[tuple[int, Made]], mono_s: float) -> None:
        for s, _ in several:
            self.window.note_sent(s, mono_s)


class SimulatedSpool:
    """The three lanes of one agent."""

    def __init__(self) -> None:
        self._events: deque[Made] = deque()
        self._young: deque[Made] = deque()
        self._old: deque[Made] = deque()
        self._lanes = {lane: LaneOut(WINDOW[lane]) for lane in LANES}

    def put(self, made: Made) -> None:
        """Keep a message that was just measured."""
        (self._events if made.gap is not None else self._young).append(made)

    def __len__(self) -> int:
        sent = sum(len(lane.sent) for lane in self._lanes.values())
        return len(self._events) + len(self._young) + len(self._old) + sent

    def oldest_ms(self) -> int | None:
        """Since when something waits."""
        heads = [waiting[0].newest_ms for waiting in (self._events, self._old, self._young) if waiting]
        heads += [made.newest_ms for lane in self._lanes.values() for made in islice(lane.sent.values(), 1)]
        return min(heads, default=None)

    def assign(self, *, now_ms: int, mono_s: float) -> list[Numbered]:
        """What may be sent now for the first time: events, live, backlog, as far as the windows are open."""
        border_ms = now_ms - HISTORICAL_AFTER_MS
        while self._young and self._young[0].newest_ms < border_ms:
            self._old.append(self._young.popleft())
        sources = {Lane.EVENT: self._events, Lane.LIVE: self._young, Lane.BACKLOG: self._old}
        numbered: list[Numbered] = []
        for lane, waiting in sources.items():
            out = self._lanes[lane]
            for _ in range(min(len(waiting), out.window.free())):
                made = waiting.popleft()
                numbered.append(Numbered(lane, out.number(made, mono_s), made))
        return numbered

    def overdue(self, mono_s: float) -> list[Numbered]:
        """What was sent too long ago and is to be sent again."""
        return [Numbered(lane, s, made) for lane, out in self._lanes.items() for s, made in out.probe(mono_s)]

    def unacknowledged(self, mono_s: float) -> list[Numbered]:
        """After a new connection: all that was sent before and is not known to be stored."""
        return [
            Numbered(lane, s, made) for lane, out in self._lanes.items() for s, made in out.resend(mono_s)
        ]

    def acknowledge(self, upto: Mapping[Lane, int], mono_s: float) -> list[tuple[Lane, Made]]:
        """Let go of what is stored."""
        return [(lane, made) for lane, s in upto.items() for made in self._lanes[lane].acknowledge(s, mono_s)]

    def released(self) -> dict[Lane, int]:
        """Per lane: everything up to there was let go."""
        return {lane: out.released() for lane, out in self._lanes.items()}
