"""The newest value of every key of a source, as it lies in the table `latest`. Pure."""

from collections.abc import Iterable
from datetime import timedelta

import msgspec

from cloud.events import Reading
from cloud.series.model import Held, from_us, to_us
from vitals.observation import Flag, Quality, SourceId, VitalKey


class LatestCell(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One value; times in microseconds since the Unix epoch. `shift_us` is None where no clock tells when."""

    key: str
    value: float | None
    unit: str
    measured_us: int
    received_us: int
    stored_us: int
    quality: Quality
    flags: tuple[Flag, ...]
    late: bool
    shift_us: int | None


Latest = dict[str, LatestCell]
"""By key."""

_decoder = msgspec.json.Decoder(list[LatestCell])
_encoder = msgspec.json.Encoder()


def read_latest(content: bytes) -> Latest:
    """The cells of a row."""
    return {cell.key: cell for cell in _decoder.decode(content)}


def write_latest(cells: Iterable[LatestCell]) -> bytes:
    """The row again."""
    return _encoder.encode(list(cells))


def is_held(cell: LatestCell, held: Held) -> bool:
    """Whether it was measured within an interval, whichever of its two times is right."""
    if cell.shift_us is None or not held.first_us <= cell.measured_us < held.end_us:
        return False
    times = (cell.measured_us, cell.measured_us + cell.shift_us)
    return all(held.from_us <= at_us < held.to_us for at_us in times)


def of_reading(reading: Reading) -> LatestCell:
    """A stored reading as a cell."""
    shift = reading.clock_shift
    return LatestCell(
        key=reading.key,
        value=reading.value,
        unit=reading.unit,
        measured_us=to_us(reading.measured_at),
        received_us=to_us(reading.received_at),
        stored_us=to_us(reading.stored_at or reading.arrived_at),
        quality=reading.quality,
        flags=reading.flags,
        late=reading.late,
        shift_us=None if shift is None else shift // timedelta(microseconds=1),
    )


def to_reading(cell: LatestCell, src: SourceId) -> Reading:
    """The value as the rooms speak of it."""
    shift = None if cell.shift_us is None else timedelta(microseconds=cell.shift_us)
    return Reading(
        src=src,
        key=VitalKey(cell.key),
        value=cell.value,
        unit=cell.unit,
        measured_at=from_us(cell.measured_us),
        received_at=from_us(cell.received_us),
        arrived_at=from_us(cell.stored_us),
        stored_at=from_us(cell.stored_us),
        quality=cell.quality,
        flags=cell.flags,
        late=cell.late,
        clock_shift=shift,
    )
