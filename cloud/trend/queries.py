"""SQL of the trend."""

from datetime import datetime
from typing import TypedDict

from psycopg.rows import class_row

from cloud.identity.model import Subject
from cloud.identity.queries import asked_by
from cloud.store.connection import Database
from cloud.trend.model import STEP, Bucket, ToldGap
from vitals.gap import Gap, GapCause


class TimeRange(TypedDict):
    """From when until when."""

    from_at: datetime
    to_at: datetime


def find_measured_since(connection: Database, subject: Subject, patient_id: str) -> datetime | None:
    """Since when sensors are bound to a patient."""
    row = connection.execute(
        """
        SELECT (SELECT min(lower(b.during)) FROM binding b WHERE b.patient_id = p.patient_id)
          FROM patient p
         WHERE p.patient_id = %(patient)s AND %(may_read)s
           AND may_see(%(asking_person)s, %(asking_role)s, %(asking_organisation)s, p.patient_id, now())
        """,
        _of(subject, patient_id),
    ).fetchone()
    return None if row is None else row[0]


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
               AND may_see(%(asking_person)s, %(asking_role)s, %(asking_organisation)s, p.patient_id, now())
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
           AND may_see(%(asking_person)s, %(asking_role)s, %(asking_organisation)s, p.patient_id, now())
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
    return {**asked_by(subject), "patient": patient_id}
