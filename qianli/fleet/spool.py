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
from vitals.wire.topics import LANES, Lane

WINDOW = {Lane.EVENT: 32, Lane.LIVE: 64, Lane.BACKLOG: 32}
RESEND_AFTER_S = (5.0, 60.0)
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

    def __init__(self) -> None:
        self.next_s = 1
        self.sent: dict[int, Made] = {}
        self._sent_mono_s: dict[int, float] = {}
        self._pause_s = RESEND_AFTER_S[0]

    def released(self) -> int:
        """Everything up to this is let go."""
        return next(iter(self.sent), self.next_s) - 1

    def number(self, made: Made, mono_s: float) -> int:
        """The next place in the sequence, for a message that is sent now."""
        s = self.next_s
        self.sent[s], self._sent_mono_s[s] = made, mono_s
        self.next_s += 1
        return s

    def acknowledge(self, upto: int) -> list[Made]:
        """Let go; progress makes us patient again."""
        stored = list(takewhile(lambda s: s <= upto, self.sent))
        if stored:
            self._pause_s = RESEND_AFTER_S[0]
        for s in stored:
            del self._sent_mono_s[s]
        return [self.sent.pop(s) for s in stored]

    def is_overdue(self, mono_s: float) -> bool:
        """Whether the oldest sending has waited too long for its acknowledgement."""
        oldest_mono_s = next(iter(self._sent_mono_s.values()), mono_s)
        return mono_s - oldest_mono_s > self._pause_s

    def resend(self, mono_s: float) -> list[tuple[int, Made]]:
        """All of it once more; the next time after twice the pause."""
        self._pause_s = min(self._pause_s * 2, RESEND_AFTER_S[1])
        self._sent_mono_s = dict.fromkeys(self.sent, mono_s)
        return list(self.sent.items())


class SimulatedSpool:
    """The three lanes of one agent."""

    def __init__(self) -> None:
        self._events: deque[Made] = deque()
        self._young: deque[Made] = deque()
        self._old: deque[Made] = deque()
        self._lanes = {lane: LaneOut() for lane in LANES}

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
            for _ in range(min(len(waiting), WINDOW[lane] - len(out.sent))):
                made = waiting.popleft()
                numbered.append(Numbered(lane, out.number(made, mono_s), made))
        return numbered

    def overdue(self, mono_s: float) -> list[Numbered]:
        """What was sent too long ago and is to be sent again."""
        late = [lane for lane, out in self._lanes.items() if out.is_overdue(mono_s)]
        return self._again(late, mono_s)

    def unacknowledged(self, mono_s: float) -> list[Numbered]:
        """After a new connection: all that was sent before and is not known to be stored."""
        return self._again(LANES, mono_s)

    def acknowledge(self, upto: Mapping[Lane, int]) -> list[tuple[Lane, Made]]:
        """Let go of what is stored."""
        return [(lane, made) for lane, s in upto.items() for made in self._lanes[lane].acknowledge(s)]

    def released(self) -> dict[Lane, int]:
        """Per lane: everything up to there was let go."""
        return {lane: out.released() for lane, out in self._lanes.items()}

    def _again(self, lanes: Iterable[Lane], mono_s: float) -> list[Numbered]:
        return [Numbered(lane, s, made) for lane in lanes for s, made in self._lanes[lane].resend(mono_s)]
