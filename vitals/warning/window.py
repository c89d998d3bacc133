"""A sliding window over event time in bounded memory.

The window is a ring of equal buckets; each keeps how many values fell into it, their sum, least and greatest,
and the sums that a least-squares line needs. It therefore moves in steps of a thirtieth of its length, takes
the same 30 buckets for five values or for 86,400, and gives the same answer whatever came between. Bucket
borders lie at multiples of the bucket's length since 1970, so that every machine draws them alike.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

BUCKETS = 30
_MS_PER_H = 3_600_000.0


@dataclass(slots=True)
class _Bucket:
    index: int
    count: int = 0
    total: float = 0.0
    least: float = math.inf
    greatest: float = -math.inf
    # Of time in hours since the bucket's beginning, and of time times value: small numbers, so that the sums
    # keep their digits.
    hours: float = 0.0
    hours_squared: float = 0.0
    hours_times_value: float = 0.0


SavedWindow = tuple[tuple[int, int, float, float, float, float, float, float], ...]


class BucketWindow:
    """The last `span_ms` of one number."""

    __slots__ = ("_buckets", "_width_ms")

    def __init__(self, span_ms: int) -> None:
        self._width_ms = max(1, span_ms // BUCKETS)
        self._buckets: list[_Bucket] = []  # oldest first, empty ones left out

    def add(self, at_ms: int, value: float) -> None:
        """Take a value; instants never go back."""
        index = at_ms // self._width_ms
        if not self._buckets or self._buckets[-1].index != index:
            self._forget(index)
            self._buckets.append(_Bucket(index))
        bucket = self._buckets[-1]
        hours = (at_ms - index * self._width_ms) / _MS_PER_H
        bucket.count += 1
        bucket.total += value
        bucket.least = min(bucket.least, value)
        bucket.greatest = max(bucket.greatest, value)
        bucket.hours += hours
        bucket.hours_squared += hours * hours
        bucket.hours_times_value += hours * value

    def count(self, at_ms: int) -> int:
        """How many values the window holds."""
        return sum(bucket.count for bucket in self._within(at_ms))

    def sum(self, at_ms: int) -> float:
        """Their sum."""
        return math.fsum(bucket.total for bucket in self._within(at_ms))

    def mean(self, at_ms: int) -> float | None:
        """Their mean."""
        count = self.count(at_ms)
        return self.sum(at_ms) / count if count else None

    def min(self, at_ms: int) -> float | None:
        """The least of them."""
        return min((bucket.least for bucket in self._within(at_ms)), default=None)

    def max(self, at_ms: int) -> float | None:
        """The greatest of them."""
        return max((bucket.greatest for bucket in self._within(at_ms)), default=None)

    def slope(self, at_ms: int) -> float | None:
        """Slope of the least-squares line, per hour; None unless two instants differ."""
        count = hours = squared = total = times_value = 0.0
        now = at_ms // self._width_ms
        for bucket in self._within(at_ms):
            offset = (bucket.index - now) * self._width_ms / _MS_PER_H
            count += bucket.count
            hours += bucket.hours + offset * bucket.count
            squared += bucket.hours_squared + 2 * offset * bucket.hours + offset * offset * bucket.count
            total += bucket.total
            times_value += bucket.hours_times_value + offset * bucket.total
        spread = squared * count - hours * hours
        if count < 2 or spread <= 1e-12:
            return None
        return (times_value * count - hours * total) / spread

    def save(self) -> SavedWindow:
        """Plain numbers that `restore` takes."""
        return tuple(
            (
                bucket.index,
                bucket.count,
                bucket.total,
                bucket.least,
                bucket.greatest,
                bucket.hours,
                bucket.hours_squared,
                bucket.hours_times_value,
            )
            for bucket in self._buckets
        )

    def restore(self, saved: Iterable[tuple[int, int, float, float, float, float, float, float]]) -> None:
        """Become what was saved."""
        self._buckets = [_Bucket(*entry) for entry in saved]

    def _within(self, at_ms: int) -> list[_Bucket]:
        first = at_ms // self._width_ms - BUCKETS
        if self._buckets and self._buckets[0].index > first:
            return self._buckets
        return [bucket for bucket in self._buckets if bucket.index > first]

    def _forget(self, index: int) -> None:
        while self._buckets and self._buckets[0].index <= index - BUCKETS:
            self._buckets.pop(0)


Reading = Callable[[BucketWindow, int], float | None]
