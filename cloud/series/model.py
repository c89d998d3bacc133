"""Continuous values in memory: columns of one source, of which every cell tells where it came from. Pure.

    message 0 ──┬── row 0 (measured, received) ── heart_rate 72 · spo2 97
                └── row 1                      ── heart_rate 73 · spo2 —
    message 1 ───── row 2                      ── heart_rate 73 · spo2 97

A cell is what one row says about one key. It is there if it has a value, or a flag that says why it has none.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from vitals.observation import Flag, Quality, SourceId, VitalKey
from vitals.wire.batch import VitalsBatch, unit_of
from vitals.wire.packing import unpack_text

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
LONGEST_BATCH_MS = 600_000
"""A message that spans more is stored value by value: so what overlaps an interval begins shortly before."""
FOREVER_US = 2**62
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LANE, S, SENT_MS, STORED_US, SHIFT_US, LATE = range(6)
"""The columns of `Block.heads`."""


def to_us(moment: datetime) -> int:
    """Whole microseconds since the Unix epoch."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def from_us(microseconds: int) -> datetime:
    """Aware UTC."""
    return _EPOCH + timedelta(microseconds=microseconds)


def bound_us(moment: datetime | None) -> int:
    """An end of a time range; None is no end."""
    return FOREVER_US if moment is None else to_us(moment)


def without_zone(device_time: datetime | None) -> datetime | None:
    """What a device's clock said; one that tells its zone is told in UTC."""
    if device_time is None or device_time.tzinfo is None:
        return device_time
    return device_time.astimezone(UTC).replace(tzinfo=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A source during an interval: from `from_us` on, before `to_us`.

    What a clock leaves in doubt must lie in it whichever of its times is right; `since_us` and `until_us`
    only choose by the measured time. Whoever asks with it has asked for the right before: a store knows
    sources and times, never people.
    """

    src: SourceId
    src_no: int
    from_us: int
    to_us: int
    since_us: int = -FOREVER_US
    until_us: int = FOREVER_US

    @property
    def first_us(self) -> int:
        """The first measured time that is asked for."""
        return max(self.from_us, self.since_us)

    @property
    def end_us(self) -> int:
        """Every measured time that is asked for is before it."""
        return min(self.to_us, self.until_us)

    def within(self, since_us: int, until_us: int) -> "Held":
        """Of the interval, what was measured in another one; it may be nothing."""
        return replace(self, since_us=max(self.since_us, since_us), until_us=min(self.until_us, until_us))


class BatchRow(NamedTuple):
    """A message as it lies in the database."""

    src_no: int
    lane_no: int
    t0_ms: int
    s: int
    until_ms: int
    stored_us: int
    shift_us: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A message that was read back."""

    batch: VitalsBatch
    lane_no: int
    stored_us: int
    shift_us: int


@dataclass(slots=True)
class Column:
    """The cells of one key and unit: one element per row of the block, NaN where there is no value.

    Sparse by row: cells without a value that are there nevertheless, and what is not usual of a cell.
    """

    values: Floats
    absent_told: set[int] = field(default_factory=set)
    qualities: dict[int, Quality] = field(default_factory=dict)
    flags: dict[int, tuple[Flag, ...]] = field(default_factory=dict)
    device_times: dict[int, str] = field(default_factory=dict)

    def is_there(self) -> Mask:
        """Which rows have the cell."""
        there = ~np.isnan(self.values)
        there[list(self.absent_told)] = True
        return there

    def has_value(self) -> Mask:
        """Which rows have a number that the device itself does not reject."""
        good = ~np.isnan(self.values)
        good[[row for row, quality in self.qualities.items() if quality is Quality.INVALID]] = False
        return good


_NO_VALUES: Floats = np.empty(0)
Columns = dict[tuple[VitalKey, str], Column]


@dataclass(slots=True)
class Block:
    """Messages of one source as columns, in no order."""

    heads: Ints
    """One row per message: lane, sequence, sent (ms), stored (us), clock shift (us), late."""
    message: Ints
    """Of each row, its message."""
    t_ms: Ints
    received_ms: Ints
    columns: Columns

    @property
    def shift_us(self) -> Ints:
        """Of each row, by how much later it may have been measured."""
        found: Ints = self.heads[:, SHIFT_US][self.message]
        return found

    def count(self) -> int:
        """How many cells there are."""
        return sum(int(column.is_there().sum()) for column in self.columns.values())

    def is_held(self, held: Held) -> Mask:
        """Which rows were measured within an interval, whichever of the two times is right."""
        t_us = self.t_ms * 1000
        mask = (t_us >= held.first_us) & (t_us < held.end_us)
        if self.heads[:, SHIFT_US].any():
            shifted = t_us + self.shift_us
            mask &= (shifted >= held.from_us) & (shifted < held.to_us)
        return mask

    def is_measured_in(self, several: Sequence[Held]) -> Mask:
        """Which rows say that they were measured in any of these intervals."""
        t_us = self.t_ms * 1000
        mask: Mask = np.zeros(len(t_us), np.bool_)
        for held in several:
            mask |= (t_us >= held.first_us) & (t_us < held.end_us)
        return mask

    def is_held_by(self, several: Sequence[Held]) -> Mask:
        """Which rows lie in any of these intervals: both times in the same one."""
        mask: Mask = np.zeros(len(self.t_ms), np.bool_)
        for held in several:
            mask |= self.is_held(held)
        return mask

    def rows(self, mask: Mask) -> "Block":
        """Only these rows, and only the messages and columns that they need."""
        kept = np.flatnonzero(mask)
        used, message = np.unique(self.message[kept], return_inverse=True)
        new_row = {int(old): new for new, old in enumerate(kept)}
        columns = {name: _take(column, kept, new_row) for name, column in self.columns.items()}
        return Block(
            heads=self.heads[used],
            message=message.astype(np.int64),
            t_ms=self.t_ms[kept],
            received_ms=self.received_ms[kept],
            columns={name: column for name, column in columns.items() if column.is_there().any()},
        )

    def vouched(self, mask: Mask) -> "Block":
        """The same, with the clock of these rows believed."""
        heads = self.heads.copy()
        heads[:, SHIFT_US] = 0
        return replace(
            self,
            heads=np.vstack([self.heads, heads]),
            message=self.message + np.where(mask, len(heads), 0),
        ).rows(np.ones(len(self.t_ms), np.bool_))


def _take(column: Column, kept: Ints, new_row: Mapping[int, int]) -> Column:
    return Column(
        column.values[kept],
        {new_row[row] for row in column.absent_told if row in new_row},
        {new_row[row]: said for row, said in column.qualities.items() if row in new_row},
        {new_row[row]: said for row, said in column.flags.items() if row in new_row},
        {new_row[row]: said for row, said in column.device_times.items() if row in new_row},
    )


def unpack(messages: Sequence[Unpacked], *, keys: frozenset[str] | None = None) -> Block:
    """Messages of one source as columns; `keys` None is every key."""
    counts = [len(one.batch.dt) for one in messages]
    t0 = np.repeat(np.array([one.batch.t0 for one in messages], np.int64), counts)
    lists: dict[tuple[VitalKey, str], list[float | None]] = {}
    columns: Columns = {}
    first = 0
    for one in messages:
        batch = one.batch
        for key, values in batch.m.items():
            if keys is not None and key not in keys:
                continue
            name = VitalKey(key), batch.u[key]
            cells = lists.setdefault(name, [])
            cells.extend([None] * (first - len(cells)))
            cells.extend(values)
            if name not in columns:
                columns[name] = Column(np.empty(0))
            _note_unusual(columns[name], batch, key=key, first=first)
        first += len(batch.dt)
    for name, cells in lists.items():
        cells.extend([None] * (first - len(cells)))
        columns[name].values = np.array(cells, np.float64)
        columns[name].absent_told = {row for row in columns[name].absent_told if cells[row] is None}
    return Block(
        heads=np.array(
            [
                (
                    one.lane_no,
                    one.batch.s,
                    one.batch.sent,
                    one.stored_us,
                    one.shift_us,
                    int(bool(one.batch.h)),
                )
                for one in messages
            ],
            np.int64,
        ).reshape(-1, 6),
        message=np.repeat(np.arange(len(messages), dtype=np.int64), counts),
        t_ms=t0 + np.array([offset for one in messages for offset in one.batch.dt], np.int64),
        received_ms=t0 + np.array([offset for one in messages for offset in one.batch.rx], np.int64),
        columns=columns,
    )


class _Values(msgspec.Struct):
    """Of a batch only what a curve needs; columns that nobody asks for are not read."""

    t0: int
    dt: list[int]
    u: dict[str, str] = {}
    m: dict[str, msgspec.Raw] = {}
    q: dict[str, list[Quality]] = {}


_read_values = msgspec.json.Decoder(_Values).decode
_read_column = msgspec.json.Decoder(list[float | None]).decode


def unpack_values(rows: Sequence[BatchRow], *, keys: Collection[str] | None = None) -> Block:
    """Messages of one source without flags, origin and times of their own; only the shift is as it was."""
    shifts = np.zeros((len(rows), 6), np.int64)
    shifts[:, SHIFT_US] = [row.shift_us for row in rows]
    batches = [_read_values(unpack_text(row.payload)) for row in rows]
    counts = [len(batch.dt) for batch in batches]
    offsets = np.array([offset for batch in batches for offset in batch.dt], np.int64)
    t_ms = np.repeat(np.array([batch.t0 for batch in batches], np.int64), counts) + offsets
    columns: Columns = {}
    lists: dict[tuple[VitalKey, str], list[float | None]] = {}
    first = 0
    for batch, count in zip(batches, counts, strict=True):
        for key, raw in batch.m.items():
            if keys is None or key in keys:
                name = VitalKey(key), batch.u.get(key) or unit_of(key)
                cells = lists.setdefault(name, [])
                if len(cells) < first:
                    cells.extend([None] * (first - len(cells)))
                cells.extend(_read_column(raw))
                if batch.q:
                    told = enumerate(batch.q.get(key, ()), first)
                    columns.setdefault(name, Column(_NO_VALUES)).qualities |= dict(told)
        first += count
    for name, cells in lists.items():
        cells.extend([None] * (first - len(cells)))
        columns.setdefault(name, Column(_NO_VALUES)).values = np.array(cells, np.float64)
    message = np.repeat(np.arange(len(rows), dtype=np.int64), counts)
    return Block(heads=shifts, message=message, t_ms=t_ms, received_ms=t_ms, columns=columns)


def _note_unusual(column: Column, batch: VitalsBatch, *, key: str, first: int) -> None:
    if key in batch.q:
        for idx, quality in enumerate(batch.q[key]):
            if quality is not Quality.GOOD:
                column.qualities[first + idx] = quality
    for text, flags in batch.f.get(key, {}).items():
        row = first + int(text)
        column.absent_told.add(row)
        if flags:
            column.flags[row] = tuple(flags)
    for text, device_time in batch.dv.get(key, {}).items():
        column.device_times[first + int(text)] = device_time


def join(blocks: Sequence[Block]) -> Block:
    """All rows of several blocks of one source."""
    if len(blocks) == 1:
        return blocks[0]
    total = sum(len(block.t_ms) for block in blocks)
    columns: Columns = {}
    row = message = 0
    messages = []
    for block in blocks:
        for name, column in block.columns.items():
            if name not in columns:
                columns[name] = Column(np.full(total, np.nan))
            whole = columns[name]
            whole.values[row : row + len(column.values)] = column.values
            whole.absent_told |= {row + at for at in column.absent_told}
            whole.qualities |= {row + at: said for at, said in column.qualities.items()}
            whole.flags |= {row + at: said for at, said in column.flags.items()}
            whole.device_times |= {row + at: said for at, said in column.device_times.items()}
        messages.append(block.message + message)
        row += len(block.t_ms)
        message += len(block.heads)
    return Block(
        heads=np.vstack([block.heads for block in blocks]),
        message=np.concatenate(messages),
        t_ms=np.concatenate([block.t_ms for block in blocks]),
        received_ms=np.concatenate([block.received_ms for block in blocks]),
        columns=columns,
    )


def iterate_cells(block: Block, src: SourceId, *, lanes: Mapping[int, str]) -> Iterator[dict[str, Any]]:
    """Every cell in the order of time, in the words of the table `observation`."""
    order = np.argsort(block.t_ms, kind="stable")
    there = {name: column.is_there() for name, column in sorted(block.columns.items())}
    for row in map(int, order):
        head = block.heads[block.message[row]].tolist()
        for name, is_there in there.items():
            if is_there[row]:
                yield _cell(block, row, src=src, name=name) | {
                    "sent_at": from_us(head[SENT_MS] * 1000),
                    "stored_at": from_us(head[STORED_US]),
                    "late": bool(head[LATE]),
                    "lane": lanes.get(head[LANE], ""),
                    "s": head[S],
                    "clock_shift": timedelta(microseconds=head[SHIFT_US]),
                }


def _cell(block: Block, row: int, *, src: SourceId, name: tuple[VitalKey, str]) -> dict[str, Any]:
    column = block.columns[name]
    value = float(column.values[row])
    device_time = column.device_times.get(row)
    return {
        "src": src,
        "key": name[0],
        "measured_at": from_us(int(block.t_ms[row]) * 1000),
        "value": None if np.isnan(value) else value,
        "unit": name[1],
        "quality": column.qualities.get(row, Quality.GOOD).value,
        "flags": [flag.value for flag in column.flags.get(row, ())],
        "device_time": None if device_time is None else without_zone(datetime.fromisoformat(device_time)),
        "received_at": from_us(int(block.received_ms[row]) * 1000),
    }
