"""What a writer knows of agents, lanes and sources, and will know if its transaction commits. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from cloud.events import CONTINUOUS_WITHIN_S
from cloud.ingest.model import (
    Decoded,
    LaneProgress,
    Measured,
    Reason,
    Refused,
    StatusMessage,
    VitalsMessage,
    WaveBlockMessage,
    is_in_order,
    newest_cells,
    split_batch,
)
from cloud.series.latest import Latest, LatestCell, write_latest
from cloud.series.model import BatchRow, to_us
from vitals.observation import SourceId, VitalKey
from vitals.wire.batch import VitalsBatch, encode_batch
from vitals.wire.topics import Lane

SpoolId = tuple[str, str]
"""(agent, lineage): one spool, whose three lanes are counted."""
HEARD_EVERY = timedelta(seconds=1)
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Source:
    """What a writer knows of a source. Of no key anything is stored that is newer than its latest cell."""

    agent: str
    src_no: int
    continuous: frozenset[str]
    agreed_at: datetime | None
    version: int
    latest: Latest


@dataclass(slots=True)
class LaneState:
    """A lane by its number in the database, and what was received of it."""

    number: int
    progress: LaneProgress


@dataclass(slots=True)
class Part:
    """The values of a message that are stored in one way."""

    message: VitalsMessage
    batch: VitalsBatch
    is_series: bool


@dataclass(slots=True)
class Memory:
    """What a writer knows; it follows the commits, never leads them."""

    lanes: dict[SpoolId, dict[Lane, LaneState]] = field(default_factory=dict)
    sources: dict[SourceId, Source] = field(default_factory=dict)
    agents: dict[str, tuple[str | None, datetime]] = field(default_factory=dict)
    """By agent its spool, and when it was last noted that it spoke."""

    def forget(self) -> None:
        """Somebody else has written what is remembered otherwise."""
        for known in (self.lanes, self.sources, self.agents):
            known.clear()


@dataclass(slots=True)
class Draft:
    """What the writer will know if the transaction commits."""

    now: datetime
    agents: dict[str, tuple[str | None, datetime]] = field(default_factory=dict)
    lanes: dict[SpoolId, dict[Lane, LaneState]] = field(default_factory=dict)
    advanced: set[tuple[SpoolId, Lane]] = field(default_factory=set)
    touched: dict[str, str] = field(default_factory=dict)
    sources: dict[SourceId, Source] = field(default_factory=dict)
    marks: dict[SourceId, dict[str, int]] = field(default_factory=dict)
    newest: dict[SourceId, Latest] = field(default_factory=dict)
    now_us: int = 0

    def __post_init__(self) -> None:
        self.now_us = to_us(self.now)

    def progress(self) -> dict[int, LaneProgress]:
        """What was received now, by the number of the lane."""
        states = [self.lanes[spool][lane] for spool, lane in self.advanced]
        return {state.number: state.progress for state in states}


@dataclass(slots=True)
class AtOnce:
    """What one statement writes, for which nothing has to be asked."""

    heard: list[str] = field(default_factory=list)
    rows: list[BatchRow] = field(default_factory=list)
    blocks: list[WaveBlockMessage] = field(default_factory=list)
    newest: list[tuple[int, int, bytes]] = field(default_factory=list)
    progress: dict[int, LaneProgress] = field(default_factory=dict)


def draft_at_once(messages: Sequence[Decoded], memory: Memory, draft: Draft) -> AtOnce | None:
    """The common case: waves, and values that are newer than all, of agents and sources that are known.

    None where anything has to be looked up, compared or stored value by value; the draft is of no use then.
    """
    found = AtOnce()
    parts: list[Part] = []
    for item in messages:
        if not isinstance(item, VitalsMessage | WaveBlockMessage) or not _is_known(item, memory, draft):
            return None
        if not _advance(item, draft):
            continue
        if isinstance(item, WaveBlockMessage):
            found.blocks.append(item)
            continue
        batch = item.batch
        part = Part(item, batch, True)  # noqa: FBT003 # as the others are made
        if batch.dv or split_batch(item, draft.sources[item.src].continuous).series is not batch:
            return None
        if not is_beyond_all(part, draft):
            return None
        parts.append(part)
    keys = {(block.src, block.message.block.stream, block.message.block.t0_us) for block in found.blocks}
    if len(keys) < len(found.blocks):
        return None
    found.rows = [batch_row(part, draft) for part in parts]
    for part in parts:
        note_newest_of(part, draft)
    found.newest = newest_rows(draft)
    found.progress = draft.progress()
    found.heard = [agent for agent in draft.touched if draft.now - memory.agents[agent][1] >= HEARD_EVERY]
    draft.agents |= {agent: (memory.agents[agent][0], draft.now) for agent in found.heard}
    return found


def _is_known(item: VitalsMessage | WaveBlockMessage, memory: Memory, draft: Draft) -> bool:
    """Whether nothing new is said of agent, spool, lane and source; they are in the draft then."""
    place, src = item.place, item.src
    spool = place.agent, place.lineage
    if spool not in draft.lanes:
        lanes, agent = memory.lanes.get(spool), memory.agents.get(place.agent)
        if lanes is None or agent is None or agent[0] != place.lineage:
            return False
        draft.lanes[spool] = {lane: replace(state) for lane, state in lanes.items()}
    if src not in draft.sources:
        source = memory.sources.get(src)
        if source is None:
            return False
        draft.sources[src] = source
    return place.lane in draft.lanes[spool] and draft.sources[src].agent == place.agent


def _advance(item: VitalsMessage | WaveBlockMessage, draft: Draft) -> bool:
    """Count it as received; False when it was before."""
    place = item.place
    spool = place.agent, place.lineage
    draft.touched[place.agent] = place.lineage
    state = draft.lanes[spool][place.lane]
    if state.progress.has(place.s):
        return False
    state.progress = state.progress.add(place.s)
    draft.advanced.add((spool, place.lane))
    return True


def check_owners(messages: Sequence[Decoded], draft: Draft) -> tuple[list[Measured], list[Refused]]:
    """What comes from the agent that has the source, and what is refused."""
    measured: list[Measured] = []
    refused: list[Refused] = []
    for item in messages:
        if isinstance(item, Refused):
            refused.append(item)
        elif not isinstance(item, StatusMessage):
            owner = draft.sources[item.src].agent
            if owner == item.place.agent:
                measured.append(item)
            else:
                detail = f"source {item.src} belongs to another agent"
                refused.append(
                    Refused(arrived=item.arrived, reason=Reason.OWNER, detail=detail, place=item.place)
                )
    return measured, refused


def continuous_keys(cadence: "Mapping[VitalKey, float] | Mapping[str, float]") -> frozenset[str]:
    """What a source tells by itself, again and again."""
    return frozenset(key for key, cadence_s in cadence.items() if cadence_s <= CONTINUOUS_WITHIN_S)


def parts_of(message: VitalsMessage, draft: Draft) -> list[Part]:
    """A message by how its values are stored."""
    split = split_batch(message, draft.sources[message.src].continuous)
    return [
        Part(message, batch, is_series)
        for batch, is_series in ((split.series, True), (split.spots, False))
        if batch is not None
    ]


def is_beyond_all(part: Part, draft: Draft) -> bool:
    """Whether all of it was measured after all that is, or is going to be, stored of its keys."""
    message = part.message
    latest = draft.sources[message.src].latest
    marks = draft.marks.setdefault(message.src, {})
    is_beyond = True
    for key in part.batch.m:
        mark = marks.get(key)
        if mark is None:
            cell = latest.get(key)
            mark = message.first_ms - 1 if cell is None else cell.measured_us // 1000
        if message.first_ms <= mark:
            is_beyond = False
        marks[key] = max(mark, message.last_ms)
    return is_beyond and is_in_order(part.batch)


def batch_row(part: Part, draft: Draft) -> BatchRow:
    """As it lies in the store of series."""
    message = part.message
    place = message.place
    is_whole = part.batch is message.batch
    return BatchRow(
        draft.sources[message.src].src_no,
        draft.lanes[place.agent, place.lineage][place.lane].number,
        message.first_ms,
        place.s,
        message.last_ms,
        draft.now_us,
        message.shift_us,
        message.arrived.payload if is_whole else encode_batch(part.batch),
    )


def note_newest_of(part: Part, draft: Draft) -> None:
    """What of a part is newer than what was noted."""
    newest = draft.newest.setdefault(part.message.src, {})
    for cell in newest_cells(part.batch, stored_us=draft.now_us, shift_us=part.message.shift_us):
        note_newest(newest, cell)


def note_newest(newest: Latest, cell: LatestCell) -> None:
    """Keep what was measured last."""
    known = newest.get(cell.key)
    if known is None or cell.measured_us > known.measured_us:
        newest[cell.key] = cell


def newest_rows(draft: Draft) -> list[tuple[int, int, bytes]]:
    """Once per source what was measured last, not what came last: number, version, cells."""
    rows = []
    for src, newest in draft.newest.items():
        source = draft.sources[src]
        latest = dict(source.latest)
        for cell in newest.values():
            note_newest(latest, cell)
        draft.sources[src] = Source(
            source.agent, source.src_no, source.continuous, source.agreed_at, source.version + 1, latest
        )
        rows.append((source.src_no, source.version + 1, write_latest(latest.values())))
    return rows
