"""How much of a lane is under way, and what of it is sent again (docs/wire-contract.md). Pure."""

import math
from dataclasses import dataclass, field

RESEND_AFTER_S = (5.0, 60.0)
FIRST_PROBES = 4
LIVE_IS_LATE_S = 1.5


@dataclass(slots=True)
class LaneWindow:
    """What of a lane is under way: sequence → monotonic time of the last sending.

    When nothing of it is stored for a while the oldest few are sent again, as a probe: a cloud that is slow
    would otherwise get everything twice. If exactly those are stored then, more is lost: the probe grows.
    """

    size: int
    sent_mono_s: dict[int, float] = field(default_factory=dict)
    pause_s: float = RESEND_AFTER_S[0]
    probes: int = FIRST_PROBES
    _quiet_since_mono_s: float = 0.0
    _probed_upto: int = 0

    def free(self) -> int:
        """How many more may be sent."""
        return self.size - len(self.sent_mono_s)

    def note_sent(self, s: int, mono_s: float) -> None:
        """One goes, for the first time or again."""
        if not self.sent_mono_s:
            self._quiet_since_mono_s = mono_s
        self.sent_mono_s[s] = mono_s

    def acknowledge(self, upto: int, mono_s: float) -> None:
        """Forget what is stored; progress makes us patient again."""
        stored = [s for s in self.sent_mono_s if s <= upto]
        for s in stored:
            del self.sent_mono_s[s]
        if not stored:
            return
        self.pause_s, self._quiet_since_mono_s = RESEND_AFTER_S[0], mono_s
        if 0 < self._probed_upto <= upto:
            is_more_lost = upto == self._probed_upto and bool(self.sent_mono_s)
            self.probes = min(self.probes * 2, self.size) if is_more_lost else FIRST_PROBES
            self._probed_upto = 0
            if is_more_lost:
                self._quiet_since_mono_s = -math.inf

    def is_overdue(self, mono_s: float) -> bool:
        """Whether nothing of what is under way was stored for too long."""
        return bool(self.sent_mono_s) and mono_s - self._quiet_since_mono_s > self.pause_s

    def is_late(self, mono_s: float) -> bool:
        """Whether what is under way takes long, or no more may be sent."""
        waits = bool(self.sent_mono_s) and mono_s - min(self.sent_mono_s.values()) > LIVE_IS_LATE_S
        return waits or self.free() <= 0

    def note_probe(self, upto: int, mono_s: float) -> None:
        """The oldest up to here were sent again; wait twice as long the next time."""
        self._probed_upto, self._quiet_since_mono_s = upto, mono_s
        self.pause_s = min(self.pause_s * 2, RESEND_AFTER_S[1])

    def forget(self) -> None:
        """A new connection: nothing is under way."""
        self.sent_mono_s.clear()
        self._probed_upto = 0
