import pytest
from msgspec import structs

from cloud.identity.model import SYSTEM, Role, subject_of
from cloud.live import queries
from cloud.seed import ORGANISATION, SITE, seed_ward
from cloud.ward.model import WardFile, WardPatient
from tests.fixtures.duty import hire, put_on_duty
from tests.fixtures.wire_messages import SOURCE, WireAgent, open_writer, seconds, utc_now
from vitals.observation import VitalKey

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]

AGENT = WireAgent()
START = utc_now() - seconds(100)
WARD = WardFile(
    agent="hut-1",
    patients=[
        WardPatient(id="p-10", bed="10", name_zh="乙", name_en="Yi", sources=[]),
        WardPatient(id="p-2", bed="2", name_zh="甲", name_en="Jia", sources=[SOURCE]),
    ],
)
DOCTOR = subject_of(person="person-d", role=Role.CLINICIAN, organisation=ORGANISATION)
ADMINISTRATOR = subject_of(person="a", role=Role.ADMINISTRATOR, organisation=ORGANISATION)
STRANGER = subject_of(person="s", role=Role.CLINICIAN, organisation="elsewhere")
COLLEAGUE = subject_of(person="c", role=Role.CLINICIAN, organisation=ORGANISATION)


@pytest.fixture
def filled(database):
    seed_ward(database, WARD, now=START)
    hire(database, DOCTOR.person, ORGANISATION)
    put_on_duty(database, DOCTOR.person, site=SITE)
    messages = [
        AGENT.birth(),
        AGENT.vitals(1, 60, at=START - seconds(5)),
        AGENT.vitals(2, 72, at=START + seconds(9)),
        AGENT.vitals(3, 71, at=START + seconds(8)),
        AGENT.vitals(4, 97, at=START + seconds(9), key=VitalKey("spo2")),
        AGENT.vitals(5, 800, at=START - seconds(1), key=VitalKey("rr_interval")),
    ]
    open_writer().write(database, messages, now=utc_now())
    return database


def test_beds_come_in_the_order_of_their_numbers(filled):
    assert [patient.bed for patient in queries.find_ward(filled, DOCTOR).patients] == ["2", "10"]


@pytest.mark.parametrize(
    "subject", [ADMINISTRATOR, STRANGER, COLLEAGUE], ids=["administrator", "stranger", "off duty"]
)
def test_subject_without_the_right_gets_nothing(filled, subject):
    ward = queries.find_ward(filled, subject)

    assert (ward.patients, ward.bindings) == ((), ())
    assert queries.find_latest(filled, subject, now=utc_now()) == []


@pytest.mark.parametrize("subject", [DOCTOR, SYSTEM], ids=["doctor", "system"])
def test_latest_of_each_key_is_found_since_the_binding_began(filled, subject):
    found = queries.find_latest(filled, subject, now=utc_now())

    assert {(entry.key, entry.value) for entry in found} == {("heart_rate", 72), ("spo2", 97)}


def test_declared_source_is_read_back_whole(filled):
    (source,) = queries.find_sources(filled)

    assert (source.cadence, source.waves[0].rate) == ({"heart_rate": 1.0}, (130, 1))


@pytest.mark.parametrize("is_declared", [True, False], ids=["series", "one by one"])
def test_newer_value_of_nobody_does_not_hide_the_last_one_in_the_binding(database, is_declared):
    seed_ward(database, WARD, now=START)
    writer = open_writer()
    writer.write(database, [AGENT.birth()] if is_declared else [], now=utc_now())
    for s, (value, second) in enumerate([(72, 5), (99, 30)], 1):
        message = AGENT.vitals(s, value, at=START + seconds(second))
        writer.write(database, [structs.replace(message, received_at=START + seconds(second))], now=utc_now())
    database.execute(
        "UPDATE binding SET during = tstzrange(%s, %s), is_once = true", (START, START + seconds(10))
    )

    (found,) = queries.find_latest(database, SYSTEM, now=utc_now())
    assert (found.value, found.measured_at) == (72, START + seconds(5))
