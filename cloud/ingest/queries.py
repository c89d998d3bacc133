"""SQL of ingest: everything is inserted once, however often it arrives."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.types.json import Jsonb
from psycopg.types.multirange import Int8Multirange
from psycopg.types.range import Range

from cloud.events import Reading
from cloud.ingest.model import LaneProgress, Place, Refused, WaveBlockMessage
from cloud.store.connection import Database
from vitals.gap import Gap
from vitals.observation import SourceId
from vitals.wire.status import SourceDeclaration
from vitals.wire.topics import Lane


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservationRow:
    """A reading with where it came from."""

    reading: Reading
    device_time: datetime | None
    sent_at: datetime
    place: Place


def note_agents(connection: Database, lineages: Mapping[str, str | None], *, now: datetime) -> None:
    """Agents that something is known of, with the lineage if that is known."""
    for agent, lineage in sorted(lineages.items()):
        connection.execute(
            """
            INSERT INTO agent (agent, lineage, first_seen_at, last_seen_at) VALUES (%s, %s, %s, %s)
            ON CONFLICT (agent) DO UPDATE SET lineage = COALESCE(excluded.lineage, agent.lineage)
            """,
            (agent, lineage, now, now),
        )


def note_heard(connection: Database, agents: Collection[str], *, now: datetime) -> None:
    """Agents that spoke themselves just now."""
    connection.execute("UPDATE agent SET last_seen_at = %s WHERE agent = ANY(%s)", (now, sorted(agents)))


def note_agent_status(connection: Database, agent: str, *, boot: str, online: bool) -> None:
    """Birth or will."""
    connection.execute(
        "UPDATE agent SET online = %s, boot = %s WHERE agent = %s", (online, boot or None, agent)
    )


def claim_source(connection: Database, src: SourceId, *, agent: str) -> str:
    """Note an undeclared source; returns the agent that it belongs to: whoever spoke for it first."""
    row = connection.execute(
        """
        INSERT INTO source (src, agent) VALUES (%s, %s)
        ON CONFLICT (src) DO UPDATE SET agent = COALESCE(source.agent, excluded.agent)
        RETURNING agent
        """,
        (src, agent),
    ).fetchone()
    assert row is not None  # noqa: S101 - an upsert with RETURNING gives a row
    return str(row[0])


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
    for src, at in sorted(agreed.items()):
        connection.execute(
            "UPDATE source SET clock_agreed_at = GREATEST(clock_agreed_at, %s) WHERE src = %s", (at, src)
        )


def find_clocks_agreed(connection: Database, sources: Collection[SourceId]) -> dict[str, datetime | None]:
    """When the clocks of these devices were right last."""
    return dict(
        connection.execute(
            "SELECT src, clock_agreed_at FROM source WHERE src = ANY(%s)", (sorted(sources),)
        ).fetchall()
    )


def insert_observations(connection: Database, rows: Sequence[ObservationRow]) -> None:
    """Store what is new; a second value for the same key is counted and dropped."""
    readings = [row.reading for row in rows]
    inserted = connection.execute(
        """
        INSERT INTO observation (src, key, measured_at, value, unit, quality, flags, device_time,
                                 received_at, sent_at, stored_at, late, lane, s, clock_shift)
        SELECT n.src, n.key, n.measured_at, n.value, n.unit, n.quality, string_to_array(n.flags, ','),
               n.device_time, n.received_at, n.sent_at, n.stored_at, n.late, n.lane, n.s,
               n.clock_shift
          FROM unnest(%s::text[], %s::text[], %s::timestamptz[], %s::float8[], %s::text[], %s::text[],
                      %s::text[], %s::timestamp[], %s::timestamptz[], %s::timestamptz[],
                      %s::timestamptz[], %s::bool[], %s::text[], %s::int8[], %s::interval[])
               AS n(src, key, measured_at, value, unit, quality, flags, device_time,
                    received_at, sent_at, stored_at, late, lane, s, clock_shift)
        ON CONFLICT (src, key, measured_at) DO NOTHING
        """,
        (
            [item.src for item in readings],
            [item.key for item in readings],
            [item.measured_at for item in readings],
            [item.value for item in readings],
            [item.unit for item in readings],
            [item.quality.value for item in readings],
            [",".join(flag.value for flag in item.flags) for item in readings],
            [row.device_time for row in rows],
            [item.received_at for item in readings],
            [row.sent_at for row in rows],
            [item.stored_at for item in readings],
            [item.late for item in readings],
            [row.place.lane.value for row in rows],
            [row.place.s for row in rows],
            [item.clock_shift for item in readings],
        ),
    ).rowcount
    if inserted < len(rows):
        _count_value_conflicts(connection, readings)


def _count_value_conflicts(connection: Database, readings: Sequence[Reading]) -> None:
    connection.execute(
        """
        INSERT INTO value_conflict (src, key, at_us, times)
        SELECT o.src, o.key, (extract(epoch FROM o.measured_at) * 1000000)::bigint, count(*)
          FROM unnest(%s::text[], %s::text[], %s::timestamptz[], %s::float8[])
               AS n(src, key, measured_at, value)
          JOIN observation o USING (src, key, measured_at)
         WHERE o.value IS DISTINCT FROM n.value
         GROUP BY 1, 2, 3
        ON CONFLICT (src, key, at_us) DO UPDATE
           SET times = value_conflict.times + excluded.times, seen_at = now()
        """,
        (
            [item.src for item in readings],
            [item.key for item in readings],
            [item.measured_at for item in readings],
            [item.value for item in readings],
        ),
    )


def insert_wave_block(connection: Database, block: WaveBlockMessage, *, now: datetime) -> None:
    """Store a block, once; other samples for the same key are counted."""
    message = block.message
    inserted = connection.execute(
        """
        INSERT INTO wave_block (src, stream, t0_us, rate_numerator, rate_denominator, n, first_sample,
                                codec, samples, sent_at, stored_at, late, lane, s, clock_shift)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (src, stream, t0_us) DO NOTHING
        """,
        (
            message.src,
            message.block.stream,
            message.block.t0_us,
            message.block.rate_hz.numerator,
            message.block.rate_hz.denominator,
            len(message.block.samples),
            message.block.first_sample,
            block.codec,
            block.packed,
            block.sent_at,
            now,
            message.historical,
            block.place.lane.value,
            block.place.s,
            block.clock_shift,
        ),
    ).rowcount
    if not inserted:
        _count_block_conflict(connection, block)


def _count_block_conflict(connection: Database, block: WaveBlockMessage) -> None:
    wave = block.message.block
    connection.execute(
        """
        INSERT INTO value_conflict (src, key, at_us)
        SELECT src, stream, t0_us FROM wave_block
         WHERE (src, stream, t0_us) = (%s, %s, %s) AND (samples <> %s OR n <> %s)
        ON CONFLICT (src, key, at_us) DO UPDATE SET times = value_conflict.times + 1, seen_at = now()
        """,
        (block.src, wave.stream, wave.t0_us, block.packed, len(wave.samples)),
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


def find_progress(connection: Database, agent: str, *, lineage: str) -> dict[Lane, LaneProgress]:
    """What was received of an agent's lanes."""
    rows = connection.execute(
        "SELECT lane, upto, ahead FROM lane_progress WHERE agent = %s AND lineage = %s", (agent, lineage)
    ).fetchall()
    return {
        Lane(lane): LaneProgress(upto, tuple((part.lower, part.upper) for part in ahead))
        for lane, upto, ahead in rows
    }


def save_progress(
    connection: Database, agent: str, *, lineage: str, lane: Lane, progress: LaneProgress
) -> None:
    """What is received of a lane now."""
    connection.execute(
        """
        INSERT INTO lane_progress (agent, lineage, lane, upto, ahead) VALUES (%s, %s, %s, %s, %s)
        ON CONFLICT (agent, lineage, lane) DO UPDATE SET upto = excluded.upto, ahead = excluded.ahead
        """,
        (
            agent,
            lineage,
            lane.value,
            progress.upto,
            Int8Multirange([Range(first, end) for first, end in progress.ahead]),
        ),
    )
