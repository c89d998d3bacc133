"""SQL of the pipeline. Agents and what they sent belong to the organisation of their site."""

from datetime import datetime

from psycopg.rows import class_row

from cloud.identity.model import Subject
from cloud.pipeline.model import AgentFlow, GroupState, Letter, MissingRange, WorkerState
from cloud.store.connection import Database

_OWN = """
      SELECT agent.agent, agent.site_id, agent.online, agent.last_seen_at, agent.lineage
        FROM agent JOIN site USING (site_id)
       WHERE %(organisation)s::text IS NULL OR site.organisation_id = %(organisation)s
"""
# A topic is q/v1/{shard}/{agent}/{name}.
_LETTER = """
    SELECT d.dead_letter_id AS letter_id, own.agent,
           array_to_string((string_to_array(d.topic, '/'))[5:], '/') AS name,
           d.reason, d.detail, octet_length(d.payload) AS size, d.received_at, d.replay_asked_at,
           d.replayed_at
      FROM dead_letter d JOIN own ON own.agent = split_part(d.topic, '/', 4)
"""


def find_groups(connection: Database) -> list[GroupState]:
    """Every group as it is served now."""
    with connection.cursor(row_factory=class_row(GroupState)) as cursor:
        return cursor.execute(
            """
            SELECT group_no AS group, holder, until > clock_timestamp() AS is_held, since
              FROM ingest_lease ORDER BY group_no
            """
        ).fetchall()


def find_workers(connection: Database) -> list[WorkerState]:
    """Every worker that did not take its leave."""
    rows = connection.execute(
        """
        SELECT w.name, w.seen_at, w.tally,
               ARRAY(SELECT group_no FROM ingest_lease l
                      WHERE l.holder = w.name AND l.until > clock_timestamp() ORDER BY group_no)
          FROM ingest_worker w ORDER BY w.name
        """
    ).fetchall()
    return [
        WorkerState(name=name, seen_at=seen_at, groups=tuple(groups), tally=tally)
        for name, seen_at, tally, groups in rows
    ]


def find_agents(connection: Database, subject: Subject) -> list[AgentFlow]:
    """The agents of the asker's organisation with what is missing of them."""
    missing: dict[str, list[MissingRange]] = {}
    for agent, lane, first, last in connection.execute(
        f"""
        WITH own AS ({_OWN})
        SELECT own.agent, p.lane, lower(hole), upper(hole) - 1
          FROM own JOIN lane_progress p ON p.agent = own.agent AND p.lineage = own.lineage,
               unnest(int8multirange(int8range(p.upto + 1, upper(p.ahead))) - p.ahead) AS hole
         WHERE NOT isempty(p.ahead)
         ORDER BY own.agent, p.lane, 3
        """,  # noqa: S608 only our own condition
        {"organisation": subject.organisation},
    ).fetchall():
        missing.setdefault(agent, []).append(MissingRange(lane=lane, first=first, last=last))
    rows = connection.execute(
        f"""
        WITH own AS ({_OWN})
        SELECT own.agent, own.site_id, own.online, own.last_seen_at,
               (SELECT count(*) FROM dead_letter d
                 WHERE split_part(d.topic, '/', 4) = own.agent AND d.replayed_at IS NULL),
               (SELECT coalesce(sum(c.times), 0) FROM value_conflict c JOIN source s USING (src)
                 WHERE s.agent = own.agent)
          FROM own ORDER BY own.agent
        """,  # noqa: S608 only our own condition
        {"organisation": subject.organisation},
    ).fetchall()
    return [
        AgentFlow(
            agent=agent,
            site_id=site_id,
            is_online=online,
            last_seen_at=last_seen_at,
            missing=tuple(missing.get(agent, ())),
            refused=refused,
            conflicts=int(conflicts),
        )
        for agent, site_id, online, last_seen_at, refused, conflicts in rows
    ]


def find_letters(connection: Database, subject: Subject, *, limit: int) -> list[Letter]:
    """The newest messages that were not taken."""
    with connection.cursor(row_factory=class_row(Letter)) as cursor:
        return cursor.execute(
            f"WITH own AS ({_OWN}) {_LETTER} ORDER BY d.dead_letter_id DESC LIMIT %(limit)s",
            {"organisation": subject.organisation, "limit": limit},
        ).fetchall()


def ask_replay(connection: Database, subject: Subject, letter_id: int, *, at: datetime) -> str | None:
    """Let the worker that serves the agent try again; the agent, or None if there is no such letter."""
    row = connection.execute(
        f"""
        WITH own AS ({_OWN})
        UPDATE dead_letter d SET replay_asked_at = %(at)s, replay_asked_by = %(by)s
          FROM own
         WHERE d.dead_letter_id = %(letter)s AND own.agent = split_part(d.topic, '/', 4)
           AND d.replayed_at IS NULL
        RETURNING own.agent
        """,  # noqa: S608 only our own condition
        {
            "organisation": subject.organisation,
            "letter": letter_id,
            "at": at,
            "by": subject.person,
        },
    ).fetchone()
    return None if row is None else str(row[0])
