"""Each look and each act about a person leaves its entry first, and no entry holds a number."""

import pytest

from cloud.act import AuditUnavailable
from cloud.people.model import PersonUnknown
from tests.cloud.audit.test_audit_stream import await_stored, give_back, stored, take_away
from tests.cloud.people.conftest import DOCTOR, dump, new_person, record_number, resident_number, typed
from vitals.identifiers.identifier import IdentifierKind

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]

NUMBER = resident_number(11)
MISTYPED = "1" + NUMBER[1:]


def register(people, recorder, *identifiers, name="张三"):
    patient_id = people.register(DOCTOR, new_person(*identifiers, name=name)).record.person.patient_id
    recorder.acts.clear()
    return patient_id


def test_registering_is_recorded_with_who_was_shown_as_a_candidate(people, recorder):
    one = register(people, recorder, record_number("REC-1"))
    two = people.register(DOCTOR, new_person(record_number("REC-2"))).record.person.patient_id

    assert recorder.words() == [("create_patient", two), ("find_candidates", one)]


def test_person_who_is_there_already_is_recorded_as_read(people, recorder):
    one = register(people, recorder, typed(NUMBER))
    people.register(DOCTOR, new_person(typed(NUMBER)))

    assert recorder.words() == [("read_person", one)]


def test_finding_is_recorded_for_each_person_shown_or_with_the_kind_of_number(people, recorder):
    one = register(people, recorder, typed(NUMBER))
    people.resolve(DOCTOR, NUMBER)
    people.resolve(DOCTOR, resident_number(12))
    people.resolve(DOCTOR, "REC-9", kind=IdentifierKind.HOSPITAL_RECORD)

    assert recorder.words() == [
        ("find_person", one),
        ("find_person", "resident_id"),
        ("find_person", "hospital_record"),
    ]


def test_reading_by_a_merged_id_is_recorded_for_both_ids(people, recorder):
    one, two = register(people, recorder), register(people, recorder, name="李四")
    people.merge(DOCTOR, one, into=two, reason="same")
    people.read(DOCTOR, one)
    people.unmerge(DOCTOR, one, reason="not the same")

    assert recorder.words() == [
        *(("merge_patient", each) for each in (one, two)),
        *(("read_person", each) for each in (one, two)),
        *(("unmerge_patient", each) for each in (one, two)),
    ]


def test_claim_and_candidates_are_recorded(people, recorder):
    one, two = register(people, recorder, typed(NUMBER)), register(people, recorder, name="李四")
    people.add_identifier(DOCTOR, two, typed(NUMBER))
    people.find_candidates(DOCTOR, two)

    assert recorder.words() == [("add_identifier", two), ("find_candidates", two), ("find_candidates", one)]


def test_without_audit_nothing_is_done_or_shown(people, recorder, database):
    one, two = register(people, recorder, typed(NUMBER)), register(people, recorder, name="李四")
    three = register(people, recorder, name="赵六")
    people.merge(DOCTOR, one, into=two, reason="same")
    before = dump(database), database.execute("SELECT * FROM patient_merge").fetchall()
    recorder.is_away = True

    for attempt in (
        lambda: people.resolve(DOCTOR, NUMBER),
        lambda: people.read(DOCTOR, one),
        lambda: people.find_candidates(DOCTOR, one),
        lambda: people.register(DOCTOR, new_person(name="王五")),
        lambda: people.add_identifier(DOCTOR, two, record_number("REC-2")),
        lambda: people.merge(DOCTOR, two, into=three, reason="same"),
        lambda: people.unmerge(DOCTOR, one, reason="not the same"),
    ):
        with pytest.raises(AuditUnavailable):
            attempt()
    assert (dump(database), database.execute("SELECT * FROM patient_merge").fetchall()) == before


@pytest.mark.parametrize("patient_id", ["p-none", "p-\0"])
def test_unknown_person_is_not_recorded_as_read(people, recorder, patient_id):
    for attempt in (
        lambda: people.read(DOCTOR, patient_id),
        lambda: people.merge(DOCTOR, patient_id, into="p-x", reason="same"),
        lambda: people.unmerge(DOCTOR, patient_id, reason="same"),
    ):
        with pytest.raises(PersonUnknown):
            attempt()

    assert recorder.acts == []


def test_server_records_looks_acts_and_refusals_without_a_number(cloud_server, database):
    seeded = len(stored(database))
    doctor, admin = cloud_server.client("doctor"), cloud_server.client("admin")
    body = {"name_zh": "李小龙", "identifiers": [{"kind": "resident_id", "text": NUMBER}]}
    one = doctor.post("/api/people", json=body).json()["person"]["id"]
    for text in (NUMBER, MISTYPED):
        doctor.post("/api/people/resolve", json={"text": text})
    doctor.post("/api/people/p-none/unmerge", json={"reason": "r"})
    doctor.post(f"/api/people/{one}/unmerge", json={"reason": "r"})
    doctor.get(f"/api/people/{NUMBER}")
    admin.post("/api/people/resolve", json={"text": NUMBER})

    acts = await_stored(database, seeded + 9)[seeded + 2 :]
    assert [(str(act.action), act.target.id, str(act.outcome)) for act in acts] == [
        ("create_patient", one, "allowed"),
        ("find_person", one, "allowed"),
        ("find_person", one, "allowed"),
        ("ask", "p-none", "refused"),
        ("ask", one, "refused"),
        ("ask", "resident_id", "refused"),
        ("ask", "/api/people/resolve", "refused"),
    ]
    assert NUMBER not in str(acts)


def test_server_shows_and_does_nothing_about_people_without_audit(cloud_server, database):
    doctor = cloud_server.client("doctor")
    take_away(database)
    answers = [
        doctor.get("/api/people/p-1"),
        doctor.post("/api/people/resolve", json={"text": NUMBER}),
        doctor.post("/api/people", json={"name_zh": "李小龙"}),
    ]
    give_back(database)

    assert [answer.status_code for answer in answers] == [503, 503, 503]
    assert database.execute("SELECT count(*) FROM patient WHERE name_zh = '李小龙'").fetchone() == (0,)
