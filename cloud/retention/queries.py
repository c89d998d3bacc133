"""SQL of whole records. Which tables hold something about a person is asked of the database itself.

A table of a person is one with a foreign key to `patient`, or with a column that is called `patient_id`. So
what a later migration adds is exported, erased and looked for without a line here. Measurements hang on a
sensor, and are a person's while a binding says so.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from psycopg import sql
from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb

from cloud.identity.model import Scope, Subject
from cloud.identity.queries import asked_by
from cloud.retention.model import CareClass, Deletion, Kind, LastContact, Removal, Tombstone
from cloud.series.model import Held, bound_us, to_us
from cloud.series.port import SeriesStore
from cloud.store.connection import Database
from vitals.observation import SourceId

# These stay: who asked for a deletion and what became of it is itself a record that has to be kept.
KEPT = frozenset({"deletion_request", "tombstone", "removal"})
# Columns of these never leave the system as they are.
_HIDDEN = {"person_identifier": {"digest", "next_digest", "sealed"}, "family_link": {"code_hash"}}
_MEASURED = {"observation": "m.measured_at", "gap": "m.started_at"}
# One binding covers every moment between which it may have been measured, as trends and screens ask it too; a
# clock that tells nothing (NULL) covers none.
_MOMENTS = {
    "observation": ("m.measured_at", "m.measured_at + m.clock_shift"),
    "gap": ("m.started_at",),
}
_BOUND = "EXISTS (SELECT FROM binding b WHERE b.src = m.src AND b.patient_id = ANY(%(group)s) AND {})"
_HELD = (
    "SELECT s.src, s.src_no, lower(b.during), upper(b.during) FROM binding b JOIN source s USING (src) "
    "WHERE b.patient_id = ANY(%s) ORDER BY s.src, lower(b.during)"
)
_DELETION = (
    "deletion_id, patient_id, organisation_id, requested_at, requested_by, reason, "
    "decided_at, decided_by, approved"
)
_ROWS_AT_A_TIME = 2000
# What is kept for a time of its own: table, what is older than `before`, and the order in which it is hashed.
_OLD = {
    Kind.SIGN_INS: ("login_session", "expires_at < %(before)s", "session_id"),
    Kind.REFUSED_MESSAGES: ("dead_letter", "received_at < %(before)s", "dead_letter_id"),
}
TABLE_BY_KIND = {kind: table for kind, (table, _, _) in _OLD.items()} | {Kind.WAVEFORMS: "wave_block"}


class WaveStore(Protocol):
    """Port: the blocks of waves, wherever they lie, in the words of `wave_block`."""

    def hold(self, connection: Database, asked: Sequence[Held]) -> None:
        """Nobody else moves or changes them until the transaction ends."""

    def iterate(self, connection: Database, asked: Sequence[Held]) -> Iterator[dict[str, Any]]:
        """Every block that lies in one of these intervals."""

    def erase(self, connection: Database, asked: Sequence[Held]) -> int:
        """Delete these blocks; returns how many."""

    def remove_old(self, connection: Database, src: str, *, before_us: int) -> list[dict[str, Any]]:
        """Delete blocks that began before a moment, as many as one transaction takes; returns them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Where what was measured lies besides rows of its own."""

    series: SeriesStore
    waves: WaveStore


def find_group(connection: Database, subject: Subject, patient_id: str) -> list[str]:
    """Every id of the person, the one that it means now first; none if it is not for the subject."""
    if Scope.READ_PATIENTS not in subject.scopes:
        return []
    rows = connection.execute(
        """
        SELECT p.patient_id FROM patient p
         WHERE surviving_patient(p.patient_id) = surviving_patient(%(patient)s)
           AND p.patient_id IN (
               WITH RECURSIVE joined (id) AS (
                    SELECT surviving_patient(%(patient)s)
                    UNION
                    SELECT m.merged_id FROM joined j
                      JOIN patient_merge m ON m.survivor_id = j.id AND m.unmerged_at IS NULL)
               SELECT id FROM joined)
           AND (%(organisation)s::text IS NULL OR p.organisation_id = %(organisation)s)
           AND may_see(%(asking_person)s, %(asking_role)s, %(asking_organisation)s, p.patient_id, now())
         ORDER BY p.patient_id <> surviving_patient(%(patient)s), p.patient_id
        """,
        {**asked_by(subject), "patient": patient_id, "organisation": subject.organisation},
    ).fetchall()
    return [row[0] for row in rows]


def find_personal_tables(connection: Database) -> dict[str, list[str]]:
    """The columns by table that name somebody, in the order of deletion."""
    rows = connection.execute(
        """
        SELECT c.relname, array_agg(DISTINCT a.attname::text)
          FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
           AND a.atttypid = 'text'::regtype
           AND (a.attname = 'patient_id' OR EXISTS (
                SELECT FROM pg_constraint k
                  JOIN LATERAL unnest(k.conkey, k.confkey) AS u (mine, theirs) ON true
                  JOIN pg_attribute f ON f.attrelid = k.confrelid AND f.attnum = u.theirs
                 WHERE k.contype = 'f' AND k.conrelid = c.oid AND k.confrelid = 'patient'::regclass
                   AND u.mine = a.attnum AND f.attname = 'patient_id'))
         GROUP BY c.relname
        """
    ).fetchall()
    columns = {name: sorted(found) for name, found in rows if name not in KEPT}
    return {name: columns[name] for name in _referring_first(connection, list(columns))}


def _referring_first(connection: Database, names: list[str]) -> list[str]:
    pairs = connection.execute(
        "SELECT conrelid::regclass::text, confrelid::regclass::text FROM pg_constraint "
        "WHERE contype = 'f' AND conrelid <> confrelid"
    ).fetchall()
    referred = {name: {to for at, to in pairs if at == name} & set(names) for name in names}
    ordered: list[str] = []
    waiting = sorted(names)
    while waiting:
        # What nobody who still waits refers to; a circle would be cut at its first name.
        free = [name for name in waiting if not any(name in referred[other] for other in waiting)] or waiting[
            :1
        ]
        ordered += free
        waiting = [name for name in waiting if name not in free]
    return ordered


def iterate_rows(
    connection: Database, table: str, columns: list[str], *, group: list[str]
) -> Iterator[dict[str, Any]]:
    """The rows of a table that name the person, without what is hidden."""
    shown = _shown_columns(connection, table)
    query = sql.SQL("SELECT {} FROM {} t WHERE {} ORDER BY {}").format(
        sql.SQL(", ").join(sql.Identifier(name) for name in shown),
        sql.Identifier(table),
        _names(columns),
        sql.SQL(", ").join(sql.Identifier(name) for name in columns),
    )
    yield from _stream(connection, query, {"group": group}, names=shown)


def iterate_measured(
    connection: Database, table: str, *, group: list[str], measured: Measured
) -> Iterator[dict[str, Any]]:
    """What was measured on the person, as the bindings say, in the order of time.

    Values of a series come first, in the words of those that are stored one by one. Waves come by source.
    """
    if table == WAVE_TABLE:
        yield from measured.waves.iterate(connection, _find_held(connection, group))
        return
    if table == SERIES_TABLE:
        yield from measured.series.iterate(connection, _find_held(connection, group))
    shown = _shown_columns(connection, table)
    query = sql.SQL("SELECT {} FROM {} m WHERE {} ORDER BY {}, m.src").format(
        sql.SQL(", ").join(sql.SQL("m.") + sql.Identifier(name) for name in shown),
        sql.Identifier(table),
        _bound(table),
        sql.SQL(_MEASURED[table]),
    )
    yield from _stream(connection, query, {"group": group}, names=shown)


WAVE_TABLE = "wave_block"
MEASURED_TABLES = (*_MEASURED, WAVE_TABLE)
SERIES_TABLE = "observation"
"""Continuous values lie in a store of their own and are given away and removed with these."""


def find_last_contact(connection: Database, subject: Subject, group: list[str]) -> LastContact | None:
    """The latest of registration, end of binding and stay, measurement; a bed at any time makes an inpatient.

    Discharge empties bed and location of the patient, so the stays are asked too.
    """
    if Scope.READ_PATIENTS not in subject.scopes:
        return None
    row = connection.execute(
        """
        SELECT greatest(
                   (SELECT max(registered_at) FROM patient WHERE patient_id = ANY(%(group)s)),
                   (SELECT max(CASE WHEN upper_inf(during) THEN now() ELSE upper(during) END)
                      FROM binding WHERE patient_id = ANY(%(group)s)),
                   (SELECT max(CASE WHEN upper_inf(during) THEN now() ELSE upper(during) END)
                      FROM stay WHERE patient_id = ANY(%(group)s)),
                   (SELECT max(o.measured_at) FROM binding b JOIN observation o
                        ON o.src = b.src AND b.during @> o.measured_at WHERE b.patient_id = ANY(%(group)s))),
               EXISTS (SELECT FROM patient WHERE patient_id = ANY(%(group)s)
                          AND (bed <> '' OR location_id IS NOT NULL))
               OR EXISTS (SELECT FROM stay WHERE patient_id = ANY(%(group)s) AND kind = 'bed')
        """,
        {"group": group},
    ).fetchone()
    if row is None or row[0] is None:
        return None
    return LastContact(at=row[0], care=CareClass.INPATIENT if row[1] else CareClass.OUTPATIENT)


def lock_group(connection: Database, group: list[str], *, measured: Measured) -> None:
    """Nobody else changes the person until the transaction ends, in which records may be deleted for good.

    That takes as long as it takes: a long record must not run into the limit of a statement every night.
    """
    connection.execute("SELECT set_config('qianli.erasing', 'on', true)")
    connection.execute("SET LOCAL statement_timeout = 0")
    connection.execute("SELECT FROM patient WHERE patient_id = ANY(%s) FOR UPDATE", (group,))
    held = _find_held(connection, group)
    measured.series.hold(connection, held)
    measured.waves.hold(connection, held)


def erase_measured(connection: Database, table: str, *, group: list[str], measured: Measured) -> int:
    """Delete what was measured on the person; before the bindings go."""
    if table == WAVE_TABLE:
        return measured.waves.erase(connection, _find_held(connection, group))
    query = sql.SQL("DELETE FROM {} m WHERE {}").format(sql.Identifier(table), _bound(table))
    if table != SERIES_TABLE:
        return connection.execute(query, {"group": group}).rowcount
    held = _find_held(connection, group)
    erased = measured.series.erase(connection, held) + connection.execute(query, {"group": group}).rowcount
    measured.series.refresh_latest(connection, held)
    return erased


def _find_held(connection: Database, group: list[str]) -> list[Held]:
    """When which sensor was the person's; `find_group` has asked whether somebody may know."""
    rows = connection.execute(_HELD, (group,)).fetchall()
    return [
        Held(src=SourceId(src), src_no=src_no, from_us=bound_us(begins_at), to_us=bound_us(ends_at))
        for src, src_no, begins_at, ends_at in rows
    ]


def erase_rows(connection: Database, table: str, columns: list[str], *, group: list[str]) -> int:
    """Delete the rows of a table that name the person."""
    query = sql.SQL("DELETE FROM {} t WHERE {}").format(sql.Identifier(table), _names(columns))
    return connection.execute(query, {"group": group}).rowcount


def count_rows(connection: Database, table: str, columns: list[str], *, group: list[str]) -> int:
    """How many rows of a table name the person."""
    query = sql.SQL("SELECT count(*) FROM {} t WHERE {}").format(sql.Identifier(table), _names(columns))
    row = connection.execute(query, {"group": group}).fetchone()
    return 0 if row is None else int(row[0])


def insert_deletion(connection: Database, deletion: Deletion) -> int | None:
    """A new request; None if one waits for its decision already."""
    row = connection.execute(
        "INSERT INTO deletion_request (patient_id, organisation_id, requested_at, requested_by, reason) "
        "VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING RETURNING deletion_id",
        (
            *(deletion.patient_id, deletion.organisation_id, deletion.requested_at),
            *(deletion.requested_by, deletion.reason),
        ),
    ).fetchone()
    return None if row is None else int(row[0])


def find_deletions(
    connection: Database, subject: Subject, *, deletion_id: int | None = None
) -> list[Deletion]:
    """Requests of the subject's organisation, the newest first."""
    lock = "" if deletion_id is None else "FOR UPDATE"
    with connection.cursor(row_factory=class_row(Deletion)) as cursor:
        return cursor.execute(
            f"""
            SELECT {_DELETION} FROM deletion_request
             WHERE (%(organisation)s::text IS NULL OR organisation_id = %(organisation)s)
               AND (%(id)s::bigint IS NULL OR deletion_id = %(id)s)
             ORDER BY deletion_id DESC LIMIT 500 {lock}
            """.encode(),  # noqa: S608 only our own words
            {"organisation": subject.organisation, "id": deletion_id},
        ).fetchall()


def decide_deletion(connection: Database, deletion_id: int, *, at: datetime, by: str, approved: bool) -> None:
    """Write the decision down."""
    connection.execute(
        "UPDATE deletion_request SET decided_at = %s, decided_by = %s, approved = %s WHERE deletion_id = %s",
        (at, by, approved, deletion_id),
    )


def insert_tombstone(connection: Database, tombstone: Tombstone) -> None:
    """What was removed."""
    connection.execute(
        "INSERT INTO tombstone (deletion_id, patient_id, erased_at, counts, hash) "
        "VALUES (%s, %s, %s, %s, %s)",
        (
            *(tombstone.deletion_id, tombstone.patient_id, tombstone.erased_at),
            *(Jsonb(tombstone.counts), tombstone.hash),
        ),
    )


def _names(columns: list[str]) -> sql.Composable:
    return sql.SQL(" OR ").join(
        sql.SQL("t.{} = ANY(%(group)s)").format(sql.Identifier(column)) for column in columns
    )


def _bound(table: str) -> sql.Composable:
    covered = (sql.SQL("b.during @> ({})").format(sql.SQL(moment)) for moment in _MOMENTS[table])
    return sql.SQL(_BOUND).format(sql.SQL(" AND ").join(covered))


def _shown_columns(connection: Database, table: str) -> list[str]:
    rows = connection.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped "
        "ORDER BY attnum",
        (table,),
    ).fetchall()
    return [row[0] for row in rows if row[0] not in _HIDDEN.get(table, set())]


def _stream(
    connection: Database, query: sql.Composed, values: Mapping[str, object], *, names: list[str]
) -> Iterator[dict[str, Any]]:
    """Rows from a cursor of the server, so that a record of any length needs little memory."""
    with connection.cursor(name="record") as cursor:
        cursor.itersize = _ROWS_AT_A_TIME
        for row in cursor.execute(query, values):
            yield dict(zip(names, row, strict=True))


def remove_old_waves(
    connection: Database, src: str, *, before: datetime, waves: WaveStore
) -> list[dict[str, Any]]:
    """Delete blocks of a sensor that began before a moment, as many as one transaction takes."""
    connection.execute("SET LOCAL statement_timeout = 0")
    return waves.remove_old(connection, src, before_us=to_us(before))


def freeze_moment(connection: Database) -> None:
    """Everything that this transaction reads is of one moment."""
    connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")


def find_parts(connection: Database, kind: Kind) -> list[str]:
    """Waves are removed sensor by sensor, along their index; everything else at once."""
    if kind is not Kind.WAVEFORMS:
        return [""]
    return [src for (src,) in connection.execute("SELECT src FROM source ORDER BY src").fetchall()]


def remove_old(connection: Database, kind: Kind, *, before: datetime, limit: int) -> list[dict[str, Any]]:
    """Delete up to so many rows that are older, in order; rows that another removes just now are let be."""
    table, old, order = _OLD[kind]
    connection.execute("SET LOCAL statement_timeout = 0")
    statement = f"""
        WITH gone AS (
            DELETE FROM {table} WHERE ctid = ANY (ARRAY(
                SELECT ctid FROM {table} WHERE {old} LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
            RETURNING *)
        SELECT * FROM gone ORDER BY {order}
        """  # noqa: S608 only our own words
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement.encode(), {"before": before, "limit": limit}).fetchall()


def insert_removal(connection: Database, removal: Removal) -> int:
    """What was removed; returns its number."""
    row = connection.execute(
        "INSERT INTO removal (removed_at, kind, table_name, patient_id, before, row_count, hash, "
        "policy_sha256) VALUES (%s, %s, %s, %s, %s, %s, %s, %s) RETURNING removal_id",
        (
            *(removal.removed_at, removal.kind, removal.table, removal.patient_id, removal.before),
            *(removal.rows, removal.hash, removal.policy_sha256),
        ),
    ).fetchone()
    assert row is not None  # noqa: S101 such a statement always gives a row
    return int(row[0])


def find_not_seen_since(connection: Database, subject: Subject, before: datetime) -> list[tuple[str, str]]:
    """People (with their organisation) without a later registration, binding or stay."""
    if Scope.READ_PATIENTS not in subject.scopes:
        return []
    return connection.execute(
        """
        SELECT p.patient_id, p.organisation_id FROM patient p
         WHERE p.registered_at < %(before)s AND surviving_patient(p.patient_id) = p.patient_id
           AND (%(organisation)s::text IS NULL OR p.organisation_id = %(organisation)s)
           AND NOT EXISTS (SELECT FROM binding b WHERE b.patient_id = p.patient_id
                              AND (upper_inf(b.during) OR upper(b.during) >= %(before)s))
           AND NOT EXISTS (SELECT FROM stay s WHERE s.patient_id = p.patient_id
                              AND (upper_inf(s.during) OR upper(s.during) >= %(before)s))
         ORDER BY p.patient_id
        """,
        {"before": before, "organisation": subject.organisation},
    ).fetchall()


def was_proposed(connection: Database, patient_id: str, *, by: str) -> bool:
    """Whether the policy has asked for this deletion before, whatever was decided."""
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM deletion_request WHERE patient_id = %s AND requested_by = %s)",
        (patient_id, by),
    ).fetchone()
    return row is not None and bool(row[0])
