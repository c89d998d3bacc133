"""Through the real server: rights that begin and end while somebody looks, and what the patient reads."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from cloud.identity import queries
from cloud.identity.model import Account, Role, hash_token, new_token
from cloud.identity.routes import COOKIE
from cloud.identity.service import utc_now
from cloud.seed import ORGANISATION
from tests.fixtures.duty import end_duty
from tests.fixtures.wire_messages import seconds

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]

REASON = "not responding, alone in the ambulance"


def log_in_as(server, database, name, role):
    """A client with a session of a new account."""
    account = Account(
        name=name,
        person_id=f"person-{name}",
        organisation_id=ORGANISATION,
        display_zh=f"{name} 中文",
        display_en=name,
        role=role,
        password_hash="none",
    )
    queries.insert_account(database, account)
    token = new_token()
    queries.insert_session(database, hash_token(token), name=name, expires_at=utc_now() + seconds(600))
    client = server.client()
    client.cookies.set(COOKIE, token)
    return client


def doctor_id(database):
    return database.execute("SELECT person_id FROM account WHERE name = 'doctor'").fetchone()[0]


@pytest.fixture
def doctor(cloud_server):
    return cloud_server.client("doctor")


def prove(server, client):
    """The doctor shows the password again."""
    assert client.post("/api/step-up", json={"password": server.passwords["doctor"]}).status_code == 200


@pytest.fixture
def patient(cloud_server, database):
    """The account of p-1, linked by the doctor on duty, who has just proved to be the doctor."""
    client, doctor = log_in_as(cloud_server, database, "zhang", Role.RESIDENT), cloud_server.client("doctor")
    prove(cloud_server, doctor)
    database.execute("UPDATE patient SET birth_date = '1956-03-04' WHERE patient_id = 'p-1'")
    code = doctor.post("/api/people/p-1/family", json={"relation": "self"}).json()["code"]
    body = {"code": code, "known": "1956-03-04"}
    assert client.post("/api/me/family/accept", json=body | {"known": "1957"}).status_code == 404
    assert client.post("/api/me/family/accept", json={"code": code}).status_code == 422
    assert client.post("/api/me/family/accept", json=body).json()["relation"] == "self"
    return client


def hello_of(websocket, patients, within_s):
    """Wait for a hello with exactly these patients."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        frame = json.loads(websocket.recv(timeout=within_s))
        if frame["type"] == "hello" and [one["id"] for one in frame["patients"]] == patients:
            return
    pytest.fail(f"no hello with {patients} within {within_s} s")


def test_right_that_ends_closes_every_door_and_the_running_view_within_ten_seconds(
    cloud_server, database, doctor
):
    assert doctor.get("/api/people/p-1").json()["basis"] == "duty"
    with cloud_server.websocket(doctor) as websocket:
        hello_of(websocket, ["p-1"], 5)
        end_duty(database, doctor_id(database))
        hello_of(websocket, [], 10)

    for path in ("/api/patients/p-1/trend", "/api/people/p-1", "/api/people/p-1/looks"):
        assert doctor.get(path).status_code == 404
    with cloud_server.websocket(doctor) as websocket:
        hello_of(websocket, [], 5)


def test_broken_glass_opens_the_running_view_and_the_patient_is_told_within_a_minute(
    cloud_server, database, doctor, patient
):
    end_duty(database, doctor_id(database))
    with cloud_server.websocket(doctor) as websocket:
        hello_of(websocket, [], 10)
        started = time.monotonic()
        body = {"category": "unconscious", "reason": REASON}
        assert doctor.post("/api/people/p-1/break-glass", json=body).json()["needs"] == "step_up"
        doctor.post("/api/step-up", json={"password": cloud_server.passwords["doctor"]})
        glass = doctor.post("/api/people/p-1/break-glass", json=body)
        assert glass.status_code == 201
        (notice,) = patient.get("/api/me/notices").json()
        assert time.monotonic() - started < 60
        hello_of(websocket, ["p-1"], 10)

    assert (notice["kind"], notice["glass"]["person"]["en"]) == ("break_glass", "Clinician")
    assert notice["glass"]["reason"] == REASON
    auditor = log_in_as(cloud_server, database, "watcher", Role.AUDITOR)
    (waiting,) = auditor.get("/api/break-glass").json()
    assert (waiting["id"], waiting["is_overdue"]) == (glass.json()["id"], False)


def test_patient_reads_who_looked_when_why_and_by_which_right(doctor, patient):
    doctor.get("/api/patients/p-1/trend")
    (look,) = [one for one in patient.get("/api/me/looks").json() if one["action"] == "read_trend"]

    assert (look["person"]["zh"], look["organisation"]["id"]) == ("医生", ORGANISATION)
    assert (look["role"], look["purpose"], look["basis"]) == ("clinician", "care", "duty")
    (own,) = [one for one in patient.get("/api/me/looks").json() if one["action"] == "read_looks"]
    assert own["basis"] == "self"
    assert patient.get("/api/patients/p-1/trend").status_code == 200
    older = patient.get("/api/me/looks", params={"before": look["sequence"], "limit": 1}).json()
    assert [one["sequence"] < look["sequence"] for one in older] == [True]


def test_consent_over_http_is_given_in_todays_words_and_taken_back_at_once(doctor, patient):
    texts = doctor.get("/api/consent-texts").json()
    assert {text["language"] for text in texts} == {"zh", "en"}
    body = {
        "patient": "p-1",
        "to_organisation": ORGANISATION,
        "up_to": "general",
        "text": texts[0]["name"],
        "version": texts[0]["version"],
        "language": texts[0]["language"],
    }
    consent = patient.post("/api/me/consents", json=body).json()
    assert consent["text_sha256"] == texts[0]["sha256"]
    assert (consent["signature"], len(consent["proofs"])) == ("signed", 1)
    path = f"/api/me/consents/{consent['id']}/withdraw"
    assert [patient.post(path).status_code for _ in range(2)] == [204, 409]

    (kept,) = doctor.get("/api/people/p-1/consents").json()
    assert kept["withdrawn_at"] >= kept["given_at"]
    assert (kept["signature"], len(kept["proofs"])) == ("signed", 2)
    both = patient.post("/api/me/consents", json=body | {"to_person": "x"})
    assert (both.status_code, both.json()) == (422, {"error": "to: one person, or one organisation"})


def test_staff_record_a_consent_with_a_fresh_proof_and_the_patient_is_told(cloud_server, doctor, patient):
    (text,) = [one for one in doctor.get("/api/consent-texts").json() if one["language"] == "zh"]
    body = {"up_to": "general", "text": text["name"], "version": text["version"], "language": "zh"}
    body["to_person"] = "person-zhang"
    for path, asked in (("consents", body), ("family", {"relation": "self"})):
        assert doctor.post(f"/api/people/p-1/{path}", json=asked).json()["needs"] == "step_up"
    prove(cloud_server, doctor)
    consent = doctor.post("/api/people/p-1/consents", json=body)
    assert consent.status_code == 201, consent.text
    (notice,) = patient.get("/api/me/notices").json()

    assert (notice["kind"], notice["glass"]) == ("consent_recorded", None)
    assert notice["by"]["zh"] == "医生"
    assert set(notice["consent"]) == {"id", "to_person", "to_organisation", "up_to"}
    assert (notice["consent"]["id"], notice["consent"]["to_person"]["en"]) == (consent.json()["id"], "zhang")
    assert patient.get("/api/me/notices", params={"after": notice["id"]}).json() == []


def test_auditor_searches_the_audit_page_by_page_and_is_recorded(cloud_server, database, doctor):
    auditor = log_in_as(cloud_server, database, "watcher", Role.AUDITOR)
    for _ in range(3):
        doctor.get("/api/patients/p-1/trend")
    page = auditor.get("/api/audit", params={"action": "read_trend", "limit": 2}).json()
    rest = auditor.get(
        "/api/audit", params={"action": "read_trend", "limit": 2, "before": page["next_before"]}
    ).json()
    assert [len(page["entries"]), len(rest["entries"]), rest["next_before"]] == [2, 1, None]
    assert {entry["basis"] for entry in page["entries"]} == {"duty"}

    filters = {"patient": "p-1", "person": doctor_id(database), "outcome": "allowed", "from_at": 0}
    assert len(auditor.get("/api/audit", params=filters).json()["entries"]) == 3
    assert auditor.get("/api/audit", params={"to_at": 0}).json()["entries"] == []
    searches = auditor.get("/api/audit", params={"action": "search_audit"}).json()["entries"]
    assert {(one["target_kind"], one["target"]) for one in searches} == {
        ("audit", "search"),
        ("patient", "p-1"),
    }


def test_many_who_ask_at_once_who_looked_are_all_answered(cloud_server):
    clients = [cloud_server.client("doctor") for _ in range(12)]
    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(lambda client: client.get("/api/people/p-1/looks"), clients))

    assert {answer.status_code for answer in answers} == {200}
