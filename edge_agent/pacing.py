"""How fast an agent goes: when it tries to connect again, and how much of its backlog it sends. Pure."""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

FIRST_CEILING_S = 1.0
LAST_CEILING_S = 120.0
STOOD_WELL_S = 60.0
TAKES_BACK_S = 10.0
REAL_TIMES = 20.0
LEAST_RATE = 20.0
BURST_S = 0.25
WINDOW_S = 60.0


@dataclass(slots=True)
class BackOff:
    """Exponential back-off with full jitter: of many agents that lost their broker few come at one instant.

    The pause is anything from nothing up to a ceiling, which doubles from 1 s to 2 min with each attempt. A
    connection that stood for a minute begins anew; a shorter one takes a doubling back for each 10 s.
    """

    chance: Callable[[], float] = random.random
    attempts: int = 0

    def pause_after(self, stood_s: float) -> float:
        """How long to wait after a connection that stood so long; 0: there was none."""
        self.attempts = 0 if stood_s >= STOOD_WELL_S else max(0, self.attempts - int(stood_s // TAKES_BACK_S))
        ceiling_s = min(FIRST_CEILING_S * (1 << self.attempts), LAST_CEILING_S)
        if ceiling_s < LAST_CEILING_S:
            self.attempts += 1
        return self.chance() * ceiling_s


@dataclass(slots=True)
class TokenBucket:
    """Lets `rate` messages a second through, and never more than a quarter of a second's at once.

    A large burst would stand in front of the next live value on a slow link.
    """

    rate: float
    _tokens: float = 1.0
    _looked_s: float = 0.0

    def take(self, wanted: int, *, mono_s: float) -> int:
        """How many of `wanted` messages may go now."""
        passed_s = max(0.0, mono_s - self._looked_s)
        self._looked_s = mono_s
        self._tokens = min(self._tokens + passed_s * self.rate, max(1.0, self.rate * BURST_S))
        granted = min(wanted, int(self._tokens))
        self._tokens -= granted
        return granted


@dataclass(slots=True)
class OwnPace:
    """What an agent makes in a second, and from that its own rate for the backlog: 20 times real time."""

    _marks: deque[tuple[float, int]] = field(default_factory=deque)

    def note(self, made: int, *, mono_s: float) -> None:
        """So many messages were ever made."""
        self._marks.append((mono_s, made))
        while len(self._marks) > 2 and mono_s - self._marks[0][0] > WINDOW_S:
            self._marks.popleft()

    def rate(self) -> float:
        """Messages a second for the backlog."""
        if len(self._marks) < 2:
            return LEAST_RATE
        (began_s, first), (ended_s, last) = self._marks[0], self._marks[-1]
        return max(LEAST_RATE, REAL_TIMES * (last - first) / max(ended_s - began_s, 1.0))
