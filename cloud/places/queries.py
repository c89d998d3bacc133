"""SQL of places. What is read or changed lies within the subject's reach; the rest is not there.

The reach of a subject is the own organisation and everything that is part of it.
"""

from collections.abc import Mapping
from datetime import datetime

from cloud.identity.model import Scope, Subject
from cloud.places.model import (
    Location,
)
from cloud.store.connection import Database

_ORGANISATION = "o.organisation_id, o.name_zh, o.name_en, o.level, o.part_of, o.closed_at"
_SITE = "s.site_id, s.organisation_id, s.name_zh, s.name_en, s.zone"
_LOCATION = "l.location_id, l.site_id, l.kind, l.part_of, l.code, l.name_zh, l.name_en, l.closed_at"
_REACHED = (
    "(%(organisation)s::text IS NULL OR {column} IN (SELECT organisations_below(%(organisation)s::text)))"
)


def _reached(column: str) -> str:
    return _REACHED.format(column=column)


def _who(subject: Subject) -> dict[str, object]:
    return {"organisation": subject.organisation, "may_read": Scope.READ_PATIENTS in subject.scopes}


def insert_location(connection: Database, location: Location) -> bool:
    """A location; False when there is one of this id, or one of this kind and code at the site, already.

    The database refuses what does not nest.
    """
    cursor = connection.execute(
        """
        INSERT INTO location (location_id, site_id, kind, part_of, code, name_zh, name_en)
        VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
        """,
        (
            location.location_id,
            location.site_id,
            location.kind.value,
            location.part_of,
            location.code,
            location.name_zh,
            location.name_en,
        ),
    )
    return cursor.rowcount == 1


def begin_stay_of_file(connection: Database, patient_id: str, *, location_id: str, at: datetime) -> None:
    """Put a patient of a ward file into a bed, unless it is occupied or a person has moved the patient."""
    connection.execute(
        """
        INSERT INTO stay (patient_id, location_id, kind, during, begun_by)
        SELECT p.patient_id, l.location_id, l.kind, tstzrange(%(at)s, NULL), 'system'
          FROM patient p, location l JOIN site s USING (site_id)
         WHERE p.patient_id = %(patient)s AND l.location_id = %(location)s
           AND s.organisation_id = p.organisation_id
           AND NOT EXISTS (SELECT FROM stay o WHERE o.location_id = l.location_id AND l.kind = 'bed'
                                               AND o.during && tstzrange(%(at)s, NULL))
           AND NOT EXISTS (SELECT FROM stay o WHERE o.patient_id = p.patient_id
                                               AND o.during && tstzrange(%(at)s, NULL))
           AND NOT patient_moved_by_hand(p.patient_id)
        """,
        {"patient": patient_id, "location": location_id, "at": at},
    )


def end_stays_of_file(connection: Database, bed_by_patient: Mapping[str, str], *, at: datetime) -> None:
    """End the stays that a ward file began and that its present text contradicts."""
    connection.execute(
        """
        UPDATE stay SET during = tstzrange(lower(during), %(at)s), ended_by = 'system'
          FROM unnest(%(patients)s::text[], %(locations)s::text[]) AS now (patient_id, location_id)
         WHERE stay.patient_id = now.patient_id AND stay.location_id <> now.location_id
           AND upper_inf(during) AND begun_by = 'system' AND lower(during) < %(at)s
        """,
        {"patients": list(bed_by_patient), "locations": list(bed_by_patient.values()), "at": at},
    )
