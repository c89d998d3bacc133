"""What a step of time holds of one key: number, extremes, sum, first and last. They add up exactly. Pure."""

import struct
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields

import msgspec
import numpy as np

from cloud.series.model import Block, Floats, Ints, Mask
from cloud.series.numbers import compress, expand, read_floats, read_ints, scale, write_floats, write_ints
from vitals.observation import VitalKey

_LENGTH = struct.Struct("<I")


@dataclass(slots=True)
class Steps:
    """Of one key and unit, the steps in which a value was measured, in the order of time.

    Values that the device rejects do not count. `first_ms` and `last_ms` tell when those were measured.
    """

    starts_ms: Ints
    counts: Ints
    lowest: Floats
    highest: Floats
    sums: Floats
    first: Floats
    first_ms: Ints
    last: Floats
    last_ms: Ints


Rollup = dict[tuple[VitalKey, str], Steps]


def roll_up(block: Block, *, step_ms: int, mask: Mask | None = None) -> Rollup:
    """The steps of a block; only of the rows of a mask if there is one."""
    found: Rollup = {}
    for name, column in block.columns.items():
        chosen = column.has_value() if mask is None else column.has_value() & mask
        if chosen.all():
            if len(chosen):
                found[name] = _steps(block.t_ms, column.values, step_ms)
        elif chosen.any():
            found[name] = _steps(block.t_ms[chosen], column.values[chosen], step_ms)
    return found


def _steps(t_ms: Ints, values: Floats, step_ms: int) -> Steps:
    if (np.diff(t_ms) < 0).any():
        order = np.argsort(t_ms, kind="stable")
        t_ms, values = t_ms[order], values[order]
    starts, at = _runs_of_steps(t_ms, step_ms)
    last = np.append(at[1:], len(t_ms)) - 1
    return Steps(
        starts_ms=starts,
        counts=np.diff(np.append(at, len(t_ms))),
        lowest=np.minimum.reduceat(values, at),
        highest=np.maximum.reduceat(values, at),
        sums=_sums(values, at),
        first=values[at],
        first_ms=t_ms[at],
        last=values[last],
        last_ms=t_ms[last],
    )


def _runs_of_steps(t_ms: Ints, step_ms: int) -> tuple[Ints, Ints]:
    """The steps of times in order, and where each begins."""
    begin, end = int(t_ms[0]) // step_ms * step_ms, int(t_ms[-1])
    if end - begin > step_ms * len(t_ms):  # far apart: dividing each is less than looking for every step
        return _runs(t_ms - t_ms % step_ms)
    edges = np.arange(begin, end + 1, step_ms, dtype=np.int64)
    at = np.searchsorted(t_ms, edges)
    is_filled = np.diff(at, append=len(t_ms)) > 0
    return edges[is_filled], at[is_filled]


def _runs(starts: Ints) -> tuple[Ints, Ints]:
    at = np.flatnonzero(np.diff(starts, prepend=starts[0] - 1)).astype(np.int64)
    return starts[at], at


def _sums(values: Floats, at: Ints) -> Floats:
    """Sums without the rounding of each addition, where the values have few decimals."""
    plain: Floats = np.add.reduceat(values, at)
    if bool(np.all(np.rint(values) == values)) and float(np.abs(values).max()) * len(values) < 2.0**53:
        return plain  # doubles add whole numbers of this size exactly
    for decimals in range(1, 4):
        scaled = scale(values, decimals)
        if scaled is not None:
            total: Floats = np.add.reduceat(scaled, at) / 10.0**decimals
            return total
    return plain


def merge_steps(several: Sequence[Steps], *, step_ms: int) -> Steps:
    """The same values in longer steps, or of several blocks together."""
    if len(several) == 1 and not (several[0].starts_ms % step_ms).any() and _is_apart(several[0]):
        return several[0]
    whole = Steps(*(np.concatenate([getattr(one, part.name) for one in several]) for part in fields(Steps)))
    starts = whole.starts_ms - whole.starts_ms % step_ms
    by_first = np.lexsort((whole.first_ms, starts))
    runs, at = _runs(starts[by_first])
    by_last = np.lexsort((whole.last_ms, starts))
    ends = by_last[np.append(at[1:], len(starts)) - 1]
    begins = by_first[at]
    return Steps(
        starts_ms=runs,
        counts=np.add.reduceat(whole.counts[by_first], at),
        lowest=np.minimum.reduceat(whole.lowest[by_first], at),
        highest=np.maximum.reduceat(whole.highest[by_first], at),
        sums=np.add.reduceat(whole.sums[by_first], at),
        first=whole.first[begins],
        first_ms=whole.first_ms[begins],
        last=whole.last[ends],
        last_ms=whole.last_ms[ends],
    )


def _is_apart(steps: Steps) -> bool:
    return bool((np.diff(steps.starts_ms) > 0).all())


def merge_rollups(several: Iterable[Rollup], *, step_ms: int) -> Rollup:
    """One rollup of several."""
    parts: dict[tuple[VitalKey, str], list[Steps]] = {}
    for one in several:
        for name, steps in one.items():
            parts.setdefault(name, []).append(steps)
    return {name: merge_steps(steps, step_ms=step_ms) for name, steps in parts.items()}


class _Section(msgspec.Struct, array_like=True):
    key: str
    unit: str
    length: int


_read_index = msgspec.msgpack.Decoder(list[_Section])


def write_rollup(rollup: Rollup) -> bytes:
    """A rollup as bytes; a section per key."""
    named = sorted(rollup.items())
    sections = [compress(_write_steps(steps)) for _, steps in named]
    index = [_Section(key, unit, len(one)) for ((key, unit), _), one in zip(named, sections, strict=True)]
    head = msgspec.msgpack.encode(index)
    return b"".join([_LENGTH.pack(len(head)), head, *sections])


def read_rollup(content: bytes, *, keys: Collection[str] | None = None) -> Rollup:
    """The rollup again; `keys` None is every key."""
    (length,) = _LENGTH.unpack_from(content)
    at = _LENGTH.size + length
    found: Rollup = {}
    for section in _read_index.decode(content[_LENGTH.size : at]):
        if keys is None or section.key in keys:
            steps = _read_steps(expand(content[at : at + section.length]))
            found[VitalKey(section.key), section.unit] = steps
        at += section.length
    return found


def _write_steps(steps: Steps) -> bytes:
    times = (steps.first_ms - steps.starts_ms, steps.last_ms - steps.starts_ms)
    numbers = (steps.lowest, steps.highest, steps.sums, steps.first, steps.last)
    return write_ints(np.stack([steps.starts_ms, steps.counts, *times])) + write_floats(np.stack(numbers))


def _read_steps(content: bytes) -> Steps:
    (starts_ms, counts, first_ms, last_ms), at = read_ints(content)
    (lowest, highest, sums, first, last), _ = read_floats(content, at)
    return Steps(
        starts_ms=starts_ms,
        counts=counts,
        lowest=lowest,
        highest=highest,
        sums=sums,
        first=first,
        first_ms=starts_ms + first_ms,
        last=last,
        last_ms=starts_ms + last_ms,
    )
