"""One input of the rules over time: which stream feeds it, how old its value is, what is wrong with it."""

import math
from dataclasses import dataclass, field
from enum import IntEnum

from vitals.warning.frame import Value
from vitals.warning.rule import Input
from vitals.warning.sample import BOUNDS, Refusal, Sample, find_refusal, place_bound

DISAGREES_WITHIN_MS = 180_000
"""Two values of one vital sign this close in time should be alike."""
DISAGREES_FOR_MS = 1_200_000
"""So long after the last contradiction nobody knows which is right; some sensors tell every 15 minutes."""
HOLDS_FOR_MS = 60_000
"""So long a stream keeps out those that are not better: sensors that speak again and again are never mixed.
Of readings that are rarer the newest counts, whoever made it."""
_STREAMS_MAX = 8

Stream = tuple[int, str]
"""Place of the vital sign among the channel's keys (0 is best), and the sensor."""


class Taken(IntEnum):
    """What a sample was for a channel; the more, the greater."""

    NOTHING = 0  # of a stream that does not count
    NOTED = 1  # the value stays, but something is known of it: gated, contradicted
    REFUSED = 2  # the value is not known any more
    VALUE = 3


@dataclass(frozen=True, slots=True)
class Reading:
    """The last good value of one stream. Numbers are floats, so that a state that was saved is the same.

    `bound` says that it is no number that was measured but one that is known to lie beyond.
    """

    at_ms: int
    value: Value
    quality: float | None
    bound: str | None = None


@dataclass(slots=True)
class Channel:
    """Follows one stream as long as it speaks; a better one takes over, an equal one when it falls silent.

    A reading that stands alone ends with the next one of whatever stream; of one instant the best stays.
    """

    declared: Input
    stream: Stream | None = None
    reading: Reading | None = None
    refusal: Refusal | None = None
    heard_ms: int | None = None
    disagreed_ms: int | None = None
    others: dict[Stream, Reading] = field(default_factory=dict)

    def take(self, sample: Sample, rank: int) -> Taken:
        """Take a sample; one of the stream that counts, or counts from now on, changes the value."""
        stream = (rank, sample.src)
        sample = place_bound(sample, self.declared)
        refusal = find_refusal(sample, self.declared)
        if refusal is not None:
            return self._refuse(sample, stream, refusal)
        reading = _read(sample)
        contradicts = self._contradicts(reading, stream)
        if contradicts:
            self.disagreed_ms = reading.at_ms
        if self.stream != stream and self._outranks(stream, sample.at_ms):
            self._keep(stream, reading)
            return Taken.NOTED if contradicts else Taken.NOTHING
        if self.stream is not None and self.stream != stream and self.reading is not None:
            self._keep(self.stream, self.reading)
        self.others.pop(stream, None)
        self.stream, self.reading, self.refusal, self.heard_ms = stream, reading, None, sample.at_ms
        return Taken.VALUE

    def expire(self, now_ms: int) -> bool:
        """Let go of what is too old at this instant; whether anything was."""
        due_ms = self.due_ms()
        if due_ms is None or due_ms > now_ms:
            return False
        if self.disagreed_ms is not None and now_ms - self.disagreed_ms > DISAGREES_FOR_MS:
            self.disagreed_ms = None
        stale_ms = self.declared.stale_after_ms
        if stale_ms is not None and self.heard_ms is not None and now_ms - self.heard_ms > stale_ms:
            self._fall_back(now_ms, stale_ms)
        return True

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

    def _outranks(self, stream: Stream, at_ms: int) -> bool:
        """Whether the stream that counts goes on counting when another one has a value."""
        if self.stream is None or self.reading is None or self.refusal is not None:
            return False
        hold_ms = min(self.declared.stale_after_ms or 0, HOLDS_FOR_MS)
        if at_ms - self.reading.at_ms > hold_ms:
            return False
        return self.stream[0] <= stream[0]

    def _refuse(self, sample: Sample, stream: Stream, refusal: Refusal) -> Taken:
        if self.stream not in (None, stream) or refusal is Refusal.OTHER_PERSON:
            return Taken.NOTHING
        self.refusal = refusal
        if self.declared.keeps_last:
            return Taken.NOTED
        self.stream, self.reading, self.heard_ms = stream, None, sample.at_ms
        return Taken.REFUSED

    def _contradicts(self, reading: Reading, stream: Stream) -> bool:
        """Whether a value of the same or of an equal stream differs too much from the one that counts."""
        mine = self.reading
        limit = self.declared.jump_by if stream == self.stream else self.declared.differ_by
        if limit is None or mine is None or self.stream is None or self.stream[0] != stream[0]:
            return False
        if mine.bound or reading.bound:
            return False  # what lies beyond a limit may lie near
        if not isinstance(mine.value, float) or not isinstance(reading.value, float):
            return False
        return reading.at_ms - mine.at_ms <= DISAGREES_WITHIN_MS and abs(mine.value - reading.value) > limit

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


def _read(sample: Sample) -> Reading:
    value, quality = sample.value, sample.quality
    if isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if quality is not None:
        quality = None if math.isnan(quality) else float(quality)
    bound = next((flag.value for flag in BOUNDS if flag in sample.flags), None)
    return Reading(sample.at_ms, value, quality, bound)
