"""What a recording is at a time: pure functions of the seconds since the replay began.

A recording loops. Its samples and its beats begin again together; the interval between the last beat of
one round and the first of the next never happened in a heart and is left out everywhere.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from devices.simulators.recording import EcgRecord, PlethRecord, Seconds, StayRecord, StayRow

RATE_OVER_INTERVALS = 5
"""A displayed rate is 60 / mean of this many intervals."""

LONGEST_PULSE_INTERVAL = 1.5
"""In usual intervals: over a longer one a pulse was not seen."""

PULSE_LOST_AFTER_S = 3.0

STAY_ROW_S = 60.0
"""Compressed time: a charted hour of a stay lasts this long."""

Samples = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """A beat, and the interval since the one before (None for the first beat of a round)."""

    at_s: float
    rr_s: float | None


class BeatTrain:
    """Beat times that repeat every `round_s`."""

    def __init__(self, beat_s: Seconds, *, round_s: float) -> None:
        self._beat_s = beat_s
        self._round_s = round_s

    def between(self, from_s: float, to_s: float) -> list[Beat]:
        """Beats at or after `from_s` and before `to_s`, seconds since the replay began (never negative)."""
        first, stop = self._count_before(from_s), self._count_before(to_s)
        return [self._beat(index) for index in range(first, stop)]

    def rate_at(self, at_s: float, *, longest_interval_s: float = np.inf) -> float | None:
        """60 / mean of the last five intervals up to `at_s`; None before the second beat."""
        intervals: list[float] = []
        index = self._count_before(np.nextafter(at_s, np.inf)) - 1
        while index >= 0 and len(intervals) < RATE_OVER_INTERVALS:
            rr_s = self._beat(index).rr_s
            if rr_s is not None and rr_s <= longest_interval_s:
                intervals.append(rr_s)
            index -= 1
        return 60 * len(intervals) / sum(intervals) if intervals else None

    def last_at_s(self, at_s: float) -> float | None:
        """Time of the latest beat up to `at_s`."""
        count = self._count_before(np.nextafter(at_s, np.inf))
        return self._beat(count - 1).at_s if count else None

    def _count_before(self, at_s: float) -> int:
        rounds, within_s = divmod(at_s, self._round_s)
        return int(rounds) * len(self._beat_s) + int(np.searchsorted(self._beat_s, within_s, side="left"))

    def _beat(self, index: int) -> Beat:
        rounds, within = divmod(index, len(self._beat_s))
        at_s = float(self._beat_s[within])
        rr_s = at_s - float(self._beat_s[within - 1]) if within else None
        return Beat(at_s=rounds * self._round_s + at_s, rr_s=rr_s)


class EcgReplay:
    """An ECG record played for ever at its own rate."""

    def __init__(self, record: EcgRecord) -> None:
        self._record = record
        self._beats = BeatTrain(record.beat_s, round_s=self.round_s)

    @property
    def rate_hz(self) -> int:
        """Samples per second."""
        return self._record.rate_hz

    @property
    def round_s(self) -> float:
        """How long one round lasts."""
        return len(self._record.samples_uv) / self._record.rate_hz

    def samples_uv(self, first: int, stop: int) -> Samples:
        """Samples `first` to `stop` (excluded), counted since the replay began."""
        return np.take(self._record.samples_uv, np.arange(first, stop), mode="wrap")

    def beats_between(self, from_s: float, to_s: float) -> list[Beat]:
        """Annotated beats at or after `from_s` and before `to_s`."""
        return self._beats.between(from_s, to_s)

    def heart_rate_at(self, at_s: float) -> float | None:
        """Beats per minute over the last five annotated intervals; None while there is none."""
        return self._beats.rate_at(at_s)


class PlethReplay:
    """A plethysmogram played for ever at its own rate."""

    def __init__(self, record: PlethRecord) -> None:
        self._record = record
        self._pulses = BeatTrain(record.pulse_s, round_s=self.round_s)
        self._longest_interval_s = LONGEST_PULSE_INTERVAL * float(np.median(np.diff(record.pulse_s)))

    @property
    def rate_hz(self) -> int:
        """Samples per second."""
        return self._record.rate_hz

    @property
    def round_s(self) -> float:
        """How long one round lasts."""
        return len(self._record.samples) / self._record.rate_hz

    def samples(self, first: int, stop: int) -> Samples:
        """Samples `first` to `stop` (excluded), 0 to 127, counted since the replay began."""
        return np.take(self._record.samples, np.arange(first, stop), mode="wrap")

    def pulses_between(self, from_s: float, to_s: float) -> list[Beat]:
        """Pulses at or after `from_s` and before `to_s`."""
        return self._pulses.between(from_s, to_s)

    def pulse_rate_at(self, at_s: float) -> float | None:
        """Pulses per minute over the last five intervals; None when no pulse was seen for three seconds."""
        last_s = self._pulses.last_at_s(at_s)
        if last_s is None or at_s - last_s > PULSE_LOST_AFTER_S:
            return None
        return self._pulses.rate_at(at_s, longest_interval_s=self._longest_interval_s)


class StayReplay:
    """A stay played for ever, one charted hour a minute."""

    def __init__(self, record: StayRecord) -> None:
        self._record = record

    def row_at(self, at_s: float) -> StayRow:
        """The row that stands at `at_s`."""
        return self._record.rows[int(at_s // STAY_ROW_S) % len(self._record.rows)]
