"""The vitals batch: observations of one source as columns (docs/wire-contract.md, "Vitals batch")."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec
from msgspec.structs import replace

from vitals.observation import Flag, Observation, Quality, SourceId, VitalKey
from vitals.vocabulary import vital_code
from vitals.wire.errors import UNREADABLE, WireInvalid, WireVersionUnknown
from vitals.wire.packing import pack_text, unpack_text
from vitals.wire.topics import Lane

VERSION = 1
HISTORICAL_AFTER_MS = 30_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EXACT = 2**53
_FIRST_MS = (datetime(1900, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)
"""No clock says less, not even one that was never set; so a time stays one when its clock is corrected."""
_LAST_MS = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockState:
    """What disciplines the agent's clock, and its known offset to the cloud."""

    src: str = "none"  # ntp | rtc | none | lost
    off_ms: int | None = None


SYNCHRONISED = "ntp"
LOST = "lost"
"""The clock that a time was read from is gone, and nobody ever knew how far it was from the cloud's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How the times of a message are told when it is sent, for the clock may have been set since."""

    moved_ms: int = 0
    """What to add to them: by how much the clock was set, or how far it was from the cloud's."""
    src: str | None = None
    """`SYNCHRONISED` where that puts them right, `LOST` where nobody can; None: as the message says."""


AS_READ = Timing()


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """Who sent it, and its place in the agent's sequence."""

    ln: str
    boot: str
    lane: Lane
    s: int


class VitalsBatch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message on `…/vitals`; the field names are the wire's.

    On the wire `rx` is left out where it is the same as `dt`, and a unit where it is the vocabulary's.
    """

    v: int
    ln: str
    boot: str
    lane: Lane
    s: int
    src: SourceId
    t0: int
    dt: list[int]
    rx: list[int] = []
    m: dict[str, list[float | None]]
    u: dict[str, str] = {}
    q: dict[str, list[Quality]] = {}
    f: dict[str, dict[str, list[Flag]]] = {}
    dv: dict[str, dict[str, str]] = {}
    clk: ClockState = ClockState()
    sent: int = 0
    h: int = 0


class _Stamped(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A batch as it is stamped: what is measured stays the bytes that it is."""

    v: int
    ln: str
    boot: str
    lane: Lane
    s: int
    src: str
    t0: int
    dt: list[int]
    rx: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    m: msgspec.Raw
    u: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    q: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    f: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    dv: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    clk: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    sent: int = 0
    h: int = 0


_stamp_decoder = msgspec.json.Decoder(_Stamped)
_decoder = msgspec.json.Decoder(VitalsBatch)
_encoder = msgspec.json.Encoder()


class _VersionOnly(msgspec.Struct):
    v: int = 0


_version_decoder = msgspec.json.Decoder(_VersionOnly)


def to_ms(moment: datetime) -> int:
    """Whole milliseconds since the Unix epoch."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def from_ms(milliseconds: int) -> datetime:
    """Aware UTC from milliseconds since the Unix epoch.

    Raises:
        WireInvalid: outside the years that a date can hold.
    """
    try:
        return _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError as error:
        raise WireInvalid(f"time {milliseconds} ms is not a date") from error


def build_batch(
    observations: Sequence[Observation], *, src: SourceId, envelope: Envelope, clock: ClockState
) -> VitalsBatch:
    """Turn observations of one source into columns; rows share measured and received time.

    Raises:
        ValueError: no observations, or one key twice in the same millisecond.
    """
    if not observations:
        raise ValueError("a batch needs at least one observation")
    rows = sorted({(to_ms(item.measured_at), to_ms(item.received_at)) for item in observations})
    row_idx = {row: idx for idx, row in enumerate(rows)}
    t0 = rows[0][0]
    batch = VitalsBatch(
        v=VERSION,
        ln=envelope.ln,
        boot=envelope.boot,
        lane=envelope.lane,
        s=envelope.s,
        src=src,
        t0=t0,
        dt=[measured - t0 for measured, _ in rows],
        rx=[received - t0 for _, received in rows],
        m={},
        u={},
        clk=clock,
    )
    taken: set[tuple[str, int]] = set()
    for item in observations:
        idx = row_idx[to_ms(item.measured_at), to_ms(item.received_at)]
        if (item.key, idx) in taken:
            raise ValueError(f"{item.key} twice in the same millisecond")
        taken.add((item.key, idx))
        _place(batch, item, idx)
    return batch


def _place(batch: VitalsBatch, item: Observation, idx: int) -> None:
    rows = len(batch.dt)
    batch.m.setdefault(item.key, [None] * rows)[idx] = item.value
    batch.u[item.key] = item.unit
    if item.quality is not Quality.GOOD:
        batch.q.setdefault(item.key, [Quality.GOOD] * rows)[idx] = item.quality
    if item.flags:
        batch.f.setdefault(item.key, {})[str(idx)] = list(item.flags)
    if item.device_time is not None:
        batch.dv.setdefault(item.key, {})[str(idx)] = item.device_time.isoformat()


def row_of(text: str, rows: int) -> int | None:
    """The row that an index of `f` or `dv` means; None if there is no such row."""
    row = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else rows
    return row if row < rows and str(row) == text else None


def read_batch(batch: VitalsBatch) -> list[Observation]:
    """The observations of a decoded batch: every cell with a value, or with a flag that says why not."""
    return [
        _observation(batch, key, idx)
        for key, column in batch.m.items()
        for idx, value in enumerate(column)
        if value is not None or str(idx) in batch.f.get(key, {})
    ]


def _observation(batch: VitalsBatch, key: str, idx: int) -> Observation:
    qualities = batch.q.get(key)
    device_text = batch.dv.get(key, {}).get(str(idx))
    return Observation(
        key=VitalKey(key),
        value=batch.m[key][idx],
        unit=batch.u[key],
        measured_at=from_ms(batch.t0 + batch.dt[idx]),
        received_at=from_ms(batch.t0 + batch.rx[idx]),
        quality=qualities[idx] if qualities else Quality.GOOD,
        flags=tuple(batch.f.get(key, {}).get(str(idx), ())),
        device_time=None if device_text is None else datetime.fromisoformat(device_text),
    )


def encode_batch(batch: VitalsBatch) -> bytes:
    """The payload: JSON without what says itself, and packed where that is shorter."""
    columns = {key: [_shortest(value) for value in column] for key, column in batch.m.items()}
    units = {key: unit for key, unit in batch.u.items() if vital_code(key) is None or unit != unit_of(key)}
    received = [] if batch.rx == batch.dt else batch.rx
    return pack_text(_encoder.encode(replace(batch, m=columns, u=units, rx=received)))


def _shortest(value: float | None) -> float | None:
    """The same number; 0 stays as it is, for it may have a sign."""
    return int(value) if value and float(value).is_integer() and abs(value) < _EXACT else value


def unit_of(key: str) -> str:
    """The unit of a column that says none: the vocabulary's, or nothing."""
    code = vital_code(key)
    return "" if code is None else code.ucum


def _fill_in(batch: VitalsBatch) -> None:
    """What was left out because it says itself."""
    if not batch.rx:
        batch.rx.extend(batch.dt)
    for key in batch.m:
        if key not in batch.u:
            code = vital_code(key)
            if code is None:
                raise WireInvalid(f"column {key!r} has no unit")
            batch.u[key] = code.ucum


def decode_batch(payload: bytes) -> VitalsBatch:
    """Decode and check a payload.

    Raises:
        WireVersionUnknown: a version that this code does not know.
        WireInvalid: anything else that breaks the contract.
    """
    text = unpack_text(payload)
    try:
        batch = _decoder.decode(text)
    except UNREADABLE as error:
        check_version(text)
        raise WireInvalid(str(error)) from error
    if batch.v != VERSION:
        raise WireVersionUnknown(batch.v)
    _fill_in(batch)
    _check_columns(batch)
    return batch


def decode_checked(payload: bytes) -> VitalsBatch:
    """A payload that `decode_batch` has checked once, as it lies in a store; it is believed."""
    batch = _decoder.decode(unpack_text(payload))
    _fill_in(batch)
    return batch


def check_version(payload: bytes) -> None:
    """Look at `v` alone, so that an unknown version is told apart from a broken message.

    Raises:
        WireVersionUnknown, WireInvalid: as their names say.
    """
    try:
        version = _version_decoder.decode(payload).v
    except UNREADABLE as error:
        raise WireInvalid(str(error)) from error
    if version != VERSION:
        raise WireVersionUnknown(version)


def _check_columns(batch: VitalsBatch) -> None:
    rows = len(batch.dt)
    if rows == 0 or len(batch.rx) != rows:
        raise WireInvalid(f"{rows} rows in dt but {len(batch.rx)} in rx")
    if batch.s < 1:
        raise WireInvalid(f"sequence {batch.s} is below 1")
    for key, column in batch.m.items():
        if len(column) != rows or (batch.q and len(batch.q.get(key, column)) != rows):
            raise WireInvalid(f"column {key!r} does not have {rows} rows")
    low, high = min(*batch.dt, *batch.rx), max(*batch.dt, *batch.rx)
    if max(abs(batch.t0), abs(low), abs(high)) > _EXACT:
        raise WireInvalid(f"time {batch.t0} or an offset of it is out of range")
    check_date(batch.t0 + low, batch.t0 + high)
    if batch.sent:
        check_date(batch.sent)
    for texts in batch.dv.values():
        for text in texts.values():
            _check_device_time(text)


def check_date(*milliseconds: int) -> None:
    """Times that a message tells.

    Raises:
        WireInvalid: one is not between 1900 and 9999.
    """
    for moment in milliseconds:
        if not _FIRST_MS <= moment <= _LAST_MS:
            raise WireInvalid(f"time {moment} ms is not a date")


def _check_device_time(text: str) -> None:
    try:
        device_time = datetime.fromisoformat(text)
        if device_time.tzinfo is not None:
            device_time.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise WireInvalid(f"device time {text!r} is not ISO 8601 of a year that can be") from error


def stamp_batch(payload: bytes, *, lane: Lane, s: int, sent_ms: int, timing: Timing = AS_READ) -> bytes:
    """Write sequence and moment of publishing into a spooled payload; mark it historical when it is old."""
    batch = _stamp_decoder.decode(unpack_text(payload))
    batch.t0 += timing.moved_ms
    if timing.src is not None:
        batch.clk = msgspec.Raw(_encoder.encode(ClockState(src=timing.src)))
    newest = batch.t0 + max(batch.dt)
    batch.lane, batch.s, batch.sent = lane, s, sent_ms
    batch.h = int(timing.src == LOST or sent_ms - newest > HISTORICAL_AFTER_MS)
    return pack_text(_encoder.encode(batch))


def join_batches(*payloads: bytes) -> bytes | None:
    """One payload with the values of all; None where they do not belong together.

    They are of one source, one run of the agent and one state of its clock, and no value meets another.
    """
    batches = [decode_batch(payload) for payload in payloads]
    first = batches[0]
    if len({(batch.ln, batch.boot, batch.src, batch.clk) for batch in batches}) > 1:
        return None
    envelope = Envelope(ln=first.ln, boot=first.boot, lane=first.lane, s=first.s)
    items = [item for batch in batches for item in read_batch(batch)]
    try:
        return encode_batch(build_batch(items, src=first.src, envelope=envelope, clock=first.clk))
    except ValueError:
        return None
