"""Two organisations, one of them with two sites, and a service on a real database."""

from dataclasses import dataclass
from datetime import UTC, date, datetime

import pytest

from cloud.act import AuditUnavailable
from cloud.identity import queries as identity_queries
from cloud.identity.model import Role, subject_of
from cloud.people.model import NewPerson, Sex, TypedIdentifier
from cloud.people.service import PeopleService, open_sealer
from cloud.rights.service import EncounterBook
from cloud.store.connection import build_pool
from tests.fixtures.duty import hire, put_on_duty
from vitals.identifiers.identifier import IdentifierKind
from vitals.identifiers.resident_id import check_character

NOW = datetime(2026, 11, 25, 4, 0, tzinfo=UTC)
BORN = date(1990, 1, 1)
DOCTOR = subject_of(person="doctor-1", role=Role.CLINICIAN, organisation="own")
STRANGER = subject_of(person="doctor-2", role=Role.CLINICIAN, organisation="other")
ADMINISTRATOR = subject_of(person="admin-1", role=Role.ADMINISTRATOR, organisation="own")


def resident_number(sequence, *, born=BORN):
    first_17 = f"330102{born:%Y%m%d}{sequence:03}"
    return first_17 + check_character(first_17)


def typed(text, kind=IdentifierKind.RESIDENT_ID, issuer=""):
    return TypedIdentifier(kind=kind, text=text, issuer=issuer)


def record_number(text):
    return typed(text, IdentifierKind.HOSPITAL_RECORD)


def new_person(*identifiers, name="张三", born=BORN, **fields):
    return NewPerson(
        name_zh=name, birth_date=born, sex=fields.pop("sex", Sex.UNKNOWN), identifiers=identifiers, **fields
    )


@dataclass
class Clock:
    now: datetime = NOW

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


class Notebook:
    """Remembers what was recorded; `is_away` refuses as an audit does that cannot write."""

    def __init__(self):
        self.acts = []
        self.is_away = False

    def begin(self, *acts):
        self.acts += [] if self.is_away else acts
        return self.refuse if self.is_away else lambda: None

    def refuse(self):
        raise AuditUnavailable

    def note(self, *acts):
        self.acts += acts

    def words(self):
        return [(str(act.action), act.target.id) for act in self.acts]


@pytest.fixture
def recorder():
    return Notebook()


@pytest.fixture
def people(database, database_url, tmp_path, clock, recorder):
    for organisation, site in (("own", "hut-a"), ("own", "hut-b"), ("other", "ward-1")):
        identity_queries.upsert_organisation(
            database, organisation, site_id=site, name_zh=organisation, name_en=organisation
        )
    for subject in (DOCTOR, STRANGER, ADMINISTRATOR):
        hire(database, subject.person, subject.organisation)
    for person, site in (("doctor-1", "hut-a"), ("doctor-1", "hut-b"), ("doctor-2", "ward-1")):
        put_on_duty(database, person, site=site)
    with build_pool(database_url) as pool:
        sealer = open_sealer(database, home=tmp_path)
        yield PeopleService(pool, sealer=sealer, encounters=EncounterBook(), recorder=recorder, clock=clock)


def dump(database):
    """Every row about people but the history of merges."""
    tables = ("patient", "person_identifier", "patient_registration", "binding", "series_batch", "source")
    return {
        table: database.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3".encode()).fetchall()  # noqa: S608
        for table in tables
    }
