"""Birth, will, beat and acknowledgement (docs/wire-contract.md)."""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeVar

import msgspec

from vitals.observation import SourceId, VitalKey
from vitals.wave import WaveLayout
from vitals.wire.batch import ClockState, check_version
from vitals.wire.errors import UNREADABLE, WireInvalid
from vitals.wire.topics import Lane


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveDeclaration:
    """How to read a stream's integers."""

    stream: VitalKey
    rate: tuple[int, int]
    gain: float
    offset: float
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceDeclaration:
    """One sensor that an agent serves. It names a device and a place, never a person."""

    src: SourceId
    driver: str
    title_zh: str
    title_en: str
    serial_hash: str
    bed: str = ""
    cadence: dict[VitalKey, float] = field(default_factory=dict)
    waves: list[WaveDeclaration] = field(default_factory=list)
    simulated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The retained message on `…/status`; the will is one with `online` false and nothing else known."""

    v: int
    agent: str
    boot: str
    online: bool
    ln: str = ""
    at: int = 0
    clk: ClockState = field(default_factory=ClockState)
    sources: list[SourceDeclaration] = field(default_factory=list)
    released: dict[Lane, int] = field(default_factory=dict)
    """Per lane: up to here the spool has let go, because a cloud said that it was stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """Every 2 s: the agent lives, and how much waits in its spool."""

    v: int
    ln: str
    boot: str
    at: int
    depth: int
    oldest: int | None = None
    clk: ClockState = field(default_factory=ClockState)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """Cloud to edge: everything of this lineage up to and including `upto[lane]` is committed.

    `rate`: how many messages of its backlog the agent may send in a second; None leaves it to the agent.
    """

    v: int
    ln: str
    upto: dict[Lane, int]
    at: int
    rate: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudStatus:
    """The retained message on `q/v1/cloud/status`."""

    v: int
    online: bool
    at: int = 0


Control = Status | Beat | Ack | CloudStatus
_Kind = TypeVar("_Kind", Status, Beat, Ack, CloudStatus)


LONGEST_CADENCE_S = 1e6


def declare_wave(layout: WaveLayout) -> WaveDeclaration:
    """A driver's layout as it goes on the wire."""
    return WaveDeclaration(
        stream=layout.stream,
        rate=(layout.rate_hz.numerator, layout.rate_hz.denominator),
        gain=layout.gain,
        offset=layout.offset,
        unit=layout.unit,
    )


def read_wave_layout(declared: WaveDeclaration) -> WaveLayout:
    """Inverse of `declare_wave`.

    Raises:
        WireInvalid: the rate is not a fraction.
    """
    numerator, denominator = declared.rate
    if numerator < 1 or denominator < 1:
        raise WireInvalid(f"rate {declared.rate} of stream {declared.stream!r} is not a fraction")
    return WaveLayout(
        stream=declared.stream,
        rate_hz=Fraction(numerator, denominator),
        gain=declared.gain,
        offset=declared.offset,
        unit=declared.unit,
    )


def encode_control(message: Control) -> bytes:
    """The JSON payload of a status, beat, acknowledgement or cloud status."""
    return msgspec.json.encode(message)


def decode_status(payload: bytes) -> Status:
    """Raises: WireVersionUnknown, WireInvalid."""
    status = _decode(payload, Status)
    for source in status.sources:
        for key, cadence_s in source.cadence.items():
            if not 0 < cadence_s <= LONGEST_CADENCE_S:
                raise WireInvalid(f"cadence {cadence_s} s of {key!r} is not possible")
    return status


def decode_beat(payload: bytes) -> Beat:
    """Raises: WireVersionUnknown, WireInvalid."""
    return _decode(payload, Beat)


def decode_ack(payload: bytes) -> Ack:
    """Raises: WireVersionUnknown, WireInvalid."""
    return _decode(payload, Ack)


def decode_cloud_status(payload: bytes) -> CloudStatus:
    """Raises: WireVersionUnknown, WireInvalid."""
    return _decode(payload, CloudStatus)


def _decode(payload: bytes, kind: type[_Kind]) -> _Kind:
    check_version(payload)
    try:
        return msgspec.json.decode(payload, type=kind)
    except UNREADABLE as error:
        raise WireInvalid(str(error)) from error
