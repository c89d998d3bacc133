"""What is counted while a fleet runs, and how it is told."""

import math
from collections import Counter
from dataclasses import dataclass, field

_STEP = math.log(1.02)
_SMALLEST_MS = 0.1


class Delays:
    """A distribution of durations, each within 1 % of what it was."""

    def __init__(self) -> None:
        self._bins: Counter[int] = Counter()
        self.count = 0

    def add(self, delay_ms: float) -> None:
        """Count one."""
        self._bins[round(math.log(max(delay_ms, _SMALLEST_MS)) / _STEP)] += 1
        self.count += 1

    def percentile_ms(self, share: float) -> float | None:
        """The duration that this share of all did not exceed; None when there is none."""
        wanted = share * self.count
        reached = 0
        for bin_, number in sorted(self._bins.items()):
            reached += number
            if reached >= wanted:
                return round(math.exp(bin_ * _STEP), 1)
        return None

    def described(self) -> dict[str, float | None]:
        """p50, p95 and p99."""
        return {
            name: self.percentile_ms(share) for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
        }


@dataclass(slots=True)
class Figures:
    """Counts of messages of one shard. `since_told` is for the line of this second only."""

    made: int = 0
    sent: int = 0
    sent_again: int = 0
    acknowledged: int = 0
    late: int = 0
    connections: int = 0
    samples: int = 0
    wave_samples: int = 0
    all_delays: Delays = field(default_factory=Delays)
    since_told: Delays = field(default_factory=Delays)

    def note_acknowledged(self, delay_ms: float, *, is_late: bool) -> None:
        """One message is stored; `is_late` if it had gone out in the backlog lane."""
        self.acknowledged += 1
        self.late += is_late
        self.all_delays.add(delay_ms)
        self.since_told.add(delay_ms)

    def described(self, *, at_s: float, connected: int, is_end: bool = False) -> dict[str, object]:
        """One line: totals so far, and the delays from creation to acknowledgement since the last line."""
        delays = self.all_delays if is_end else self.since_told
        self.since_told = Delays()
        return {
            "at_s": round(at_s, 1),
            "connected": connected,
            "connections": self.connections,
            "made": self.made,
            "sent": self.sent,
            "sent_again": self.sent_again,
            "acknowledged": self.acknowledged,
            "waiting": self.made - self.acknowledged,
            "late": self.late,
            "samples": self.samples,
            "wave_samples": self.wave_samples,
            "ack_ms": delays.described(),
        }
