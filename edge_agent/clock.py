"""What disciplines this machine's clock, how far it is from the cloud's, and whether it has jumped."""

import ctypes
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from vitals.wire.batch import AS_READ, LOST, SYNCHRONISED, ClockState, Timing

Clock = Callable[[], datetime]
"""Gives aware UTC; tests give their own."""

_RTC = Path("/dev/rtc0")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_TIMEX_BYTES = 512  # struct timex has 208
_TIME_ERROR = 5
_TRIES = 5
_AT_ONCE_S = 0.001
STEP_US = 100_000
"""A jump: what no slewing does between two looks (a time service turns the clock by 500 us in a second)."""
OFFSET_LASTS_S = 900.0
"""How long an offset is told after it was measured: three exchanges; a crystal drifts 45 ms meanwhile."""


def utc_now() -> datetime:
    """The wall clock, aware UTC."""
    return datetime.now(UTC)


def now_ms() -> int:
    """The wall clock in milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


def now_us() -> int:
    """The wall clock in microseconds since the Unix epoch."""
    return time.time_ns() // 1000


def uptime_s() -> float:
    """Seconds that only ever run on, while the machine sleeps too (clock_gettime(2): CLOCK_BOOTTIME)."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def machine_start() -> str:
    """Which start of this machine it is; where the kernel does not tell, which start of this process."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return secrets.token_hex(16)


def has_clock_chip() -> bool:
    """Whether the clock goes on while the machine is off."""
    return _RTC.exists()


def clock_source() -> str:
    """`ntp` when the kernel says that the clock is synchronised, `rtc` with a clock chip, else `none`."""
    if is_synchronised():
        return SYNCHRONISED
    return "rtc" if has_clock_chip() else "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """Where an agent's clock is read; tests give their own."""

    wall_us: Callable[[], int] = now_us
    monotonic_s: Callable[[], float] = uptime_s
    source: Callable[[], str] = clock_source
    has_chip: Callable[[], bool] = has_clock_chip
    machine: str = field(default_factory=machine_start)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockRun:
    """The wall clock from one jump to the next: all times that it gave then are wrong by the same."""

    machine: str
    """Which start of the machine: its uptime begins anew with each."""
    ahead_us: int
    """Wall clock minus uptime."""
    offset_ms: int | None = None
    """What to add to get the cloud's time, where that was known at any moment of it."""
    was_set_after: bool = False
    """Whether it was another clock at the end of the same start of the machine."""

    def is_same(self, other: "ClockRun") -> bool:
        """Whether the clock was not set between the two."""
        return self.machine == other.machine and abs(self.ahead_us - other.ahead_us) <= STEP_US


class OwnClock:
    """This machine's clock as the agent knows it. Safe to use from several threads.

    The wall clock and the monotonic one run alike. When they do not, the wall clock was set: whatever was
    known of its offset is worth nothing, and `step` counts up, which asks for a new exchange.
    """

    def __init__(self, hands: Hands | None = None) -> None:
        self.hands = hands or Hands()
        self._lock = threading.Lock()
        self._between_us = self._begin_us = self._measure()
        self._step = 0
        self._offset_ms: int | None = None
        self._learned_mono_s = 0.0
        self._is_synchronised = False
        self._asked_mono_s = float("-inf")

    @property
    def step(self) -> int:
        """How often the clock has jumped, looking now."""
        with self._lock:
            return self._look()

    def learn(self, offset_ms: int, *, step: int) -> None:
        """What the cloud measured of the clock as it was after that many jumps."""
        with self._lock:
            if self._look() == step:
                self._offset_ms = offset_ms
                self._learned_mono_s = self.hands.monotonic_s()

    def offset_ms(self) -> int | None:
        """What to add to this clock to get the cloud's; None where that is not known, or no longer."""
        with self._lock:
            self._look()
            return self._fresh_offset_ms()

    def state(self) -> ClockState:
        """As it goes on the wire."""
        return ClockState(src=self.hands.source(), off_ms=self.offset_ms())

    def run(self) -> ClockRun:
        """The clock as it is now."""
        while True:
            step = self.step
            is_synchronised = self._asks_kernel()
            with self._lock:
                if self._look() != step:
                    continue  # it was set meanwhile: of which clock the kernel spoke is not known
                offset_ms = self._fresh_offset_ms()
                if offset_ms is None and is_synchronised:
                    offset_ms = 0
                return ClockRun(machine=self.hands.machine, ahead_us=self._begin_us, offset_ms=offset_ms)

    def timing_of(self, then: ClockRun | None) -> Timing:
        """How times that were read from a clock are told now.

        What was known of that clock is the best; after it, by how much it was set while the machine ran; and
        a chip goes on while it is off. Without all that nobody can tell any more what time it was.
        """
        if then is None:
            return AS_READ
        now = self.run()
        if then.is_same(now):
            return AS_READ
        if then.offset_ms is not None:
            return Timing(moved_ms=then.offset_ms, src=SYNCHRONISED)
        if then.machine == now.machine:
            return Timing(moved_ms=round((now.ahead_us - then.ahead_us) / 1000))
        goes_on = self.hands.has_chip() and not then.was_set_after
        return AS_READ if goes_on else Timing(src=LOST)

    def state_of(self, then: ClockRun | None) -> ClockState:
        """What is told beside times that were read from a clock, perhaps another than the one of now."""
        if then is None or then.is_same(self.run()):
            return self.state()
        return ClockState(off_ms=then.offset_ms)

    def _asks_kernel(self) -> bool:
        """Whether a time service disciplines the clock, asked once a second: the answer takes its time."""
        now_s = self.hands.monotonic_s()
        if now_s - self._asked_mono_s >= 1:
            self._asked_mono_s = now_s
            self._is_synchronised = self.hands.source() == SYNCHRONISED
        return self._is_synchronised

    def _look(self) -> int:
        between_us = self._measure()
        if abs(between_us - self._between_us) > STEP_US:
            self._step += 1
            self._begin_us, self._offset_ms = between_us, None
            self._asked_mono_s = float("-inf")
        self._between_us = between_us
        return self._step

    def _fresh_offset_ms(self) -> int | None:
        is_fresh = self.hands.monotonic_s() - self._learned_mono_s <= OFFSET_LASTS_S
        return self._offset_ms if is_fresh else None

    def _measure(self) -> int:
        """Wall minus monotonic time; asked again when this thread had to wait between the two."""
        for _ in range(_TRIES):
            before_s = self.hands.monotonic_s()
            wall_us = self.hands.wall_us()
            after_s = self.hands.monotonic_s()
            if after_s - before_s < _AT_ONCE_S:
                break
        return wall_us - int((before_s + after_s) / 2 * 1e6)


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
