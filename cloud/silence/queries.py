"""SQL of silence: sources, open gaps, and the gaps that only the cloud can tell of."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from cloud.store.connection import Database
from vitals.gap import Gap, GapCause
from vitals.observation import SourceId, VitalKey


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredSource:
    """What a source sends by itself."""

    src: SourceId
    agent: str
    cadence: dict[VitalKey, float]
    streams: list[VitalKey]


def find_declared_sources(connection: Database) -> list[DeclaredSource]:
    """Every source that an agent serves. Sources are devices: nothing here tells of a person."""
    with connection.cursor(row_factory=class_row(DeclaredSource)) as cursor:
        return cursor.execute(
            """
            SELECT src, agent, cadence,
                   ARRAY(SELECT wave ->> 'stream' FROM jsonb_array_elements(waves) AS wave) AS streams
              FROM source WHERE agent IS NOT NULL
            """
        ).fetchall()


def find_agents(connection: Database) -> dict[str, datetime]:
    """When each agent that ever declared something was heard last."""
    return dict(
        connection.execute("SELECT agent, last_seen_at FROM agent WHERE lineage IS NOT NULL").fetchall()
    )


def find_open_gaps(connection: Database) -> list[Gap]:
    """Gaps that an agent opened and has not ended."""
    rows = connection.execute(
        "SELECT src, keys, cause, started_at FROM gap WHERE ended_at IS NULL AND told_by = 'edge'"
    ).fetchall()
    return [
        Gap(src=src, keys=tuple(keys), cause=GapCause(cause), started_at=started_at)
        for src, keys, cause, started_at in rows
    ]


def close_after_restart(connection: Database, *, now: datetime, at_least_s: float) -> None:
    """What an earlier run left open ends now, and the time in which nobody ran becomes a gap."""
    with connection.transaction():
        connection.execute(
            "UPDATE gap SET ended_at = GREATEST(started_at, %s) WHERE ended_at IS NULL AND told_by = 'cloud'",
            (now,),
        )
        connection.execute(
            """
            INSERT INTO gap (src, keys, cause, started_at, ended_at, told_by)
            SELECT s.src, '{}', 'server_off', a.last_seen_at, %(now)s, 'cloud'
              FROM source s JOIN agent a USING (agent)
             WHERE s.declared_at IS NOT NULL AND a.online
               AND a.last_seen_at < %(now)s - make_interval(secs => %(least)s)
            ON CONFLICT DO NOTHING
            """,
            {"now": now, "least": at_least_s},
        )


def store_gaps(connection: Database, gaps: Iterable[Gap]) -> None:
    """Store gaps that the cloud saw, or their ends."""
    with connection.transaction():
        for gap in gaps:
            connection.execute(
                """
                INSERT INTO gap (src, keys, cause, started_at, ended_at, told_by)
                VALUES (%s, %s, %s, %s, %s, 'cloud')
                ON CONFLICT (src, keys, cause, started_at) DO UPDATE
                   SET ended_at = COALESCE(gap.ended_at, excluded.ended_at)
                """,
                (gap.src, sorted(gap.keys), gap.cause.value, gap.started_at, gap.ended_at),
            )
