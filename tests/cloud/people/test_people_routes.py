import logging
import time

import pytest
import structlog

from cloud.binding.service import bind_from_ward_file
from cloud.identity.model import SYSTEM
from cloud.live.queries import find_ward
from cloud.ward import queries as ward_queries
from tests.cloud.people.conftest import resident_number
from tests.fixtures.wire_messages import utc_now

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]

NUMBER = resident_number(11)
MISTYPED = "1" + NUMBER[1:]
CARD = "0123456789abcdef" * 4
PERSON = {
    "name_zh": "李小龙",
    "birth_date": "1990-01-01",
    "identifiers": [{"kind": "resident_id", "text": NUMBER}, {"kind": "health_card", "text": CARD}],
}
OTHER = {"name_zh": "李大龙", "identifiers": [{"kind": "hospital_record", "text": "REC-4711"}]}


@pytest.fixture
def doctor(cloud_server):
    return cloud_server.client("doctor")


def register(client, body):
    answer = client.post("/api/people", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()["person"]


def test_registered_person_is_found_by_a_scan_and_shown_masked(doctor):
    person = register(doctor, PERSON)
    answer = doctor.post("/api/people/resolve", json={"text": f"{CARD}:1"}).json()

    assert answer["outcome"] == "found"
    assert answer["found"][0]["person"]["id"] == person["id"]
    assert doctor.get(f"/api/people/{person['id']}").json() == person
    shown = {one["kind"]: one["display"] for one in person["identifiers"]}
    assert shown["resident_id"] == NUMBER[:4] + "*" * 10 + NUMBER[-4:]
    assert (person["birth_date"], person["sex"]) == ("1990-01-01", "male")


def test_person_who_is_there_answers_200(doctor):
    register(doctor, PERSON)
    again = doctor.post("/api/people", json=PERSON)

    assert (again.status_code, again.json()["outcome"]) == (200, "already_there")


def test_merge_and_unmerge_over_http(doctor):
    one, two = register(doctor, PERSON)["id"], register(doctor, OTHER)["id"]
    merged = doctor.post(f"/api/people/{one}/merge", json={"into": two, "reason": "same"})
    assert (merged.json()["id"], merged.json()["merged"]) == (two, [one])
    again = doctor.post(f"/api/people/{one}/merge", json={"into": two, "reason": "same"})
    assert again.status_code == 409

    back = doctor.post(f"/api/people/{one}/unmerge", json={"reason": "not the same"})
    assert (back.json()["id"], back.json()["merged"]) == (one, [])
    (entry,) = back.json()["merges"]
    assert (entry["reason"], entry["unmerge_reason"]) == ("same", "not the same")


def test_claimed_number_makes_a_candidate(doctor):
    first, second = register(doctor, PERSON), register(doctor, OTHER)
    claim = {"kind": "health_card", "text": CARD}
    answer = doctor.post(f"/api/people/{second['id']}/identifiers", json=claim).json()
    (candidate,) = doctor.get(f"/api/people/{second['id']}/candidates").json()

    assert answer["standing"] == "claimed"
    assert (candidate["person"]["id"], candidate["rules"]) == (first["id"], ["same_identifier"])


ROUTES = [
    ("POST", "/api/people", OTHER),
    ("POST", "/api/people/resolve", {"text": NUMBER}),
    ("GET", "/api/people/p-1", None),
    ("GET", "/api/people/p-1/candidates", None),
    ("POST", "/api/people/p-1/identifiers", {"kind": "resident_id", "text": NUMBER}),
    ("POST", "/api/people/p-1/merge", {"into": "p-2", "reason": "r"}),
    ("POST", "/api/people/p-1/unmerge", {"reason": "r"}),
]


@pytest.mark.parametrize(
    ("account", "status"), [(None, 401), ("admin", 403)], ids=["nobody", "administrator"]
)
def test_people_are_for_clinicians_only(cloud_server, account, status):
    client = cloud_server.client(account)

    for method, path, body in ROUTES:
        assert client.request(method, path, json=body).status_code == status, path


def test_foreign_page_cannot_ask(doctor):
    for method, path, body in ROUTES:
        if method == "POST":
            answer = doctor.post(path, json=body, headers={"Origin": "http://evil.example"})
            assert answer.status_code == 403, path


def test_patient_of_another_organisation_is_answered_like_nobody(cloud_server, doctor, database):
    database.execute("INSERT INTO organisation VALUES ('other', '', '')")
    database.execute("INSERT INTO site VALUES ('other-site', 'other', '', '')")
    database.execute(
        "INSERT INTO patient (patient_id, organisation_id, site_id, bed, name_zh, name_en, name_sort) "
        "VALUES ('p-theirs', 'other', 'other-site', '', '别人', '', '')"
    )
    for method, path, body in ROUTES[2:]:
        answers = [
            doctor.request(method, path.replace("p-1", patient), json=body)
            for patient in ("p-theirs", "p-nobody")
        ]
        assert [answer.status_code for answer in answers] == [404, 404], path
        assert answers[0].json() == answers[1].json() == {"error": "no such person"}


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("/api/people/resolve", {"text": NUMBER, "kind": "shoe_size"}, "kind"),
        ("/api/people/resolve", {"text": NUMBER * 40}, "text"),
        ("/api/people/resolve", {"number": NUMBER}, "text"),
        ("/api/people", {"name_zh": "李", "identifiers": [{"text": NUMBER}]}, "kind"),
        (
            "/api/people",
            {"name_zh": "李", "identifiers": [{"text": MISTYPED, "kind": "resident_id"}]},
            "check",
        ),
        ("/api/people/p-1/identifiers", {"text": MISTYPED, "kind": "resident_id"}, "check_character"),
    ],
)
def test_refused_body_is_not_repeated(doctor, path, body, told):
    answer = doctor.post(path, json=body)

    assert answer.status_code == 422
    assert told in answer.text
    assert NUMBER not in answer.text
    assert MISTYPED not in answer.text


def everything(client):
    """Every route, in success and in failure, with numbers that must stay unseen."""
    one, two = register(client, PERSON)["id"], register(client, OTHER)["id"]
    for method, path, body in ROUTES:
        client.request(method, path.replace("p-1", one).replace("p-2", two), json=body)
    for body in ({"text": MISTYPED}, {"text": NUMBER, "kind": "shoe_size"}, {"text": CARD}):
        client.post("/api/people/resolve", json=body)
    client.post(f"/api/people/{two}/identifiers", json={"kind": "health_card", "text": CARD})
    client.post(f"/api/people/{one}/merge", json={"into": two, "reason": "same"})
    client.post(f"/api/people/{one}/unmerge", json={"reason": "other"})


def test_no_log_holds_a_number_or_a_name(capfd, doctor, database, caplog):
    # capfd comes first: the server takes its stderr when it is built.
    with structlog.testing.capture_logs() as lines, caplog.at_level(logging.DEBUG):
        everything(doctor)
        database.execute("ALTER TABLE person_identifier RENAME TO broken")
        failed = doctor.post("/api/people/resolve", json={"text": NUMBER})
        database.execute("ALTER TABLE broken RENAME TO person_identifier")

    assert failed.status_code == 500
    written = f"{lines} {caplog.text}"
    assert "person_merged" in written
    deadline = time.monotonic() + 10
    while "UndefinedTable" not in written:  # the server writes it after its answer
        assert time.monotonic() < deadline
        time.sleep(0.01)
        written += str(capfd.readouterr())
    for secret in (NUMBER, MISTYPED, CARD, CARD.upper(), "REC-4711", "李小龙", "李大龙"):
        assert secret not in written


def test_registered_people_are_on_the_wall_only_in_a_bed_or_with_a_sensor(cloud_server, doctor, database):
    person = register(doctor, PERSON)["id"]
    assert person not in {patient.patient_id for patient in find_ward(database, SYSTEM).patients}

    ward_queries.insert_unknown_source(database, "s-2", agent="hut-1", site_id="first-ward")
    bind_from_ward_file(database, "s-2", person, utc_now())
    assert {patient.patient_id for patient in find_ward(database, SYSTEM).patients} == {"p-1", person}
