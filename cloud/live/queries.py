"""SQL of the live state."""

from datetime import datetime

import msgspec
from psycopg.rows import class_row

from cloud.events import Reading
from cloud.identity.model import Subject
from cloud.identity.queries import asked_by
from cloud.live.model import Binding, Patient, Source, Ward
from cloud.store.connection import Database
from vitals.observation import Flag, Quality, SourceId, VitalKey
from vitals.wire.status import WaveDeclaration


def find_ward(connection: Database, subject: Subject) -> Ward:
    """Who lies in a bed or wears a sensor, if the subject may see them, by bed, with their bindings."""
    with connection.cursor(row_factory=class_row(Patient)) as cursor:
        patients = cursor.execute(
            """
            SELECT patient_id, organisation_id, bed, name_zh, name_en, composite_zh, composite_en, spo2_scale
              FROM patient
             WHERE patient_id IN (
                   SELECT patient_id FROM patient WHERE bed <> ''
                   UNION
                   SELECT patient_id FROM binding
                    WHERE upper_inf(during) OR upper(during) > now() - interval '1 hour')
               AND %(may_read)s
               AND (%(asking_role)s = 'system' OR may_see(
                   %(asking_person)s, %(asking_role)s, %(asking_organisation)s, patient_id, now()))
             ORDER BY length(bed), bed, name_sort
            """,
            asked_by(subject),
        ).fetchall()
    with connection.cursor(row_factory=class_row(Binding)) as binding_cursor:
        bindings = binding_cursor.execute(
            """
            SELECT b.src, b.patient_id, lower(b.during) AS begins_at, upper(b.during) AS ends_at,
                   b.is_once, upper_inf(b.during) OR upper(b.during) > now() AS is_current, s.agent
              FROM binding b JOIN source s USING (src)
             WHERE (upper_inf(b.during) OR upper(b.during) > now() - interval '1 hour')
               AND %(may_read)s
               AND (%(asking_role)s = 'system' OR may_see(
                   %(asking_person)s, %(asking_role)s, %(asking_organisation)s, patient_id, now()))
             ORDER BY b.patient_id, b.binding_id
            """,
            asked_by(subject),
        ).fetchall()
    return Ward(patients=tuple(patients), bindings=tuple(bindings))


def find_sources(connection: Database) -> list[Source]:
    """Every declared source. Sources are devices: nothing here tells of a person."""
    rows = connection.execute(
        "SELECT src, agent, driver, title_zh, title_en, simulated, cadence, waves FROM source "
        "WHERE declared_at IS NOT NULL"
    ).fetchall()
    return [
        Source(
            src=SourceId(src),
            agent=agent,
            driver=driver,
            title_zh=title_zh,
            title_en=title_en,
            simulated=simulated,
            cadence={VitalKey(key): float(cadence_s) for key, cadence_s in cadence.items()},
            waves=msgspec.convert(waves, list[WaveDeclaration]),
        )
        for src, agent, driver, title_zh, title_en, simulated, cadence, waves in rows
    ]


def find_latest(connection: Database, subject: Subject, *, now: datetime) -> list[Reading]:
    """Of each source that is bound now, or was for one reading, the latest value of each key in the binding.

    The keys of a source are found by leaping through the primary key, not by reading its rows.
    """
    rows = connection.execute(
        """
        WITH RECURSIVE bound AS (
            SELECT b.src, lower(b.during) AS begins_at, b.during
              FROM binding b
             WHERE (b.during @> %(now)s OR (b.is_once AND upper(b.during) > %(now)s - interval '1 hour'))
               AND %(may_read)s
               AND (%(asking_role)s = 'system' OR may_see(
                   %(asking_person)s, %(asking_role)s, %(asking_organisation)s, b.patient_id, now()))
        ), pair AS (
            SELECT src, begins_at, during,
                   (SELECT min(o.key) FROM observation o WHERE o.src = bound.src) AS key
              FROM bound
            UNION ALL
            SELECT src, begins_at, during,
                   (SELECT min(o.key) FROM observation o WHERE o.src = pair.src AND o.key > pair.key)
              FROM pair WHERE key IS NOT NULL
        )
        SELECT o.src, o.key, o.value, o.unit, o.measured_at, o.received_at, o.stored_at, o.quality, o.flags,
               o.late, o.clock_shift
          FROM pair CROSS JOIN LATERAL (
               SELECT * FROM observation x
                WHERE x.src = pair.src AND x.key = pair.key AND x.measured_at >= pair.begins_at
                  AND pair.during @> x.measured_at AND pair.during @> (x.measured_at + x.clock_shift)
                ORDER BY x.measured_at DESC LIMIT 1) o
        """,
        {**asked_by(subject), "now": now},
    ).fetchall()
    return [
        Reading(
            src=SourceId(src),
            key=VitalKey(key),
            value=value,
            unit=unit,
            measured_at=measured_at,
            received_at=received_at,
            arrived_at=stored_at,
            stored_at=stored_at,
            quality=Quality(quality),
            flags=tuple(Flag(flag) for flag in flags),
            late=late,
            clock_shift=shift,
        )
        for src, key, value, unit, measured_at, received_at, stored_at, quality, flags, late, shift in rows
    ]
