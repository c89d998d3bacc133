"""Through the real server: each look and each act leaves its entry, and without an entry there is no look."""

import json
import time

import pytest
from structlog.testing import capture_logs
from websockets.exceptions import ConnectionClosed

from cloud.audit import queries
from cloud.identity.service import utc_now
from cloud.seed import seed_ward
from cloud.ward.model import WardFile, WardPatient
from tests.cloud.audit.test_audit_stream import await_stored, give_back, stored, take_away
from tests.fixtures.wire_messages import SOURCE

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]


def words(act):
    return (
        act.role,
        str(act.action),
        f"{act.target.kind}/{act.target.id}",
        str(act.outcome),
        str(act.origin),
    )


@pytest.fixture
def recorded(database, cloud_server):
    """What came after the seed, as words; waits for a number of entries."""
    seeded = len(stored(database))

    def read(number):
        return [words(act) for act in await_stored(database, seeded + number)[seeded:]]

    return read


def person(database, name):
    return database.execute("SELECT person_id FROM account WHERE name = %s", (name,)).fetchone()[0]


def test_seed_is_recorded_once_and_by_the_system(cloud_server, database):
    first = [(act.person, str(act.action), act.target.id) for act in stored(database)]
    moved = WardFile(
        agent="hut-1",
        patients=[
            WardPatient(id="p-1", bed="2", name_zh="张三", name_en="Zhang San", sources=[], spo2_scale=2),
            WardPatient(id="p-2", bed="3", name_zh="李", name_en="Li", sources=[SOURCE]),
        ],
    )
    seed_ward(database, moved, now=utc_now())
    seed_ward(database, moved, now=utc_now())

    names = ("doctor", "admin", "nurse", "auditor")
    accounts = [("system", "create_account", person(database, name)) for name in names]
    duty = [
        ("system", action, person(database, name))
        for name in ("doctor", "nurse")
        for action in ("begin_role", "add_duty", "add_qualification")
    ]
    assert first == [
        *accounts,
        ("system", "create_team", "first-ward-team"),
        *duty,
        ("system", "create_patient", "p-1"),
        ("system", "begin_binding", f"{SOURCE}:p-1"),
    ]
    assert [(str(act.action), act.target.id) for act in stored(database)[len(first) :]] == [
        ("change_patient", "p-1"),
        ("create_patient", "p-2"),
        ("end_binding", f"{SOURCE}:p-1"),
        ("begin_binding", f"{SOURCE}:p-2"),
    ]


def test_login_and_logout_are_recorded_with_their_outcome(cloud_server, database, recorded):
    client = cloud_server.client()
    for name in ("doctor", "my secret passphrase"):
        client.post("/api/login", json={"name": name, "password": "no"})
    client = cloud_server.client("doctor")
    client.post("/api/logout")
    client.post("/api/logout")

    known = f"account/{person(database, 'doctor')}"
    assert recorded(4) == [
        ("anonymous", "log_in", known, "refused", "http"),
        ("anonymous", "log_in", "account/unknown", "refused", "http"),
        ("clinician", "log_in", known, "allowed", "http"),
        ("clinician", "log_out", known, "allowed", "http"),
    ]


def test_throttled_login_is_recorded(cloud_server, recorded):
    client = cloud_server.client()
    for _ in range(6):
        client.post("/api/login", json={"name": "doctor", "password": "no"})

    assert [outcome for *_, outcome, _ in recorded(6)] == ["refused"] * 5 + ["throttled"]


def test_trend_and_refused_requests_are_recorded_with_the_patient(cloud_server, recorded):
    doctor, admin = cloud_server.client("doctor"), cloud_server.client("admin")
    for client, patient in (
        (doctor, "p-1"),
        (doctor, "p-none"),
        (admin, "p-1"),
        (cloud_server.client(), "p-1"),
    ):
        client.get(f"/api/patients/{patient}/trend")

    assert recorded(6)[2:] == [
        ("clinician", "read_trend", "patient/p-1", "allowed", "http"),
        ("clinician", "ask", "patient/p-none", "refused", "http"),
        ("administrator", "ask", "patient/p-1", "refused", "http"),
        ("anonymous", "ask", "route//api/patients/{patient_id}/trend", "refused", "http"),
    ]


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("330102199001010018", "identifier/resident_id"),
        ("13800138000", "identifier/unknown"),
        ("张三", "identifier/unknown"),
        ("p-13800138000", "identifier/unknown"),
        ("p-none", "patient/p-none"),
    ],
)
def test_what_is_typed_as_a_patient_is_kept_only_if_it_has_the_form_of_ours(
    cloud_server, recorded, typed, kept
):
    cloud_server.client("doctor").get(f"/api/patients/{typed}/trend")

    assert recorded(2)[1] == ("clinician", "ask", kept, "refused", "http")


def test_route_is_kept_as_we_wrote_it_without_what_was_put_into_it(cloud_server, recorded):
    cloud_server.client("doctor").post("/api/accounts/330102199001010018/unlock")

    assert recorded(2)[1] == (
        "clinician",
        "ask",
        "route//api/accounts/{account_name}/unlock",
        "refused",
        "http",
    )


def test_stranger_leaves_one_entry_however_often_it_asks(cloud_server, recorded):
    stranger = cloud_server.client()
    for number in range(30):
        assert stranger.get(f"/api/patients/p-{number}/trend").status_code == 401
    cloud_server.client("doctor")

    assert [entry[0] for entry in recorded(2)] == ["anonymous", "clinician"]


def test_throttled_logins_are_told_once_in_a_minute(cloud_server, recorded):
    client = cloud_server.client()
    for _ in range(9):
        client.post("/api/login", json={"name": "doctor", "password": "no"})
    cloud_server.client("admin")

    outcomes = [outcome for *_, outcome, _ in recorded(7)]
    assert outcomes == ["refused"] * 5 + ["throttled", "allowed"]


def test_opening_the_wall_records_each_patient_shown(cloud_server, recorded):
    for name in ("doctor", "admin"):
        with cloud_server.websocket(cloud_server.client(name)) as websocket:
            websocket.recv(timeout=5)
    with cloud_server.websocket() as websocket, pytest.raises(ConnectionClosed):
        websocket.recv(timeout=5)

    assert [entry for entry in recorded(5) if entry[1] != "log_in"] == [
        ("clinician", "watch", "patient/p-1", "allowed", "websocket"),
        ("administrator", "watch", "ward/first-hospital", "allowed", "websocket"),
        ("anonymous", "ask", "route//api/live", "refused", "websocket"),
    ]


def newcomer(database):
    database.execute(
        "INSERT INTO patient (patient_id, organisation_id, site_id, bed, name_zh, name_en, name_sort) "
        "VALUES ('p-2', 'first-hospital', 'first-ward', '9', '李四', 'Li Si', 'li si')"
    )


def hello_with(websocket, number):
    deadline = time.monotonic() + 8
    while time.monotonic() < deadline:
        frame = json.loads(websocket.recv(timeout=8))
        if frame["type"] == "hello" and len(frame["patients"]) == number:
            return
    pytest.fail(f"no hello with {number} patients")


def test_patient_who_comes_into_a_running_view_is_recorded_once(cloud_server, database, recorded):
    with cloud_server.websocket(cloud_server.client("doctor")) as websocket:
        hello_with(websocket, 1)
        newcomer(database)
        hello_with(websocket, 2)

    assert [entry[2] for entry in recorded(3)[1:]] == ["patient/p-1", "patient/p-2"]


def test_running_view_goes_on_without_audit_and_says_so(cloud_server, database, recorded):
    with cloud_server.websocket(cloud_server.client("doctor")) as websocket, capture_logs() as logs:
        hello_with(websocket, 1)
        take_away(database)
        newcomer(database)
        hello_with(websocket, 2)
        while json.loads(websocket.recv(timeout=5))["type"] != "tick":
            pass
        deadline = time.monotonic() + 5
        while "audit_not_written" not in [entry["event"] for entry in logs]:
            assert time.monotonic() < deadline, "nobody said that the audit is away"
            time.sleep(0.05)
        give_back(database)

    assert recorded(3)[2][2] == "patient/p-2"


def test_without_audit_nothing_about_people_is_shown(cloud_server, database):
    client = cloud_server.client("doctor")
    take_away(database)

    answer = client.get("/api/patients/p-1/trend")
    assert (answer.status_code, set(answer.json())) == (503, {"error"})
    with cloud_server.websocket(client) as websocket, pytest.raises(ConnectionClosed) as closed:
        websocket.recv(timeout=8)
    assert closed.value.rcvd.code == 1013
    credentials = {"name": "doctor", "password": cloud_server.passwords["doctor"]}
    assert client.post("/api/login", json=credentials).status_code == 503
    assert client.get("/api/health").status_code == 200


def test_refusals_stay_refusals_without_audit(cloud_server, database):
    client = cloud_server.client("doctor")
    take_away(database)

    assert client.get("/api/patients/p-none/trend").status_code == 404
    assert client.post("/api/logout").status_code == 204
    assert cloud_server.client().get("/api/patients/p-1/trend").status_code == 401


def test_server_signs_what_it_wrote_when_it_stops(cloud_server, database):
    cloud_server.client("doctor").get("/api/patients/p-1/trend")
    cloud_server.assembly.audit.stop()

    end = queries.find_head(database)
    assert queries.find_last_checkpoint(database).sequence == end.sequence
