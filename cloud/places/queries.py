"""SQL of places. What is read or changed lies within the subject's reach; the rest is not there.

The reach of a subject is the own organisation and everything that is part of it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from psycopg.rows import class_row, kwargs_row

from cloud.identity.model import Scope, Subject
from cloud.places.model import (
    Affiliation,
    Consortium,
    Level,
    Location,
    LocationKind,
    Organisation,
    Position,
    ServiceArea,
    Site,
)
from cloud.store.connection import Database

_ORGANISATION = "o.organisation_id, o.name_zh, o.name_en, o.level, o.part_of, o.closed_at"
_LOCATION = "l.location_id, l.site_id, l.kind, l.part_of, l.code, l.name_zh, l.name_en, l.closed_at"
_REACHED = (
    "(%(organisation)s::text IS NULL OR o.organisation_id IN (SELECT organisations_below(%(organisation)s)))"
)
_VISIBLE = "%(may_read)s AND (%(organisation)s::text IS NULL OR p.organisation_id = %(organisation)s)"


def _who(subject: Subject) -> dict[str, object]:
    return {"organisation": subject.organisation, "may_read": Scope.READ_PATIENTS in subject.scopes}


def _organisation(*, level: str, **columns: Any) -> Organisation:
    return Organisation(level=Level(level), **columns)


def _location(*, kind: str, **columns: Any) -> Location:
    return Location(kind=LocationKind(kind), **columns)


def _affiliation(*, position: str, **columns: Any) -> Affiliation:
    return Affiliation(position=Position(position), **columns)


def find_organisations(connection: Database, subject: Subject) -> list[Organisation]:
    """Every organisation within reach."""
    with connection.cursor(row_factory=kwargs_row(_organisation)) as cursor:
        return cursor.execute(
            f"SELECT {_ORGANISATION} FROM organisation o WHERE {_REACHED} "  # noqa: S608 only our own texts
            "ORDER BY level_rank(o.level) DESC, o.name_en, o.organisation_id",
            _who(subject),
        ).fetchall()


def find_organisation(connection: Database, subject: Subject, organisation_id: str) -> Organisation | None:
    """An organisation within reach."""
    with connection.cursor(row_factory=kwargs_row(_organisation)) as cursor:
        return cursor.execute(
            f"SELECT {_ORGANISATION} FROM organisation o WHERE o.organisation_id = %(asked)s AND {_REACHED}",  # noqa: S608
            {**_who(subject), "asked": organisation_id},
        ).fetchone()


def insert_organisation(connection: Database, organisation: Organisation) -> None:
    """A new organisation; the database refuses a parent that does not stand higher."""
    connection.execute(
        "INSERT INTO organisation (organisation_id, name_zh, name_en, level, part_of) "
        "VALUES (%s, %s, %s, %s, %s)",
        (
            organisation.organisation_id,
            organisation.name_zh,
            organisation.name_en,
            organisation.level.value,
            organisation.part_of,
        ),
    )


def update_organisation(connection: Database, organisation: Organisation) -> None:
    """Names, level, parent and end of an organisation."""
    connection.execute(
        "UPDATE organisation SET name_zh = %s, name_en = %s, level = %s, part_of = %s, closed_at = %s "
        "WHERE organisation_id = %s",
        (
            organisation.name_zh,
            organisation.name_en,
            organisation.level.value,
            organisation.part_of,
            organisation.closed_at,
            organisation.organisation_id,
        ),
    )


def find_sites(connection: Database, subject: Subject, organisation_id: str) -> list[Site]:
    """The sites of an organisation within reach."""
    with connection.cursor(row_factory=class_row(Site)) as cursor:
        return cursor.execute(
            f"""
            SELECT s.site_id, s.organisation_id, s.name_zh, s.name_en, s.zone
              FROM site s JOIN organisation o USING (organisation_id)
             WHERE s.organisation_id = %(asked)s AND {_REACHED} ORDER BY s.site_id
            """,  # noqa: S608 only our own texts
            {**_who(subject), "asked": organisation_id},
        ).fetchall()


def find_site(connection: Database, subject: Subject, site_id: str) -> Site | None:
    """A site within reach."""
    with connection.cursor(row_factory=class_row(Site)) as cursor:
        return cursor.execute(
            f"""
            SELECT s.site_id, s.organisation_id, s.name_zh, s.name_en, s.zone
              FROM site s JOIN organisation o USING (organisation_id)
             WHERE s.site_id = %(asked)s AND {_REACHED}
            """,  # noqa: S608 only our own texts
            {**_who(subject), "asked": site_id},
        ).fetchone()


def insert_site(connection: Database, site: Site) -> None:
    """A new site."""
    connection.execute(
        "INSERT INTO site (site_id, organisation_id, name_zh, name_en, zone) VALUES (%s, %s, %s, %s, %s)",
        (site.site_id, site.organisation_id, site.name_zh, site.name_en, site.zone),
    )


def find_service_areas(connection: Database, subject: Subject, organisation_id: str) -> list[ServiceArea]:
    """What an organisation within reach looks after."""
    with connection.cursor(row_factory=class_row(ServiceArea)) as cursor:
        return cursor.execute(
            f"""
            SELECT a.division, a.name_zh FROM service_area a JOIN organisation o USING (organisation_id)
             WHERE a.organisation_id = %(asked)s AND {_REACHED} ORDER BY a.division
            """,  # noqa: S608 only our own texts
            {**_who(subject), "asked": organisation_id},
        ).fetchall()


def find_divisions_above(connection: Database, organisation_id: str) -> list[str]:
    """The divisions of the organisation that this one is part of."""
    rows = connection.execute(
        "SELECT a.division FROM service_area a JOIN organisation o ON o.part_of = a.organisation_id "
        "WHERE o.organisation_id = %s",
        (organisation_id,),
    ).fetchall()
    return [division for (division,) in rows]


def replace_service_areas(connection: Database, organisation_id: str, areas: Sequence[ServiceArea]) -> None:
    """From now on the organisation looks after these."""
    connection.execute("DELETE FROM service_area WHERE organisation_id = %s", (organisation_id,))
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO service_area (organisation_id, division, name_zh) VALUES (%s, %s, %s)",
            [(organisation_id, area.division, area.name_zh) for area in areas],
        )


def find_affiliations(connection: Database, subject: Subject, organisation_id: str) -> list[Affiliation]:
    """In which consortia an organisation within reach is or was."""
    with connection.cursor(row_factory=kwargs_row(_affiliation)) as cursor:
        return cursor.execute(
            f"""
            SELECT a.consortium_id, a.organisation_id, a.position,
                   lower(a.during) AS begins_at, upper(a.during) AS ends_at
              FROM affiliation a JOIN organisation o USING (organisation_id)
             WHERE a.organisation_id = %(asked)s AND {_REACHED} ORDER BY lower(a.during), a.consortium_id
            """,  # noqa: S608 only our own texts
            {**_who(subject), "asked": organisation_id},
        ).fetchall()


def leads_consortium(connection: Database, subject: Subject, consortium_id: str, *, at: datetime) -> bool:
    """Whether the organisation that leads a consortium is within reach."""
    row = connection.execute(
        f"""
        SELECT FROM affiliation a JOIN organisation o USING (organisation_id)
         WHERE a.consortium_id = %(consortium)s AND a.position = 'lead' AND a.during @> %(at)s::timestamptz
           AND {_REACHED}
        """,
        {**_who(subject), "consortium": consortium_id, "at": at},
    ).fetchone()
    return row is not None


def insert_consortium(connection: Database, consortium: Consortium) -> None:
    """A new consortium, still without anybody."""
    connection.execute(
        "INSERT INTO consortium (consortium_id, name_zh, name_en) VALUES (%s, %s, %s)",
        (consortium.consortium_id, consortium.name_zh, consortium.name_en),
    )


def begin_affiliation(connection: Database, affiliation: Affiliation) -> None:
    """An organisation joins; the database refuses a second lead, and one organisation twice."""
    connection.execute(
        "INSERT INTO affiliation (consortium_id, organisation_id, position, during) "
        "VALUES (%s, %s, %s, tstzrange(%s, %s))",
        (
            affiliation.consortium_id,
            affiliation.organisation_id,
            affiliation.position.value,
            affiliation.begins_at,
            affiliation.ends_at,
        ),
    )


def end_affiliation(connection: Database, consortium_id: str, *, organisation_id: str, at: datetime) -> bool:
    """An organisation leaves; False when it is not in."""
    cursor = connection.execute(
        "UPDATE affiliation SET during = tstzrange(lower(during), %(at)s) "
        "WHERE consortium_id = %(consortium)s AND organisation_id = %(organisation)s "
        "AND during @> %(at)s AND lower(during) < %(at)s",
        {"consortium": consortium_id, "organisation": organisation_id, "at": at},
    )
    return cursor.rowcount == 1


def find_locations(connection: Database, subject: Subject, site_id: str) -> list[Location]:
    """The locations of a site within reach that are not closed."""
    with connection.cursor(row_factory=kwargs_row(_location)) as cursor:
        return cursor.execute(
            f"""
            SELECT {_LOCATION} FROM location l
              JOIN site s USING (site_id)
              JOIN organisation o USING (organisation_id)
             WHERE l.site_id = %(asked)s AND l.closed_at IS NULL AND {_REACHED}
             ORDER BY l.kind, length(l.code), l.code
            """,  # noqa: S608 only our own texts
            {**_who(subject), "asked": site_id},
        ).fetchall()


def find_location(connection: Database, subject: Subject, location_id: str) -> Location | None:
    """A location within reach, closed or not."""
    with connection.cursor(row_factory=kwargs_row(_location)) as cursor:
        return cursor.execute(
            f"""
            SELECT {_LOCATION} FROM location l
              JOIN site s USING (site_id)
              JOIN organisation o USING (organisation_id)
             WHERE l.location_id = %(asked)s AND {_REACHED}
            """,  # noqa: S608 only our own texts
            {**_who(subject), "asked": location_id},
        ).fetchone()


def is_occupied(connection: Database, location_id: str) -> bool:
    """Whether anything open, or anybody, is in a location. Tells of nobody who it is."""
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM location WHERE part_of = %(location)s AND closed_at IS NULL) "
        "OR EXISTS (SELECT FROM stay WHERE location_id = %(location)s AND upper_inf(during))",
        {"location": location_id},
    ).fetchone()
    return row is not None and bool(row[0])


def close_location(connection: Database, location_id: str, *, at: datetime) -> None:
    """From now on nobody is put there."""
    connection.execute(
        "UPDATE location SET closed_at = %s WHERE location_id = %s AND closed_at IS NULL", (at, location_id)
    )


def lock_location(connection: Database, location_id: str) -> None:
    """Whoever closes it and whoever puts somebody there wait for one another."""
    connection.execute("SELECT FROM location WHERE location_id = %s FOR UPDATE", (location_id,))


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
