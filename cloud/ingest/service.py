"""Writing messages: all that wait in one transaction, and only afterwards is anything acknowledged.

A message of continuous values that is newer than everything of its source goes to the database as it came.
Any other is compared with what is stored first, so that of every value the first that came stays. Where
nothing has to be asked for that, all is one statement (docs/decisions/0019-one-statement.md).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import msgspec
import psycopg
import structlog
from psycopg.errors import ProgramLimitExceeded, UniqueViolation
from zstandard import ZstdError

from cloud.identity.model import SYSTEM
from cloud.ingest import queries
from cloud.ingest.draft import (
    HEARD_EVERY,
    LONG_AGO,
    Draft,
    LaneState,
    Memory,
    Part,
    Source,
    SpoolId,
    batch_row,
    check_owners,
    continuous_keys,
    draft_at_once,
    is_beyond_all,
    newest_rows,
    note_newest,
    note_newest_of,
    parts_of,
)
from cloud.ingest.model import (
    Arrived,
    Decoded,
    GapMessage,
    Known,
    LaneProgress,
    Measured,
    Reason,
    Refused,
    StatusMessage,
    VitalsMessage,
    WaveBlockMessage,
    clock_agreed_ms,
    decode,
    heard_in,
    keep_new,
    known_cells,
    lineages_in,
)
from cloud.series.latest import of_reading, read_latest
from cloud.series.model import Held
from cloud.series.port import SeriesStore
from cloud.series.stores.postgres import POSTGRES
from cloud.store.connection import Database
from cloud.store.fence import Fence
from vitals.observation import SourceId
from vitals.wire.batch import from_ms, to_ms
from vitals.wire.errors import WireError
from vitals.wire.status import Ack
from vitals.wire.topics import LANES, Lane

_log = structlog.get_logger()

REFUSALS = (psycopg.DataError, psycopg.IntegrityError, ProgramLimitExceeded)
"""The database works and does not take what a message says (the last: longer than an index entry may be)."""
DEFECTS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, WireError, ZstdError)
"""Of a message, or of what is stored of its time; it must not come again and end one worker after another."""
BacklogRate = Callable[[str, Mapping[Lane, int], datetime], float | None]
"""Port: how many messages of its backlog an agent may send in a second; None leaves it to the agent."""
_SOURCES_KEPT = 100_000
"""Of so many sources a writer remembers what is stored; of any other it asks the database."""


class _MemoryStale(Exception):
    """Somebody else has written what this writer remembers otherwise."""


class Writer:
    """Turns messages into rows. One thread uses it; its memory follows the commits, never leads them.

    Whoever takes over the sources of another begins with a new one. If two write the same source,
    the later one notices it before its commit and begins anew.

    `fence` is asked in each transaction, and raises when somebody else writes now.
    """

    def __init__(
        self,
        fence: Fence,
        *,
        series: SeriesStore = POSTGRES,
        backlog_rate: BacklogRate = lambda _agent, _upto, _now: None,
    ) -> None:
        self._fence = fence
        self._backlog_rate = backlog_rate
        self._series = series
        self._memory = Memory()

    def write(self, connection: Database, messages: Sequence[Arrived], *, now: datetime) -> Mapping[str, Ack]:
        """Read messages and store them: as `store`."""
        return self.store(connection, [decode(message) for message in messages], now=now)

    def store(self, connection: Database, messages: Sequence[Decoded], *, now: datetime) -> Mapping[str, Ack]:
        """Store all messages, or raise and store none; returns what may be acknowledged to each agent.

        A message that the database refuses, or with which we cannot deal, goes to the dead letters, and the
        others beside it are stored.

        Raises:
            psycopg.Error: the database does not work; nothing was stored, the same messages can come again.
            CloudError: of the fence; nothing was stored.
        """
        try:
            return self._commit(connection, messages, now=now)
        except (*REFUSALS, *DEFECTS):
            parts = [self._store_alone(connection, message, now=now) for message in messages]
        return {agent: ack for part in parts for agent, ack in part.items()}

    def _store_alone(self, connection: Database, message: Decoded, *, now: datetime) -> Mapping[str, Ack]:
        try:
            return self._commit(connection, [message], now=now)
        except (*REFUSALS, *DEFECTS) as error:
            _log.warning("message_not_storable", error=" ".join(str(error).split()))
            place = None if isinstance(message, StatusMessage) else message.place
            refused = Refused(
                arrived=message.arrived, reason=Reason.DATABASE, detail=_said_of(error), place=place
            )
            return self._commit(connection, [refused], now=now)

    def _commit(
        self, connection: Database, messages: Sequence[Decoded], *, now: datetime
    ) -> Mapping[str, Ack]:
        """One transaction; a second one that trusts no memory if the first met what it does not remember."""
        try:
            at_once = self._commit_at_once(connection, messages, Draft(now=now))
            if at_once is not None:
                return at_once
        except UniqueViolation:
            _log.info("stored_before", messages=len(messages))
        except _MemoryStale:
            self._memory.forget()
        try:
            return self._transact(connection, messages, Draft(now=now), is_careful=False)
        except (_MemoryStale, UniqueViolation):
            _log.info("writer_memory_stale", messages=len(messages))
            self._memory.forget()
        return self._transact(connection, messages, Draft(now=now), is_careful=True)

    def _commit_at_once(
        self, connection: Database, messages: Sequence[Decoded], draft: Draft
    ) -> Mapping[str, Ack] | None:
        """By one statement, if nothing has to be asked before; None otherwise, and nothing has happened."""
        found = draft_at_once(messages, self._memory, draft)
        if found is None:
            return None
        insertion = self._series.insertion
        if not queries.write_at_once(
            connection, found, fence=self._fence, insertion=insertion, now=draft.now
        ):
            raise _MemoryStale
        self._remember(draft)
        return self._build_acks(draft)

    def _transact(
        self, connection: Database, messages: Sequence[Decoded], draft: Draft, *, is_careful: bool
    ) -> Mapping[str, Ack]:
        with connection.transaction():
            self._fence.hold(connection)
            self._note_agents(connection, messages, draft)
            fresh = [item for item in messages if self._is_new(connection, item, draft)]
            for letter in self._store(connection, fresh, draft, is_careful=is_careful):
                queries.insert_dead_letter(connection, letter)
                _log.warning("dead_letter", topic=letter.arrived.topic, reason=letter.reason.value)
            self._save_progress(connection, draft)
        self._remember(draft)
        return self._build_acks(draft)

    def _store(
        self, connection: Database, messages: Sequence[Decoded], draft: Draft, *, is_careful: bool
    ) -> list[Refused]:
        """Whatever is not taken is returned."""
        self._know_sources(connection, messages, draft)
        measured, refused = check_owners(messages, draft)
        self._store_statuses(connection, messages, draft)
        self._store_vitals(connection, measured, draft, is_careful=is_careful)
        _store_waves(connection, measured, draft)
        _store_gaps(connection, measured)
        _save_latest(connection, draft)
        return refused

    def _remember(self, draft: Draft) -> None:
        self._memory.agents |= draft.agents
        self._memory.lanes |= draft.lanes
        self._memory.sources |= draft.sources
        while len(self._memory.sources) > _SOURCES_KEPT:
            del self._memory.sources[next(iter(self._memory.sources))]

    def replay(self, connection: Database, letter_id: int, arrived: Arrived, *, now: datetime) -> bool:
        """Try a message again that was not taken; whether it was. Its number counts as received already.

        Raises:
            psycopg.Error, CloudError: as for `write`.
        """
        try:
            refused = self._try_again(connection, letter_id, arrived, now=now)
        except (_MemoryStale, UniqueViolation):
            self._memory.forget()
            refused = self._try_again(connection, letter_id, arrived, now=now)
        except (*REFUSALS, *DEFECTS) as error:
            _log.warning("message_not_storable", letter=letter_id, error=" ".join(str(error).split()))
            with connection.transaction():
                self._fence.hold(connection)
                detail = _said_of(error)
                queries.note_refused_again(connection, letter_id, reason=Reason.DATABASE, detail=detail)
            return False
        return refused is None

    def _try_again(
        self, connection: Database, letter_id: int, arrived: Arrived, *, now: datetime
    ) -> Refused | None:
        decoded = decode(arrived, now=now)
        if isinstance(decoded, StatusMessage):
            # It was true then; what the agent says of itself now has come since.
            decoded = Refused(arrived=arrived, reason=Reason.CONTRACT, detail="a status of then", place=None)
        draft = Draft(now=now)
        with connection.transaction():
            self._fence.hold(connection)
            if not isinstance(decoded, StatusMessage) and decoded.place is not None:
                spool = decoded.place.agent, decoded.place.lineage
                self._lane(connection, spool, decoded.place.lane, draft)
            refused = next(iter(self._store(connection, [decoded], draft, is_careful=True)), None)
            if refused is None:
                queries.note_replayed(connection, letter_id, at=now)
            else:
                queries.note_refused_again(
                    connection, letter_id, reason=refused.reason, detail=refused.detail
                )
        self._remember(draft)
        return refused

    def _note_agents(self, connection: Database, messages: Sequence[Decoded], draft: Draft) -> None:
        """Who speaks for the first time or anew, and about once a second who speaks at all."""
        heard = heard_in(messages)
        new: dict[str, str | None] = {}
        spoke: list[str] = []
        for agent, lineage in lineages_in(messages).items():
            known, heard_at = self._memory.agents.get(agent, (None, None))
            is_new = heard_at is None or lineage not in (None, known)
            is_due = agent in heard and (heard_at is None or draft.now - heard_at >= HEARD_EVERY)
            if is_new:
                new[agent] = lineage
            if is_due:
                spoke.append(agent)
            if is_new or is_due:
                draft.agents[agent] = lineage or known, draft.now if is_due else (heard_at or LONG_AGO)
        if new:
            queries.note_agents(connection, new, now=draft.now)
        if spoke:
            queries.note_heard(connection, spoke, now=draft.now)

    def _is_new(self, connection: Database, item: Decoded, draft: Draft) -> bool:
        """Whether it must be looked at; what its lane has is acknowledged and forgotten."""
        if isinstance(item, StatusMessage) or item.place is None:
            return True
        place = item.place
        spool = place.agent, place.lineage
        draft.touched[place.agent] = place.lineage
        state = self._lane(connection, spool, place.lane, draft)
        if state.progress.has(place.s):
            return False
        state.progress = state.progress.add(place.s)
        draft.advanced.add((spool, place.lane))
        return True

    def _lane(self, connection: Database, spool: SpoolId, lane: Lane, draft: Draft) -> LaneState:
        lanes = self._spool(connection, spool, draft)
        if lane not in lanes:
            number = queries.open_lane(connection, spool[0], lineage=spool[1], lane=lane)
            lanes[lane] = LaneState(number, LaneProgress())
        return lanes[lane]

    def _spool(self, connection: Database, spool: SpoolId, draft: Draft) -> dict[Lane, LaneState]:
        if spool not in draft.lanes:
            known = self._memory.lanes.get(spool)
            if known is None:
                found = queries.find_progress(connection, spool[0], lineage=spool[1])
                known = {lane: LaneState(*state) for lane, state in found.items()}
            draft.lanes[spool] = {lane: replace(state) for lane, state in known.items()}
        return draft.lanes[spool]

    def _know_sources(self, connection: Database, messages: Sequence[Decoded], draft: Draft) -> None:
        """Load what is not remembered; whoever speaks for a source first has it."""
        speakers: dict[SourceId, str] = {}
        for item in messages:
            if isinstance(item, VitalsMessage | WaveBlockMessage | GapMessage):
                speakers.setdefault(item.src, item.place.agent)
        for item in messages:
            if isinstance(item, StatusMessage):
                for source in item.status.sources:
                    speakers.setdefault(source.src, item.agent)
        draft.sources = {src: self._memory.sources[src] for src in speakers if src in self._memory.sources}
        missing = {src: agent for src, agent in speakers.items() if src not in draft.sources}
        if missing:
            draft.sources |= _load_sources(connection, missing)

    def _store_statuses(self, connection: Database, messages: Sequence[Decoded], draft: Draft) -> None:
        for item in messages:
            if not isinstance(item, StatusMessage):
                continue
            status = item.status
            queries.note_agent_status(connection, item.agent, boot=status.boot, online=status.online)
            for source in status.sources:
                known = draft.sources[source.src]
                if known.agent == item.agent:
                    waves = [msgspec.to_builtins(wave) for wave in source.waves]
                    queries.declare_source(connection, source, waves=waves, now=draft.now)
                    draft.sources[source.src] = replace(known, continuous=continuous_keys(source.cadence))
            if status.ln:
                self._skip_released(connection, (item.agent, status.ln), status.released, draft)
                draft.touched[item.agent] = status.ln

    def _skip_released(
        self, connection: Database, spool: SpoolId, released: Mapping[Lane, int], draft: Draft
    ) -> None:
        """What a spool has let go and we do not know was lost on our side; waiting for it would never end."""
        self._spool(connection, spool, draft)
        for lane, s in released.items():
            state = self._lane(connection, spool, lane, draft)
            known = state.progress
            state.progress = known.skip_to(s)
            if state.progress != known:
                _log.warning(
                    "stored_messages_missing", agent=spool[0], lane=lane.value, upto=known.upto, released=s
                )
                draft.advanced.add((spool, lane))

    def _store_vitals(
        self, connection: Database, measured: Sequence[Measured], draft: Draft, *, is_careful: bool
    ) -> None:
        messages = [item for item in measured if isinstance(item, VitalsMessage)]
        if not messages:
            return
        _note_clocks(connection, messages, draft)
        fresh: list[Part] = []
        doubtful: list[Part] = []
        for message in messages:
            for part in parts_of(message, draft):
                is_fresh = is_beyond_all(part, draft) and not is_careful
                (fresh if is_fresh else doubtful).append(part)
        self._store_parts(connection, fresh, draft)
        if doubtful:
            self._store_parts(connection, self._keep_new(connection, doubtful, draft), draft)

    def _keep_new(self, connection: Database, parts: Sequence[Part], draft: Draft) -> list[Part]:
        """What of these is not stored yet, the earlier message before the later; what differs is counted."""
        known = self._find_known(connection, parts, draft)
        kept: list[Part] = []
        conflicts: dict[tuple[SourceId, str, int], int] = {}
        for part in parts:
            src = part.message.src
            new = keep_new(part.batch, known[src])
            if new.batch is not None:
                kept.append(Part(part.message, new.batch, part.is_series))
            for (key, at_ms), times in new.conflicts.items():
                place = src, key, at_ms * 1000
                conflicts[place] = conflicts.get(place, 0) + times
        if conflicts:
            queries.count_value_conflicts(connection, conflicts)
        return kept

    def _find_known(self, connection: Database, parts: Sequence[Part], draft: Draft) -> dict[SourceId, Known]:
        """Every stored value that a message may repeat; what may move away is read first."""
        spans: dict[int, list[Held]] = {}
        for part in parts:
            message = part.message
            number = draft.sources[message.src].src_no
            from_us, ends_us = message.first_ms * 1000, message.last_ms * 1000 + 1
            span = Held(src=message.src, src_no=number, from_us=from_us, to_us=ends_us)
            spans.setdefault(number, []).append(span)
        known: dict[SourceId, Known] = {several[0].src: {} for several in spans.values()}
        blocks = self._series.find_blocks(connection, [span for own in spans.values() for span in own])
        for src_no, block in blocks.items():
            known[spans[src_no][0].src] = known_cells(block, spans=spans[src_no])
        asked = [
            (part.message.src, key, from_ms(part.message.first_ms), from_ms(part.message.last_ms))
            for part in parts
            for key in part.batch.m
        ]
        for src, key, measured_at, value in queries.find_values(connection, SYSTEM, asked):
            known[SourceId(src)][key, to_ms(measured_at)] = value
        return known

    def _store_parts(self, connection: Database, parts: Sequence[Part], draft: Draft) -> None:
        rows = [batch_row(part, draft) for part in parts if part.is_series]
        if rows:
            self._series.append(connection, rows)
        spots = [row for part in parts if not part.is_series for row in self._spot_rows(part, draft)]
        if spots:
            queries.insert_observations(connection, spots)
        for part in parts:
            if part.is_series:
                note_newest_of(part, draft)
        for spot in spots:
            note_newest(draft.newest.setdefault(spot.reading.src, {}), of_reading(spot.reading))

    def _spot_rows(self, part: Part, draft: Draft) -> list[queries.ObservationRow]:
        agreed_at = draft.sources[part.message.src].agreed_at
        return queries.rows_of(part.message, part.batch, agreed_at=agreed_at, stored_at=draft.now)

    def _save_progress(self, connection: Database, draft: Draft) -> None:
        progress = draft.progress()
        if progress and queries.save_progress(connection, progress) < len(progress):
            raise _MemoryStale

    def _build_acks(self, draft: Draft) -> dict[str, Ack]:
        acks, at_ms = {}, to_ms(draft.now)
        for agent, lineage in draft.touched.items():
            lanes = self._memory.lanes[agent, lineage]
            upto = {lane: lanes[lane].progress.upto if lane in lanes else 0 for lane in LANES}
            rate = self._backlog_rate(agent, upto, draft.now)
            acks[agent] = Ack(v=1, ln=lineage, upto=upto, at=at_ms, rate=rate)
        return acks


def _said_of(error: Exception) -> str:
    """Which error it was: its text may hold values, which not everybody may see who sees the letter."""
    sqlstate = getattr(error, "sqlstate", None)
    return type(error).__name__ if sqlstate is None else f"{type(error).__name__} ({sqlstate})"


def _load_sources(connection: Database, agents: Mapping[SourceId, str]) -> dict[SourceId, Source]:
    found = {known.src: known for known in queries.find_sources(connection, agents)}
    unclaimed = {src: agent for src, agent in agents.items() if src not in found}
    if unclaimed:
        queries.claim_sources(connection, unclaimed)
        found |= {known.src: known for known in queries.find_sources(connection, unclaimed)}
    return {
        src: Source(
            agent=known.agent,
            src_no=known.src_no,
            continuous=continuous_keys(known.cadence),
            agreed_at=known.clock_agreed_at,
            version=known.version or 0,
            latest={} if known.latest is None else read_latest(known.latest),
        )
        for src, known in found.items()
    }


def _note_clocks(connection: Database, messages: Sequence[VitalsMessage], draft: Draft) -> None:
    """When the clocks of devices were seen to be right, for those that send from their memory."""
    agreed: dict[SourceId, datetime] = {}
    for message in messages:
        at_ms = clock_agreed_ms(message.batch) if message.batch.dv else None
        if at_ms is not None:
            agreed[message.src] = max(agreed.get(message.src, from_ms(at_ms)), from_ms(at_ms))
    if agreed:
        queries.note_clocks_agreed(connection, agreed)
    for src, at in agreed.items():
        known = draft.sources[src]
        draft.sources[src] = replace(known, agreed_at=max(known.agreed_at or at, at))


def _save_latest(connection: Database, draft: Draft) -> None:
    rows = newest_rows(draft)
    if rows and queries.save_latest(connection, rows) < len(rows):
        raise _MemoryStale


def _store_waves(connection: Database, measured: Sequence[Measured], draft: Draft) -> None:
    """All at once or, where one is there already, one by one."""
    blocks = [item for item in measured if isinstance(item, WaveBlockMessage)]
    if not blocks:
        return
    try:
        with connection.transaction():
            queries.insert_wave_blocks(connection, blocks, now=draft.now)
    except UniqueViolation:
        for block in blocks:
            queries.insert_wave_block(connection, block, now=draft.now)


def _store_gaps(connection: Database, measured: Sequence[Measured]) -> None:
    for item in measured:
        if isinstance(item, GapMessage):
            queries.upsert_gap(connection, item.gap)
