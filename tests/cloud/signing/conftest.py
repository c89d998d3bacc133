"""A hospital with somebody qualified, somebody not, and documents to sign."""

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from cloud.identity import queries as identity_queries
from cloud.identity.model import Role, subject_of
from cloud.signing.model import Kind, Licence
from cloud.signing.service import SigningService, may_sign_by_register
from cloud.store.sealing import Sealer
from cloud.store.suite import Suite

NOW = datetime(2026, 11, 25, 4, 0, tzinfo=UTC)
DOCTOR = subject_of(person="doctor", role=Role.CLINICIAN, organisation="own")
NURSE = subject_of(person="nurse", role=Role.NURSE, organisation="own")
RESIDENT = subject_of(person="resident", role=Role.RESIDENT, organisation="own")


@dataclass(frozen=True, kw_only=True)
class Paper:
    """The double of a document that a room gives."""

    kind: Kind = Kind.REPORT
    document_id: str = "report-1"
    version: int = 1
    patient_id: str = "p-1"
    content: bytes = "窦性心律".encode()


class Notebook:
    def __init__(self):
        self.acts = []

    def begin(self, *acts):
        self.acts += acts
        return lambda: None

    def note(self, *acts):
        self.acts += acts


@pytest.fixture
def recorder():
    return Notebook()


def qualify(database, person, *, role="physician", kind="physician", valid="[2020-01-01,2030-01-01)"):
    database.execute(
        "INSERT INTO practitioner_role (person_id, organisation_id, role, during) "
        "VALUES (%s, 'own', %s, '[2020-01-01,)')",
        (person, role),
    )
    if kind is not None:
        database.execute(
            "INSERT INTO qualification (person_id, kind, sealed_number, issuer, valid) "
            "VALUES (%s, %s, 'x', 'health commission', %s)",
            (person, kind, valid),
        )


@pytest.fixture
def hospital(database):
    identity_queries.upsert_organisation(database, "own", site_id="own-1", name_zh="甲", name_en="Own")
    for person in ("doctor", "nurse", "resident"):
        database.execute("INSERT INTO person VALUES (%s, 'own', 'x', 'x')", (person,))
    database.execute(
        "INSERT INTO patient (patient_id, organisation_id, site_id, bed, name_zh, name_en, name_sort) "
        "VALUES ('p-1', 'own', 'own-1', '1', '张三', 'Zhang San', 'zhang')"
    )
    return database


def service(recorder, *, suite=Suite.ED25519, may_sign=may_sign_by_register, now=NOW):
    return SigningService(
        sealer=Sealer(b"k" * 32), recorder=recorder, clock=lambda: now, suite=suite, may_sign=may_sign
    )


def anybody(_connection, _subject, _kind, _at):
    """The double of the port: everybody is qualified."""
    return Licence(practitioner_role_id=1, qualification_id=2)
