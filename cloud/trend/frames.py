"""A trend as columns for a browser, byte for byte (docs/live-api.md).

    msgpack map ─┬─ everything but numbers, as the JSON has it
                 ├─ series: kind and decimals of its numbers, and where each column begins
                 ├─ pad: so many zero bytes that the next value begins at a multiple of eight
                 └─ columns: the numbers, little-endian, each column at a multiple of eight

Monitors round: 36.6 is 366 tenths, two bytes instead of eight. Numbers are written so only if dividing gives
each of them back to the bit; others are written as the doubles that they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from cloud.series.model import Floats, Ints
from cloud.series.numbers import scale
from cloud.trend.model import Series
from cloud.trend.service import Trend
from vitals.gap import Gap
from vitals.observation import VitalKey
from vitals.wire.batch import to_ms

MEDIA_TYPE = "application/vnd.qianli.trend+msgpack"

_ALIGNED = 8
_MOST_DECIMALS = 3
_SIGNED = {"i1": (-(2**7), 2**7 - 1), "i2": (-(2**15), 2**15 - 1), "i4": (-(2**31), 2**31 - 1)}
_UNSIGNED = {"u1": (0, 2**8 - 1), "u2": (0, 2**16 - 1), "u4": (0, 2**32 - 1)}


class _Series(msgspec.Struct):
    """`t` to `last` are the first bytes of the columns within `columns`."""

    unit: str
    n: int
    first_t: int
    t_kind: str
    kind: str
    decimals: int
    t: int
    min: int
    max: int
    first: int
    last: int


class _Gap(msgspec.Struct):
    src: str
    keys: Sequence[str]
    cause: str
    from_at: int
    to_at: int | None


class _Frame(msgspec.Struct):
    from_at: int
    to_at: int
    step_ms: int
    measured_since_at: int | None
    series: dict[VitalKey, _Series]
    gaps: list[_Gap]
    pad: bytes
    columns: bytes


@dataclass(slots=True)
class _Columns:
    """Columns one after another; one that is there already is told twice and written once."""

    _parts: list[bytes] = field(default_factory=list)
    _length: int = 0
    _known: dict[tuple[str, bytes], int] = field(default_factory=dict)

    def add(self, numbers: Ints | Floats, *, kind: str) -> int:
        """Where the column begins."""
        content = numbers.astype(f"<{kind}").tobytes()
        at = self._known.setdefault((kind, content), self._length)
        if at == self._length:
            content += bytes(-len(content) % _ALIGNED)
            self._parts.append(content)
            self._length += len(content)
        return at

    def joined(self) -> bytes:
        """All of them."""
        return b"".join(self._parts)


def encode_trend(trend: Trend) -> bytes:
    """The answer in columns."""
    columns = _Columns()
    frame = _Frame(
        from_at=to_ms(trend.from_at),
        to_at=to_ms(trend.to_at),
        step_ms=trend.step_ms,
        measured_since_at=None if trend.measured_since_at is None else to_ms(trend.measured_since_at),
        series={key: _series(one, columns, step_ms=trend.step_ms) for key, one in trend.series.items()},
        gaps=[_gap(gap) for gap in trend.gaps],
        pad=b"",
        columns=columns.joined(),
    )
    unaligned = msgspec.msgpack.encode(frame)
    frame.pad = bytes((len(frame.columns) - len(unaligned)) % _ALIGNED)
    return msgspec.msgpack.encode(frame) if frame.pad else unaligned


def _series(series: Series, columns: _Columns, *, step_ms: int) -> _Series:
    steps = series.steps
    first_t = int(steps.starts_ms[0])
    counts = (steps.starts_ms - first_t) // step_ms
    t_kind = _kind_of(counts, _UNSIGNED) or "f8"
    numbers, kind, decimals = _shortest(np.stack([steps.lowest, steps.highest, steps.first, steps.last]))
    return _Series(
        unit=series.unit,
        n=len(counts),
        first_t=first_t,
        t_kind=t_kind,
        kind=kind,
        decimals=decimals,
        t=columns.add(counts, kind=t_kind),
        min=columns.add(numbers[0], kind=kind),
        max=columns.add(numbers[1], kind=kind),
        first=columns.add(numbers[2], kind=kind),
        last=columns.add(numbers[3], kind=kind),
    )


def _shortest(numbers: Floats) -> tuple[Ints | Floats, str, int]:
    """Exactly these numbers in as few bytes as a typed array can have: with their kind and decimals."""
    for decimals in range(_MOST_DECIMALS + 1):
        scaled = scale(numbers, decimals)
        kind = None if scaled is None else _kind_of(scaled, _SIGNED)
        if scaled is not None and kind is not None:
            return scaled, kind, decimals
    return numbers, "f8", 0


def _gap(gap: Gap) -> _Gap:
    return _Gap(
        src=gap.src,
        keys=gap.keys,
        cause=gap.cause.value,
        from_at=to_ms(gap.started_at),
        to_at=None if gap.ended_at is None else to_ms(gap.ended_at),
    )


def _kind_of(integers: Ints, kinds: Mapping[str, tuple[int, int]]) -> str | None:
    """The shortest kind that holds them all."""
    lowest, highest = int(integers.min()), int(integers.max())
    return next((kind for kind, (least, most) in kinds.items() if least <= lowest and highest <= most), None)
