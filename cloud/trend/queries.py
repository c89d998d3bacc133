"""SQL of the trend."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, TypedDict

import msgspec
import numpy as np

from cloud.identity.model import Subject
from cloud.identity.queries import asked_by
from cloud.series.model import Held, bound_us, to_us
from cloud.series.port import Line
from cloud.series.rollup import Steps
from cloud.store.connection import Database
from cloud.trend.model import ToldGap
from vitals.gap import Gap, GapCause
from vitals.observation import SourceId, VitalKey
from vitals.wire.batch import to_ms
from vitals.wire.status import WaveDeclaration


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


def find_held(connection: Database, subject: Subject, patient_id: str, *, within: TimeRange) -> list[Held]:
    """Which sensors were bound to a patient in a range, and when in it."""
    rows = connection.execute(
        """
        SELECT s.src, s.src_no, lower(b.during), upper(b.during)
          FROM patient p JOIN binding b USING (patient_id) JOIN source s USING (src)
         WHERE p.patient_id = %(patient)s AND %(may_read)s
           AND may_see(%(asking_person)s, %(asking_role)s, %(asking_organisation)s, p.patient_id, now())
           AND b.during && tstzrange(%(from_at)s, %(to_at)s, '[]')
        """,
        {**_of(subject, patient_id), **within},
    ).fetchall()
    return [
        Held(src=SourceId(src), src_no=src_no, from_us=bound_us(begins_at), to_us=bound_us(ends_at)).within(
            to_us(within["from_at"]), to_us(within["to_at"]) + 1
        )
        for src, src_no, begins_at, ends_at in rows
    ]


def find_spots(
    connection: Database, subject: Subject, patient_id: str, *, within: TimeRange, step_ms: int
) -> list[Line]:
    """What is stored value by value, in steps of time, measured while its sensor was bound to the patient."""
    rows = connection.execute(
        """
        SELECT o.src, o.key, max(o.unit),
               date_bin(%(step)s, o.measured_at, 'epoch'::timestamptz), count(*), min(o.value), max(o.value),
               sum(o.value), (array_agg(o.value ORDER BY o.measured_at))[1], min(o.measured_at),
               (array_agg(o.value ORDER BY o.measured_at DESC))[1], max(o.measured_at)
          FROM patient p
          JOIN binding b USING (patient_id)
          JOIN observation o ON o.src = b.src AND b.during @> o.measured_at
                            AND b.during @> (o.measured_at + o.clock_shift)
         WHERE p.patient_id = %(patient)s AND %(may_read)s
           AND may_see(%(asking_person)s, %(asking_role)s, %(asking_organisation)s, p.patient_id, now())
           AND o.measured_at >= %(from_at)s AND o.measured_at <= %(to_at)s
           AND o.value IS NOT NULL AND o.quality <> 'invalid'
         GROUP BY 1, 2, 4
         ORDER BY 1, 2, 4
        """,
        {**_of(subject, patient_id), **within, "step": timedelta(milliseconds=step_ms)},
    ).fetchall()
    return [
        Line(src=SourceId(src), key=VitalKey(key), unit=max(row[2] for row in several), steps=_steps(several))
        for (src, key), several in (
            (name, list(group)) for name, group in groupby(rows, key=lambda row: (row[0], row[1]))
        )
    ]


def _steps(rows: Sequence[tuple[Any, ...]]) -> Steps:
    starts, counts, lowest, highest, sums, first, first_at, last, last_at = list(zip(*rows, strict=True))[3:]
    return Steps(
        starts_ms=np.array([to_ms(moment) for moment in starts], np.int64),
        counts=np.array(counts, np.int64),
        lowest=np.array(lowest, np.float64),
        highest=np.array(highest, np.float64),
        sums=np.array(sums, np.float64),
        first=np.array(first, np.float64),
        first_ms=np.array([to_ms(moment) for moment in first_at], np.int64),
        last=np.array(last, np.float64),
        last_ms=np.array([to_ms(moment) for moment in last_at], np.int64),
    )


def find_layouts(
    connection: Database, sources: Collection[SourceId]
) -> dict[tuple[SourceId, VitalKey], WaveDeclaration]:
    """How to read the integers of these sources' streams."""
    rows = connection.execute("SELECT src, waves FROM source WHERE src = ANY(%s)", (sorted(sources),))
    return {
        (SourceId(src), wave.stream): wave
        for src, waves in rows
        for wave in msgspec.convert(waves, list[WaveDeclaration])
    }


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
