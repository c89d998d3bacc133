"""Date Time (characteristic 0x2A08): the device's own wall clock, without a zone.

Year, month and day may be 0, "not known": often all of them after a battery change. Such a time cannot
place a value; the reader then uses the time of receipt and says so.
"""

from dataclasses import dataclass
from datetime import datetime

DATE_TIME_BYTES = 7

FIRST_YEAR = 1582
"""GATT Specification Supplement: 1582 to 9999, or 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceDateTime:
    """The parts as sent; None is "not known"."""

    year: int | None
    month: int | None
    day: int | None
    hour: int
    minute: int
    second: int

    def __str__(self) -> str:
        """ISO 8601 with 0 for what is not known, as in the bytes: "0000-04-17T20:41:59"."""
        date = f"{self.year or 0:04}-{self.month or 0:02}-{self.day or 0:02}"
        return f"{date}T{self.hour:02}:{self.minute:02}:{self.second:02}"

    def complete(self) -> datetime | None:
        """The naive time, or None if a part is unknown or the calendar has no such day."""
        if self.year is None or self.month is None or self.day is None:
            return None
        try:
            return datetime(self.year, self.month, self.day, self.hour, self.minute, self.second)  # noqa: DTZ001 - the device names no zone
        except ValueError:
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutOfRange:
    """The first part that no Date Time can have; `offset` is its place in the seven bytes."""

    part: str
    offset: int


def decode_date_time(payload: bytes) -> DeviceDateTime | OutOfRange:
    """The parts in seven bytes. A part out of its range means that these bytes are not a Date Time."""
    year = int.from_bytes(payload[:2], "little")
    month, day, hour, minute, second = payload[2:DATE_TIME_BYTES]
    limits = (
        ("year", 0, year == 0 or FIRST_YEAR <= year <= 9999),
        ("month", 2, month <= 12),
        ("day", 3, day <= 31),
        ("hour", 4, hour <= 23),
        ("minute", 5, minute <= 59),
        ("second", 6, second <= 59),
    )
    for part, offset, is_possible in limits:
        if not is_possible:
            return OutOfRange(part=part, offset=offset)
    return DeviceDateTime(
        year=year or None, month=month or None, day=day or None, hour=hour, minute=minute, second=second
    )


def encode_date_time(moment: datetime | None) -> bytes:
    """Seven bytes; None is the clock that was never set (all zero)."""
    if moment is None:
        return bytes(DATE_TIME_BYTES)
    parts = (moment.month, moment.day, moment.hour, moment.minute, moment.second)
    return moment.year.to_bytes(2, "little") + bytes(parts)
