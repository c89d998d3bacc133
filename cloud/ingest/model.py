"""What a message says, checked against the wire contract; and what was received of each sequence.

What is made for every message is a `msgspec.Struct`, which takes a fifth of the time of a frozen dataclass.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from math import isnan
from typing import NamedTuple, TypeVar

import msgspec
from msgspec.structs import replace

from cloud.series.latest import LatestCell
from cloud.series.model import LONGEST_BATCH_MS, Block, Held, to_us
from vitals.gap import Gap
from vitals.observation import Flag, Observation, Quality, SourceId, VitalKey
from vitals.wire.batch import (
    LOST,
    SYNCHRONISED,
    ClockState,
    VitalsBatch,
    check_date,
    decode_batch,
    from_ms,
    read_batch,
    row_of,
)
from vitals.wire.errors import UNREADABLE, WireError, WireInvalid, WireVersionUnknown
from vitals.wire.event import decode_event, read_gap
from vitals.wire.packing import unpack_text
from vitals.wire.status import Status, decode_status, read_wave_layout
from vitals.wire.topics import Lane, parse_agent_topic
from vitals.wire.wave_block import WaveMessage, decode_wave, peek_envelope

FUTURE_ALLOWED = timedelta(minutes=5)
_FUTURE_US = FUTURE_ALLOWED // timedelta(microseconds=1)
CLOCK_TOLERANCE = timedelta(seconds=1)
_TOLERANCE_US = CLOCK_TOLERANCE // timedelta(microseconds=1)
CLOCK_AGREED_WITHIN = timedelta(hours=24)
"""How long what comes from a device's memory is believed after its clock was seen to be right."""
_T = TypeVar("_T")
_OFFSET_POSSIBLE_MS = 100 * 365 * 86_400_000
OF_MEMORY = frozenset({Flag.STORED, Flag.CLOCK_NOT_SET})
_LARGEST_SEQUENCE = 2**63 - 2


class Reason(StrEnum):
    """Why a message lies in the dead letters."""

    CONTRACT = "contract"  # breaks the wire contract
    VERSION = "version"  # a newer peer speaks
    CLOCK = "clock"  # measured more than five minutes in the future
    OWNER = "owner"  # another agent serves this source
    DATABASE = "database"  # the database refuses what it says


class Arrived(msgspec.Struct, frozen=True, kw_only=True):
    """A message as it came from the broker; a retained one is no sign of life."""

    topic: str
    payload: bytes
    received_at: datetime
    retained: bool = False


class Place(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The place of a message in the sequences of its agent: its identity, however often it comes."""

    agent: str
    lineage: str
    lane: Lane
    s: int


class VitalsMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Observations of one source; `first_ms` and `last_ms` are the earliest and latest measured time."""

    arrived: Arrived
    place: Place
    src: SourceId
    batch: VitalsBatch
    first_ms: int
    last_ms: int
    shift_us: int = 0

    @property
    def observations(self) -> tuple[Observation, ...]:
        """One by one."""
        return tuple(read_batch(self.batch))

    @property
    def sent_at(self) -> datetime:
        """When it was published."""
        return from_ms(self.batch.sent)

    @property
    def late(self) -> bool:
        """Whether it fills history only."""
        return bool(self.batch.h)

    @property
    def clock_shift(self) -> timedelta:
        """By how much the clock of the agent may be wrong."""
        return timedelta(microseconds=self.shift_us)


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveBlockMessage:
    """One block of a wave."""

    arrived: Arrived
    place: Place
    message: WaveMessage
    sent_at: datetime
    clock_shift: timedelta = timedelta(0)

    @property
    def src(self) -> SourceId:
        """The source of the block."""
        return self.message.src


@dataclass(frozen=True, slots=True, kw_only=True)
class GapMessage:
    """A gap of one source."""

    arrived: Arrived
    place: Place
    gap: Gap

    @property
    def src(self) -> SourceId:
        """The source that is silent."""
        return self.gap.src


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusMessage:
    """Birth, or the will."""

    arrived: Arrived
    agent: str
    status: Status

    @property
    def is_sign_of_life(self) -> bool:
        """Whether the agent itself said it just now; a will is the broker's word."""
        return self.status.online and not self.arrived.retained


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A message for the dead letters; its sequence number counts as received if it can be read."""

    arrived: Arrived
    reason: Reason
    detail: str
    place: Place | None


Measured = VitalsMessage | WaveBlockMessage | GapMessage
Decoded = Measured | StatusMessage | Refused


class _JsonPlace(msgspec.Struct):
    ln: str
    lane: Lane
    s: int


_place_decoder = msgspec.json.Decoder(_JsonPlace)


def peek_place(topic: str, payload: bytes) -> Place | None:
    """Where a message stands in its sequence, even if the rest of it cannot be read."""
    try:
        parsed = parse_agent_topic(topic)
        if parsed.name.startswith("wave/"):
            told = peek_envelope(payload)
            place = Place(agent=parsed.agent, lineage=told.ln, lane=told.lane, s=told.s)
        else:
            read = _place_decoder.decode(unpack_text(payload))
            place = Place(agent=parsed.agent, lineage=read.ln, lane=read.lane, s=read.s)
    except (WireError, *UNREADABLE):
        return None
    return place if _is_possible(place) else None


def _is_possible(place: Place) -> bool:
    possible = 1 <= place.s <= _LARGEST_SEQUENCE and 0 < len(place.lineage) <= 64
    return possible and "\x00" not in place.lineage


def decode(arrived: Arrived, *, now: datetime | None = None) -> Decoded:
    """Read a message; what cannot be read or is measured in the future is refused, never an exception.

    The future begins when it arrived, or `now` where a message is tried again.
    """
    known_at = now or arrived.received_at
    try:
        topic = parse_agent_topic(arrived.topic)
        if topic.name == "status":
            return _decode_status(topic.agent, arrived)
        if topic.name == "vitals":
            measured: Measured = _decode_vitals(topic.agent, arrived)
        else:
            measured = _decode_other(topic.name, arrived)
    except WireVersionUnknown as error:
        return _refuse(arrived, Reason.VERSION, str(error))
    except WireError as error:
        return _refuse(arrived, Reason.CONTRACT, str(error))
    except Exception as error:  # whatever an agent sends, it ends no worker
        return _refuse(arrived, Reason.CONTRACT, type(error).__name__)
    if _is_of_the_future(measured, known_at):
        detail = f"measured at {_newest(measured)}, received at {arrived.received_at}"
        return _refuse(arrived, Reason.CLOCK, detail)
    return measured


def _is_of_the_future(measured: Measured, known_at: datetime) -> bool:
    if isinstance(measured, VitalsMessage):
        return measured.last_ms * 1000 > to_us(known_at) + _FUTURE_US
    return _newest(measured) > known_at + FUTURE_ALLOWED


def _refuse(arrived: Arrived, reason: Reason, detail: str) -> Refused:
    place = peek_place(arrived.topic, arrived.payload)
    return Refused(arrived=arrived, reason=reason, detail=detail, place=place)


def _decode_status(agent: str, arrived: Arrived) -> StatusMessage:
    status = decode_status(arrived.payload)
    if status.agent != agent:
        raise WireInvalid(f"agent {status.agent!r} speaks on the topic of {agent!r}")
    for source in status.sources:
        for wave in source.waves:
            read_wave_layout(wave)
    return StatusMessage(arrived=arrived, agent=agent, status=status)


def _decode_vitals(agent: str, arrived: Arrived) -> VitalsMessage:
    batch = decode_batch(arrived.payload)
    place = Place(agent=agent, lineage=batch.ln, lane=batch.lane, s=batch.s)
    if not _is_possible(place):
        raise WireInvalid("it has no place in a sequence")
    last_ms, received_us = batch.t0 + max(batch.dt), to_us(arrived.received_at)
    shift_us = _shift_us(
        batch.sent * 1000,
        measured_us=last_ms * 1000,
        received_us=received_us,
        clock=batch.clk,
    )
    return VitalsMessage(
        arrived=arrived,
        place=place,
        src=batch.src,
        batch=batch,
        first_ms=batch.t0 + min(batch.dt),
        last_ms=last_ms,
        shift_us=shift_us,
    )


def _decode_other(name: str, arrived: Arrived) -> Measured:
    payload = arrived.payload
    place = peek_place(arrived.topic, payload)
    if place is None:
        raise WireInvalid("it has no place in a sequence")
    if name == "event":
        return GapMessage(arrived=arrived, place=place, gap=read_gap(decode_event(payload)))
    if not name.startswith("wave/"):
        raise WireInvalid(f"nothing is known about {name!r}")
    message = decode_wave(payload, stream=VitalKey(name.removeprefix("wave/")))
    if message.block.first_sample > _LARGEST_SEQUENCE:
        raise WireInvalid(f"sample counter {message.block.first_sample} is out of range")
    check_date(message.block.t0_us // 1000, message.block.end_us // 1000)
    return WaveBlockMessage(
        arrived=arrived,
        place=place,
        message=message,
        sent_at=from_ms(message.sent),
        clock_shift=clock_shift(
            from_ms(message.sent),
            measured_at=from_ms(message.block.end_us // 1000),
            received_at=arrived.received_at,
            clock=message.clock,
        ),
    )


def clock_shift(
    sent_at: datetime, *, measured_at: datetime, received_at: datetime, clock: ClockState
) -> timedelta:
    """By how much the clock of an agent may be wrong, as far as a message gives it away.

    An offset that was measured by an exchange shortly before is the answer, unless the value would then come
    from the future: that clock was set meanwhile. Without one: nothing arrives before it was sent or
    measured; such a clock is ahead. What arrives later than it was sent may have waited for us, or the clock
    is behind: a clock that a time service disciplines is believed. A clock that is lost may be wrong by any
    time: what it read belongs to nobody until somebody says so.
    """
    shift_us = _shift_us(
        to_us(sent_at), measured_us=to_us(measured_at), received_us=to_us(received_at), clock=clock
    )
    return timedelta(microseconds=shift_us)


def _shift_us(sent_us: int, *, measured_us: int, received_us: int, clock: ClockState) -> int:
    most = _OFFSET_POSSIBLE_MS * 1000  # beyond it a time could not be written any more
    shift = _told_shift_us(sent_us, measured_us=measured_us, received_us=received_us, clock=clock)
    return max(-most, min(most, shift))


def _told_shift_us(sent_us: int, *, measured_us: int, received_us: int, clock: ClockState) -> int:
    if clock.src == LOST:
        return -_OFFSET_POSSIBLE_MS * 1000
    if clock.off_ms is not None and abs(clock.off_ms) <= _OFFSET_POSSIBLE_MS:
        known = clock.off_ms * 1000
        if known - (received_us - measured_us) <= _TOLERANCE_US:
            return known if abs(known) > _TOLERANCE_US else 0
    is_believed = clock.src == SYNCHRONISED
    ahead = received_us - max(sent_us, measured_us)
    # A believed clock may have been set wrong since it measured what is not of the future.
    if ahead < -_TOLERANCE_US and not (is_believed and measured_us <= received_us):
        return ahead
    behind = received_us - sent_us
    return behind if behind > _TOLERANCE_US and not is_believed else 0


def shift_of(
    observation: Observation, *, of_agent: timedelta, agreed_at: datetime | None
) -> timedelta | None:
    """The shift of one value; None where the device's clock was never seen to be right lately."""
    if Flag.CLOCK_NOT_SET in observation.flags:
        return None
    if Flag.STORED not in observation.flags:
        return of_agent
    is_believed = agreed_at is not None and abs(observation.received_at - agreed_at) <= CLOCK_AGREED_WITHIN
    return of_agent if is_believed else None


def _newest(measured: Measured) -> datetime:
    match measured:
        case VitalsMessage():
            return from_ms(measured.last_ms)
        case WaveBlockMessage():
            return from_ms(measured.message.block.end_us // 1000)
        case GapMessage():
            return measured.gap.ended_at or measured.gap.started_at


def lineages_in(messages: Sequence[Decoded]) -> dict[str, str | None]:
    """The agents that speak, with their spools where they are told."""
    found: dict[str, str | None] = {}
    for item in messages:
        if isinstance(item, StatusMessage):
            found[item.agent] = item.status.ln or found.get(item.agent)
        elif item.place is not None:
            found[item.place.agent] = item.place.lineage
    return found


def heard_in(messages: Sequence[Decoded]) -> set[str]:
    """The agents that gave a sign of life themselves."""
    heard = set()
    for item in messages:
        if isinstance(item, StatusMessage):
            if item.is_sign_of_life:
                heard.add(item.agent)
        elif item.place is not None:
            heard.add(item.place.agent)
    return heard


class LaneProgress(msgspec.Struct, frozen=True):
    """What was received of one sequence: all up to `upto`, and islands beyond it as half-open ranges."""

    upto: int = 0
    ahead: tuple[tuple[int, int], ...] = ()

    def has(self, s: int) -> bool:
        """Whether `s` was received."""
        return s <= self.upto or any(first <= s < end for first, end in self.ahead)

    def add(self, s: int) -> "LaneProgress":
        """With `s` received too; repeats change nothing."""
        if s == self.upto + 1 and not self.ahead:
            return LaneProgress(s)
        return self._with((s, s + 1))

    def skip_to(self, s: int) -> "LaneProgress":
        """With everything up to `s` counted as received: the sender has it no longer."""
        return self._with((1, s + 1))

    def _with(self, island: tuple[int, int]) -> "LaneProgress":
        if island[1] <= self.upto + 1:
            return self
        islands = sorted([*self.ahead, island])
        merged = [(1, self.upto + 1)]
        for first, end in islands:
            last_first, last_end = merged[-1]
            if first <= last_end:
                merged[-1] = (last_first, max(last_end, end))
            else:
                merged.append((first, end))
        return LaneProgress(merged[0][1] - 1, tuple(merged[1:]))


class Split(NamedTuple):
    """A message by how its values are stored: with others of the message (`series`), or each as a row."""

    series: VitalsBatch | None
    spots: VitalsBatch | None


def split_batch(message: VitalsMessage, continuous: frozenset[str]) -> Split:
    """What a source sends by itself is stored by message; readings and what lay in a memory one by one."""
    batch = message.batch
    if continuous.isdisjoint(batch.m) or not _fits_series(message):
        return Split(None, batch)
    if continuous.issuperset(batch.m):
        return Split(batch, None)
    rest = frozenset(batch.m) - continuous
    return Split(_only(batch, continuous.intersection(batch.m)), _only(batch, rest))


def _fits_series(message: VitalsMessage) -> bool:
    """Whether the cloud can believe, find and read back every row of it."""
    batch = message.batch
    if message.last_ms - message.first_ms > LONGEST_BATCH_MS:
        return False
    if any("\x00" in key or "\x00" in batch.u[key] for key in batch.m):
        return False
    if not batch.f and not batch.dv:
        return True
    rows = len(batch.dt)
    told = [texts for by_key in (batch.f, batch.dv) for texts in by_key.values()]
    if any(row_of(text, rows) is None for texts in told for text in texts):
        return False
    return not any(OF_MEMORY.intersection(flags) for by_row in batch.f.values() for flags in by_row.values())


def _only(batch: VitalsBatch, keys: frozenset[str]) -> VitalsBatch:
    return replace(
        batch,
        m={key: column for key, column in batch.m.items() if key in keys},
        u={key: unit for key, unit in batch.u.items() if key in keys},
        q={key: column for key, column in batch.q.items() if key in keys},
        f={key: said for key, said in batch.f.items() if key in keys},
        dv={key: said for key, said in batch.dv.items() if key in keys},
    )


def is_in_order(batch: VitalsBatch) -> bool:
    """Whether each row was measured after the one before, so that no key comes twice at one time."""
    return len(batch.dt) == 1 or all(earlier < later for earlier, later in pairwise(batch.dt))


def clock_agreed_ms(batch: VitalsBatch) -> int | None:
    """When the device's own clock said last, in this batch, what its agent's did."""
    best: int | None = None
    for key, by_row in batch.dv.items():
        for text in by_row:
            row = row_of(text, len(batch.dt))
            if row is None or key not in batch.m or not is_cell(batch, key, row):
                continue
            if not OF_MEMORY.intersection(batch.f.get(key, {}).get(text, ())):
                best = max(best or batch.t0 + batch.rx[row], batch.t0 + batch.rx[row])
    return best


def is_cell(batch: VitalsBatch, key: str, row: int) -> bool:
    """Whether a row says something about a key."""
    return batch.m[key][row] is not None or str(row) in batch.f.get(key, {})


Known = dict[tuple[str, int], float | None]
"""What is stored of a source: by key and measured time (ms) the value."""


def known_cells(block: Block, *, spans: Sequence[Held]) -> Known:
    """What a block holds of these times."""
    known: Known = {}
    in_spans = block.is_measured_in(spans)
    for (key, _), column in block.columns.items():
        there = column.is_there() & in_spans
        cells = zip(block.t_ms[there].tolist(), column.values[there].tolist(), strict=True)
        known |= {(key, t_ms): None if isnan(value) else value for t_ms, value in cells}
    return known


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is new in a batch, and how often another value came for what is stored."""

    batch: VitalsBatch | None
    conflicts: Mapping[tuple[str, int], int]


def keep_new(batch: VitalsBatch, known: Known) -> Kept:
    """Drop what is stored already, the first value stays; `known` learns what is new."""
    dropped: dict[str, set[int]] = {}
    conflicts: dict[tuple[str, int], int] = {}
    is_anything_new = False
    times = [batch.t0 + offset for offset in batch.dt]
    for key, column in batch.m.items():
        told = batch.f.get(key, {})
        for row, value in enumerate(column):
            if value is None and str(row) not in told:
                continue
            place = key, times[row]
            if place not in known:
                known[place] = value
                is_anything_new = True
                continue
            dropped.setdefault(key, set()).add(row)
            if known[place] != value:
                conflicts[place] = conflicts.get(place, 0) + 1
    if not is_anything_new:
        return Kept(batch=None, conflicts=conflicts)
    return Kept(batch=_without(batch, dropped) if dropped else batch, conflicts=conflicts)


def _without(batch: VitalsBatch, dropped: Mapping[str, set[int]]) -> VitalsBatch:
    def left(key: str, by_row: Mapping[str, _T]) -> dict[str, _T]:
        gone = {str(row) for row in dropped.get(key, ())}
        return {text: said for text, said in by_row.items() if text not in gone}

    return replace(
        batch,
        m={
            key: [None if row in dropped.get(key, ()) else value for row, value in enumerate(column)]
            for key, column in batch.m.items()
        },
        f={key: left(key, by_row) for key, by_row in batch.f.items()},
        dv={key: left(key, by_row) for key, by_row in batch.dv.items()},
    )


def newest_cells(batch: VitalsBatch, *, stored_us: int, shift_us: int) -> Iterator[LatestCell]:
    """Of every key the newest cell."""
    late, last = bool(batch.h), batch.dt.index(max(batch.dt))
    measured_us, received_us = (batch.t0 + batch.dt[last]) * 1000, (batch.t0 + batch.rx[last]) * 1000
    for key, column in batch.m.items():
        unit, value = batch.u[key], column[last]
        if value is not None and not batch.q and not batch.f:
            times = (measured_us, received_us, stored_us)
            yield LatestCell(key, value, unit, *times, Quality.GOOD, (), late, shift_us)
            continue
        newest_first = sorted(range(len(batch.dt)), key=batch.dt.__getitem__, reverse=True)
        row = next((row for row in newest_first if is_cell(batch, key, row)), None)
        if row is not None:
            quality = batch.q[key][row] if key in batch.q else Quality.GOOD
            flags = tuple(batch.f.get(key, {}).get(str(row), ()))
            times = ((batch.t0 + batch.dt[row]) * 1000, (batch.t0 + batch.rx[row]) * 1000, stored_us)
            yield LatestCell(key, column[row], unit, *times, quality, flags, late, shift_us)
