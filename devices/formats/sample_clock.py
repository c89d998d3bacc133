"""Where the samples of a wave stand in time.

Bytes arrive late and unevenly, so the time of arrival of a block is a poor time for its samples. Both
clocks here turn it into the time of a block's first sample so that blocks follow one another without a
seam while nothing is missing:

* `CountingClock`, for devices without a clock of their own (serial): the first block anchors a counter,
  every sample adds 1/rate. More than half a second between the counted and the real time means a pause,
  lost bytes or a rate that is not quite nominal: the counter is anchored anew. If time went forward this
  is a hole; if back (the device runs fast) the blocks overlap in time by that half second.
* `DeviceClock`, for devices that stamp their blocks: received time = device time + offset + delay. The
  delay of a radio is never negative and often near its minimum, so the smallest (received - device) of the
  last minute or so is the best offset there is (the minimum filter of NTP, RFC 5905 §10). It follows slow
  drift; blocks stay seamless until half a sample has built up. A device clock that jumps back, or forward
  beyond what has arrived, is taken as a new clock.
"""

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction

REANCHOR_US = 500_000

DELAYS_KEPT = 64
"""Half a minute of Polar ECG blocks: long enough to meet a fast one, short against crystal drift."""

OFFSET_STEP_US = 1_000
"""How far the offset may move per block: 0.2 % of such a block, invisible, and far above any drift."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplePlace:
    """Where a block begins: see `vitals.wave.WaveBlock`."""

    t0_us: int
    first_sample: int


def epoch_us(moment: datetime) -> int:
    """Microseconds since the Unix epoch, exactly."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


class CountingClock:
    """Places blocks by counting samples."""

    def __init__(self, rate_hz: Fraction) -> None:
        self._rate_hz = rate_hz
        self._anchor: SamplePlace | None = None
        self._next_sample = 0

    def place(self, sample_count: int, received_at: datetime) -> SamplePlace:
        """The place of the next `sample_count` samples, of which the last was measured when received."""
        arrived_us = epoch_us(received_at) - _duration_us(sample_count, self._rate_hz)
        counted_us = arrived_us if self._anchor is None else self._time_us(self._anchor)
        ahead_us = counted_us - arrived_us
        if self._anchor is None or abs(ahead_us) > REANCHOR_US:
            self._next_sample += _missing(-ahead_us, self._rate_hz)
            self._anchor = SamplePlace(t0_us=arrived_us, first_sample=self._next_sample)
        place = SamplePlace(t0_us=self._time_us(self._anchor), first_sample=self._next_sample)
        self._next_sample += sample_count
        return place

    def skip(self, sample_count: int) -> None:
        """Samples that were sent but have no value: a hole of known length."""
        self._next_sample += sample_count

    def _time_us(self, anchor: SamplePlace) -> int:
        return anchor.t0_us + _duration_us(self._next_sample - anchor.first_sample, self._rate_hz)


class DeviceClock:
    """Places blocks whose last sample carries the device's own time."""

    def __init__(self, rate_hz: Fraction) -> None:
        self._rate_hz = rate_hz
        self._delays_us: deque[int] = deque(maxlen=DELAYS_KEPT)
        self._offset_us = 0
        self._last_device_us: int | None = None
        self._end_us = 0
        self._next_sample = 0

    def place(self, sample_count: int, last_device_ns: int, received_at: datetime) -> SamplePlace:
        """The place of a block whose last of `sample_count` samples was measured at `last_device_ns`.

        A block that is repeated gets the place it had.
        """
        last_us = last_device_ns // 1000
        if last_us == self._last_device_us:
            return self._place_before_end(sample_count)
        first_us = last_us - _duration_us(sample_count - 1, self._rate_hz)
        missing = self._missing_before(first_us)
        is_new_clock = self._follow(last_us, epoch_us(received_at))
        t0_us = self._offset_us + first_us
        if is_new_clock:
            missing = _missing(t0_us - self._end_us, self._rate_hz) if self._next_sample else 0
        elif missing == 0 and abs(t0_us - self._end_us) <= _duration_us(1, self._rate_hz) // 2:
            t0_us = self._end_us
        place = SamplePlace(t0_us=t0_us, first_sample=self._next_sample + missing)
        self._last_device_us = last_us
        self._next_sample = place.first_sample + sample_count
        self._end_us = t0_us + _duration_us(sample_count, self._rate_hz)
        return place

    def _place_before_end(self, sample_count: int) -> SamplePlace:
        return SamplePlace(
            t0_us=self._end_us - _duration_us(sample_count, self._rate_hz),
            first_sample=max(0, self._next_sample - sample_count),
        )

    def _missing_before(self, first_us: int) -> int:
        if self._last_device_us is None:
            return 0
        return max(0, _missing(first_us - self._last_device_us, self._rate_hz) - 1)

    def _follow(self, last_us: int, received_us: int) -> bool:
        """Update the offset; true if it was set anew."""
        delay_us = received_us - last_us
        has_gone_back = self._last_device_us is None or last_us < self._last_device_us
        if has_gone_back or delay_us < self._offset_us - REANCHOR_US:
            self._delays_us.clear()
        self._delays_us.append(delay_us)
        error_us = min(self._delays_us) - self._offset_us
        if len(self._delays_us) == 1 or error_us > REANCHOR_US:
            self._offset_us += error_us
            return True
        self._offset_us += max(-OFFSET_STEP_US, min(OFFSET_STEP_US, error_us))
        return False


def _duration_us(sample_count: int, rate_hz: Fraction) -> int:
    return round(sample_count * 1_000_000 / rate_hz)


def _missing(gap_us: int, rate_hz: Fraction) -> int:
    return max(0, round(gap_us * rate_hz / 1_000_000))
