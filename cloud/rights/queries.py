"""SQL of consent, family, emergencies and notices. The rights that follow are SQL too (migration 0005)."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

from psycopg.rows import kwargs_row

from cloud.identity.codes import MOST_WRONG_TRIES
from cloud.identity.joining.model import Invited
from cloud.identity.model import Purpose, Scope, Subject
from cloud.identity.queries import asked_by
from cloud.identity.sight import DataClass
from cloud.rights.model import (
    CODE_LASTS,
    BrokenGlass,
    Capacity,
    Category,
    Consent,
    Grade,
    Grantee,
    Link,
    Names,
    NewLink,
    Notice,
    NoticeKind,
    Relation,
    Verdict,
)
from cloud.store.connection import Database

_CONSENT = (
    "c.consent_id, c.patient_id, c.capacity, c.given_by, c.recorded_by, c.person_id, c.organisation_id, "
    "c.purposes, c.up_to, c.text_name, c.text_version, c.text_language, c.text_sha256, c.signature, "
    "lower(c.during) AS given_at, upper(c.during) AS ends_at, c.withdrawn_at, c.withdrawn_by"
)
_LINK = (
    "l.link_id, l.relation, l.patient_id, l.person_id, l.grade, l.proof, l.code_ends_at, l.made_by, "
    "lower(l.during) AS made_at, upper(l.during) AS ends_at, l.revoked_at"
)
_GLASS = (
    "b.break_glass_id, b.patient_id, b.person_id, b.role, b.organisation_id, b.category, b.reason, "
    "lower(b.during) AS opened_at, upper(b.during) AS ends_at, b.reviewed_at, b.reviewed_by, b.verdict, "
    "b.note"
)
_NOTICE = "n.notice_id, n.patient_id AS told_patient_id, n.kind, n.written_at"
_TOLD = """
    WHERE n.notice_id > %(after)s AND %(may_own)s AND n.patient_id IN (
          SELECT k.patient_id FROM family_link l CROSS JOIN LATERAL same_people(ARRAY[l.patient_id]) k
           WHERE l.person_id = %(asking_person)s AND l.during @> now() AND l.revoked_at IS NULL)
    ORDER BY n.notice_id DESC LIMIT 200
"""


def insert_encounter(connection: Database, subject: Subject, patient_id: str, *, lasts: timedelta) -> None:
    """From now on somebody has a patient before them; one that has just begun is not begun again."""
    connection.execute(
        """
        INSERT INTO care_relation (kind, patient_id, person_id, during, origin)
        SELECT 'encounter', %(patient)s, %(person)s, tstzrange(now(), now() + %(lasts)s), 'identified'
         WHERE NOT EXISTS (SELECT FROM care_relation
                            WHERE patient_id = %(patient)s AND person_id = %(person)s AND kind = 'encounter'
                              AND during @> now() AND upper(during) > now() + %(lasts)s - interval '1 hour')
        """,
        {"patient": patient_id, "person": subject.person, "lasts": lasts},
    )


def find_own_ids(connection: Database, subject: Subject) -> list[str]:
    """Every record of whom this account is, or whose guardian."""
    rows = connection.execute(
        """
        SELECT DISTINCT k.patient_id
          FROM family_link o CROSS JOIN LATERAL same_people(ARRAY[o.patient_id]) k
         WHERE o.person_id = %(asking_person)s AND o.relation IN ('self', 'guardian') AND o.during @> now()
           AND o.revoked_at IS NULL AND %(may_own)s
         ORDER BY 1
        """,
        _who(subject),
    )
    return [patient_id for (patient_id,) in rows.fetchall()]


def find_same_ids(connection: Database, subject: Subject, patient_id: str) -> list[str]:
    """Every record of a person whom the subject may see."""
    rows = connection.execute(
        """
        SELECT k.patient_id FROM same_people(ARRAY[%(patient)s]) k
         WHERE may_see(%(asking_person)s, %(asking_role)s, %(asking_organisation)s, k.patient_id, now())
         ORDER BY 1
        """,
        {**_who(subject), "patient": patient_id},
    ).fetchall()
    return [found for (found,) in rows]


def find_birth_date(connection: Database, subject: Subject, patient_id: str) -> date | None:
    """When a patient was born, if the subject may see the patient and it is known."""
    row = connection.execute(
        """
        SELECT p.birth_date FROM patient p
         WHERE p.patient_id = %(patient)s
           AND may_see(%(asking_person)s, %(asking_role)s, %(asking_organisation)s, p.patient_id, now())
        """,
        {**_who(subject), "patient": patient_id},
    ).fetchone()
    return None if row is None else row[0]


def grantee_exists(connection: Database, to: Grantee) -> bool:
    """Whether there is such a person or organisation."""
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM person WHERE person_id = %(person)s) "
        "OR EXISTS (SELECT FROM organisation WHERE organisation_id = %(organisation)s)",
        {"person": to.person_id, "organisation": to.organisation_id},
    ).fetchone()
    return row is not None and bool(row[0])


def insert_consent(connection: Database, consent: Consent) -> None:
    """Keep a consent as it was given."""
    connection.execute(
        """
        INSERT INTO consent (consent_id, patient_id, capacity, given_by, recorded_by, person_id,
                             organisation_id, purposes, up_to, text_name, text_version, text_language,
                             text_sha256, signature, during)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, tstzrange(%s, %s))
        """,
        (
            consent.consent_id,
            consent.patient_id,
            consent.capacity,
            consent.given_by,
            consent.recorded_by,
            consent.to.person_id,
            consent.to.organisation_id,
            [purpose.value for purpose in consent.purposes],
            consent.up_to,
            consent.text_name,
            consent.text_version,
            consent.text_language,
            consent.text_sha256,
            consent.signature,
            consent.given_at,
            consent.ends_at,
        ),
    )


def find_now(connection: Database) -> datetime:
    """The clock of rights: the beginning of the transaction, by the database."""
    row = connection.execute("SELECT now()").fetchone()
    assert row is not None  # noqa: S101 such a query always gives a row
    moment: datetime = row[0]
    return moment


def find_consents(connection: Database, subject: Subject, patient_ids: Sequence[str]) -> list[Consent]:
    """What was agreed to for these patients, as far as the subject may see them, also what was withdrawn."""
    with connection.cursor(row_factory=kwargs_row(_consent)) as cursor:
        return cursor.execute(
            f"""
            SELECT {_CONSENT} FROM consent c
             WHERE c.patient_id = ANY(%(patients)s)
               AND may_see(%(asking_person)s, %(asking_role)s, %(asking_organisation)s, c.patient_id, now())
             ORDER BY given_at DESC, c.consent_id
            """.encode(),  # noqa: S608 only our own column lists
            {**_who(subject), "patients": list(patient_ids)},
        ).fetchall()


def find_consent(connection: Database, subject: Subject, consent_id: str) -> Consent | None:
    """A consent of a patient whom the subject may see."""
    with connection.cursor(row_factory=kwargs_row(_consent)) as cursor:
        return cursor.execute(
            f"""
            SELECT {_CONSENT} FROM consent c
             WHERE c.consent_id = %(consent)s
               AND may_see(%(asking_person)s, %(asking_role)s, %(asking_organisation)s, c.patient_id, now())
            """.encode(),  # noqa: S608 only our own column lists
            {**_who(subject), "consent": consent_id},
        ).fetchone()


def withdraw_consent(connection: Database, consent_id: str, *, by: str) -> bool:
    """End a consent now; False when it ended before."""
    cursor = connection.execute(
        "UPDATE consent SET withdrawn_at = now(), withdrawn_by = %s "
        "WHERE consent_id = %s AND withdrawn_at IS NULL",
        (by, consent_id),
    )
    return cursor.rowcount == 1


def insert_link(connection: Database, link_id: str, new: NewLink, *, code_hash: bytes, by: str) -> None:
    """A link that waits for somebody with its code."""
    connection.execute(
        """
        INSERT INTO family_link (link_id, relation, patient_id, grade, proof, code_hash, code_ends_at, during,
                                 made_by)
        VALUES (%s, %s, %s, %s, %s, %s, now() + %s, tstzrange(now(), %s), %s)
        """,
        (
            link_id,
            new.relation,
            new.patient_id,
            new.grade,
            new.proof,
            code_hash,
            CODE_LASTS,
            new.ends_at,
            by,
        ),
    )


def take_up_link(connection: Database, subject: Subject, code_hash: bytes) -> str | None:
    """Give a waiting link to the subject; returns it, or None where none waits with this code."""
    row = connection.execute(
        """
        UPDATE family_link SET person_id = %(person)s
         WHERE code_hash = %(code)s AND person_id IS NULL AND code_ends_at > now() AND revoked_at IS NULL
           AND during @> now() AND %(may_take)s
        RETURNING link_id
        """,
        {"person": subject.person, "code": code_hash, "may_take": Scope.READ_OWN in subject.scopes},
    ).fetchone()
    return None if row is None else str(row[0])


def hold_waiting_link(connection: Database, subject: Subject, code_hash: bytes) -> Invited | None:
    """What waits for this code, locked. The system asks for whoever is nobody yet."""
    row = connection.execute(
        """
        SELECT l.link_id, l.patient_id, p.organisation_id
          FROM family_link l JOIN patient p USING (patient_id)
         WHERE l.code_hash = %(code)s AND l.person_id IS NULL AND l.code_ends_at > now()
           AND l.revoked_at IS NULL AND l.during @> now() AND %(may_read)s
           FOR UPDATE OF l
        """,
        {**_who(subject), "code": code_hash},
    ).fetchone()
    if row is None:
        return None
    link_id, patient_id, organisation_id = row
    same: list[tuple[str, date | None]] = connection.execute(
        "SELECT patient_id, birth_date FROM same_people(ARRAY[%s]) k JOIN patient p USING (patient_id)",
        (patient_id,),
    ).fetchall()
    return Invited(
        link_id=link_id,
        patient_id=patient_id,
        organisation_id=organisation_id,
        births=tuple(born for _, born in same if born is not None),
        patient_ids=tuple(one for one, _ in same),
    )


def count_wrong_try(connection: Database, link_id: str) -> None:
    """One try less; after the last one the code is worth nothing.

    The answer must not take longer for a code that is right: the count does not wait for the disk.
    """
    connection.execute("SET LOCAL synchronous_commit = off")
    connection.execute(
        """
        UPDATE family_link
           SET wrong_tries = wrong_tries + 1,
               revoked_at = CASE WHEN wrong_tries + 1 >= %(most)s THEN now() END,
               revoked_by = CASE WHEN wrong_tries + 1 >= %(most)s THEN 'wrong-tries' END
         WHERE link_id = %(link)s AND revoked_at IS NULL
        """,
        {"link": link_id, "most": MOST_WRONG_TRIES},
    )


def hold_patients(connection: Database, patient_ids: Sequence[str]) -> None:
    """Whoever else invites for these patients waits until this transaction ends."""
    connection.execute(
        "SELECT FROM patient WHERE patient_id = ANY(%s) ORDER BY patient_id FOR NO KEY UPDATE",
        (list(patient_ids),),
    )


def has_own_account(connection: Database, subject: Subject, patient_ids: Sequence[str]) -> bool:
    """Whether one of these records, as far as the subject sees them, has an account of its own."""
    row = connection.execute(
        """
        SELECT FROM family_link l
         WHERE l.patient_id = ANY(%(patients)s) AND l.relation = 'self' AND l.person_id IS NOT NULL
           AND l.revoked_at IS NULL AND l.during @> now()
           AND may_see(%(asking_person)s, %(asking_role)s, %(asking_organisation)s, l.patient_id, now())
         LIMIT 1
        """,
        {**_who(subject), "patients": list(patient_ids)},
    ).fetchone()
    return row is not None


def revoke_idle_own_links(connection: Database, patient_ids: Sequence[str], *, by: str) -> None:
    """End what still waits for the patient's own account, and what is over."""
    connection.execute(
        "UPDATE family_link SET revoked_at = now(), revoked_by = %s "
        "WHERE patient_id = ANY(%s) AND relation = 'self' AND revoked_at IS NULL "
        "AND (person_id IS NULL OR NOT during @> now())",
        (by, list(patient_ids)),
    )


def find_links(connection: Database, subject: Subject, patient_ids: Sequence[str]) -> list[Link]:
    """Whose accounts may see these patients, as far as the subject may see them, also what ended."""
    with connection.cursor(row_factory=kwargs_row(_link)) as cursor:
        return cursor.execute(
            f"""
            SELECT {_LINK} FROM family_link l
             WHERE l.patient_id = ANY(%(patients)s)
               AND may_see(%(asking_person)s, %(asking_role)s, %(asking_organisation)s, l.patient_id, now())
             ORDER BY made_at DESC, l.link_id
            """.encode(),  # noqa: S608 only our own column lists
            {**_who(subject), "patients": list(patient_ids)},
        ).fetchall()


def find_held_links(connection: Database, subject: Subject) -> list[Link]:
    """What others let this account see now."""
    with connection.cursor(row_factory=kwargs_row(_link)) as cursor:
        return cursor.execute(
            f"""
            SELECT {_LINK} FROM family_link l
             WHERE l.person_id = %(asking_person)s AND l.during @> now() AND l.revoked_at IS NULL
             ORDER BY made_at DESC, l.link_id
            """.encode(),  # noqa: S608 only our own column lists
            _who(subject),
        ).fetchall()


def find_link(connection: Database, subject: Subject, link_id: str) -> Link | None:
    """A link that is the subject's own, or of a patient whom the subject may see."""
    with connection.cursor(row_factory=kwargs_row(_link)) as cursor:
        return cursor.execute(
            f"""
            SELECT {_LINK} FROM family_link l
             WHERE l.link_id = %(link)s
               AND (l.person_id = %(asking_person)s OR may_see(
                   %(asking_person)s, %(asking_role)s, %(asking_organisation)s, l.patient_id, now()))
            """.encode(),  # noqa: S608 only our own column lists
            {**_who(subject), "link": link_id},
        ).fetchone()


def revoke_link(connection: Database, link_id: str, *, by: str) -> bool:
    """End a link now; False when it was revoked before."""
    cursor = connection.execute(
        "UPDATE family_link SET revoked_at = now(), revoked_by = %s "
        "WHERE link_id = %s AND revoked_at IS NULL",
        (by, link_id),
    )
    return cursor.rowcount == 1


def is_of_organisation(connection: Database, subject: Subject, patient_id: str) -> bool:
    """Whether the subject's organisation has such a patient: enough to break the glass, no right to see."""
    row = connection.execute(
        "SELECT FROM patient WHERE patient_id = %(patient)s AND organisation_id = %(asking_organisation)s",
        {**_who(subject), "patient": patient_id},
    ).fetchone()
    return row is not None


def insert_broken_glass(connection: Database, glass: BrokenGlass) -> None:
    """Let somebody see for a while, and write the patient's notice in the same transaction."""
    connection.execute(
        """
        INSERT INTO break_glass (break_glass_id, patient_id, person_id, role, organisation_id, category,
                                 reason, during)
        VALUES (%s, %s, %s, %s, %s, %s, %s, tstzrange(%s, %s))
        """,
        (
            glass.break_glass_id,
            glass.patient_id,
            glass.person_id,
            glass.role,
            glass.organisation_id,
            glass.category,
            glass.reason,
            glass.opened_at,
            glass.ends_at,
        ),
    )
    insert_notice(connection, glass.patient_id, kind=NoticeKind.BREAK_GLASS, about=glass.break_glass_id)


def insert_notice(connection: Database, patient_id: str, *, kind: NoticeKind, about: str) -> None:
    """What the patient must be told."""
    connection.execute(
        "INSERT INTO patient_notice (patient_id, kind, about, written_at) VALUES (%s, %s, %s, now())",
        (patient_id, kind, about),
    )


def find_broken_glass(connection: Database, subject: Subject, *, is_reviewed: bool) -> list[BrokenGlass]:
    """What people of the subject's organisation did, oldest first while it waits for a review."""
    with connection.cursor(row_factory=kwargs_row(_glass)) as cursor:
        return cursor.execute(
            f"""
            SELECT {_GLASS} FROM break_glass b
             WHERE b.organisation_id = %(asking_organisation)s AND (b.reviewed_at IS NOT NULL) = %(reviewed)s
               AND %(may_review)s
             ORDER BY CASE WHEN b.reviewed_at IS NULL THEN lower(b.during) END, b.reviewed_at DESC
             LIMIT 500
            """.encode(),  # noqa: S608 only our own column lists
            {**_who(subject), "reviewed": is_reviewed, "may_review": Scope.REVIEW_ACCESS in subject.scopes},
        ).fetchall()


def find_one_broken_glass(connection: Database, subject: Subject, break_glass_id: str) -> BrokenGlass | None:
    """One of them, held until the transaction ends."""
    with connection.cursor(row_factory=kwargs_row(_glass)) as cursor:
        return cursor.execute(
            f"""
            SELECT {_GLASS} FROM break_glass b
             WHERE b.break_glass_id = %(glass)s AND b.organisation_id = %(asking_organisation)s
               AND %(may_review)s
               FOR UPDATE
            """.encode(),  # noqa: S608 only our own column lists
            {
                **_who(subject),
                "glass": break_glass_id,
                "may_review": Scope.REVIEW_ACCESS in subject.scopes,
            },
        ).fetchone()


def review_broken_glass(
    connection: Database, break_glass_id: str, *, verdict: Verdict, note: str, by: str
) -> None:
    """What the review found."""
    connection.execute(
        "UPDATE break_glass SET reviewed_at = now(), reviewed_by = %s, verdict = %s, note = %s "
        "WHERE break_glass_id = %s",
        (by, verdict, note, break_glass_id),
    )


def find_notices(connection: Database, subject: Subject, *, after: int) -> list[Notice]:
    """What this account is told of its patients, newest first: any grade of a link is enough."""
    told = {**_who(subject), "after": after}
    with connection.cursor(row_factory=kwargs_row(_glass_notice)) as cursor:
        of_glass = cursor.execute(
            f"""
            SELECT {_NOTICE}, {_GLASS}
              FROM patient_notice n JOIN break_glass b ON b.break_glass_id = n.about {_TOLD}
            """.encode(),  # noqa: S608 only our own words
            told,
        ).fetchall()
    with connection.cursor(row_factory=kwargs_row(_consent_notice)) as cursor:
        of_consent = cursor.execute(
            f"""
            SELECT {_NOTICE}, {_CONSENT}
              FROM patient_notice n JOIN consent c ON c.consent_id = n.about {_TOLD}
            """.encode(),  # noqa: S608 only our own words
            told,
        ).fetchall()
    found = sorted([*of_glass, *of_consent], key=lambda notice: -notice.notice_id)
    return found[:200]


def note_told(connection: Database, notice_ids: Sequence[int]) -> None:
    """These were told for the first time now."""
    connection.execute(
        "UPDATE patient_notice SET told_at = now() WHERE notice_id = ANY(%s) AND told_at IS NULL",
        (list(notice_ids),),
    )


def find_names(connection: Database, *, people: Sequence[str], organisations: Sequence[str]) -> Names:
    """How those who looked are called: staff and organisations, no patients."""
    named = connection.execute(
        "SELECT person_id, display_zh, display_en FROM person WHERE person_id = ANY(%s)", (list(people),)
    ).fetchall()
    places = connection.execute(
        "SELECT organisation_id, name_zh, name_en FROM organisation WHERE organisation_id = ANY(%s)",
        (list(organisations),),
    ).fetchall()
    return Names(
        people={key: (zh, en) for key, zh, en in named},
        organisations={key: (zh, en) for key, zh, en in places},
    )


def _who(subject: Subject) -> dict[str, object]:
    return {**asked_by(subject), "may_own": Scope.READ_OWN in subject.scopes}


def _consent(
    *, capacity: str, person_id: str | None, organisation_id: str | None, purposes: list[str], up_to: str,
    **columns: Any,
) -> Consent:  # fmt: skip
    return Consent(
        capacity=Capacity(capacity),
        to=Grantee(person_id=person_id, organisation_id=organisation_id),
        purposes=tuple(Purpose(purpose) for purpose in purposes),
        up_to=DataClass(up_to),
        **columns,
    )


def _link(*, relation: str, grade: str, **columns: Any) -> Link:
    return Link(relation=Relation(relation), grade=Grade(grade), **columns)


def _glass(*, category: str, verdict: str | None, **columns: Any) -> BrokenGlass:
    return BrokenGlass(
        category=Category(category), verdict=None if verdict is None else Verdict(verdict), **columns
    )


def _glass_notice(
    *, notice_id: int, told_patient_id: str, kind: str, written_at: datetime, **columns: Any
) -> Notice:
    return Notice(
        notice_id=notice_id,
        patient_id=told_patient_id,
        kind=NoticeKind(kind),
        written_at=written_at,
        about=_glass(**columns),
    )


def _consent_notice(
    *, notice_id: int, told_patient_id: str, kind: str, written_at: datetime, **columns: Any
) -> Notice:
    return Notice(
        notice_id=notice_id,
        patient_id=told_patient_id,
        kind=NoticeKind(kind),
        written_at=written_at,
        about=_consent(**columns),
    )
