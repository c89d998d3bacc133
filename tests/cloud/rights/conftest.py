"""Two hospitals with a ward each, a doctor without any right, and the service on a real database."""

from datetime import date

import pytest

from cloud.act import AuditUnavailable
from cloud.consent_proofs import ConsentProofs
from cloud.identity import queries as identity_queries
from cloud.identity.model import Role, subject_of
from cloud.identity.service import utc_now
from cloud.rights.model import Grade, NewLink, Relation
from cloud.rights.service import Numbers, RightsService
from cloud.signing.service import SigningService, may_sign_by_register
from cloud.store.connection import build_pool
from cloud.store.sealing import Sealer
from cloud.store.suite import Suite
from tests.fixtures.duty import hire

DOCTOR = subject_of(person="doctor", role=Role.CLINICIAN, organisation="own")
NURSE = subject_of(person="nurse", role=Role.NURSE, organisation="own")
STRANGER = subject_of(person="stranger", role=Role.CLINICIAN, organisation="other")
AUDITOR = subject_of(person="auditor", role=Role.AUDITOR, organisation="own")
FOREIGN_AUDITOR = subject_of(person="auditor-2", role=Role.AUDITOR, organisation="other")
PATIENT = subject_of(person="account-of-p-1", role=Role.RESIDENT, organisation="own")
DAUGHTER = subject_of(person="daughter", role=Role.RESIDENT, organisation="own")
EVERYBODY = (DOCTOR, NURSE, STRANGER, AUDITOR, FOREIGN_AUDITOR, PATIENT, DAUGHTER)
SEALER = Sealer(b"k" * 32)
BORN = date(1956, 3, 4)
KNOWN = "1956-03-04"
REASON = "not responding, alone in the ambulance"


class Notebook:
    """Remembers what was recorded, and tells of it; `is_away` refuses as an audit does that cannot write."""

    def __init__(self):
        self.acts = []
        self.asked = []
        self.is_away = False

    def begin(self, *acts):
        self.acts += [] if self.is_away else acts
        return self.refuse if self.is_away else lambda: None

    def refuse(self):
        raise AuditUnavailable

    def note(self, *acts):
        self.acts += acts

    def find_acts_about(self, patient_ids, *, before, limit):
        self.asked.append((list(patient_ids), before, limit))
        return []

    def words(self):
        return [(str(act.action), act.target.id, act.basis) for act in self.acts]


@pytest.fixture
def notebook():
    return Notebook()


@pytest.fixture
def hospitals(database):
    for organisation, site in (("own", "ward-1"), ("own", "ward-2"), ("other", "far-ward")):
        identity_queries.upsert_organisation(
            database, organisation, site_id=site, name_zh=f"{organisation}院", name_en=organisation
        )
    for subject in EVERYBODY:
        hire(database, subject.person, subject.organisation)
    admit(database, "p-1", site="ward-1", born=BORN)
    admit(database, "p-far", organisation="other", site="far-ward")
    return database


def admit(database, patient_id, *, organisation="own", site="ward-1", born=None):
    database.execute(
        "INSERT INTO patient (patient_id, organisation_id, site_id, bed, name_zh, name_en, name_sort, "
        "birth_date) VALUES (%s, %s, %s, '', '张三', 'Zhang San', '', %s)",
        (patient_id, organisation, site, born),
    )


def relate(database, kind, *, person=None, organisation=None, patient="p-1", until=None):
    """What a later room writes."""
    database.execute(
        "INSERT INTO care_relation (kind, patient_id, person_id, organisation_id, during, origin) "
        "VALUES (%s, %s, %s, %s, tstzrange('2020-01-01', %s), 'a double')",
        (kind, patient, person, organisation, until),
    )


@pytest.fixture
def rights(hospitals, database_url, notebook):
    def by_number(connection, subject, number):
        return {"330102199001010000": ["p-1", "p-far"]}.get(number.text, [])

    signing = SigningService(
        sealer=SEALER,
        recorder=notebook,
        clock=utc_now,
        suite=Suite.ED25519,
        may_sign=may_sign_by_register,
    )
    with build_pool(database_url) as pool:
        yield RightsService(
            pool,
            recorder=notebook,
            memory=notebook,
            numbers=Numbers(find=by_number, of=lambda connection, patients: []),
            signer=ConsentProofs(signing),
        )


def link_account(rights, database, subject, *, patient="p-1"):
    """Let the account of a patient be linked by a nurse who cares for the patient."""
    relate(database, "care", person=NURSE.person, patient=patient)
    new = NewLink(relation=Relation.SELF, patient_id=patient, grade=Grade.EVERYTHING)
    return rights.accept(subject, rights.invite(NURSE, new).code, known=KNOWN)
