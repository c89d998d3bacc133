"""SQL of signatures, of the signers' keys, and of who is qualified."""

from datetime import datetime
from typing import Any

from cloud.identity.model import Subject
from cloud.identity.queries import asked_by
from cloud.signing.model import Kind, Licence, Signature, SigningKey, Statement
from cloud.store.connection import Database
from cloud.store.suite import Suite

_KEY = "k.key_id, k.person_id, k.scheme, k.public_key, lower(k.during), upper(k.during), k.revoked_at"
ROLES_BY_KIND = {
    Kind.REPORT: ["physician", "specialist", "family_doctor", "technician"],
    Kind.OPINION: ["physician", "specialist", "family_doctor"],
    Kind.CONSENT: ["physician", "specialist", "family_doctor", "village_doctor", "nurse"],
    Kind.EXPORT: [],
}


def find_licences(
    connection: Database, subject: Subject, kind: Kind, *, at: datetime
) -> list[tuple[Licence | None, bool]]:
    """The subject's roles that sign this kind now, each with a qualification and whether it holds today.

    Licences end with a day of the calendar, so the day is the one in the organisation's own zone.
    """
    rows = connection.execute(
        """
        SELECT r.practitioner_role_id, q.qualification_id,
               q.valid @> (%(at)s AT TIME ZONE coalesce(
                   (SELECT min(zone) FROM site WHERE organisation_id = r.organisation_id),
                   'Asia/Shanghai'))::date
               AND (q.revoked_at IS NULL OR q.revoked_at > %(at)s)
          FROM practitioner_role r
          LEFT JOIN qualification q ON q.person_id = r.person_id AND q.kind = CASE r.role
               WHEN 'village_doctor' THEN 'village_doctor' WHEN 'nurse' THEN 'nurse'
               WHEN 'technician' THEN 'technician' ELSE 'physician' END
         WHERE r.person_id = %(person)s AND r.organisation_id = %(organisation)s
           AND r.role = ANY(%(roles)s) AND r.during @> %(at)s
         ORDER BY r.practitioner_role_id, q.qualification_id
        """,
        {
            "at": at,
            "person": subject.person,
            "organisation": subject.organisation,
            "roles": ROLES_BY_KIND[kind],
        },
    ).fetchall()
    return [
        (
            None
            if qualification is None
            else Licence(practitioner_role_id=role, qualification_id=qualification),
            bool(holds),
        )
        for role, qualification, holds in rows
    ]


def find_key(
    connection: Database, person_id: str, *, scheme: Suite, at: datetime
) -> tuple[SigningKey, bytes] | None:
    """The key with which somebody signs now, and its sealed private part."""
    row = connection.execute(
        f"""
        SELECT {_KEY}, k.sealed_private FROM signing_key k
         WHERE k.person_id = %s AND k.scheme = %s AND k.during @> %s AND k.revoked_at IS NULL
        """,  # noqa: S608 only our own column list
        (person_id, scheme.value, at),
    ).fetchone()
    return None if row is None else (_key(*row[:-1]), bytes(row[-1]))


def find_sealed_private(connection: Database, key_id: str) -> bytes | None:
    """The sealed private part of a key, revoked or not."""
    row = connection.execute("SELECT sealed_private FROM signing_key WHERE key_id = %s", (key_id,)).fetchone()
    return None if row is None else bytes(row[0])


def lock_signer(connection: Database, person_id: str) -> None:
    """One key at a time is made for a person."""
    connection.execute("SELECT FROM person WHERE person_id = %s FOR NO KEY UPDATE", (person_id,))


def insert_key(connection: Database, key: SigningKey, *, sealed_private: bytes) -> None:
    """A new key."""
    connection.execute(
        "INSERT INTO signing_key (key_id, person_id, scheme, public_key, sealed_private, during) "
        "VALUES (%s, %s, %s, %s, %s, tstzrange(%s, %s))",
        (
            *(key.key_id, key.person_id, key.scheme.value, key.public_key, sealed_private),
            *(key.valid_from, key.valid_until),
        ),
    )


def revoke_keys(connection: Database, person_id: str, *, at: datetime) -> int:
    """From now on nothing is signed with the keys somebody has; a new one can be made at once."""
    return connection.execute(
        "UPDATE signing_key SET revoked_at = %(at)s, during = tstzrange(lower(during), %(at)s) "
        "WHERE person_id = %(person)s AND revoked_at IS NULL "
        "AND upper(during) > %(at)s AND lower(during) < %(at)s",
        {"at": at, "person": person_id},
    ).rowcount


def insert_signature(
    connection: Database, statement: Statement, *, patient_id: str, signature: bytes
) -> bool:
    """Keep a signature; False if this person has signed this version already."""
    return bool(
        connection.execute(
            "INSERT INTO signature (kind, document_id, version, patient_id, signer, signed_at, key_id, "
            "statement, signature) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (
                *(statement.kind.value, statement.document_id, statement.version, patient_id),
                *(statement.signer, statement.signed_at, statement.key_id, statement.to_bytes(), signature),
            ),
        ).rowcount
    )


def find_signatures(
    connection: Database, subject: Subject, kind: Kind, *, document_id: str, version: int
) -> list[Signature]:
    """Who signed a version, in order; of patients whom the subject may see, or by the subject."""
    rows = connection.execute(
        f"""
        SELECT s.statement, s.signature, {_KEY}
          FROM signature s JOIN signing_key k USING (key_id) LEFT JOIN patient p USING (patient_id)
         WHERE s.kind = %(kind)s AND s.document_id = %(document)s AND s.version = %(version)s
           AND (s.signer = %(asking_person)s OR %(asking_organisation)s::text IS NULL OR may_see(
                %(asking_person)s, %(asking_role)s, %(asking_organisation)s, p.patient_id, now()))
         ORDER BY s.signature_id
        """,  # noqa: S608 only our own column list
        {
            "kind": kind.value,
            "document": document_id,
            "version": version,
            **asked_by(subject),
        },
    ).fetchall()
    return [
        Signature(statement=bytes(statement), signature=bytes(signed), key=_key(*key))
        for statement, signed, *key in rows
    ]


def _key(*row: Any) -> SigningKey:
    key_id, person_id, scheme, public_key, valid_from, valid_until, revoked_at = row
    return SigningKey(
        key_id=key_id,
        person_id=person_id,
        scheme=Suite(scheme),
        public_key=bytes(public_key),
        valid_from=valid_from,
        valid_until=valid_until,
        revoked_at=revoked_at,
    )
