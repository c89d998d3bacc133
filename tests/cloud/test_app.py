import asyncio
import json
import time

import pytest

from cloud.app import _running
from cloud.assembly import assemble
from cloud.broker.address import parse_mqtt_url
from cloud.enrolment.model import Admission
from cloud.identity.model import Role, subject_of
from cloud.identity.queries import upsert_organisation
from cloud.settings import CloudSettings
from cloud.store.connection import connect
from edge_agent.identity import new_request
from tests.fixtures.wire_messages import SOURCE, WireAgent, open_writer, seconds, utc_now

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]

AGENT = WireAgent()


def test_login_gives_a_cookie_that_scripts_and_foreign_pages_do_not_get(cloud_server):
    client = cloud_server.client()
    answer = client.post("/api/login", json={"name": " Doctor", "password": cloud_server.passwords["doctor"]})

    assert answer.json()["role"] == "clinician"
    cookie = answer.headers["set-cookie"].lower()
    assert all(word in cookie for word in ("httponly", "samesite=strict", "path=/", "max-age=43200"))
    assert client.get("/api/me").json() == answer.json()


def test_logout_ends_the_session_for_every_copy_of_the_cookie(cloud_server):
    client = cloud_server.client("doctor")
    token = client.cookies["qianli_session"]
    assert client.post("/api/logout").status_code == 204

    copy = cloud_server.client()
    copy.cookies.set("qianli_session", token)
    assert copy.get("/api/me").status_code == 401


def test_sixth_failure_waits_even_with_the_right_password(cloud_server):
    client = cloud_server.client()
    wrong = [client.post("/api/login", json={"name": "doctor", "password": "no"}) for _ in range(5)]
    assert [answer.status_code for answer in wrong] == [401] * 5

    right = client.post("/api/login", json={"name": "doctor", "password": cloud_server.passwords["doctor"]})
    assert right.status_code == 429
    assert 0 < int(right.headers["retry-after"]) <= 300
    assert cloud_server.client("admin").get("/api/me").status_code == 200


def test_unknown_name_is_answered_like_a_wrong_password(cloud_server):
    client = cloud_server.client()
    answers = [
        client.post("/api/login", json={"name": name, "password": "no"}) for name in ("doctor", "nobody")
    ]

    assert [answer.status_code for answer in answers] == [401, 401]
    assert answers[0].json() == answers[1].json()


@pytest.mark.parametrize(
    "body",
    ["", "junk", "[]", '{"name": "doctor"}', '{"name": "a\\u0000", "password": "secret"}']
    + [f'{{"name": "doctor", "password": "{password}"}}' for password in ("secret\\ud800", "secret" * 999)],
)
def test_body_that_is_no_login_is_refused_without_repeating_it(cloud_server, body):
    headers = {"content-type": "application/json"}
    answer = cloud_server.client().post("/api/login", content=body, headers=headers)

    assert answer.status_code == 422
    assert list(answer.json()) == ["error"]
    assert "secret" not in answer.text


def test_patient_whose_name_holds_nul_is_not_there(cloud_server):
    answer = cloud_server.client("doctor").get("/api/patients/p%001/trend")

    assert (answer.status_code, answer.json()) == (404, {"error": "no such patient"})


@pytest.mark.parametrize("path", ["/api/me", "/api/vocabulary", "/api/patients/p-1/trend"])
def test_without_a_session_nothing_is_told(cloud_server, path):
    answer = cloud_server.client().get(path)

    assert (answer.status_code, answer.json()) == (401, {"error": "log in first"})


def test_administrator_may_not_look_at_patients(cloud_server):
    client = cloud_server.client("admin")
    assert client.get("/api/patients/p-1/trend").status_code == 403

    with cloud_server.websocket(client) as websocket:
        assert json.loads(websocket.recv(timeout=5))["patients"] == []


def test_patient_of_another_organisation_looks_like_one_that_is_not_there(cloud_server, database):
    database.execute("INSERT INTO organisation VALUES ('other', '另', 'Other')")
    database.execute("INSERT INTO site VALUES ('other-site', 'other', '另', 'Other')")
    database.execute(
        "INSERT INTO patient (patient_id, organisation_id, site_id, bed, name_zh, name_en, name_sort) "
        "VALUES ('p-other', 'other', 'other-site', '9', '李四', 'Li Si', 'li si')"
    )
    client = cloud_server.client("doctor")
    foreign, absent = (client.get(f"/api/patients/{name}/trend") for name in ("p-other", "p-none"))

    assert (foreign.status_code, foreign.json()) == (absent.status_code, absent.json())
    assert foreign.status_code == 404
    time.sleep(3.5)
    with cloud_server.websocket(client) as websocket:
        hello = json.loads(websocket.recv(timeout=5))
    assert [patient["id"] for patient in hello["patients"]] == ["p-1"]


def test_health_is_open_and_says_nothing_about_people(cloud_server):
    answer = cloud_server.client().get("/api/health")

    assert set(answer.json()) == {"version", "database", "broker", "ingest"}
    assert answer.headers["cache-control"] == "no-store"


def test_vocabulary_names_every_key_in_both_languages(cloud_server):
    entries = cloud_server.client("doctor").get("/api/vocabulary").json()

    assert entries["heart_rate"] == {"zh": "心率", "en": "Heart rate (ECG)", "unit": "/min", "decimals": 0}


def test_trend_has_only_what_was_measured_while_the_sensor_was_bound(cloud_server, database_url):
    now = utc_now()
    with connect(database_url) as connection:
        connection.execute("UPDATE binding SET during = tstzrange(%s, NULL)", (now - seconds(600),))
        early, late = AGENT.vitals(1, 50, at=now - seconds(900)), AGENT.vitals(2, 80, at=now - seconds(300))
        open_writer().write(connection, [early, late, AGENT.vitals(3, None, at=now)], now=now)
    trend = cloud_server.client("doctor").get("/api/patients/p-1/trend").json()

    assert trend["series"]["heart_rate"]["last"] == [80]
    assert trend["step_ms"] == 60_000
    assert abs(trend["measured_since_at"] - (now - seconds(600)).timestamp() * 1000) < 2


def test_trend_of_a_range_comes_in_steps_that_fit_the_screen(cloud_server, database_url):
    now = utc_now()
    with connect(database_url) as connection:
        connection.execute("UPDATE binding SET during = tstzrange(%s, NULL)", (now - seconds(600),))
        beats = [AGENT.vitals(s, 60 + s, at=now - seconds(300 - s)) for s in range(1, 5)]
        open_writer().write(connection, [AGENT.birth(), *beats], now=now)
    ends = {"from_at": int((now - seconds(400)).timestamp() * 1000), "to_at": int(now.timestamp() * 1000)}
    client = cloud_server.client("doctor")
    trend = client.get("/api/patients/p-1/trend", params={**ends, "pixels": 500}).json()

    assert (trend["step_ms"], trend["from_at"]) == (1000, ends["from_at"])
    assert trend["series"]["heart_rate"]["first"] == [61, 62, 63, 64]
    for wrong in ({"from_at": 5}, {"from_at": 5, "to_at": 5}, {"from_at": 5, "to_at": 10**12}):
        assert client.get("/api/patients/p-1/trend", params=wrong).status_code == 422


def test_page_without_a_build_says_how_to_build_it(cloud_server):
    for path in ("/", "/wall", "/bed/p-1"):
        answer = cloud_server.client().get(path)
        assert answer.status_code == 200
        assert answer.text.count("qianli web build") == 2


def test_built_page_is_served_and_nothing_beside_it(cloud_server, tmp_path):
    (tmp_path / "static" / "assets").mkdir(parents=True)
    (tmp_path / "static" / "index.html").write_text("<p>wall</p>")
    (tmp_path / "static" / "assets" / "a.js").write_text("1")
    (tmp_path / "secret.txt").write_text("x")
    client = cloud_server.client()

    assert client.get("/bed/p-1").text == "<p>wall</p>"
    assert "immutable" in client.get("/assets/a.js").headers["cache-control"]
    assert client.get("/%2e%2e/secret.txt").status_code == 404
    assert client.get("/assets/b.js").status_code == 404
    assert client.get(f"/{'千' * 100}").status_code == 404
    assert client.get("/api/nothing").json() == {"error": "no such route"}


def test_answers_carry_the_headers_of_a_careful_server(cloud_server):
    headers = cloud_server.client().get("/").headers

    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "connect-src 'self' ws://127.0.0.1:" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


def test_source_ids_of_the_ward_are_bound(cloud_server):
    assert cloud_server.assembly.watching.hub.state.sources_of("p-1") == (SOURCE,)


def put_out(built):
    """Let an agent in and put it out again; returns when the service has its place at the broker."""
    admin = subject_of(person="person-a", role=Role.ADMINISTRATOR, organisation=None)
    code = built.enrolment.invite(admin, Admission(agent="hut-9")).code
    built.enrolment.enrol(code, new_request().pem.encode(), caller="10.0.0.1")
    built.enrolment.revoke(admin, "hut-9", reason="lost")
    deadline = time.monotonic() + 10
    while not built.eviction.held or not built.eviction._places["hut-9"].is_there:
        assert time.monotonic() < deadline, "the place is not taken"
        time.sleep(0.05)


async def test_service_takes_the_place_of_a_revoked_agent_at_the_broker(database_url, database, mqtt_url):
    upsert_organisation(database, "north", site_id="north-site", name_zh="", name_en="")
    keys = parse_mqtt_url(mqtt_url).tls.authority.parent
    settings = CloudSettings(database_url=database_url, mqtt_url=mqtt_url, home=keys.parent)
    with connect(database_url) as connection:
        built = assemble(settings, connection)
    async with _running(built):
        await asyncio.to_thread(put_out, built)

    assert built.eviction.held == frozenset()


def test_without_certificates_at_the_broker_no_place_is_taken(database_url, tmp_path):
    settings = CloudSettings(database_url=database_url, mqtt_url="mqtt://127.0.0.1:1", home=tmp_path)
    with connect(database_url) as connection:
        assert assemble(settings, connection).eviction is None
