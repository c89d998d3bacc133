"""SQL of leases. The database's clock decides when one is over: those of the workers may differ."""

from collections.abc import Collection, Mapping, Sequence

from psycopg.types.json import Jsonb

from cloud.shards.model import LEASE_LASTS, GroupState, Lease
from cloud.store.connection import Database

IS_LAST = (
    "EXISTS (SELECT FROM ingest_lease WHERE group_no = %(fence_group)s AND token = %(fence_token)s FOR SHARE)"
)
"""Whether a lease is still the last of its group; then nobody can take it before the transaction ends."""


def find_running_groups(connection: Database) -> set[int]:
    """Into how many groups those divide the shards whose leases run: one number, or none."""
    rows = connection.execute("SELECT DISTINCT groups FROM ingest_lease WHERE until > now()").fetchall()
    return {groups for (groups,) in rows}


def place_groups(connection: Database, groups: int) -> None:
    """One row per group, whatever there was before."""
    connection.execute("LOCK TABLE ingest_lease IN SHARE ROW EXCLUSIVE MODE")
    connection.execute("DELETE FROM ingest_lease WHERE groups <> %s", (groups,))
    connection.execute(
        """
        INSERT INTO ingest_lease (group_no, groups) SELECT generate_series(0, %(groups)s - 1), %(groups)s
        ON CONFLICT (group_no) DO NOTHING
        """,
        {"groups": groups},
    )


def note_worker(connection: Database, name: str, *, tally: Mapping[str, float]) -> None:
    """The worker lives, and has counted so much."""
    connection.execute(
        """
        INSERT INTO ingest_worker (name, seen_at, tally) VALUES (%s, clock_timestamp(), %s)
        ON CONFLICT (name) DO UPDATE SET seen_at = excluded.seen_at, tally = excluded.tally
        """,
        (name, Jsonb(dict(tally))),
    )


def count_workers(connection: Database) -> int:
    """How many live."""
    row = connection.execute(
        "SELECT count(*) FROM ingest_worker WHERE seen_at > clock_timestamp() - %s", (LEASE_LASTS,)
    ).fetchone()
    return 0 if row is None else int(row[0])


def forget_dead_workers(connection: Database) -> None:
    """Whoever was not seen for a day has another name now."""
    connection.execute("DELETE FROM ingest_worker WHERE seen_at < clock_timestamp() - interval '1 day'")


def forget_worker(connection: Database, name: str) -> None:
    """It goes, and nobody has to wait for it."""
    connection.execute("DELETE FROM ingest_worker WHERE name = %s", (name,))


def renew(connection: Database, leases: Collection[Lease]) -> set[int]:
    """Hold on to leases; returns the groups that still are ours."""
    rows = connection.execute(
        """
        UPDATE ingest_lease SET until = clock_timestamp() + %s WHERE token = ANY(%s) RETURNING group_no
        """,
        (LEASE_LASTS, [lease.token for lease in leases]),
    ).fetchall()
    return {group for (group,) in rows}


def claim(connection: Database, name: str, *, groups: int, limit: int, with_own: bool) -> list[Lease]:
    """Take free groups; `with_own` also those that an earlier run of this worker has left behind."""
    rows = connection.execute(
        """
        UPDATE ingest_lease
           SET holder = %(name)s, token = nextval('ingest_token'), since = clock_timestamp(),
               until = clock_timestamp() + %(lasts)s
         WHERE group_no IN (
               SELECT group_no FROM ingest_lease
                WHERE groups = %(groups)s
                  AND (until <= clock_timestamp() OR (%(with_own)s AND holder = %(name)s))
                ORDER BY group_no LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
        RETURNING group_no, token
        """,
        {"name": name, "groups": groups, "limit": limit, "with_own": with_own, "lasts": LEASE_LASTS},
    ).fetchall()
    return [Lease(group=group, groups=groups, holder=name, token=token) for group, token in sorted(rows)]


def release(connection: Database, leases: Sequence[Lease]) -> None:
    """Give groups back."""
    connection.execute(
        "UPDATE ingest_lease SET until = '-infinity' WHERE token = ANY(%s)",
        ([lease.token for lease in leases],),
    )


def find_groups(connection: Database) -> list[GroupState]:
    """Every group as it is served now."""
    rows = connection.execute(
        "SELECT group_no, holder, until > clock_timestamp() FROM ingest_lease ORDER BY group_no"
    ).fetchall()
    return [GroupState(group=group, holder=holder, is_held=is_held) for group, holder, is_held in rows]
