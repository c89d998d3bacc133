"""How fast agents may send what waited with them: 20 times real time, and less while the cloud is busy.

What an agent makes in real time is seen from how its live lane moves on. `load` is whatever the place that
stores knows of itself: 0 is idle, 1 and more means that nothing but live values should come.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import datetime

from vitals.wire.topics import Lane

REAL_TIMES = 20.0
FEWEST_PER_S = 20.0
MOST_PER_S = 2000.0
TRICKLE_PER_S = 1.0
"""Also a cloud under full load takes this much: a backlog that stands would never end."""
LOOK_BACK_S = 60.0
REMEMBERED = 200_000
Load = Callable[[], float]


class BacklogPace:
    """Tells each acknowledgement its rate. One thread uses it."""

    def __init__(self, *, load: Load = lambda: 0.0) -> None:
        self._load = load
        self._marks: OrderedDict[str, tuple[datetime, int]] = OrderedDict()
        self._per_s: dict[str, float] = {}

    def __call__(self, agent: str, upto: Mapping[Lane, int], now: datetime) -> float | None:
        """Messages in a second; None before anything is known of the agent."""
        live = upto.get(Lane.LIVE, 0) + upto.get(Lane.EVENT, 0)
        mark = self._marks.get(agent)
        if mark is None:
            self._remember(agent, now, live)
        else:
            passed_s = (now - mark[0]).total_seconds()
            if passed_s >= LOOK_BACK_S or (agent not in self._per_s and passed_s >= 1):
                self._per_s[agent] = max(0, live - mark[1]) / passed_s
                self._remember(agent, now, live)
        per_s = self._per_s.get(agent)
        if per_s is None:
            return None
        allowed = min(max(per_s * REAL_TIMES, FEWEST_PER_S), MOST_PER_S)
        return max(allowed * (1 - min(self._load(), 1.0)), TRICKLE_PER_S)

    def _remember(self, agent: str, now: datetime, live: int) -> None:
        self._marks[agent] = (now, live)
        self._marks.move_to_end(agent)
        while len(self._marks) > REMEMBERED:
            gone, _ = self._marks.popitem(last=False)
            self._per_s.pop(gone, None)
