"""SQL of staff, teams, duty and accounts. What is read or changed lies within the subject's reach.

The reach of a subject is the own organisation and everything that is part of it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from psycopg.rows import class_row, kwargs_row

from cloud.identity.model import Role, Scope, Subject
from cloud.identity.queries import asked_by
from cloud.staff.model import (
    Duty,
    Licence,
    LicenceKind,
    OnDuty,
    Practitioner,
    PractitionerKind,
    PractitionerRole,
    Qualification,
    StaffAccount,
    Team,
    TeamPlace,
    Turn,
)
from cloud.store.connection import Database

_REACH = "(SELECT organisations_below(%(organisation)s))"
_ON_DUTY = """
    SELECT DISTINCT ON (d.person_id, t.team_id)
           d.person_id, n.display_zh, n.display_en, t.team_id, t.name_zh AS team_zh, t.name_en AS team_en,
           tp.location_id, upper(d.during) AS ends_at
      FROM asked
      JOIN team_place tp ON tp.site_id = asked.site_id
      LEFT JOIN LATERAL enclosing_locations(asked.location_id) e ON e.location_id = tp.location_id
      JOIN team t ON t.team_id = tp.team_id AND t.closed_at IS NULL
      JOIN duty d ON d.team_id = t.team_id AND d.during @> %(at)s::timestamptz
      JOIN person n ON n.person_id = d.person_id
     WHERE tp.location_id IS NULL OR e.location_id IS NOT NULL
     ORDER BY d.person_id, t.team_id, e.depth NULLS LAST
"""


def _who(subject: Subject) -> dict[str, object]:
    return {
        **asked_by(subject),
        "organisation": subject.organisation,
        "may_read": Scope.READ_PATIENTS in subject.scopes,
    }


def _reached(column: str) -> str:
    return f"(%(organisation)s::text IS NULL OR {column} IN {_REACH})"


def reaches_organisation(connection: Database, subject: Subject, organisation_id: str) -> bool:
    """Whether an organisation is within reach and not closed."""
    row = connection.execute(
        "SELECT FROM organisation o WHERE o.organisation_id = %(asked)s AND o.closed_at IS NULL "
        f"AND {_reached('o.organisation_id')}",
        {**_who(subject), "asked": organisation_id},
    ).fetchone()
    return row is not None


def find_practitioners(
    connection: Database,
    subject: Subject,
    *,
    organisation_id: str | None = None,
    person_id: str | None = None,
) -> list[Practitioner]:
    """Everybody who works or worked within reach: of one organisation, or one person."""
    rows = connection.execute(
        f"""
        SELECT n.person_id, n.display_zh, n.display_en, r.practitioner_role_id, r.organisation_id, r.role,
               lower(r.during), upper(r.during), COALESCE(s.zone, 'Asia/Shanghai')
          FROM practitioner_role r
          JOIN person n USING (person_id)
          LEFT JOIN LATERAL (SELECT zone FROM site WHERE organisation_id = r.organisation_id
                              ORDER BY site_id LIMIT 1) s ON true
         WHERE (%(asked)s::text IS NULL OR r.organisation_id = %(asked)s)
           AND (%(person)s::text IS NULL OR r.person_id = %(person)s)
           AND {_reached("r.organisation_id")}
         ORDER BY n.display_en, n.person_id, r.practitioner_role_id
        """,  # noqa: S608 only our own texts
        {**_who(subject), "asked": organisation_id, "person": person_id},
    ).fetchall()
    roles: dict[tuple[str, str, str], list[PractitionerRole]] = {}
    for person, zh, en, role_id, organisation, kind, begins_at, ends_at, zone in rows:
        role = PractitionerRole(
            role_id=role_id,
            organisation_id=organisation,
            kind=PractitionerKind(kind),
            begins_at=begins_at,
            ends_at=ends_at,
            zone=zone,
        )
        roles.setdefault((person, zh, en), []).append(role)
    return [
        Practitioner(person_id=person, display_zh=zh, display_en=en, roles=tuple(held))
        for (person, zh, en), held in roles.items()
    ]


def insert_person(
    connection: Database, person_id: str, *, organisation_id: str, display: tuple[str, str]
) -> None:
    """Somebody who works at an organisation."""
    connection.execute(
        "INSERT INTO person (person_id, organisation_id, display_zh, display_en) VALUES (%s, %s, %s, %s)",
        (person_id, organisation_id, *display),
    )


def insert_role(
    connection: Database, person_id: str, *, organisation_id: str, kind: PractitionerKind, at: datetime
) -> None:
    """From now on somebody works there as this; the database refuses the same role twice at a time."""
    connection.execute(
        "INSERT INTO practitioner_role (person_id, organisation_id, role, during) "
        "VALUES (%s, %s, %s, tstzrange(%s, NULL))",
        (person_id, organisation_id, kind.value, at),
    )


def end_role(connection: Database, role_id: int, *, at: datetime) -> None:
    """The role ends now, if it holds; an earlier end stays."""
    connection.execute(
        "UPDATE practitioner_role SET during = tstzrange(lower(during), GREATEST(%(at)s::timestamptz, "
        "lower(during) + interval '1 microsecond')) WHERE practitioner_role_id = %(role)s "
        "AND (upper_inf(during) OR upper(during) > %(at)s)",
        {"role": role_id, "at": at},
    )


def end_uncovered_duties(connection: Database, person_id: str, *, at: datetime) -> None:
    """End the duties of somebody in teams of organisations where no role of that person holds any more."""
    uncovered = """
        FROM team t WHERE t.team_id = duty.team_id AND duty.person_id = %(person)s AND NOT EXISTS (
            SELECT FROM practitioner_role r
             WHERE r.person_id = %(person)s AND r.during @> %(at)s::timestamptz
               AND t.organisation_id IN (SELECT organisations_below(r.organisation_id)))
    """
    values = {"person": person_id, "at": at}
    connection.execute(
        "DELETE FROM duty WHERE lower(during) >= %(at)s AND EXISTS (SELECT " + uncovered + ")",  # noqa: S608
        values,
    )
    connection.execute(
        "UPDATE duty SET during = tstzrange(lower(duty.during), %(at)s) " + uncovered + " AND "  # noqa: S608
        "duty.during @> %(at)s::timestamptz",
        values,
    )


def has_role_for(connection: Database, person_id: str, *, organisation_id: str, at: datetime) -> bool:
    """Whether somebody has a role at an organisation, or at one above it."""
    row = connection.execute(
        "SELECT FROM practitioner_role r WHERE r.person_id = %(person)s AND r.during @> %(at)s::timestamptz "
        "AND %(asked)s IN (SELECT organisations_below(r.organisation_id)) LIMIT 1",
        {"person": person_id, "asked": organisation_id, "at": at},
    ).fetchone()
    return row is not None


def find_qualifications(connection: Database, person_id: str) -> list[Qualification]:
    """The licences of somebody, whom the caller has found within reach."""
    rows = connection.execute(
        "SELECT qualification_id, kind, issuer, lower(valid), upper(valid), sealed_number, revoked_at "
        "FROM qualification WHERE person_id = %s ORDER BY qualification_id",
        (person_id,),
    ).fetchall()
    return [
        Qualification(
            qualification_id=number,
            licence=Licence(
                kind=LicenceKind(kind), issuer=issuer, valid_from=valid_from, valid_until=valid_until
            ),
            sealed_number=sealed,
            revoked_at=revoked_at,
        )
        for number, kind, issuer, valid_from, valid_until, sealed, revoked_at in rows
    ]


def insert_qualification(
    connection: Database, person_id: str, *, licence: Licence, sealed_number: bytes
) -> int:
    """A licence, with its number sealed."""
    return _new_number(
        connection.execute(
            "INSERT INTO qualification (person_id, kind, sealed_number, issuer, valid) "
            "VALUES (%s, %s, %s, %s, daterange(%s, %s)) RETURNING qualification_id",
            (
                person_id,
                licence.kind.value,
                sealed_number,
                licence.issuer,
                licence.valid_from,
                licence.valid_until,
            ),
        ).fetchone()
    )


def revoke_qualification(
    connection: Database, person_id: str, *, qualification_id: int, at: datetime
) -> bool:
    """A licence holds no longer; False when this person has none of this number. Twice keeps the first."""
    cursor = connection.execute(
        "UPDATE qualification SET revoked_at = COALESCE(revoked_at, %s) "
        "WHERE qualification_id = %s AND person_id = %s",
        (at, qualification_id, person_id),
    )
    return cursor.rowcount == 1


def _account(*, role: str, **columns: Any) -> StaffAccount:
    return StaffAccount(role=Role(role), **columns)


def find_accounts(
    connection: Database, subject: Subject, *, organisation_id: str | None = None, name: str | None = None
) -> list[StaffAccount]:
    """The accounts within reach: of one organisation, or of one name."""
    with connection.cursor(row_factory=kwargs_row(_account)) as cursor:
        return cursor.execute(
            f"""
            SELECT a.name, a.person_id, n.display_zh, n.display_en, a.role, a.created_at, a.disabled_at
              FROM account a JOIN person n USING (person_id)
             WHERE (%(asked)s::text IS NULL OR n.organisation_id = %(asked)s)
               AND (%(name)s::text IS NULL OR a.name = %(name)s)
               AND {_reached("n.organisation_id")}
             ORDER BY a.name
            """,  # noqa: S608 only our own texts
            {**_who(subject), "asked": organisation_id, "name": name},
        ).fetchall()


def is_of_reached_organisation(connection: Database, subject: Subject, person_id: str) -> bool:
    """Whether the organisation that a person's account would be of is within reach."""
    row = connection.execute(
        f"SELECT FROM person n WHERE n.person_id = %(person)s AND {_reached('n.organisation_id')}",
        {**_who(subject), "person": person_id},
    ).fetchone()
    return row is not None


def insert_account(
    connection: Database, name: str, *, person_id: str, role: Role, password_hash: str
) -> bool:
    """An account; False when the name is taken."""
    cursor = connection.execute(
        "INSERT INTO account (name, person_id, role, password_hash) VALUES (%s, %s, %s, %s) "
        "ON CONFLICT DO NOTHING",
        (name, person_id, role.value, password_hash),
    )
    return cursor.rowcount == 1


def disable_account(connection: Database, name: str, *, at: datetime) -> None:
    """Nobody logs in by this name any more, and whoever is logged in is so no longer."""
    connection.execute(
        "UPDATE account SET disabled_at = COALESCE(disabled_at, %s) WHERE name = %s", (at, name)
    )
    connection.execute(
        "UPDATE login_session SET revoked_at = %s WHERE account_name = %s AND revoked_at IS NULL", (at, name)
    )


def person_of_account(connection: Database, name: str) -> str | None:
    """Who logs in by a name."""
    row = connection.execute("SELECT person_id FROM account WHERE name = %s", (name,)).fetchone()
    return None if row is None else str(row[0])


def find_teams(
    connection: Database, subject: Subject, *, organisation_id: str | None = None, team_id: str | None = None
) -> list[Team]:
    """The teams within reach with their places: of one organisation, or one team."""
    rows = connection.execute(
        f"""
        SELECT t.team_id, t.organisation_id, t.name_zh, t.name_en, t.closed_at,
               array_remove(array_agg(tp.site_id ORDER BY tp.site_id, tp.location_id), NULL),
               array_agg(tp.location_id ORDER BY tp.site_id, tp.location_id)
          FROM team t LEFT JOIN team_place tp USING (team_id)
         WHERE (%(asked)s::text IS NULL OR t.organisation_id = %(asked)s)
           AND (%(team)s::text IS NULL OR t.team_id = %(team)s)
           AND {_reached("t.organisation_id")}
         GROUP BY t.team_id ORDER BY t.name_en, t.team_id
        """,  # noqa: S608 only our own texts
        {**_who(subject), "asked": organisation_id, "team": team_id},
    ).fetchall()
    return [
        Team(
            team_id=team,
            organisation_id=organisation,
            name_zh=zh,
            name_en=en,
            closed_at=closed_at,
            places=tuple(
                TeamPlace(site_id=site, location_id=location)
                for site, location in zip(sites, locations, strict=False)
            ),
        )
        for team, organisation, zh, en, closed_at, sites, locations in rows
    ]


def insert_team(
    connection: Database, team_id: str, *, organisation_id: str, name_zh: str, name_en: str
) -> bool:
    """A team; False when there is one of this id already."""
    cursor = connection.execute(
        "INSERT INTO team (team_id, organisation_id, name_zh, name_en) VALUES (%s, %s, %s, %s) "
        "ON CONFLICT DO NOTHING",
        (team_id, organisation_id, name_zh, name_en),
    )
    return cursor.rowcount == 1


def close_team(connection: Database, team_id: str, *, at: datetime) -> None:
    """From now on the team looks after nothing."""
    connection.execute(
        "UPDATE team SET closed_at = COALESCE(closed_at, %s) WHERE team_id = %s", (at, team_id)
    )


def reaches_place(connection: Database, subject: Subject, place: TeamPlace) -> bool:
    """Whether a site is within reach and the location, if one is named, is of it and open."""
    row = connection.execute(
        f"""
        SELECT FROM site s
         WHERE s.site_id = %(site)s AND {_reached("s.organisation_id")}
           AND (%(location)s::text IS NULL OR EXISTS (
                SELECT FROM location l WHERE l.location_id = %(location)s AND l.site_id = s.site_id
                                         AND l.closed_at IS NULL))
        """,  # noqa: S608 only our own texts
        {**_who(subject), "site": place.site_id, "location": place.location_id},
    ).fetchone()
    return row is not None


def insert_team_place(connection: Database, team_id: str, *, site_id: str, location_id: str | None) -> bool:
    """What a team looks after; False when it did already."""
    cursor = connection.execute(
        "INSERT INTO team_place (team_id, site_id, location_id) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
        (team_id, site_id, location_id),
    )
    return cursor.rowcount == 1


def delete_team_place(connection: Database, team_id: str, *, place: TeamPlace) -> None:
    """What a team no longer looks after."""
    connection.execute(
        "DELETE FROM team_place WHERE team_id = %s AND site_id = %s AND location_id IS NOT DISTINCT FROM %s",
        (team_id, place.site_id, place.location_id),
    )


def find_duties(
    connection: Database, subject: Subject, team_id: str, *, from_at: datetime, to_at: datetime
) -> list[Duty]:
    """The duties of a team within reach that touch an interval."""
    with connection.cursor(row_factory=class_row(Duty)) as cursor:
        return cursor.execute(
            f"""
            SELECT d.duty_id, d.team_id, d.person_id, lower(d.during) AS begins_at, upper(d.during) AS ends_at
              FROM duty d JOIN team t USING (team_id)
             WHERE d.team_id = %(team)s AND d.during && tstzrange(%(from)s, %(to)s)
               AND {_reached("t.organisation_id")}
             ORDER BY lower(d.during), d.duty_id
            """,  # noqa: S608 only our own texts
            {**_who(subject), "team": team_id, "from": from_at, "to": to_at},
        ).fetchall()


def find_duty(connection: Database, subject: Subject, duty_id: int) -> Duty | None:
    """A duty of a team within reach."""
    with connection.cursor(row_factory=class_row(Duty)) as cursor:
        return cursor.execute(
            f"""
            SELECT d.duty_id, d.team_id, d.person_id, lower(d.during) AS begins_at, upper(d.during) AS ends_at
              FROM duty d JOIN team t USING (team_id)
             WHERE d.duty_id = %(duty)s AND {_reached("t.organisation_id")}
            """,  # noqa: S608 only our own texts
            {**_who(subject), "duty": duty_id},
        ).fetchone()


def insert_duty(
    connection: Database, team_id: str, *, person_id: str, begins_at: datetime, ends_at: datetime | None
) -> int:
    """A duty; the database refuses two of one person in one team at a time."""
    return _new_number(
        connection.execute(
            "INSERT INTO duty (team_id, person_id, during) VALUES (%s, %s, tstzrange(%s, %s)) "
            "RETURNING duty_id",
            (team_id, person_id, begins_at, ends_at),
        ).fetchone()
    )


def insert_duties(connection: Database, team_id: str, *, person_id: str, turns: Sequence[Turn]) -> None:
    """Many duties, all or none."""
    connection.execute(
        "INSERT INTO duty (team_id, person_id, during) "
        "SELECT %s, %s, tstzrange(b, e) FROM unnest(%s::timestamptz[], %s::timestamptz[]) AS turn (b, e)",
        (team_id, person_id, [turn.begins_at for turn in turns], [turn.ends_at for turn in turns]),
    )


def find_overlap(
    connection: Database, team_id: str, *, person_id: str, turns: Sequence[tuple[datetime, datetime | None]]
) -> tuple[datetime, datetime | None] | None:
    """The first duty of this person in this team that one of these would overlap."""
    row = connection.execute(
        "SELECT lower(d.during), upper(d.during) FROM duty d "
        "JOIN unnest(%s::timestamptz[], %s::timestamptz[]) AS turn (b, e) ON d.during && tstzrange(b, e) "
        "WHERE d.team_id = %s AND d.person_id = %s ORDER BY lower(d.during) LIMIT 1",
        ([begins for begins, _ in turns], [ends for _, ends in turns], team_id, person_id),
    ).fetchone()
    return None if row is None else (row[0], row[1])


def end_duty(connection: Database, duty_id: int, *, at: datetime) -> None:
    """A duty that runs ends now; one that has not begun never was."""
    values = {"duty": duty_id, "at": at}
    connection.execute("DELETE FROM duty WHERE duty_id = %(duty)s AND lower(during) >= %(at)s", values)
    connection.execute(
        "UPDATE duty SET during = tstzrange(lower(during), %(at)s) "
        "WHERE duty_id = %(duty)s AND during @> %(at)s::timestamptz",
        values,
    )


def zone_of_site(connection: Database, site_id: str) -> str | None:
    """The zone of a site's clocks."""
    row = connection.execute("SELECT zone FROM site WHERE site_id = %s", (site_id,)).fetchone()
    return None if row is None else str(row[0])


def location_is_reached(connection: Database, subject: Subject, location_id: str) -> bool:
    """Whether a location is within reach."""
    row = connection.execute(
        f"SELECT FROM location l JOIN site s USING (site_id) "
        f"WHERE l.location_id = %(location)s AND {_reached('s.organisation_id')}",
        {**_who(subject), "location": location_id},
    ).fetchone()
    return row is not None


def find_on_duty_at_location(
    connection: Database, subject: Subject, location_id: str, *, at: datetime
) -> list[OnDuty]:
    """Who is on duty for a location within reach: of it, of what it lies in, and of the whole site."""
    with connection.cursor(row_factory=class_row(OnDuty)) as cursor:
        return cursor.execute(
            f"""
            WITH asked AS (
                SELECT l.site_id, l.location_id FROM location l JOIN site s USING (site_id)
                 WHERE l.location_id = %(location)s AND {_reached("s.organisation_id")}
            ) {_ON_DUTY}
            """,  # noqa: S608 only our own texts
            {**_who(subject), "location": location_id, "at": at},
        ).fetchall()


def find_patient(connection: Database, subject: Subject, patient_id: str) -> str | None:
    """Whom an id means now, if the subject may see that patient."""
    row = connection.execute(
        "SELECT p.patient_id FROM patient p WHERE p.patient_id = surviving_patient(%(patient)s) "
        "AND %(may_read)s AND may_see(%(asking_person)s, %(asking_role)s, %(asking_organisation)s, "
        "p.patient_id, now())",
        {**_who(subject), "patient": patient_id},
    ).fetchone()
    return None if row is None else str(row[0])


def find_on_duty_for_patient(
    connection: Database, subject: Subject, patient_id: str, *, at: datetime
) -> list[OnDuty]:
    """Who is on duty for where a patient is, if the subject may see that patient."""
    with connection.cursor(row_factory=class_row(OnDuty)) as cursor:
        return cursor.execute(
            f"""
            WITH asked AS (
                SELECT p.site_id, p.location_id FROM patient p
                 WHERE p.patient_id = %(patient)s AND %(may_read)s AND may_see(
                       %(asking_person)s, %(asking_role)s, %(asking_organisation)s, p.patient_id, now())
            ) {_ON_DUTY}
            """,  # noqa: S608 only our own texts
            {**_who(subject), "patient": patient_id, "at": at},
        ).fetchall()


def _new_number(row: Sequence[Any] | None) -> int:
    if row is None:
        raise LookupError("an insert returned no row")
    return int(row[0])
