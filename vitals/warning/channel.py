"""One input of the rules over time: which stream feeds it, how old its value is, what is wrong with it."""

from dataclasses import dataclass, field

from vitals.warning.frame import Value
from vitals.warning.rule import Input
from vitals.warning.sample import Refusal, Sample, find_refusal

DISAGREES_WITHIN_MS = 120_000
"""Two values of one vital sign this close in time should be alike."""
DISAGREES_FOR_MS = 600_000
"""So long after the last contradiction two streams count as disagreeing."""
_STREAMS_MAX = 8

Stream = tuple[int, str]
"""Place of the vital sign among the channel's keys (0 is best), and the sensor."""


@dataclass(slots=True)
class Reading:
    """The last good value of one stream."""

    at_ms: int
    value: Value
    quality: float | None


@dataclass(slots=True)
class Channel:
    """Follows one stream as long as it is fresh; a better one takes over, an equal one only when it ends."""

    declared: Input
    stream: Stream | None = None
    reading: Reading | None = None
    refusal: Refusal | None = None
    heard_ms: int | None = None
    disagreed_ms: int | None = None
    others: dict[Stream, Reading] = field(default_factory=dict)

    def take(self, sample: Sample, rank: int) -> bool:
        """Whether the sample is of the stream that counts, so that what the rules see has changed."""
        stream = (rank, sample.src)
        refusal = find_refusal(sample, self.declared)
        if refusal is not None:
            return self._refuse(sample, stream, refusal)
        reading = Reading(sample.at_ms, sample.value, sample.quality)
        if self.stream != stream and self._outranks(stream):
            self._keep(stream, reading)
            return self._compare(reading, rank)
        if self.stream is not None and self.stream != stream and self.reading is not None:
            self._keep(self.stream, self.reading)
        self.others.pop(stream, None)
        self.stream, self.reading, self.refusal, self.heard_ms = stream, reading, None, sample.at_ms
        return True

    def expire(self, now_ms: int) -> bool:
        """Let go of what is too old at this instant; whether anything was."""
        changed = False
        due_ms = self.due_ms()
        if due_ms is None or due_ms > now_ms:
            return False
        if self.disagreed_ms is not None and now_ms - self.disagreed_ms > DISAGREES_FOR_MS:
            self.disagreed_ms = None
            changed = True
        stale_ms = self.declared.stale_after_ms
        if stale_ms is not None and self.heard_ms is not None and now_ms - self.heard_ms > stale_ms:
            self._fall_back(now_ms, stale_ms)
            changed = True
        return changed

    def due_ms(self) -> int | None:
        """The first instant at which something is too old."""
        ends = []
        if self.declared.stale_after_ms is not None and self.heard_ms is not None:
            ends.append(self.heard_ms + self.declared.stale_after_ms + 1)
        if self.disagreed_ms is not None:
            ends.append(self.disagreed_ms + DISAGREES_FOR_MS + 1)
        return min(ends, default=None)

    @property
    def is_missing(self) -> bool:
        """It was heard once and is not any more."""
        return self.stream is not None and self.heard_ms is None

    def _outranks(self, stream: Stream) -> bool:
        """Whether the stream that counts goes on counting when another one has a value."""
        if self.stream is None or self.reading is None:
            return False
        return self.refusal is None and self.stream[0] <= stream[0]

    def _refuse(self, sample: Sample, stream: Stream, refusal: Refusal) -> bool:
        if self.stream not in (None, stream):
            return False
        self.stream, self.refusal = stream, refusal
        if not self.declared.keeps_last:
            self.reading, self.heard_ms = None, sample.at_ms
        return True

    def _compare(self, reading: Reading, rank: int) -> bool:
        """Whether an equal stream contradicts the one that counts."""
        limit, mine = self.declared.differ_by, self.reading
        if limit is None or mine is None or self.stream is None or self.stream[0] != rank:
            return False
        if not isinstance(mine.value, int | float) or not isinstance(reading.value, int | float):
            return False
        if reading.at_ms - mine.at_ms > DISAGREES_WITHIN_MS or abs(mine.value - reading.value) <= limit:
            return False
        self.disagreed_ms = reading.at_ms
        return True

    def _keep(self, stream: Stream, reading: Reading) -> None:
        self.others.pop(stream, None)
        self.others[stream] = reading
        if len(self.others) > _STREAMS_MAX:
            self.others.pop(next(iter(self.others)))

    def _fall_back(self, now_ms: int, stale_ms: int) -> None:
        """Use the best stream that is still fresh; with none, the channel is silent."""
        fresh = {
            stream: reading for stream, reading in self.others.items() if now_ms - reading.at_ms <= stale_ms
        }
        self.refusal = None
        if not fresh:
            self.reading = self.heard_ms = None
            self.others.clear()
            return
        self.stream = min(fresh, key=lambda stream: (stream[0], -fresh[stream].at_ms, stream[1]))
        self.reading = self.others.pop(self.stream)
        self.heard_ms = self.reading.at_ms
