"""The only SQL of this room."""

from collections.abc import Sequence
from datetime import datetime

from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb

from cloud.commands.model import (
    COMMANDS_KEPT,
    HOLE_ALLOWED,
    AgentClock,
    CommandState,
    IssuedCommand,
    LaneRange,
    MissingRange,
)
from cloud.identity.model import Subject
from cloud.store.connection import Database
from vitals.wire.command import CommandName
from vitals.wire.topics import Lane

_COLUMNS = (
    "command_id, agent, name, args, issued_by, issued_at, expires_at, state, received_at, ended_at, result, "
    "reason"
)


def find_agent(connection: Database, subject: Subject, agent: str) -> tuple[str, str | None] | None:
    """An agent of the asker's organisation, with its lineage if it ever spoke."""
    row = connection.execute(
        "SELECT agent, lineage FROM agent JOIN site USING (site_id) "
        "WHERE agent = %s AND (%s::text IS NULL OR organisation_id = %s)",
        (agent, subject.organisation, subject.organisation),
    ).fetchone()
    return None if row is None else (str(row[0]), row[1])


def insert_command(connection: Database, command: IssuedCommand) -> None:
    """A new command."""
    connection.execute(
        "INSERT INTO command (command_id, agent, name, args, issued_by, issued_at, expires_at) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (
            command.command_id,
            command.agent,
            command.name.value,
            Jsonb(dict(command.args)),
            command.issued_by,
            command.issued_at,
            command.expires_at,
        ),
    )


def list_commands(connection: Database, subject: Subject, agent: str, *, limit: int) -> list[IssuedCommand]:
    """The newest commands of an agent of the asker's organisation, newest first."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM command WHERE agent = (SELECT agent FROM agent JOIN site USING (site_id) "  # noqa: S608 # our own words
        "WHERE agent = %s AND (%s::text IS NULL OR organisation_id = %s)) "
        "ORDER BY issued_at DESC, command_id DESC LIMIT %s",
        (agent, subject.organisation, subject.organisation, limit),
    ).fetchall()
    return [_command(row) for row in rows]


def lock_command(connection: Database, command_id: str, *, agent: str) -> IssuedCommand | None:
    """A command of this agent, which nobody else changes until the transaction ends."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM command WHERE command_id = %s AND agent = %s FOR UPDATE",  # noqa: S608 # our own words
        (command_id, agent),
    ).fetchone()
    return None if row is None else _command(row)


def save_state(connection: Database, command: IssuedCommand) -> None:
    """How far a command has come."""
    connection.execute(
        "UPDATE command SET state = %s, received_at = %s, ended_at = %s, result = %s, reason = %s "
        "WHERE command_id = %s",
        (
            command.state.value,
            command.received_at,
            command.ended_at,
            Jsonb(dict(command.result)),
            command.reason,
            command.command_id,
        ),
    )


def list_unanswered(connection: Database, *, issued_before: datetime, now: datetime) -> list[IssuedCommand]:
    """Commands without any reply, of agents that are there: the connection may have lost them."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM command WHERE ended_at IS NULL AND state = 'issued' AND issued_at < %s "  # noqa: S608 # our own words
        "AND expires_at > %s AND EXISTS (SELECT FROM agent WHERE agent.agent = command.agent AND online) "
        "ORDER BY issued_at LIMIT 500",
        (issued_before, now),
    ).fetchall()
    return [_command(row) for row in rows]


def expire_commands(connection: Database, *, now: datetime) -> int:
    """Commands whose time is over and that were never answered to the end."""
    return connection.execute(
        "UPDATE command SET state = 'expired', ended_at = %(now)s "
        "WHERE ended_at IS NULL AND expires_at <= %(now)s",
        {"now": now},
    ).rowcount


def delete_old_commands(connection: Database, *, now: datetime) -> None:
    """What nobody needs any more; who issued it stays in the audit."""
    connection.execute("DELETE FROM command WHERE issued_at < %s", (now - COMMANDS_KEPT,))


def note_holes(connection: Database, *, now: datetime) -> None:
    """Find what is missing now in lanes that have moved on; what has come meanwhile is forgotten."""
    connection.execute(
        """
        WITH found AS (
            SELECT p.agent, p.lineage, p.lane, lower(hole) AS first_s, upper(hole) - 1 AS last_s
              FROM lane_progress AS p JOIN agent USING (agent, lineage)
             CROSS JOIN LATERAL unnest(int8multirange(int8range(p.upto + 1, upper(p.ahead))) - p.ahead)
                   AS hole
             WHERE p.ahead <> '{}'::int8multirange
        ), gone AS (
            DELETE FROM lane_hole WHERE (agent, lineage, lane, first_s) NOT IN (
                SELECT agent, lineage, lane, first_s FROM found)
        )
        INSERT INTO lane_hole (agent, lineage, lane, first_s, last_s, seen_at)
        SELECT agent, lineage, lane, first_s, last_s, %s FROM found
        ON CONFLICT (agent, lineage, lane, first_s) DO UPDATE SET last_s = excluded.last_s
        """,
        (now,),
    )


def take_overdue_holes(connection: Database, *, now: datetime, limit: int) -> list[MissingRange]:
    """What is missing for too long, of agents that are there, and was not asked for lately: now it is."""
    rows = connection.execute(
        """
        UPDATE lane_hole SET asked_at = %(now)s
         WHERE (agent, lineage, lane, first_s) IN (
            SELECT hole.agent, hole.lineage, hole.lane, hole.first_s
              FROM lane_hole AS hole JOIN agent ON agent.agent = hole.agent AND agent.online
             WHERE hole.seen_at <= %(before)s AND (hole.asked_at IS NULL OR hole.asked_at <= %(before)s)
             ORDER BY hole.seen_at LIMIT %(limit)s)
        RETURNING agent, lineage, lane, first_s, last_s
        """,
        {"now": now, "before": now - HOLE_ALLOWED, "limit": limit},
    ).fetchall()
    return [
        MissingRange(
            agent=row[0], lineage=row[1], range=LaneRange(lane=Lane(row[2]), first=row[3], last=row[4])
        )
        for row in rows
    ]


def save_clocks(connection: Database, clocks: Sequence[AgentClock]) -> None:
    """How the clocks of these agents stand now."""
    connection.execute(
        """
        INSERT INTO agent_clock (agent, offset_ms, delay_ms, quality, since, measured_at)
        SELECT n.* FROM unnest(%s::text[], %s::float8[], %s::float8[], %s::text[], %s::timestamptz[],
                               %s::timestamptz[])
               AS n(agent, offset_ms, delay_ms, quality, since, measured_at)
         WHERE EXISTS (SELECT FROM agent WHERE agent.agent = n.agent)
        ON CONFLICT (agent) DO UPDATE SET offset_ms = excluded.offset_ms, delay_ms = excluded.delay_ms,
               quality = excluded.quality, since = excluded.since, measured_at = excluded.measured_at
        """,
        (
            [clock.agent for clock in clocks],
            [clock.offset_ms for clock in clocks],
            [clock.delay_ms for clock in clocks],
            [clock.quality for clock in clocks],
            [clock.since for clock in clocks],
            [clock.measured_at for clock in clocks],
        ),
    )


def find_clock(connection: Database, agent: str) -> AgentClock | None:
    """How an agent's clock stood last."""
    row = connection.execute(
        "SELECT agent, offset_ms, delay_ms, quality, since, measured_at FROM agent_clock WHERE agent = %s",
        (agent,),
    ).fetchone()
    if row is None:
        return None
    return AgentClock(
        agent=row[0], offset_ms=row[1], delay_ms=row[2], quality=row[3], since=row[4], measured_at=row[5]
    )


def _command(row: TupleRow) -> IssuedCommand:
    return IssuedCommand(
        command_id=row[0],
        agent=row[1],
        name=CommandName(row[2]),
        args=row[3],
        issued_by=row[4],
        issued_at=row[5],
        expires_at=row[6],
        state=CommandState(row[7]),
        received_at=row[8],
        ended_at=row[9],
        result=row[10],
        reason=row[11],
    )
