"""SQL of staff, teams, duty and accounts. What is read or changed lies within the subject's reach."""

from datetime import datetime

from cloud.staff.model import Licence, PractitionerKind
from cloud.store.connection import Database


def person_of_account(connection: Database, name: str) -> str | None:
    """Who logs in by a name."""
    row = connection.execute("SELECT person_id FROM account WHERE name = %s", (name,)).fetchone()
    return None if row is None else str(row[0])


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


def insert_team_place(connection: Database, team_id: str, *, site_id: str, location_id: str | None) -> bool:
    """What a team looks after; False when it did already."""
    cursor = connection.execute(
        "INSERT INTO team_place (team_id, site_id, location_id) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
        (team_id, site_id, location_id),
    )
    return cursor.rowcount == 1


def insert_duty(
    connection: Database, team_id: str, *, person_id: str, begins_at: datetime, ends_at: datetime | None
) -> int:
    """A duty; the database refuses two of one person in one team at a time."""
    row = connection.execute(
        "INSERT INTO duty (team_id, person_id, during) VALUES (%s, %s, tstzrange(%s, %s)) RETURNING duty_id",
        (team_id, person_id, begins_at, ends_at),
    ).fetchone()
    assert row is not None  # noqa: S101 # an insert returns its row or raises
    return int(row[0])


def insert_role(
    connection: Database, person_id: str, *, organisation_id: str, kind: PractitionerKind, at: datetime
) -> None:
    """From now on somebody works there as this."""
    connection.execute(
        "INSERT INTO practitioner_role (person_id, organisation_id, role, during) "
        "VALUES (%s, %s, %s, tstzrange(%s, NULL))",
        (person_id, organisation_id, kind.value, at),
    )


def insert_qualification(
    connection: Database,
    person_id: str,
    *,
    licence: Licence,
    sealed_number: bytes,
) -> int:
    """A licence, with its number sealed."""
    row = connection.execute(
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
    assert row is not None  # noqa: S101 # an insert returns its row or raises
    return int(row[0])
