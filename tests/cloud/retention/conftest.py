"""Two people of a hospital with everything that a record holds, one of them merged from two."""

from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud.identity import queries as identity_queries
from cloud.identity.model import Role, subject_of
from cloud.people.model import NewPerson, TypedIdentifier
from cloud.people.service import PeopleService, open_sealer
from cloud.retention.model import Policy
from cloud.retention.service import Ports, RetentionService
from cloud.rights.service import EncounterBook
from cloud.store.connection import build_pool
from cloud.waves.service import Waves
from tests.cloud.people.conftest import Notebook
from vitals.identifiers.identifier import IdentifierKind

NOW = datetime(2026, 11, 25, 4, 0, tzinfo=UTC)
LONG_AGO = datetime(1990, 1, 1, tzinfo=UTC)
DOCTOR = subject_of(person="doctor", role=Role.CLINICIAN, organisation="own")
STRANGER = subject_of(person="stranger", role=Role.CLINICIAN, organisation="other")
AUDITOR = subject_of(person="auditor", role=Role.AUDITOR, organisation="own")
KEY = Ed25519PrivateKey.generate()
NUMBERS = {"p": "PATIENT-4711", "q": "OTHER-4712"}


class Clock:
    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now


@pytest.fixture
def recorder():
    return Notebook()


@pytest.fixture
def rooms(database, database_url, tmp_path, recorder):
    """People and retention on one database; `ids` names the people."""
    for name in ("own", "other"):
        identity_queries.upsert_organisation(database, name, site_id=f"{name}-1", name_zh=name, name_en=name)
    pool = build_pool(database_url)
    pool.open()
    clock = Clock()
    people = PeopleService(
        pool,
        sealer=open_sealer(database, home=tmp_path),
        encounters=EncounterBook(),
        recorder=recorder,
        clock=clock,
    )
    signed = lambda content: (KEY.public_key().public_bytes_raw().hex(), KEY.sign(content).hex())  # noqa: E731
    retention = RetentionService(
        pool,
        recorder=recorder,
        clock=clock,
        ports=Ports(numbers=people.list_numbers, signed=signed, waves=Waves()),
        policy=Policy(),
    )
    yield people, retention
    pool.close()


def register(people, name, number):
    typed = TypedIdentifier(kind=IdentifierKind.HOSPITAL_RECORD, text=number)
    return people.register(DOCTOR, NewPerson(name_zh=name, identifiers=(typed,))).record.person.patient_id


def measure(database, patient_id, src, *, since):
    """A sensor on the patient for an hour with one value in it, and one after it that is nobody's."""
    database.execute("INSERT INTO source (src) VALUES (%s)", (src,))
    database.execute(
        "INSERT INTO binding (src, patient_id, during) "
        "VALUES (%s, %s, tstzrange(%s, %s::timestamptz + '1 hour'))",
        (src, patient_id, since, since),
    )
    database.execute(
        "INSERT INTO observation (src, key, measured_at, value, unit, quality, received_at, sent_at, "
        "stored_at, late, lane, s) SELECT %(src)s, 'spo2', "
        "%(since)s::timestamptz + minutes * interval '1 minute', 97, '%%', 'good', now(), "
        "now(), now(), false, 'live', minutes FROM unnest(ARRAY[1, 90]) AS minutes",
        {"src": src, "since": since},
    )


@pytest.fixture
def ids(rooms, database, recorder):
    """`p` (merged from two, long gone), `q` (the same sensor type, long gone too)."""
    people, _ = rooms
    found = {"p": register(people, "张三<b>", NUMBERS["p"]), "q": register(people, "李四", NUMBERS["q"])}
    found["was"] = register(people, "张三", "EARLIER-1")
    people.merge(DOCTOR, found["was"], into=found["p"], reason="one person")
    for name, src in (("p", "s-p"), ("was", "s-was"), ("q", "s-q")):
        measure(database, found[name], src, since=LONG_AGO)
    database.execute("UPDATE patient SET registered_at = %s", (LONG_AGO,))
    recorder.acts.clear()
    return found
