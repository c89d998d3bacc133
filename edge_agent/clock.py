"""What disciplines this machine's clock."""

import ctypes
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from vitals.wire.batch import ClockState

Clock = Callable[[], datetime]
"""Gives aware UTC; tests give their own."""

_RTC = Path("/dev/rtc0")
_TIMEX_BYTES = 512  # struct timex has 208
_TIME_ERROR = 5


def utc_now() -> datetime:
    """The wall clock, aware UTC."""
    return datetime.now(UTC)


def now_ms() -> int:
    """The wall clock in milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


def clock_state() -> ClockState:
    """`ntp` when the kernel says that the clock is synchronised, `rtc` with a clock chip, else `none`."""
    if is_synchronised():
        return ClockState(src="ntp")
    return ClockState(src="rtc" if _RTC.exists() else "none")


def is_synchronised() -> bool:
    """Whether a time service disciplines the clock now; False where the kernel does not tell.

    Every time service (timesyncd, chrony, ntpd) tells the kernel, and the kernel forgets it after a while
    without the service (adjtimex(2): TIME_ERROR). A service that merely runs proves nothing.
    """
    query = ctypes.create_string_buffer(_TIMEX_BYTES)  # all zero: nothing is changed
    try:
        answer = ctypes.CDLL(None).adjtimex(query)
    except (OSError, AttributeError):
        return False
    return 0 <= int(answer) < _TIME_ERROR
