"""A sliding window over event time in bounded memory.

The window is a ring of equal buckets; each keeps how many values fell into it, their sum, least and greatest,
and, if somebody asks for a slope, the sums that a least-squares line needs. It therefore moves in steps of a
thirtieth of its length, takes the same 30 buckets for five values or for 86,400, and gives the same answer
whatever came between. Bucket borders lie at multiples of the bucket's length since 1970: every machine draws
them alike.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

BUCKETS = 30
SAVED_BYTES = 4 + BUCKETS * (1 + 5 + 3 * 9 + 5)
"""The most that a full window takes when it is saved: an index, three floats and a count a bucket."""
SAVED_BYTES_WITH_LINE = SAVED_BYTES + BUCKETS * (5 + 3 * 9)
_MS_PER_H = 3_600_000.0
_SAME_INSTANT_H2 = 1e-20
"""Instants a millisecond apart spread by 4e-14 h²; what rounding leaves of one instant is far less."""


@dataclass(slots=True)
class _Bucket:
    index: int
    count: int = 0
    total: float = 0.0
    least: float = math.inf
    greatest: float = -math.inf
    # Of time in hours since the bucket's first value, and of time times value: small numbers, so that the
    # sums keep their digits; all zero if every value is of one instant.
    first_ms: int = 0
    hours: float = 0.0
    hours_squared: float = 0.0
    hours_times_value: float = 0.0


SavedWindow = list[tuple[int | float, ...]]


class BucketWindow:
    """The last `span_ms` of one number; only with `has_line` can its slope be asked."""

    __slots__ = ("_buckets", "_has_line", "_width_ms")

    def __init__(self, span_ms: int, *, has_line: bool = False) -> None:
        self._width_ms = max(1, span_ms // BUCKETS)
        self._has_line = has_line
        self._buckets: list[_Bucket] = []  # oldest first, empty ones left out

    def add(self, at_ms: int, value: float) -> None:
        """Take a value; instants never go back."""
        index = at_ms // self._width_ms
        if not self._buckets or self._buckets[-1].index != index:
            self._forget(index)
            self._buckets.append(_Bucket(index, first_ms=at_ms % self._width_ms))
        bucket = self._buckets[-1]
        bucket.count += 1
        bucket.total += value
        bucket.least = min(bucket.least, value)
        bucket.greatest = max(bucket.greatest, value)
        if self._has_line:
            hours = (at_ms % self._width_ms - bucket.first_ms) / _MS_PER_H
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
        buckets = self._within(at_ms)
        count = sum(bucket.count for bucket in buckets)
        if count < 2:
            return None
        now_ms = at_ms // self._width_ms * self._width_ms
        begins = [
            (bucket.index * self._width_ms + bucket.first_ms - now_ms) / _MS_PER_H for bucket in buckets
        ]
        middle = (
            math.fsum(
                bucket.hours + begin * bucket.count for bucket, begin in zip(buckets, begins, strict=True)
            )
            / count
        )
        spread = slant = 0.0  # sums of squared distances from the middle, and of distance times value
        for bucket, begin in zip(buckets, begins, strict=True):
            offset = begin - middle
            spread += bucket.hours_squared + offset * (2 * bucket.hours + offset * bucket.count)
            slant += bucket.hours_times_value + offset * bucket.total
        return slant / spread if spread > _SAME_INSTANT_H2 else None

    def save(self) -> SavedWindow:
        """Plain numbers that `restore` takes."""
        return [
            (bucket.index, bucket.count, bucket.total, bucket.least, bucket.greatest)
            + (
                (bucket.first_ms, bucket.hours, bucket.hours_squared, bucket.hours_times_value)
                if self._has_line
                else ()
            )
            for bucket in self._buckets
        ]

    def restore(self, saved: Iterable[tuple[int | float, ...]]) -> None:
        """Become what was saved."""
        self._buckets = [_Bucket(*entry) for entry in saved]  # type: ignore[arg-type]  # as `save` wrote them

    def _within(self, at_ms: int) -> list[_Bucket]:
        first = at_ms // self._width_ms - BUCKETS
        if self._buckets and self._buckets[0].index > first:
            return self._buckets
        return [bucket for bucket in self._buckets if bucket.index > first]

    def _forget(self, index: int) -> None:
        while self._buckets and self._buckets[0].index <= index - BUCKETS:
            self._buckets.pop(0)
