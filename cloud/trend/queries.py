"""SQL of the trend."""

from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

from psycopg.rows import class_row

from cloud.identity.model import Scope, Subject
from cloud.store.connection import Database
from cloud.trend.model import STEP, Bucket, ToldGap
from vitals.gap import Gap, GapCause


class TimeRange(TypedDict):
    """From when until when."""

    from_at: datetime
    to_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class _Since:
    patient_id: str
    measured_since_at: datetime | None


def find_measured_since(
    connection: Database, subject: Subject, patient_id: str
) -> tuple[bool, datetime | None]:
    """Whether the subject may see such a patient, and since when sensors are bound to them."""
    with connection.cursor(row_factory=class_row(_Since)) as cursor:
        row = cursor.execute(
            """
            SELECT p.patient_id, (SELECT min(lower(b.during)) FROM binding b
                                   WHERE b.patient_id = p.patient_id) AS measured_since_at
              FROM patient p
             WHERE p.patient_id = %(patient)s AND %(may_read)s
               AND (%(organisation)s::text IS NULL OR p.organisation_id = %(organisation)s)
            """,
            _of(subject, patient_id),
        ).fetchone()
    return (False, None) if row is None else (True, row.measured_since_at)


def find_buckets(
    connection: Database, subject: Subject, patient_id: str, *, within: TimeRange
) -> list[Bucket]:
    """Values of a patient in steps of time, each measured while its sensor was bound to the patient."""
    with connection.cursor(row_factory=class_row(Bucket)) as cursor:
        return cursor.execute(
            """
            SELECT o.src, o.key, max(o.unit) AS unit,
                   date_bin(%(step)s, o.measured_at, 'epoch'::timestamptz) AS starts_at,
                   min(o.value) AS lowest, max(o.value) AS highest,
                   (array_agg(o.value ORDER BY o.measured_at DESC))[1] AS last,
                   max(o.measured_at) AS last_at
              FROM patient p
              JOIN binding b USING (patient_id)
              JOIN observation o ON o.src = b.src AND b.during @> o.measured_at
                                AND b.during @> (o.measured_at + o.clock_shift)
             WHERE p.patient_id = %(patient)s AND %(may_read)s
               AND (%(organisation)s::text IS NULL OR p.organisation_id = %(organisation)s)
               AND o.measured_at >= %(from_at)s AND o.measured_at <= %(to_at)s
               AND o.value IS NOT NULL AND o.quality <> 'invalid'
             GROUP BY 1, 2, 4
             ORDER BY 2, 4
            """,
            {**_of(subject, patient_id), **within, "step": STEP},
        ).fetchall()


def find_gaps(connection: Database, subject: Subject, patient_id: str, *, within: TimeRange) -> list[ToldGap]:
    """Gaps of a patient's sensors, clipped to the time in which they were the patient's."""
    rows = connection.execute(
        """
        SELECT g.src, g.keys, g.cause, GREATEST(g.started_at, lower(b.during)),
               CASE WHEN g.ended_at IS NULL THEN upper(b.during)
                    ELSE LEAST(g.ended_at, COALESCE(upper(b.during), g.ended_at)) END,
               g.told_by = 'edge'
          FROM patient p
          JOIN binding b USING (patient_id)
          JOIN gap g ON g.src = b.src AND b.during && tstzrange(g.started_at, g.ended_at, '[]')
         WHERE p.patient_id = %(patient)s AND %(may_read)s
           AND (%(organisation)s::text IS NULL OR p.organisation_id = %(organisation)s)
           AND g.started_at <= %(to_at)s AND (g.ended_at IS NULL OR g.ended_at >= %(from_at)s)
         ORDER BY 4
        """,
        {**_of(subject, patient_id), **within},
    ).fetchall()
    return [
        ToldGap(
            gap=Gap(
                src=src, keys=tuple(keys), cause=GapCause(cause), started_at=started_at, ended_at=ended_at
            ),
            by_edge=by_edge,
        )
        for src, keys, cause, started_at, ended_at, by_edge in rows
    ]


def _of(subject: Subject, patient_id: str) -> dict[str, object]:
    return {
        "patient": patient_id,
        "may_read": Scope.READ_PATIENTS in subject.scopes,
        "organisation": subject.organisation,
    }
