"""What every simulated device has: a name, a place in its record, faults that are switched while it runs."""

import asyncio
import hashlib
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import ClassVar

from devices.errors import FaultUnsupported
from devices.registry import find_driver
from devices.simulators.recording import Source


class Fault(StrEnum):
    """What can be wrong with a device or with how it is worn. A closed set."""

    OUT_OF_RANGE = "out_of_range"  # BLE: link lost and not heard; serial: cable pulled
    SILENT = "silent"  # connected, but it sends nothing
    LOW_BATTERY = "low_battery"
    ELECTRODES_OFF = "electrodes_off"
    NOISE = "noise"
    CUFF_ERROR = "cuff_error"
    MOVEMENT = "movement"
    FINGER_OUT = "finger_out"
    LOW_PERFUSION = "low_perfusion"
    DEMO_FLAG = "demo_flag"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSpec:
    """A device to simulate.

    `record` names what it replays; oximeters take their SpO2 from `stay`. `start_at_s` is where in the
    record it begins, so that two devices with the same record differ.
    """

    name: str
    driver: str
    record: str
    bed: str = ""
    stay: str | None = None
    start_at_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where in its record a device is now; `started_at` is when it was switched on."""

    record: str
    seconds_into_record: float
    started_at: datetime


class SimulatedDevice(ABC):
    """Base of all simulators. `run` is one task; everything it sends is a function of `elapsed_s`."""

    driver: ClassVar[str]
    faults: ClassVar[tuple[Fault, ...]]

    def __init__(self, spec: DeviceSpec) -> None:
        self.spec = spec
        self.name = spec.name
        self.title_zh = find_driver(self.driver).title_zh
        self.title_en = find_driver(self.driver).title_en
        self.started_at = datetime.now(UTC)
        self._zero_mono_s = time.monotonic() - spec.start_at_s
        self._active_faults: frozenset[Fault] = frozenset()

    @property
    @abstractmethod
    def address_or_port(self) -> str:
        """Bluetooth address, or path of the serial port."""

    @property
    @abstractmethod
    def round_s(self) -> float:
        """Seconds after which the record begins again."""

    @property
    @abstractmethod
    def sources(self) -> tuple[Source, ...]:
        """The recordings that this device replays."""

    @abstractmethod
    async def run(self) -> None:
        """Measure and send, until cancelled."""

    @property
    def active_faults(self) -> tuple[Fault, ...]:
        """The faults that it has now."""
        return tuple(sorted(self._active_faults))

    def has(self, fault: Fault) -> bool:
        """Whether it has this fault now."""
        return fault in self._active_faults

    async def set_fault(self, fault: Fault, *, on: bool) -> None:
        """Switch a fault on or off; switching twice is allowed.

        Raises:
            FaultUnsupported: this device cannot have it.
        """
        if fault not in self.faults:
            raise FaultUnsupported(fault, device=self.name, supported=self.faults)
        if on == self.has(fault):
            return
        self._active_faults = self._active_faults | {fault} if on else self._active_faults - {fault}
        await self.note_fault(fault)

    @abstractmethod
    async def note_fault(self, fault: Fault) -> None:
        """Act on a fault that has just been switched, where asking `has` while sending is not enough."""

    def elapsed_s(self) -> float:
        """Seconds of replay so far, from the monotonic clock: it does not drift with the sleeps."""
        return time.monotonic() - self._zero_mono_s

    def position(self) -> Position:
        """Where in its record it is now."""
        return Position(
            record=self.spec.record,
            seconds_into_record=self.elapsed_s() % self.round_s,
            started_at=self.started_at,
        )

    async def wait_until(self, at_s: float) -> None:
        """Sleep until the replay is `at_s` seconds old."""
        await asyncio.sleep(max(0.0, at_s - self.elapsed_s()))

    async def ticks(self, period_s: float) -> AsyncIterator[float]:
        """Replay times at whole multiples of the period; what was missed in a stall is left out."""
        count = int(self.elapsed_s() / period_s)
        while True:
            count = max(count + 1, int(self.elapsed_s() / period_s))
            await self.wait_until(count * period_s)
            yield count * period_s


def stable_number(name: str) -> int:
    """The same 32 bits for the same name in every run: addresses and serial numbers are made from it."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")


def virtual_address(name: str) -> str:
    """Bluetooth address of the simulated device of that name, the same in every run.

    The two top bits of a random static address are 1 (Bluetooth Core, Vol 6 Part B §1.3.2.1).
    """
    octets = bytes([0xC4, 0x7D]) + stable_number(name).to_bytes(4, "big")
    return ":".join(f"{octet:02X}" for octet in octets)
