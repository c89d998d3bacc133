"""What a driver is: a frozen declaration and a decoder without I/O.

A driver file in `devices/drivers/` holds one `DRIVER` and pure decode functions. The agent reads the
declaration to find, connect and subscribe; it feeds every frame to a fresh `Decoder` per device session.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from vitals.gap import GapCause
from vitals.observation import Observation, VitalKey
from vitals.wave import WaveBlock, WaveLayout


class Transport(StrEnum):
    """How the device is reached."""

    BLE = "ble"
    SERIAL = "serial"


class Access(StrEnum):
    """How a GATT characteristic gives its value (Bluetooth Core, Vol 3 Part G §3.3.1.1)."""

    NOTIFY = "notify"
    INDICATE = "indicate"
    READ = "read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Characteristic:
    """One GATT characteristic that the agent subscribes to, or reads once after connecting.

    `uuid` is the 16-bit form in capitals ("2A37") or the 128-bit form in lower case.
    """

    uuid: str
    name: str
    access: Access
    required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """Bytes the agent writes (with response) after it has subscribed, to start the device."""

    uuid: str
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Which devices are this driver's. BLE: by name prefix where given, else by any service."""

    service_uuids: tuple[str, ...] = ()
    name_prefixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SerialSettings:
    """Line settings of a serial device, as the port is opened."""

    baud: int
    parity: str = "N"  # N, E or O
    stop_bits: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Bytes as they came, before any parsing. `channel` is the characteristic, or "serial"."""

    channel: str
    payload: bytes
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorState:
    """The device says that it is off the person, broken, in demo mode … or (`cause` None) well again.

    `keys` are what falls silent; empty means everything that the device measures.
    """

    cause: GapCause | None
    keys: tuple[VitalKey, ...]
    at: datetime


Reading = Observation | WaveBlock | SensorState


class Decoder(Protocol):
    """State of one device session: bytes in, readings out, no sockets."""

    @property
    def rejected(self) -> int:
        """Frames that were dropped while resynchronising a byte stream."""

    def feed(self, frame: Frame) -> list[Reading]:
        """Decode one frame (BLE: a whole value; serial: any run of bytes).

        Raises:
            FrameIncomplete, FrameInvalid: nothing else ever escapes, whatever the bytes.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """Everything that the rest of the system knows about a device model or standard profile."""

    name: str
    maker: str
    title_en: str
    title_zh: str
    transport: Transport
    match: Match
    measures: tuple[VitalKey, ...]
    new_decoder: Callable[[], Decoder]
    characteristics: tuple[Characteristic, ...] = ()
    start: tuple[Write, ...] = ()
    serial: SerialSettings | None = None
    waves: tuple[WaveLayout, ...] = ()
    cadence_s: Mapping[VitalKey, float] = field(default_factory=dict)
    """Expected seconds between values; a key that is absent here is a spot measurement."""
    facts: tuple[VitalKey, ...] = ()
    """Keys that tell of the device or the frame and not of the person: decoded, never stored as a value."""
    confirmed_on_hardware: bool = False
    sources: tuple[str, ...] = ()
