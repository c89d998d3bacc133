"""SQL of people.

Whoever cares for people may find those of the own organisation by what names them (`_FINDABLE`); what is
known of a person is for those with a right to see this person (`_VISIBLE`). The rest is not there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from psycopg.rows import class_row

from cloud.identity.model import Scope, Subject
from cloud.identity.queries import asked_by
from cloud.people.model import (
    IdentifierKey,
    Merge,
    MergeRule,
    Person,
    Sex,
    Standing,
    StoredIdentifier,
)
from cloud.store.connection import Database
from vitals.identifiers.identifier import IdentifierKind

_PERSON = (
    "p.patient_id, p.organisation_id, p.site_id, p.bed, p.name_zh, p.name_en, p.match_name, "
    "p.birth_date, p.sex"
)
_KEYS = "unnest(%(kinds)s::text[], %(issuers)s::text[], %(digests)s::bytea[])"
_FINDABLE = "%(may_find)s AND (%(organisation)s::text IS NULL OR p.organisation_id = %(organisation)s)"
_VISIBLE = (
    "%(may_find)s AND may_see(%(asking_person)s, %(asking_role)s, %(asking_organisation)s, p.patient_id, "
    "now())"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A site and the zone of its clocks."""

    site_id: str
    organisation_id: str
    zone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleSeal:
    """An identifier that waits for the newest key."""

    identifier_id: int
    patient_id: str
    kind: IdentifierKind
    issuer: str
    sealed: bytes


def find_place(connection: Database, subject: Subject, site_id: str | None) -> Place | None:
    """A site of the subject's organisation; without an id its first one."""
    with connection.cursor(row_factory=class_row(Place)) as cursor:
        return cursor.execute(
            """
            SELECT site_id, organisation_id, zone FROM site
             WHERE organisation_id = %(organisation)s AND (%(site)s::text IS NULL OR site_id = %(site)s)
             ORDER BY site_id LIMIT 1
            """,
            {"organisation": subject.organisation, "site": site_id},
        ).fetchone()


def find_person(connection: Database, subject: Subject, patient_id: str) -> Person | None:
    """Whom an id means now: the survivor, if the patient was merged."""
    found = _people(
        connection,
        f"""
        SELECT {_PERSON} FROM patient p
         WHERE p.patient_id = surviving_patient(%(patient)s) AND {_VISIBLE}
        """,  # noqa: S608 only our own column lists
        {**_who(subject), "patient": patient_id},
    )
    return found[0] if found else None


def find_holders(
    connection: Database, subject: Subject, keys: Sequence[IdentifierKey]
) -> list[tuple[Person, IdentifierKey, bool]]:
    """Who holds each of these identifiers, and whether somebody else claims it too."""
    rows = connection.execute(
        f"""
        SELECT i.kind, i.issuer, i.digest,
               EXISTS (SELECT FROM person_identifier c
                        WHERE (c.digest, c.kind, c.issuer) = (i.digest, i.kind, i.issuer)
                          AND c.organisation_id = i.organisation_id AND c.standing = 'claimed'
                          AND surviving_patient(c.patient_id) <> p.patient_id),
               {_PERSON}
          FROM {_KEYS} AS k (kind, issuer, digest)
          JOIN person_identifier i USING (kind, issuer, digest)
          JOIN patient p ON p.patient_id = surviving_patient(i.patient_id)
         WHERE i.standing = 'held' AND {_FINDABLE}
        """,  # noqa: S608 only our own column lists
        {**_who(subject), **_columns(keys)},
    ).fetchall()
    return [
        (_person(*person), IdentifierKey(kind=IdentifierKind(kind), issuer=issuer, digest=digest), claimed)
        for kind, issuer, digest, claimed, *person in rows
    ]


def find_people_with(connection: Database, subject: Subject, keys: Sequence[IdentifierKey]) -> list[Person]:
    """Who holds or claims any of these identifiers."""
    return _people(
        connection,
        f"""
        SELECT DISTINCT {_PERSON}
          FROM {_KEYS} AS k (kind, issuer, digest)
         CROSS JOIN LATERAL (
               SELECT patient_id FROM person_identifier h
                WHERE (h.digest, h.kind, h.issuer) = (k.digest, k.kind, k.issuer) AND h.standing = 'held'
               UNION ALL
               SELECT patient_id FROM person_identifier c
                WHERE (c.digest, c.kind, c.issuer) = (k.digest, k.kind, k.issuer)
                  AND c.standing = 'claimed') i
          JOIN patient p ON p.patient_id = surviving_patient(i.patient_id)
         WHERE {_FINDABLE}
         ORDER BY p.patient_id
        """,  # noqa: S608 only our own column lists
        {**_who(subject), **_columns(keys)},
    )


def find_everywhere(connection: Database, subject: Subject, keys: Sequence[IdentifierKey]) -> list[str]:
    """Whoever holds one of these identifiers in any organisation: for those who may break the glass only."""
    rows = connection.execute(
        f"""
        SELECT DISTINCT surviving_patient(i.patient_id)
          FROM {_KEYS} AS k (kind, issuer, digest) JOIN person_identifier i USING (kind, issuer, digest)
         WHERE i.standing = 'held' AND %(may_break)s
         ORDER BY 1
        """,  # noqa: S608 only our own column lists
        {"may_break": Scope.BREAK_GLASS in subject.scopes, **_columns(keys)},
    ).fetchall()
    return [patient_id for (patient_id,) in rows]


def find_namesakes(connection: Database, subject: Subject, patient_ids: Sequence[str]) -> list[Person]:
    """Who has the name and the birth date of one of these patients."""
    return _people(
        connection,
        f"""
        SELECT DISTINCT {_PERSON}
          FROM patient own
          JOIN patient other ON other.birth_date = own.birth_date AND other.match_name = own.match_name
                            AND other.organisation_id = own.organisation_id
          JOIN patient p ON p.patient_id = surviving_patient(other.patient_id)
         WHERE own.patient_id = ANY(%(patients)s) AND own.match_name <> '' AND {_FINDABLE}
         ORDER BY p.patient_id
        """,  # noqa: S608 only our own column lists
        {**_who(subject), "patients": list(patient_ids)},
    )


def find_merged_ids(connection: Database, subject: Subject, patient_id: str) -> list[str]:
    """Every patient that means this one now, nearest first, without the patient itself."""
    rows = connection.execute(
        f"""
        WITH RECURSIVE under (patient_id, depth) AS (
            SELECT m.merged_id, 1 FROM patient_merge m
             WHERE m.survivor_id = %(patient)s AND m.unmerged_at IS NULL
            UNION ALL
            SELECT m.merged_id, u.depth + 1
              FROM under u JOIN patient_merge m ON m.survivor_id = u.patient_id AND m.unmerged_at IS NULL
        )
        SELECT p.patient_id FROM under JOIN patient p USING (patient_id)
         WHERE {_VISIBLE} ORDER BY under.depth, p.patient_id
        """,  # noqa: S608 only our own column lists
        {**_who(subject), "patient": patient_id},
    ).fetchall()
    return [patient for (patient,) in rows]


def find_identifiers(
    connection: Database, subject: Subject, patient_ids: Sequence[str]
) -> list[StoredIdentifier]:
    """The identifiers of these patients in the order in which they came."""
    rows = connection.execute(
        f"""
        SELECT i.patient_id, i.kind, i.issuer, i.digest, i.sealed, i.standing, i.added_at, i.added_by
          FROM person_identifier i JOIN patient p USING (patient_id)
         WHERE i.patient_id = ANY(%(patients)s) AND {_VISIBLE}
         ORDER BY i.identifier_id
        """,  # noqa: S608 only our own column lists
        {**_who(subject), "patients": list(patient_ids)},
    ).fetchall()
    return [
        StoredIdentifier(
            patient_id=patient_id,
            key=IdentifierKey(kind=IdentifierKind(kind), issuer=issuer, digest=digest),
            sealed=sealed,
            standing=Standing(standing),
            added_at=added_at,
            added_by=added_by,
        )
        for patient_id, kind, issuer, digest, sealed, standing, added_at, added_by in rows
    ]


def find_merges(connection: Database, subject: Subject, patient_ids: Sequence[str]) -> list[Merge]:
    """Every merge in which these patients ever took part, also those that were taken back."""
    rows = connection.execute(
        f"""
        SELECT m.merged_id, m.survivor_id, m.merged_at, m.merged_by, m.reason, m.rule,
               m.unmerged_at, m.unmerged_by, m.unmerge_reason
          FROM patient_merge m JOIN patient p ON p.patient_id = m.survivor_id
         WHERE (m.merged_id = ANY(%(patients)s) OR m.survivor_id = ANY(%(patients)s)) AND {_VISIBLE}
         ORDER BY m.merge_id
        """,  # noqa: S608 only our own column lists
        {**_who(subject), "patients": list(patient_ids)},
    ).fetchall()
    return [
        Merge(
            merged_id=joined[0],
            survivor_id=joined[1],
            merged_at=joined[2],
            merged_by=joined[3],
            reason=joined[4],
            rule=None if joined[5] is None else MergeRule(joined[5]),
            unmerged_at=separated[0],
            unmerged_by=separated[1],
            unmerge_reason=separated[2],
        )
        for joined, separated in ((row[:6], row[6:]) for row in rows)
    ]


def lock_survivors(connection: Database, subject: Subject, patient_ids: Sequence[str]) -> dict[str, bool]:
    """Hold these patients until the transaction ends; tells of each that is there whether it is a survivor.

    Whoever merges holds both, so two merges that would close a circle come one after the other.
    """
    connection.execute(
        f"SELECT FROM patient p WHERE p.patient_id = ANY(%(patients)s) AND {_VISIBLE} "
        "ORDER BY p.patient_id FOR NO KEY UPDATE",
        {**_who(subject), "patients": list(patient_ids)},
    )
    rows = connection.execute(
        f"""
        SELECT p.patient_id, NOT EXISTS (SELECT FROM patient_merge m
                                          WHERE m.merged_id = p.patient_id AND m.unmerged_at IS NULL)
          FROM patient p WHERE p.patient_id = ANY(%(patients)s) AND {_VISIBLE}
        """,  # noqa: S608 only our own column lists
        {**_who(subject), "patients": list(patient_ids)},
    ).fetchall()
    return dict(rows)


def insert_person(connection: Database, person: Person, *, pinyin: str, at: datetime, by: str) -> None:
    """A new patient."""
    connection.execute(
        """
        INSERT INTO patient (patient_id, organisation_id, site_id, bed, name_zh, name_en, name_sort,
                             birth_date, sex, registered_at, registered_by)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        """,
        (
            person.patient_id,
            person.organisation_id,
            person.site_id,
            person.bed,
            person.name_zh,
            person.name_en,
            pinyin,
            person.birth_date,
            person.sex,
            at,
            by,
        ),
    )


def fill_in_person(connection: Database, patient_id: str, *, birth_date: date | None, sex: Sex) -> None:
    """What nobody knew before; what is known stays."""
    connection.execute(
        "UPDATE patient SET birth_date = COALESCE(birth_date, %(birth_date)s), "
        "sex = CASE sex WHEN 'unknown' THEN %(sex)s ELSE sex END WHERE patient_id = %(patient)s",
        {"birth_date": birth_date, "sex": sex, "patient": patient_id},
    )


def insert_identifier(connection: Database, stored: StoredIdentifier, *, organisation_id: str) -> bool:
    """Add an identifier as it stands; False when another patient holds it, or this one has it already."""
    cursor = connection.execute(
        """
        INSERT INTO person_identifier (patient_id, organisation_id, kind, issuer, digest, sealed, standing,
                                       added_at, added_by)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT DO NOTHING
        """,
        (
            stored.patient_id,
            organisation_id,
            stored.key.kind,
            stored.key.issuer,
            stored.key.digest,
            stored.sealed,
            stored.standing,
            stored.added_at,
            stored.added_by,
        ),
    )
    return cursor.rowcount == 1


def insert_merge(connection: Database, merge: Merge, *, organisation_id: str) -> None:
    """Let a patient mean another from now on."""
    connection.execute(
        """
        INSERT INTO patient_merge (organisation_id, merged_id, survivor_id, merged_at, merged_by, reason,
                                   rule)
        VALUES (%s, %s, %s, %s, %s, %s, %s)
        """,
        (
            organisation_id,
            merge.merged_id,
            merge.survivor_id,
            merge.merged_at,
            merge.merged_by,
            merge.reason,
            merge.rule,
        ),
    )


def end_merge(connection: Database, merged_id: str, *, at: datetime, by: str, reason: str) -> str | None:
    """Take back the merge of a patient and tell into whom it was; None when no merge holds."""
    row = connection.execute(
        "UPDATE patient_merge SET unmerged_at = %s, unmerged_by = %s, unmerge_reason = %s "
        "WHERE merged_id = %s AND unmerged_at IS NULL RETURNING survivor_id",
        (at, by, reason, merged_id),
    ).fetchone()
    return None if row is None else str(row[0])


def find_registered(connection: Database, subject: Subject, registration: str) -> str | None:
    """The patient whom an offline place registered under this name, held to the transaction's end."""
    connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"{subject.organisation} {registration}",)
    )
    row = connection.execute(
        f"SELECT p.patient_id FROM patient_registration r JOIN patient p USING (patient_id) "  # noqa: S608
        f"WHERE r.organisation_id = %(organisation)s AND r.registration = %(registration)s AND {_FINDABLE}",
        {**_who(subject), "registration": registration},
    ).fetchone()
    return None if row is None else str(row[0])


def insert_registration(
    connection: Database, registration: str, *, organisation_id: str, patient_id: str
) -> None:
    """Remember the name under which a patient was registered."""
    connection.execute(
        "INSERT INTO patient_registration (organisation_id, registration, patient_id) VALUES (%s, %s, %s)",
        (organisation_id, registration, patient_id),
    )


def take_temporary_number(connection: Database, *, organisation_id: str, site: str, on: date) -> int:
    """The next running number of a site and day."""
    row = connection.execute(
        """
        INSERT INTO temporary_number AS t (organisation_id, site, given_on, last_number)
        VALUES (%s, %s, %s, 1)
        ON CONFLICT (organisation_id, site, given_on) DO UPDATE SET last_number = t.last_number + 1
        RETURNING last_number
        """,
        (organisation_id, site, on),
    ).fetchone()
    return 0 if row is None else int(row[0])


def find_key_state(connection: Database, subject: Subject) -> tuple[bytes | None, bool]:
    """Which key the digests were made with, and whether the subject may see that it is in use."""
    row = connection.execute(
        "SELECT (SELECT fingerprint FROM identifier_key), "
        "(%(may_find)s AND EXISTS (SELECT FROM person_identifier)) OR EXISTS (SELECT FROM qualification) "
        "OR EXISTS (SELECT FROM totp) OR EXISTS (SELECT FROM recovery_code)",
        _who(subject),
    ).fetchone()
    return (None, False) if row is None else (row[0], bool(row[1]))


def replace_fingerprint(connection: Database, fingerprint: bytes) -> None:
    """From now on digests are made with this key."""
    connection.execute(
        "INSERT INTO identifier_key (fingerprint) VALUES (%s) "
        "ON CONFLICT (only_one) DO UPDATE SET fingerprint = excluded.fingerprint",
        (fingerprint,),
    )


def hold_fingerprint(connection: Database, *, exclusive: bool = False) -> bytes | None:
    """Of which key the digests are; that stays so until the transaction ends."""
    lock = "FOR UPDATE" if exclusive else "FOR SHARE"
    asked = f"SELECT fingerprint FROM identifier_key {lock}"  # noqa: S608 only our own words
    row = connection.execute(asked.encode()).fetchone()
    return None if row is None else bytes(row[0])


def find_stale_seals(
    connection: Database, subject: Subject, *, newest: int, after: int, limit: int
) -> list[StaleSeal]:
    """Identifiers sealed with an older key, or whose digest of the newest key is not laid out yet."""
    rows = connection.execute(
        """
        SELECT identifier_id, patient_id, kind, issuer, sealed FROM person_identifier
         WHERE %(may_read)s AND identifier_id > %(after)s
           AND (next_digest IS NULL
                OR CASE WHEN octet_length(sealed) = 0 THEN true ELSE get_byte(sealed, 0) <> %(newest)s END)
         ORDER BY identifier_id LIMIT %(limit)s FOR UPDATE
        """,
        {**_who(subject), "newest": newest, "after": after, "limit": limit},
    ).fetchall()
    return [
        StaleSeal(
            identifier_id=row, patient_id=patient, kind=IdentifierKind(kind), issuer=issuer, sealed=sealed
        )
        for row, patient, kind, issuer, sealed in rows
    ]


def lay_next_seal(connection: Database, identifier_id: int, *, sealed: bytes, digest: bytes) -> None:
    """The value under the newest key, and the digest that it will be found by."""
    connection.execute(
        "UPDATE person_identifier SET sealed = %s, next_digest = %s WHERE identifier_id = %s",
        (sealed, digest, identifier_id),
    )


def take_next_digests(connection: Database) -> None:
    """Let every identifier be found by its next digest."""
    connection.execute("SET LOCAL statement_timeout = 0")
    connection.execute(
        "UPDATE person_identifier SET digest = next_digest, next_digest = NULL WHERE next_digest IS NOT NULL"
    )


def _people(connection: Database, statement: str, values: Mapping[str, object]) -> list[Person]:
    return [_person(*row) for row in connection.execute(statement.encode(), values).fetchall()]


def _person(*row: Any) -> Person:
    patient_id, organisation_id, site_id, bed, name_zh, name_en, match_name, birth_date, sex = row
    return Person(
        patient_id=patient_id,
        organisation_id=organisation_id,
        site_id=site_id,
        bed=bed,
        name_zh=name_zh,
        name_en=name_en,
        match_name=match_name,
        birth_date=birth_date,
        sex=Sex(sex),
    )


def _who(subject: Subject) -> Mapping[str, object]:
    return {
        **asked_by(subject),
        "may_find": Scope.READ_PATIENTS in subject.scopes,
        "organisation": subject.organisation,
    }


def _columns(keys: Sequence[IdentifierKey]) -> Mapping[str, object]:
    return {
        "kinds": [key.kind.value for key in keys],
        "issuers": [key.issuer for key in keys],
        "digests": [key.digest for key in keys],
    }
