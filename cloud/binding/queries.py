"""SQL of bindings. Whoever changes those of a source holds its lock until the end of the transaction."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from psycopg.rows import class_row, kwargs_row
from psycopg.types.range import Range

from cloud.binding.model import (
    Binding,
    BindingOrigin,
    BoundPatient,
    Correction,
    Device,
    Ending,
    EndReason,
    LooseValues,
    NewBinding,
    Span,
    WatchedSource,
    loose_values,
)
from cloud.events import CONTINUOUS_WITHIN_S
from cloud.identity.model import Scope, Subject
from cloud.identity.queries import asked_by
from cloud.series.model import Held, bound_us, to_us
from cloud.series.port import SeriesStore, Watched
from cloud.store.connection import Database
from vitals.observation import SourceId

MOST_SHOWN = 5000
"""So many values that belong to nobody are looked at, the newest."""
LATE_WITHIN = timedelta(days=30)
"""A device that was scanned for one reading may deliver it this late, and the binding still ends with it."""

_BINDING = (
    "b.binding_id, b.src, b.patient_id, lower(b.during) AS begins_at, upper(b.during) AS ends_at, b.origin, "
    "b.origin_id, b.is_once, b.begun_at, b.begun_by, b.ended_at, b.ended_by, b.end_reason, "
    "coalesce((SELECT s.title_zh FROM source s WHERE s.src = b.src), '') AS title_zh, "
    "coalesce((SELECT s.title_en FROM source s WHERE s.src = b.src), '') AS title_en"
)
_OF_SUBJECT = "(%(organisation)s::text IS NULL OR p.organisation_id = %(organisation)s)"
_SEEN = (
    f"{_OF_SUBJECT} AND (%(asking_role)s = 'system' OR may_see("
    "%(asking_person)s, %(asking_role)s, %(asking_organisation)s, p.patient_id, now()))"
)
_DEVICE_OF_SUBJECT = "(%(organisation)s::text IS NULL OR place.organisation_id = %(organisation)s)"


def lock_sources(connection: Database, sources: Collection[str]) -> None:
    """Hold these sources, always in the same order; a place may stand among them."""
    for name in sorted(set(sources)):
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('binding:' || %s, 0))", (name,))


def find_patient(connection: Database, subject: Subject, patient_id: str) -> BoundPatient | None:
    """Whom an id means now, if the subject may see them."""
    with connection.cursor(row_factory=class_row(BoundPatient)) as cursor:
        return cursor.execute(
            f"""
            SELECT p.patient_id, p.organisation_id, p.location_id,
                   ARRAY(SELECT k.patient_id FROM same_people(ARRAY[p.patient_id]) k) AS records
              FROM patient p
            WHERE p.patient_id = surviving_patient(%(patient)s) AND %(may_read)s AND {_SEEN}
            """,  # noqa: S608 only our own conditions
            {**_who(subject), "patient": patient_id},
        ).fetchone()


def lock_patients(connection: Database, patient_ids: Collection[str], *, wholly: bool = False) -> None:
    """Hold patients in the order of their ids; wholly: nobody can bind anything to them meanwhile."""
    strength = "UPDATE" if wholly else "NO KEY UPDATE"
    connection.execute(
        f"SELECT FROM patient WHERE patient_id = ANY(%s) ORDER BY patient_id FOR {strength}",
        (sorted(patient_ids),),
    )


def find_devices(
    connection: Database, subject: Subject, *, now: datetime, src: SourceId | None = None
) -> list[Device]:
    """Devices of the subject's organisation. Whether one is bound is told, never to whom."""
    with connection.cursor(row_factory=class_row(Device)) as cursor:
        return cursor.execute(
            f"""
            SELECT s.src, s.agent, a.site_id, s.driver, s.title_zh, s.title_en, s.location_id, s.bed,
                   a.online AS is_online,
                   EXISTS (SELECT FROM binding b WHERE b.src = s.src AND b.during @> %(now)s) AS is_bound
              FROM source s JOIN agent a USING (agent) JOIN site place USING (site_id)
             WHERE {_DEVICE_OF_SUBJECT} AND (%(src)s::text IS NULL OR s.src = %(src)s)
             ORDER BY a.site_id, s.bed, s.src
            """,  # noqa: S608 only our own conditions
            {**_who(subject), "now": now, "src": src},
        ).fetchall()


def find_bed(
    connection: Database, subject: Subject, location_id: str
) -> tuple[list[SourceId], list[str]] | None:
    """The devices that are fixed to a place, and who lies there."""
    row = connection.execute(
        f"""
        SELECT ARRAY(SELECT s.src FROM source s JOIN agent a USING (agent)
                      WHERE s.location_id = l.location_id
                         OR (l.kind = 'bed' AND s.location_id IS NULL AND s.bed = l.code
                             AND a.site_id = l.site_id)),
               ARRAY(SELECT o.patient_id FROM patient o
                      WHERE o.location_id = l.location_id AND l.kind = 'bed')
          FROM location l JOIN site place USING (site_id)
         WHERE l.location_id = %(location)s AND l.closed_at IS NULL AND {_DEVICE_OF_SUBJECT}
        """,  # noqa: S608 only our own conditions
        {**_who(subject), "location": location_id},
    ).fetchone()
    return None if row is None else ([SourceId(src) for src in row[0]], row[1])


def place_patient(
    connection: Database, patient_id: str, *, location_id: str | None, at: datetime, by: str
) -> None:
    """Where a patient lies from now on; None is nowhere. Who stays in the same place does not move."""
    who = {"patient": patient_id, "location": location_id, "at": at, "by": by}
    connection.execute(
        """
        UPDATE stay SET during = tstzrange(lower(during), greatest(%(at)s, lower(during) + interval '1 us')),
                        ended_by = %(by)s
         WHERE patient_id = %(patient)s AND upper_inf(during) AND location_id IS DISTINCT FROM %(location)s
        """,
        who,
    )
    connection.execute(
        """
        INSERT INTO stay (patient_id, location_id, kind, during, begun_by)
        SELECT %(patient)s, l.location_id, l.kind, tstzrange(greatest(%(at)s, (
                   SELECT max(upper(s.during)) FROM stay s
                    WHERE s.patient_id = %(patient)s OR s.location_id = l.location_id)), NULL), %(by)s
          FROM location l
         WHERE l.location_id = %(location)s
           AND NOT EXISTS (SELECT FROM stay s WHERE s.patient_id = %(patient)s AND upper_inf(s.during))
        """,
        who,
    )


def find_bindings(connection: Database, subject: Subject, records: Sequence[str]) -> list[Binding]:
    """Everything that was ever bound to a patient, under any of the records, newest first."""
    with connection.cursor(row_factory=kwargs_row(_binding)) as cursor:
        return cursor.execute(
            f"""
            SELECT {_BINDING} FROM binding b JOIN patient p USING (patient_id)
            WHERE b.patient_id = ANY(%(records)s::text[]) AND %(may_read)s AND {_SEEN}
            ORDER BY lower(b.during) DESC, b.binding_id DESC
            """,  # noqa: S608 only our own conditions
            {**_who(subject), "records": list(records)},
        ).fetchall()


def find_binding(connection: Database, subject: Subject, binding_id: int) -> Binding | None:
    """One binding, if the subject may see its patient."""
    with connection.cursor(row_factory=kwargs_row(_binding)) as cursor:
        return cursor.execute(
            f"""
            SELECT {_BINDING} FROM binding b JOIN patient p USING (patient_id)
            WHERE b.binding_id = %(binding)s AND %(may_read)s AND {_SEEN}
            """,  # noqa: S608 only our own conditions
            {**_who(subject), "binding": binding_id},
        ).fetchone()


def find_current(
    connection: Database,
    subject: Subject,
    *,
    now: datetime,
    records: Sequence[str] | None = None,
    origin: tuple[str, str] | None = None,
) -> list[Binding]:
    """What is bound to a patient, or by one trip, place or household, and has not ended."""
    kind, origin_id = origin or (None, None)
    bound = {
        "now": now,
        "records": None if records is None else list(records),
        "kind": kind,
        "origin_id": origin_id,
    }
    with connection.cursor(row_factory=kwargs_row(_binding)) as cursor:
        return cursor.execute(
            f"""
            SELECT {_BINDING} FROM binding b JOIN patient p USING (patient_id)
             WHERE (upper_inf(b.during) OR upper(b.during) > %(now)s) AND %(may_read)s AND {_OF_SUBJECT}
               AND (%(records)s::text[] IS NULL OR b.patient_id = ANY(%(records)s::text[]))
               AND (%(kind)s::text IS NULL OR (b.origin = %(kind)s AND b.origin_id = %(origin_id)s))
             ORDER BY b.src
            """,  # noqa: S608 only our own conditions
            {**_who(subject), **bound},
        ).fetchall()


def find_overlapping(connection: Database, subject: Subject, span: Span) -> list[Binding]:
    """Who had a source within a span, in the order of time."""
    with connection.cursor(row_factory=kwargs_row(_binding)) as cursor:
        return cursor.execute(
            f"""
            SELECT {_BINDING} FROM binding b JOIN patient p USING (patient_id)
            WHERE b.src = %(src)s AND b.during && %(during)s AND %(may_read)s AND {_OF_SUBJECT}
            ORDER BY lower(b.during)
            """,  # noqa: S608 only our own conditions
            {**_who(subject), "src": span.src, "during": _range(span)},
        ).fetchall()


def find_last_of(connection: Database, subject: Subject, src: SourceId) -> Binding | None:
    """The newest binding of a source, whoever had it: asked under its lock, so that the next one follows."""
    with connection.cursor(row_factory=kwargs_row(_binding)) as cursor:
        return cursor.execute(
            f"""
            SELECT {_BINDING} FROM binding b WHERE b.src = %(src)s AND %(may_read)s
            ORDER BY lower(b.during) DESC LIMIT 1
            """,  # noqa: S608 only our own conditions
            {**_who(subject), "src": src},
        ).fetchone()


def insert_binding(connection: Database, new: NewBinding) -> int:
    """Begin a binding; the database refuses two patients at once."""
    row = connection.execute(
        """
        INSERT INTO binding (src, patient_id, during, origin, origin_id, is_once, begun_at, begun_by,
                             ended_at, ended_by, end_reason)
        VALUES (%s, %s, tstzrange(%s, %s), %s, %s, %s, %s, %s, %s, %s, %s)
        RETURNING binding_id
        """,
        (
            new.src,
            new.patient_id,
            new.begins_at,
            new.ends_at,
            new.origin,
            new.origin_id,
            new.is_once,
            new.begun_at,
            new.begun_by,
            None if new.ends_at is None else new.begun_at,
            None if new.ends_at is None else new.begun_by,
            new.end_reason,
        ),
    ).fetchone()
    assert row is not None  # noqa: S101 - an insert with RETURNING gives a row
    return int(row[0])


def end_binding(connection: Database, binding_id: int, ending: Ending, *, written_at: datetime) -> None:
    """Let a binding end at a moment."""
    connection.execute(
        "UPDATE binding SET during = tstzrange(lower(during), LEAST(%s, upper(during))), ended_at = %s, "
        "ended_by = %s, end_reason = %s WHERE binding_id = %s",
        (ending.at, written_at, ending.by, ending.reason, binding_id),
    )


def replace_span(connection: Database, binding: Binding, kept: Sequence[Span]) -> None:
    """Let a binding keep only these parts of it; without any it is gone (its correction tells of it)."""
    if not kept:
        connection.execute("DELETE FROM binding WHERE binding_id = %s", (binding.binding_id,))
        return
    *earlier, last = kept
    connection.execute(
        "UPDATE binding SET during = %s WHERE binding_id = %s", (_range(last), binding.binding_id)
    )
    for part in earlier:
        connection.execute(
            """
            INSERT INTO binding (src, patient_id, during, origin, origin_id, is_once, begun_at, begun_by,
                                 ended_at, ended_by, end_reason)
            SELECT src, patient_id, %s, origin, origin_id, is_once, begun_at, begun_by, ended_at, ended_by,
                   end_reason
              FROM binding WHERE binding_id = %s
            """,
            (_range(part), binding.binding_id),
        )


def end_once_read(
    connection: Database, subject: Subject, src: SourceId, *, now: datetime
) -> list[tuple[int, str]]:
    """End each binding of a source that was scanned for one reading right after the first reading in it.

    By measured time, so it does not matter in which order readings arrive.
    """
    rows = connection.execute(
        """
        WITH RECURSIVE named (key) AS (
            SELECT min(o.key) FROM observation o WHERE o.src = %(src)s
            UNION ALL
            SELECT (SELECT min(o.key) FROM observation o WHERE o.src = %(src)s AND o.key > named.key)
              FROM named WHERE key IS NOT NULL
        ), spot (key) AS (
            SELECT named.key FROM named JOIN source s ON s.src = %(src)s
             WHERE named.key IS NOT NULL
               AND COALESCE((s.cadence ->> named.key)::float8, 'infinity') > %(continuous)s
        ), first_read AS (
            SELECT b.binding_id, min(o.measured_at) AS at
              FROM binding b CROSS JOIN spot CROSS JOIN LATERAL (
                   SELECT x.measured_at FROM observation x
                    WHERE x.src = b.src AND x.key = spot.key AND x.measured_at >= lower(b.during)
                      AND x.measured_at < upper(b.during) AND b.during @> (x.measured_at + x.clock_shift)
                      AND x.value IS NOT NULL AND x.quality <> 'invalid'
                    ORDER BY x.measured_at LIMIT 1) o
             WHERE b.src = %(src)s AND b.is_once AND upper(b.during) > %(since)s
             GROUP BY b.binding_id
        )
        UPDATE binding b
           SET during = tstzrange(lower(b.during), f.at + interval '1 ms'), ended_at = %(now)s,
               ended_by = %(by)s, end_reason = 'reading_taken'
          FROM first_read f
         WHERE b.binding_id = f.binding_id AND upper(b.during) > f.at + interval '1 ms' AND %(may_read)s
        RETURNING b.binding_id, b.patient_id
        """,
        {
            **_who(subject),
            "src": src,
            "now": now,
            "since": now - LATE_WITHIN,
            "by": subject.person,
            "continuous": CONTINUOUS_WITHIN_S,
        },
    ).fetchall()
    return [(binding_id, patient_id) for binding_id, patient_id in rows]


def find_once_sources(connection: Database, subject: Subject) -> set[SourceId]:
    """Sources that were ever scanned for one reading."""
    rows = connection.execute(
        "SELECT DISTINCT src FROM binding WHERE is_once AND %(may_read)s", _who(subject)
    ).fetchall()
    return {SourceId(src) for (src,) in rows}


def insert_correction(connection: Database, correction: Correction) -> None:
    """Remember what was put right."""
    connection.execute(
        """
        INSERT INTO binding_correction (src, during, from_patient, to_patient, reason, corrected_at,
                                        corrected_by)
        VALUES (%s, tstzrange(%s, %s), %s, %s, %s, %s, %s)
        """,
        (
            correction.src,
            correction.begins_at,
            correction.ends_at,
            correction.from_patient,
            correction.to_patient,
            correction.reason,
            correction.corrected_at,
            correction.corrected_by,
        ),
    )


def find_corrections(connection: Database, subject: Subject, patient: BoundPatient) -> list[Correction]:
    """What was given to a patient or taken away, newest first."""
    with connection.cursor(row_factory=class_row(Correction)) as cursor:
        return cursor.execute(
            f"""
            SELECT c.src, lower(c.during) AS begins_at, upper(c.during) AS ends_at,
                   c.from_patient, c.to_patient, c.reason, c.corrected_at, c.corrected_by
              FROM binding_correction c JOIN patient p ON p.patient_id = %(patient)s
             WHERE (c.from_patient = ANY(%(records)s) OR c.to_patient = ANY(%(records)s))
               AND %(may_read)s AND {_SEEN}
             ORDER BY c.correction_id DESC
            """,  # noqa: S608 only our own conditions
            {**_who(subject), "patient": patient.patient_id, "records": patient.records},
        ).fetchall()


def count_settled(
    connection: Database, subject: Subject, span: Span, *, but_of: Sequence[str], series: SeriesStore
) -> int:
    """How many values of a span have an owner (but one), so that claiming it would take them away."""
    asked = {**_who(subject), "src": span.src, "during": _range(span), "but_of": list(but_of)}
    others = connection.execute(
        """
        SELECT s.src, s.src_no, lower(b.during), upper(b.during)
          FROM binding b JOIN source s USING (src)
         WHERE b.src = %(src)s AND b.during && %(during)s AND b.patient_id <> ALL(%(but_of)s) AND %(may_read)s
        """,
        asked,
    ).fetchall()
    from_us, to_us = bound_us(span.begins_at), bound_us(span.ends_at)
    in_series = series.count(connection, [_held(*other).within(from_us, to_us) for other in others])
    row = connection.execute(
        """
        SELECT count(*) FROM binding b JOIN observation o ON o.src = b.src AND b.during @> o.measured_at
         WHERE b.src = %(src)s AND b.during && %(during)s AND %(during)s @> o.measured_at
           AND b.during @> (o.measured_at + o.clock_shift) AND b.patient_id <> ALL(%(but_of)s)
           AND %(may_read)s
        """,
        asked,
    ).fetchone()
    return in_series + (0 if row is None else int(row[0]))


def vouch_for_times(connection: Database, span: Span, *, series: SeriesStore) -> int:
    """A person says that these were measured when they say; their flags still tell that the clock did not."""
    held = _find_held(connection, span)
    changed = series.vouch(connection, held)
    changed += connection.execute(
        "UPDATE observation SET clock_shift = '0' "
        "WHERE src = %(src)s AND %(during)s @> measured_at AND clock_shift IS DISTINCT FROM '0'",
        {"src": span.src, "during": _range(span)},
    ).rowcount
    if changed:
        series.refresh_latest(connection, held)
    return changed


def find_watched(
    connection: Database, subject: Subject, *, since: datetime, until: datetime
) -> list[WatchedSource]:
    """The sources of the organisation, who had them in a time, and what of it was dismissed."""
    rows = connection.execute(
        f"""
        SELECT s.src, s.src_no, s.title_zh, s.title_en,
               ARRAY(SELECT b.during FROM binding b WHERE b.src = s.src AND b.during && %(during)s),
               ARRAY(SELECT d.during FROM dismissed_measurement d
                      WHERE d.src = s.src AND d.during && %(during)s)
          FROM source s JOIN agent a USING (agent) JOIN site place USING (site_id)
         WHERE %(may_read)s AND {_DEVICE_OF_SUBJECT}
         ORDER BY s.src
        """,  # noqa: S608 only our own conditions
        {**_who(subject), "during": Range(since, until, "[]")},
    ).fetchall()
    return [
        WatchedSource(
            title_zh=title_zh,
            title_en=title_en,
            times=Watched(
                during=Held(src=SourceId(src), src_no=src_no, from_us=to_us(since), to_us=to_us(until) + 1),
                owned=tuple(_held(src, src_no, one.lower, one.upper) for one in owned),
                dismissed=tuple(_held(src, src_no, one.lower, one.upper) for one in dismissed),
            ),
        )
        for src, src_no, title_zh, title_en, owned, dismissed in rows
    ]


def _find_held(connection: Database, span: Span) -> list[Held]:
    rows = connection.execute("SELECT src, src_no FROM source WHERE src = %s", (span.src,)).fetchall()
    return [_held(src, src_no, span.begins_at, span.ends_at) for src, src_no in rows]


def _held(src: str, src_no: int, begins_at: datetime, ends_at: datetime | None) -> Held:
    return Held(src=SourceId(src), src_no=src_no, from_us=bound_us(begins_at), to_us=bound_us(ends_at))


def insert_dismissal(connection: Database, span: Span, *, reason: str, at: datetime, by: str) -> None:
    """Keep these values out of the tray."""
    connection.execute(
        "INSERT INTO dismissed_measurement (src, during, reason, dismissed_at, dismissed_by) "
        "VALUES (%s, %s, %s, %s, %s)",
        (span.src, _range(span), reason, at, by),
    )


def insert_household(
    connection: Database, household_id: str, *, organisation_id: str, members: Sequence[str]
) -> None:
    """People who share devices, the default one first."""
    connection.execute(
        "INSERT INTO household (household_id, organisation_id) VALUES (%s, %s)",
        (household_id, organisation_id),
    )
    for position, patient_id in enumerate(members, 1):
        connection.execute(
            "INSERT INTO household_member (household_id, patient_id, position) VALUES (%s, %s, %s)",
            (household_id, patient_id, position),
        )


def find_unclaimed(
    connection: Database,
    subject: Subject,
    *,
    within: tuple[datetime, datetime],
    series: SeriesStore,
) -> list[LooseValues]:
    """Values of the organisation's sources that belong to nobody, newest first.

    The times in which nobody had a source are taken from its bindings, and only there values are looked for;
    what a clock leaves in doubt has an index of its own.
    """
    since, until = within
    watched = {
        one.times.during.src: one for one in find_watched(connection, subject, since=since, until=until)
    }
    minutes = series.find_loose(connection, [one.times for one in watched.values()])
    in_series = [loose_values(minute, watched[minute.src]) for minute in minutes]
    with connection.cursor(row_factory=class_row(LooseValues)) as cursor:
        one_by_one = cursor.execute(
            _UNCLAIMED,
            {
                **_who(subject),
                "since": since,
                "until": until,
                "limit": MOST_SHOWN,
                "continuous": CONTINUOUS_WITHIN_S,
            },
        ).fetchall()
    return sorted(in_series + one_by_one, key=lambda row: row.last_at, reverse=True)[:MOST_SHOWN]


_UNCLAIMED = f"""
WITH RECURSIVE own AS (
    SELECT s.src, s.title_zh, s.title_en, s.cadence
      FROM source s JOIN agent a USING (agent) JOIN site place USING (site_id)
     WHERE %(may_read)s AND {_DEVICE_OF_SUBJECT}
), pair AS (
    SELECT src, (SELECT min(o.key) FROM observation o WHERE o.src = own.src) AS key FROM own
    UNION ALL
    SELECT src, (SELECT min(o.key) FROM observation o WHERE o.src = pair.src AND o.key > pair.key)
      FROM pair WHERE key IS NOT NULL
), free AS (
    SELECT own.src, unnest(tstzmultirange(tstzrange(%(since)s, %(until)s, '[]')) - COALESCE((
               SELECT range_agg(b.during) FROM binding b
                WHERE b.src = own.src AND b.during && tstzrange(%(since)s, %(until)s, '[]')), '{{}}'))
           AS during
      FROM own
), loose AS (
    SELECT o.src, o.key, o.measured_at, o.value, o.unit, o.clock_shift IS DISTINCT FROM '0' AS is_clock
      FROM free JOIN pair USING (src)
      JOIN observation o ON o.src = free.src AND o.key = pair.key AND free.during @> o.measured_at
                        AND o.measured_at >= lower(free.during) AND o.measured_at <= upper(free.during)
    UNION
    SELECT o.src, o.key, o.measured_at, o.value, o.unit, true
      FROM own JOIN observation o USING (src)
     WHERE o.clock_shift IS DISTINCT FROM '0' AND o.measured_at BETWEEN %(since)s AND %(until)s
       AND NOT EXISTS (SELECT FROM binding b
                        WHERE b.src = o.src AND b.during @> o.measured_at
                          AND b.during @> (o.measured_at + o.clock_shift))
), timed AS (
    SELECT loose.*, COALESCE((own.cadence ->> loose.key)::float8 <= %(continuous)s, false) AS is_continuous,
           own.title_zh, own.title_en
      FROM loose JOIN own USING (src)
     WHERE NOT EXISTS (SELECT FROM dismissed_measurement d
                        WHERE d.src = loose.src AND d.during @> loose.measured_at)
)
SELECT src, title_zh, title_en, key, max(unit) AS unit, min(measured_at) AS first_at,
       max(measured_at) AS last_at, (array_agg(value ORDER BY measured_at DESC))[1] AS value,
       count(*) AS count, is_continuous, is_clock
  FROM timed
 GROUP BY src, title_zh, title_en, key, is_continuous, is_clock,
          CASE WHEN is_continuous THEN date_bin('1 minute', measured_at, 'epoch'::timestamptz)
               ELSE measured_at END
 ORDER BY last_at DESC, src, key LIMIT %(limit)s
"""  # noqa: S608 only our own conditions


def _binding(*, origin: str, end_reason: str | None, **fields: Any) -> Binding:
    reason = None if end_reason is None else EndReason(end_reason)
    return Binding(origin=BindingOrigin(origin), end_reason=reason, **fields)


def _range(span: Span) -> "Range[datetime]":
    return Range(span.begins_at, span.ends_at, "[)")


def _who(subject: Subject) -> Mapping[str, object]:
    return {
        **asked_by(subject),
        "may_read": Scope.READ_PATIENTS in subject.scopes,
        "organisation": subject.organisation,
    }
