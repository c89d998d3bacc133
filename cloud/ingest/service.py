"""Writing messages: all that wait in one transaction, and only afterwards is anybody told."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import msgspec
import psycopg
import structlog
from psycopg.errors import ProgramLimitExceeded

from cloud.events import Event, GapStored, Reading, ReadingsStored, WaveStored
from cloud.ingest import queries
from cloud.ingest.model import (
    Arrived,
    Decoded,
    GapMessage,
    LaneProgress,
    Measured,
    Place,
    Reason,
    Refused,
    StatusMessage,
    VitalsMessage,
    WaveBlockMessage,
    decode,
    device_clock_agrees,
    shift_of,
)
from cloud.store.connection import Database
from vitals.observation import Flag, SourceId, VitalKey
from vitals.wire.batch import to_ms
from vitals.wire.status import Ack
from vitals.wire.topics import LANES, Lane

_log = structlog.get_logger()

Sequences = Mapping[Lane, LaneProgress]
REFUSALS = (psycopg.DataError, psycopg.IntegrityError, ProgramLimitExceeded)
"""The database works and does not take what a message says (the last: longer than an index entry may be)."""
BacklogRate = Callable[[str, Mapping[Lane, int], datetime], float | None]
"""Port: how many messages of its backlog an agent may send in a second; None leaves it to the agent."""
SpoolId = tuple[str, str]
"""(agent, lineage): one spool, whose three lanes are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What may be told after the commit."""

    acks: Mapping[str, Ack]
    events: tuple[Event, ...]


@dataclass(slots=True)
class _Draft:
    """What the writer will know if the transaction commits."""

    now: datetime
    progress: dict[SpoolId, dict[Lane, LaneProgress]] = field(default_factory=dict)
    touched: dict[str, str] = field(default_factory=dict)
    owners: dict[SourceId, str] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)


class Writer:
    """Turns messages into rows. One thread uses it; its memory follows the commits, never leads them."""

    def __init__(self, *, backlog_rate: BacklogRate = lambda _agent, _upto, _now: None) -> None:
        self._backlog_rate = backlog_rate
        self._progress: dict[SpoolId, dict[Lane, LaneProgress]] = {}
        self._owners: dict[SourceId, str] = {}

    def write(self, connection: Database, messages: Sequence[Arrived], *, now: datetime) -> Written:
        """Store all messages, or raise and store none.

        A message that the database itself refuses goes to the dead letters, the others beside it are stored.

        Raises:
            psycopg.Error: the database does not work; nothing was stored, the same messages can come again.
        """
        pairs = [(message, decode(message)) for message in messages]
        try:
            return self._commit(connection, [decoded for _, decoded in pairs], now=now)
        except REFUSALS:
            parts = [self._write_alone(connection, *pair, now=now) for pair in pairs]
        acks: dict[str, Ack] = {}
        for part in parts:
            acks |= part.acks
        return Written(acks=acks, events=tuple(event for part in parts for event in part.events))

    def _write_alone(
        self, connection: Database, arrived: Arrived, decoded: Decoded, *, now: datetime
    ) -> Written:
        try:
            return self._commit(connection, [decoded], now=now)
        except REFUSALS as error:
            place = None if isinstance(decoded, StatusMessage) else decoded.place
            detail = " ".join(str(error).split())
            refused = Refused(arrived=arrived, reason=Reason.DATABASE, detail=detail, place=place)
            return self._commit(connection, [refused], now=now)

    def _commit(self, connection: Database, messages: Sequence[Decoded], *, now: datetime) -> Written:
        draft = _Draft(now=now)
        with connection.transaction():
            queries.note_agents(connection, _lineages(messages), now=now)
            queries.note_heard(connection, _heard(messages), now=now)
            measured, refused = self._check_owners(connection, messages, draft)
            self._store_statuses(connection, messages, draft)
            _store_readings(connection, measured, draft)
            _store_waves(connection, measured, draft)
            _store_gaps(connection, measured, draft)
            for letter in refused:
                queries.insert_dead_letter(connection, letter)
                _log.warning("dead_letter", topic=letter.arrived.topic, reason=letter.reason.value)
            places = [item.place for item in (*measured, *refused) if item.place is not None]
            self._advance(connection, places, draft)
        self._progress |= draft.progress
        self._owners |= draft.owners
        return Written(acks=self._build_acks(draft), events=tuple(draft.events))

    def _check_owners(
        self, connection: Database, messages: Sequence[Decoded], draft: _Draft
    ) -> tuple[list[Measured], list[Refused]]:
        measured: list[Measured] = []
        refused: list[Refused] = []
        for item in messages:
            if isinstance(item, Refused):
                refused.append(item)
            elif not isinstance(item, StatusMessage):
                owner = self._owner(connection, item.src, item.place.agent, draft)
                if owner == item.place.agent:
                    measured.append(item)
                else:
                    detail = f"source {item.src} belongs to agent {owner}"
                    refused.append(
                        Refused(arrived=item.arrived, reason=Reason.OWNER, detail=detail, place=item.place)
                    )
        return measured, refused

    def _owner(self, connection: Database, src: SourceId, agent: str, draft: _Draft) -> str:
        owner = self._owners.get(src) or draft.owners.get(src)
        if owner is None:
            owner = queries.claim_source(connection, src, agent=agent)
            draft.owners[src] = owner
        return owner

    def _store_statuses(self, connection: Database, messages: Sequence[Decoded], draft: _Draft) -> None:
        for item in messages:
            if not isinstance(item, StatusMessage):
                continue
            status = item.status
            queries.note_agent_status(connection, item.agent, boot=status.boot, online=status.online)
            for source in status.sources:
                if self._owner(connection, source.src, item.agent, draft) == item.agent:
                    waves = [msgspec.to_builtins(wave) for wave in source.waves]
                    queries.declare_source(connection, source, waves=waves, now=draft.now)
            if status.ln:
                self._skip_released(connection, (item.agent, status.ln), status.released, draft)
                draft.touched[item.agent] = status.ln

    def _skip_released(
        self, connection: Database, spool: SpoolId, released: Mapping[Lane, int], draft: _Draft
    ) -> None:
        """What a spool has let go and we do not know was lost on our side; waiting for it would never end."""
        lanes = self._lanes(connection, spool, draft)
        for lane, s in released.items():
            known = lanes.get(lane, LaneProgress())
            lanes[lane] = known.skip_to(s)
            if lanes[lane] != known:
                _log.warning(
                    "stored_messages_missing", agent=spool[0], lane=lane.value, upto=known.upto, released=s
                )
                queries.save_progress(connection, spool[0], lineage=spool[1], lane=lane, progress=lanes[lane])

    def _lanes(self, connection: Database, spool: SpoolId, draft: _Draft) -> dict[Lane, LaneProgress]:
        if spool not in draft.progress:
            known = self._progress.get(spool)
            if known is None:
                known = queries.find_progress(connection, spool[0], lineage=spool[1])
            draft.progress[spool] = dict(known)
        return draft.progress[spool]

    def _advance(self, connection: Database, places: Iterable[Place], draft: _Draft) -> None:
        changed: set[tuple[SpoolId, Lane]] = set()
        for place in places:
            spool = (place.agent, place.lineage)
            lanes = self._lanes(connection, spool, draft)
            lanes[place.lane] = lanes.get(place.lane, LaneProgress()).add(place.s)
            changed.add((spool, place.lane))
            draft.touched[place.agent] = place.lineage
        for spool, lane in sorted(changed):
            queries.save_progress(
                connection, spool[0], lineage=spool[1], lane=lane, progress=draft.progress[spool][lane]
            )

    def _build_acks(self, draft: _Draft) -> dict[str, Ack]:
        acks = {}
        for agent, lineage in draft.touched.items():
            ack = build_ack(lineage, self._progress[agent, lineage], now=draft.now)
            acks[agent] = replace(ack, rate=self._backlog_rate(agent, ack.upto, draft.now))
        return acks


def build_ack(lineage: str, lanes: Sequences, *, now: datetime) -> Ack:
    """The acknowledgement of one spool."""
    upto = {lane: lanes.get(lane, LaneProgress()).upto for lane in LANES}
    return Ack(v=1, ln=lineage, upto=upto, at=to_ms(now))


def _lineages(messages: Sequence[Decoded]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for item in messages:
        if isinstance(item, StatusMessage):
            found[item.agent] = item.status.ln or found.get(item.agent)
        elif item.place is not None:
            found[item.place.agent] = item.place.lineage
    return found


def _heard(messages: Sequence[Decoded]) -> set[str]:
    heard = set()
    for item in messages:
        if isinstance(item, StatusMessage):
            if item.is_sign_of_life:
                heard.add(item.agent)
        elif item.place is not None:
            heard.add(item.place.agent)
    return heard


def _clocks_agreed(connection: Database, messages: Sequence[VitalsMessage]) -> Mapping[str, datetime | None]:
    """When the clocks of the devices that send from their memory were right last."""
    agreed: dict[SourceId, datetime] = {}
    for item in messages:
        for observation in item.observations:
            if device_clock_agrees(observation):
                agreed[item.src] = max(agreed.get(item.src, observation.received_at), observation.received_at)
    queries.note_clocks_agreed(connection, agreed)
    stored = {
        item.src
        for item in messages
        if any(Flag.STORED in observation.flags for observation in item.observations)
    }
    return queries.find_clocks_agreed(connection, stored) if stored else {}


def _store_readings(connection: Database, measured: Sequence[Measured], draft: _Draft) -> None:
    messages = [item for item in measured if isinstance(item, VitalsMessage)]
    agreed = _clocks_agreed(connection, messages)
    rows = [
        queries.ObservationRow(
            reading=Reading(
                src=item.src,
                key=observation.key,
                value=observation.value,
                unit=observation.unit,
                measured_at=observation.measured_at,
                received_at=observation.received_at,
                stored_at=draft.now,
                quality=observation.quality,
                flags=observation.flags,
                late=item.late,
                clock_shift=shift_of(observation, of_agent=item.clock_shift, agreed_at=agreed.get(item.src)),
            ),
            device_time=observation.device_time,
            sent_at=item.sent_at,
            place=item.place,
        )
        for item in messages
        for observation in item.observations
    ]
    if rows:
        queries.insert_observations(connection, rows)
        newest = _newest_by_key(row.reading for row in rows)
        draft.events.append(ReadingsStored(readings=newest, heard_at=draft.now))


def _newest_by_key(readings: Iterable[Reading]) -> tuple[Reading, ...]:
    newest: dict[tuple[SourceId, VitalKey], Reading] = {}
    for reading in readings:
        known = newest.get((reading.src, reading.key))
        if known is None or reading.measured_at > known.measured_at:
            newest[reading.src, reading.key] = reading
    return tuple(newest.values())


def _store_waves(connection: Database, measured: Sequence[Measured], draft: _Draft) -> None:
    for item in measured:
        if isinstance(item, WaveBlockMessage):
            is_new = queries.insert_wave_block(connection, item, now=draft.now)
            if is_new and not item.message.historical:
                draft.events.append(
                    WaveStored(
                        src=item.src,
                        block=item.message.block,
                        late=False,
                        heard_at=draft.now,
                        clock_shift=item.clock_shift,
                    )
                )


def _store_gaps(connection: Database, measured: Sequence[Measured], draft: _Draft) -> None:
    for item in measured:
        if isinstance(item, GapMessage):
            draft.events.append(GapStored(gap=queries.upsert_gap(connection, item.gap)))
