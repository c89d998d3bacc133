"""SQL of ingest: everything is inserted once, however often it arrives."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from cloud.events import Reading
from cloud.identity.model import Scope, Subject
from cloud.ingest.draft import AtOnce
from cloud.ingest.model import (
    Arrived,
    LaneProgress,
    Place,
    Reason,
    Refused,
    VitalsMessage,
    WaveBlockMessage,
    shift_of,
)
from cloud.series.model import BatchRow, without_zone
from cloud.store.arrays import pack_bytes, pack_ints, pack_texts
from cloud.store.connection import Database
from cloud.store.fence import Fence
from vitals.gap import Gap
from vitals.observation import SourceId
from vitals.wire.batch import VitalsBatch, read_batch
from vitals.wire.status import SourceDeclaration
from vitals.wire.topics import Lane


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservationRow:
    """A reading with where it came from."""

    reading: Reading
    device_time: datetime | None
    sent_at: datetime
    place: Place


def rows_of(
    message: VitalsMessage, batch: VitalsBatch, *, agreed_at: datetime | None, stored_at: datetime
) -> list[ObservationRow]:
    """The values of a part of a message, one by one; `agreed_at`: when the device's own clock was right."""
    return [
        ObservationRow(
            reading=Reading(
                src=message.src,
                key=observation.key,
                value=observation.value,
                unit=observation.unit,
                measured_at=observation.measured_at,
                received_at=observation.received_at,
                arrived_at=message.arrived.received_at,
                stored_at=stored_at,
                quality=observation.quality,
                flags=observation.flags,
                late=message.late,
                clock_shift=shift_of(observation, of_agent=message.clock_shift, agreed_at=agreed_at),
            ),
            device_time=without_zone(observation.device_time),
            sent_at=message.sent_at,
            place=message.place,
        )
        for observation in read_batch(batch)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSource:
    """A source, whose it is, and its newest values as they are stored."""

    src: SourceId
    agent: str
    src_no: int
    cadence: Mapping[str, float]
    clock_agreed_at: datetime | None
    version: int | None
    latest: bytes | None


_OBSERVATION_TYPES = [
    *("text", "text", "timestamptz", "float8", "text", "text", "text[]", "timestamp"),
    *("timestamptz", "timestamptz", "timestamptz", "bool", "text", "int8", "interval"),
]
_BLOCK_TYPES = [
    *("text", "text", "int8", "int8", "int8", "int4", "int8", "int2", "bytea"),
    *("timestamptz", "timestamptz", "bool", "text", "int8", "interval"),
]


def note_agents(connection: Database, lineages: Mapping[str, str | None], *, now: datetime) -> None:
    """Agents that something is known of, with the lineage if that is known."""
    known = sorted(lineages.items())
    connection.execute(
        """
        INSERT INTO agent (agent, lineage, first_seen_at, last_seen_at)
        SELECT n.agent, n.lineage, %(now)s, %(now)s
          FROM unnest(%(agents)s::text[], %(lineages)s::text[]) AS n (agent, lineage)
        ON CONFLICT (agent) DO UPDATE SET lineage = COALESCE(excluded.lineage, agent.lineage)
        """,
        {"agents": [agent for agent, _ in known], "lineages": [lineage for _, lineage in known], "now": now},
    )


def note_heard(connection: Database, agents: Collection[str], *, now: datetime) -> None:
    """Agents that spoke themselves just now."""
    connection.execute("UPDATE agent SET last_seen_at = %s WHERE agent = ANY(%s)", (now, sorted(agents)))


def note_agent_status(connection: Database, agent: str, *, boot: str, online: bool) -> None:
    """Birth or will."""
    connection.execute(
        "UPDATE agent SET online = %s, boot = %s WHERE agent = %s", (online, boot or None, agent)
    )


def find_sources(connection: Database, sources: Collection[SourceId]) -> list[KnownSource]:
    """What is known of sources that an agent has claimed."""
    with connection.cursor(row_factory=class_row(KnownSource)) as cursor:
        return cursor.execute(
            """
            SELECT s.src, s.agent, s.src_no, s.cadence, s.clock_agreed_at, l.version, l.cells AS latest
              FROM source s LEFT JOIN latest l USING (src_no)
             WHERE s.src = ANY(%s) AND s.agent IS NOT NULL
            """,
            (sorted(sources),),
        ).fetchall()


def claim_sources(connection: Database, agents: Mapping[SourceId, str]) -> None:
    """Note sources; each belongs to whoever speaks for it first."""
    named = sorted(agents.items())
    connection.execute(
        """
        INSERT INTO source (src, agent) SELECT * FROM unnest(%s::text[], %s::text[])
        ON CONFLICT (src) DO UPDATE SET agent = COALESCE(source.agent, excluded.agent)
        """,
        ([src for src, _ in named], [agent for _, agent in named]),
    )


def declare_source(
    connection: Database, source: SourceDeclaration, *, waves: Sequence[object], now: datetime
) -> None:
    """What the birth message says about a source that its agent has claimed."""
    connection.execute(
        """
        UPDATE source
           SET driver = %s, title_zh = %s, title_en = %s, serial_hash = %s, bed = %s, simulated = %s,
               cadence = %s, waves = %s, declared_at = %s
         WHERE src = %s
        """,
        (
            source.driver,
            source.title_zh,
            source.title_en,
            source.serial_hash,
            source.bed,
            source.simulated,
            Jsonb(dict(source.cadence)),
            Jsonb(list(waves)),
            now,
            source.src,
        ),
    )


def note_clocks_agreed(connection: Database, agreed: Mapping[SourceId, datetime]) -> None:
    """When the clocks of these devices were right."""
    named = sorted(agreed.items())
    connection.execute(
        """
        UPDATE source s SET clock_agreed_at = GREATEST(s.clock_agreed_at, n.at)
          FROM unnest(%s::text[], %s::timestamptz[]) AS n (src, at) WHERE s.src = n.src
        """,
        ([src for src, _ in named], [at for _, at in named]),
    )


def insert_observations(connection: Database, rows: Sequence[ObservationRow]) -> None:
    """Store values of which none is stored yet."""
    statement = """
        COPY observation (src, key, measured_at, value, unit, quality, flags, device_time, received_at,
                          sent_at, stored_at, late, lane, s, clock_shift) FROM STDIN (FORMAT binary)
        """
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.set_types(_OBSERVATION_TYPES)
        for row in rows:
            reading = row.reading
            copy.write_row(
                (
                    *(reading.src, reading.key, reading.measured_at, reading.value, reading.unit),
                    *(reading.quality.value, [flag.value for flag in reading.flags], row.device_time),
                    *(reading.received_at, row.sent_at, reading.stored_at, reading.late),
                    *(row.place.lane.value, row.place.s, reading.clock_shift),
                )
            )


def find_values(
    connection: Database, subject: Subject, asked: Sequence[tuple[SourceId, str, datetime, datetime]]
) -> list[tuple[str, str, datetime, float | None]]:
    """The values of sources and keys between two moments, both included: what is stored one by one."""
    if Scope.READ_PATIENTS not in subject.scopes or not asked:
        return []
    return connection.execute(
        """
        SELECT DISTINCT o.src, o.key, o.measured_at, o.value
          FROM unnest(%b::text[], %b::text[], %b::timestamptz[], %b::timestamptz[])
               AS a (src, key, from_at, to_at)
          JOIN observation o ON o.src = a.src AND o.key = a.key
                            AND o.measured_at BETWEEN a.from_at AND a.to_at
        """,
        [list(column) for column in zip(*asked, strict=True)],
    ).fetchall()


def count_value_conflicts(connection: Database, conflicts: Mapping[tuple[SourceId, str, int], int]) -> None:
    """By source, key and measured time (us), how often another value came than the one that is kept."""
    named = sorted(conflicts.items())
    connection.execute(
        """
        INSERT INTO value_conflict (src, key, at_us, times)
        SELECT * FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::bigint[])
        ON CONFLICT (src, key, at_us) DO UPDATE
           SET times = value_conflict.times + excluded.times, seen_at = now()
        """,
        (
            [src for (src, _, _), _ in named],
            [key for (_, key, _), _ in named],
            [at_us for (_, _, at_us), _ in named],
            [times for _, times in named],
        ),
    )


def save_latest(connection: Database, rows: Sequence[tuple[int, int, bytes]]) -> int:
    """Newest values by source; what another wrote meanwhile is let be. Returns how many were saved."""
    ordered = sorted(rows)
    return connection.execute(
        """
        INSERT INTO latest AS l (src_no, version, cells)
        SELECT * FROM unnest(%b::int[], %b::bigint[], %b::bytea[])
        ON CONFLICT (src_no) DO UPDATE SET version = excluded.version, cells = excluded.cells
         WHERE l.version = excluded.version - 1
        """,
        [list(column) for column in zip(*ordered, strict=True)],
    ).rowcount


def insert_wave_blocks(connection: Database, blocks: Sequence[WaveBlockMessage], *, now: datetime) -> None:
    """Store blocks of which none is stored yet."""
    statement = """
        COPY wave_block (src, stream, t0_us, rate_numerator, rate_denominator, n, first_sample, codec,
                         samples, sent_at, stored_at, late, lane, s, clock_shift)
        FROM STDIN (FORMAT binary)
        """
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.set_types(_BLOCK_TYPES)
        for block in blocks:
            copy.write_row(_block_row(block, now=now))


def insert_wave_block(connection: Database, block: WaveBlockMessage, *, now: datetime) -> None:
    """Store a block, once; other samples for the same key are counted."""
    inserted = connection.execute(
        """
        INSERT INTO wave_block (src, stream, t0_us, rate_numerator, rate_denominator, n, first_sample,
                                codec, samples, sent_at, stored_at, late, lane, s, clock_shift)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (src, stream, t0_us) DO NOTHING
        """,
        _block_row(block, now=now),
    ).rowcount
    if not inserted:
        _count_block_conflict(connection, block)


def _block_row(block: WaveBlockMessage, *, now: datetime) -> tuple[object, ...]:
    message = block.message
    return (
        message.src,
        message.block.stream,
        message.block.t0_us,
        message.block.rate_hz.numerator,
        message.block.rate_hz.denominator,
        len(message.block.samples),
        message.block.first_sample,
        message.codec,
        message.packed,
        block.sent_at,
        now,
        message.historical,
        block.place.lane.value,
        block.place.s,
        block.clock_shift,
    )


def _count_block_conflict(connection: Database, block: WaveBlockMessage) -> None:
    wave = block.message.block
    connection.execute(
        """
        INSERT INTO value_conflict (src, key, at_us)
        SELECT src, stream, t0_us FROM wave_block
         WHERE (src, stream, t0_us) = (%s, %s, %s) AND (samples <> %s OR n <> %s)
        ON CONFLICT (src, key, at_us) DO UPDATE SET times = value_conflict.times + 1, seen_at = now()
        """,
        (block.src, wave.stream, wave.t0_us, block.message.packed, len(wave.samples)),
    )


def upsert_gap(connection: Database, gap: Gap) -> None:
    """Store a gap or its end; the first end that is told stays."""
    connection.execute(
        """
        INSERT INTO gap (src, keys, cause, started_at, ended_at, told_by)
        VALUES (%s, %s, %s, %s, %s, 'edge')
        ON CONFLICT (src, keys, cause, started_at) DO UPDATE
           SET ended_at = COALESCE(gap.ended_at, excluded.ended_at)
        """,
        (gap.src, sorted(gap.keys), gap.cause.value, gap.started_at, gap.ended_at),
    )


def insert_dead_letter(connection: Database, refused: Refused) -> None:
    """Keep a message that we cannot take, whole."""
    connection.execute(
        "INSERT INTO dead_letter (topic, payload, reason, detail, received_at) VALUES (%s, %s, %s, %s, %s)",
        (
            refused.arrived.topic.replace("\x00", "�"),
            refused.arrived.payload,
            refused.reason.value,
            refused.detail.replace("\x00", "�"),
            refused.arrived.received_at,
        ),
    )


def find_replays(connection: Database, shards: Sequence[str], *, limit: int) -> list[tuple[int, Arrived]]:
    """Messages that somebody wants tried again, of these shards (none: of all), the oldest first."""
    rows = connection.execute(
        """
        SELECT dead_letter_id, topic, payload, received_at FROM dead_letter
         WHERE replay_asked_at IS NOT NULL AND replayed_at IS NULL
           AND (%(shards)s::text[] = '{}' OR split_part(topic, '/', 3) = ANY(%(shards)s))
         ORDER BY dead_letter_id LIMIT %(limit)s
        """,
        {"shards": list(shards), "limit": limit},
    ).fetchall()
    return [
        (letter_id, Arrived(topic=topic, payload=payload, received_at=received_at))
        for letter_id, topic, payload, received_at in rows
    ]


def note_replayed(connection: Database, letter_id: int, *, at: datetime) -> None:
    """It is stored now."""
    connection.execute("UPDATE dead_letter SET replayed_at = %s WHERE dead_letter_id = %s", (at, letter_id))


def note_refused_again(connection: Database, letter_id: int, *, reason: Reason, detail: str) -> None:
    """It was tried, and is not taken for this reason; it can be asked for once more."""
    connection.execute(
        "UPDATE dead_letter SET reason = %s, detail = %s, replay_asked_at = NULL WHERE dead_letter_id = %s",
        (reason.value, detail.replace("\x00", "\ufffd"), letter_id),
    )


def find_progress(connection: Database, agent: str, *, lineage: str) -> dict[Lane, tuple[int, LaneProgress]]:
    """Number of each of an agent's lanes, and what was received of it."""
    rows = connection.execute(
        "SELECT lane, lane_no, upto, ahead FROM lane_progress WHERE agent = %s AND lineage = %s",
        (agent, lineage),
    ).fetchall()
    return {
        Lane(lane): (lane_no, LaneProgress(upto, tuple((part.lower, part.upper) for part in ahead)))
        for lane, lane_no, upto, ahead in rows
    }


def open_lane(connection: Database, agent: str, *, lineage: str, lane: Lane) -> int:
    """Begin to count a lane; returns its number."""
    row = connection.execute(
        """
        INSERT INTO lane_progress (agent, lineage, lane, upto) VALUES (%s, %s, %s, 0)
        ON CONFLICT (agent, lineage, lane) DO UPDATE SET upto = lane_progress.upto
        RETURNING lane_no
        """,
        (agent, lineage, lane.value),
    ).fetchone()
    assert row is not None  # noqa: S101 - an upsert with RETURNING gives a row
    return int(row[0])


_AT_ONCE = """
WITH held AS MATERIALIZED (SELECT demand({condition}, 'fence') AS holds),
heard AS (
    UPDATE agent SET last_seen_at = %(now)s WHERE agent = ANY(%(heard)b)
), rows AS (
    {insertion}
), blocks AS (
    INSERT INTO wave_block (src, stream, t0_us, rate_numerator, rate_denominator, n, first_sample, codec,
                            samples, sent_at, stored_at, late, lane, s, clock_shift)
    SELECT src, stream, t0_us, numerator, denominator, n, first, codec, samples,
           'epoch'::timestamptz + sent_ms * interval '1 ms', %(now)s, late = 1, lane, s,
           shift_us * interval '1 us'
      FROM unnest(%(w_src)b, %(w_stream)b, %(w_t0_us)b, %(w_numerator)b, %(w_denominator)b, %(w_n)b,
                  %(w_first)b, %(w_codec)b, %(w_samples)b, %(w_sent_ms)b, %(w_late)b, %(w_lane)b, %(w_s)b,
                  %(w_shift_us)b)
           AS w (src, stream, t0_us, numerator, denominator, n,
                 first, codec, samples, sent_ms, late, lane, s,
                 shift_us)
), newest AS (
    INSERT INTO latest AS l (src_no, version, cells)
    SELECT * FROM unnest(%(l_src_no)b, %(l_version)b, %(l_cells)b)
    ON CONFLICT (src_no) DO UPDATE SET version = excluded.version, cells = excluded.cells
     WHERE l.version = excluded.version - 1
    RETURNING 1
), moved AS (
    UPDATE lane_progress p SET upto = n.upto, ahead = n.ahead::int8multirange
      FROM unnest(%(p_lane_no)b, %(p_upto)b, %(p_ahead)b) AS n (lane_no, upto, ahead)
     WHERE p.lane_no = n.lane_no
    RETURNING 1
)
SELECT demand((SELECT count(*) FROM newest) = %(newest)s AND (SELECT count(*) FROM moved) = %(moved)s,
              'memory')
  FROM held
"""
_NOT_SO = "QL001"


def write_at_once(
    connection: Database, found: AtOnce, *, fence: Fence, insertion: str, now: datetime
) -> bool:
    """One statement, which is a transaction; False if what the writer remembers is not so, and nothing stays.

    Raises:
        UniqueViolation: something of it is stored already.
        CloudError: of the fence.
    """
    newest = sorted(found.newest)
    values: dict[str, object] = {
        **fence.values,
        "now": now,
        "heard": pack_texts(sorted(found.heard)),
        **_packed(BatchRow._fields, found.rows, [pack_ints] * 7 + [pack_bytes]),
        **_packed(_BLOCK, [_packed_block(block) for block in found.blocks], _BLOCK_PACKERS),
        **_packed(("l_src_no", "l_version", "l_cells"), newest, [pack_ints, pack_ints, pack_bytes]),
        **_packed(
            ("p_lane_no", "p_upto", "p_ahead"),
            [(lane_no, one.upto, _multirange(one)) for lane_no, one in sorted(found.progress.items())],
            [pack_ints, pack_ints, pack_texts],
        ),
        "newest": len(newest),
        "moved": len(found.progress),
    }
    try:
        connection.execute(_AT_ONCE.format(condition=fence.condition, insertion=insertion), values)
    except psycopg.Error as error:
        if error.sqlstate != _NOT_SO:
            raise
        if error.diag.message_primary == "fence":
            raise fence.refusal from error
        return False
    return True


_BLOCK = (
    *("w_src", "w_stream", "w_t0_us", "w_numerator", "w_denominator", "w_n", "w_first", "w_codec"),
    *("w_samples", "w_sent_ms", "w_late", "w_lane", "w_s", "w_shift_us"),
)
_Pack = Callable[[Any], object]
_BLOCK_PACKERS: list[_Pack] = [pack_texts, pack_texts, *[pack_ints] * 6, pack_bytes]
_BLOCK_PACKERS += [pack_ints, pack_ints, pack_texts, pack_ints, pack_ints]


def _packed(
    names: Sequence[str], rows: Sequence[Sequence[Any]], packers: Sequence[_Pack]
) -> dict[str, object]:
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    return {name: pack(column) for name, pack, column in zip(names, packers, columns, strict=True)}


def _packed_block(block: WaveBlockMessage) -> tuple[object, ...]:
    message = block.message
    wave = message.block
    return (
        *(block.src, wave.stream, wave.t0_us, wave.rate_hz.numerator, wave.rate_hz.denominator),
        *(len(wave.samples), wave.first_sample, message.codec, message.packed),
        *(message.sent, int(message.historical), block.place.lane.value, block.place.s),
        block.clock_shift // timedelta(microseconds=1),
    )


def _multirange(progress: LaneProgress) -> str:
    return "{" + ",".join(f"[{first},{end})" for first, end in progress.ahead) + "}"


def save_progress(connection: Database, progress: Mapping[int, LaneProgress]) -> int:
    """What is received now, by the number of the lane. Returns how many were saved."""
    named = sorted(progress.items())
    return connection.execute(
        """
        UPDATE lane_progress p SET upto = n.upto, ahead = n.ahead::int8multirange
          FROM unnest(%s::int[], %s::bigint[], %s::text[]) AS n (lane_no, upto, ahead)
         WHERE p.lane_no = n.lane_no
        """,
        (
            [lane_no for lane_no, _ in named],
            [one.upto for _, one in named],
            [_multirange(one) for _, one in named],
        ),
    ).rowcount
