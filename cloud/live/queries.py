"""SQL of the live state."""

from datetime import datetime

import msgspec
from psycopg.rows import class_row

from cloud.events import Reading
from cloud.identity.model import Subject
from cloud.identity.queries import asked_by
from cloud.live.model import Binding, Patient, Source, Ward
from cloud.series.latest import LatestCell, is_held, of_reading, read_latest, to_reading
from cloud.series.model import FOREVER_US, Held, bound_us, from_us
from cloud.series.stores.choice import choose_series
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

    The newest value of a key is nearly always in the binding, and where it is older, no value is. Only
    where it was measured afterwards, or a clock leaves its time in doubt, what is stored is searched.
    """
    rows = connection.execute(
        """
        SELECT s.src, s.src_no, lower(b.during), upper(b.during), l.cells
          FROM binding b JOIN source s USING (src) JOIN latest l USING (src_no)
         WHERE (b.during @> %(now)s OR (b.is_once AND upper(b.during) > %(now)s - interval '1 hour'))
           AND %(may_read)s
           AND (%(asking_role)s = 'system' OR may_see(
               %(asking_person)s, %(asking_role)s, %(asking_organisation)s, b.patient_id, now()))
        """,
        {**asked_by(subject), "now": now},
        binary=True,
    ).fetchall()
    found: list[Reading] = []
    hidden: list[tuple[Held, str]] = []
    for src, src_no, begins_at, ends_at, cells in rows:
        held = Held(src=SourceId(src), src_no=src_no, from_us=bound_us(begins_at), to_us=bound_us(ends_at))
        for key, cell in read_latest(cells).items():
            if is_held(cell, held):
                found.append(to_reading(cell, held.src))
            elif cell.measured_us >= held.from_us:
                hidden.append((held, key))
    if not hidden:
        return found
    series = choose_series(connection)
    for held, key in hidden:
        # First what may move away from where it lies.
        several = [series.find_newest(connection, held, key), _find_newest(connection, subject, held, key)]
        newest = max(
            (cell for cell in several if cell is not None), key=lambda cell: cell.measured_us, default=None
        )
        if newest is not None:
            found.append(to_reading(newest, held.src))
    return found


def _find_newest(connection: Database, subject: Subject, held: Held, key: str) -> LatestCell | None:
    """The newest value of a key in a binding that `subject` was found to see: what is stored one by one."""
    row = connection.execute(
        """
        SELECT o.value, o.unit, o.measured_at, o.received_at, o.stored_at, o.quality, o.flags, o.late,
               o.clock_shift
          FROM observation o
         WHERE o.src = %(src)s AND o.key = %(key)s AND %(may_read)s
           AND o.measured_at >= %(begins_at)s
           AND tstzrange(%(begins_at)s, %(ends_at)s) @> o.measured_at
           AND tstzrange(%(begins_at)s, %(ends_at)s) @> (o.measured_at + o.clock_shift)
         ORDER BY o.measured_at DESC LIMIT 1
        """,
        {
            **asked_by(subject),
            "src": held.src,
            "key": key,
            "begins_at": from_us(held.from_us),
            "ends_at": None if held.to_us == FOREVER_US else from_us(held.to_us),
        },
    ).fetchone()
    if row is None:
        return None
    value, unit, measured_at, received_at, stored_at, quality, flags, late, shift = row
    return of_reading(
        Reading(
            src=held.src,
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
    )
