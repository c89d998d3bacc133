"""What disciplines this machine's clock."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from vitals.wire.batch import ClockState

Clock = Callable[[], datetime]
"""Gives aware UTC; tests give their own."""

_NTP_MARKS = (
    Path("/run/systemd/timesync/synchronized"),
    Path("/run/chrony/chronyd.pid"),
    Path("/run/ntpd.pid"),
)
_RTC = Path("/dev/rtc0")


def utc_now() -> datetime:
    """The wall clock, aware UTC."""
    return datetime.now(UTC)


def now_ms() -> int:
    """The wall clock in milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


def clock_state() -> ClockState:
    """`ntp` when a time service says that it has synchronised, `rtc` with a clock chip, else `none`."""
    if any(mark.exists() for mark in _NTP_MARKS):
        return ClockState(src="ntp")
    return ClockState(src="rtc" if _RTC.exists() else "none")
