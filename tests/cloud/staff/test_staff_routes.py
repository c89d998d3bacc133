import time

import pytest

from cloud.seed import ORGANISATION, SITE, TEAM, bed_location
from tests.cloud.audit.test_audit_stream import stored

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]

PERSON = {"display_zh": "王护士", "display_en": "Nurse Wang", "role": "nurse"}
LICENCE = {"kind": "nurse", "number": "NURSE-0123456789", "issuer": "x", "valid_from": "2026-01-01"}

NIGHT = {"weekday": 0, "begins": "20:00", "ends": "08:00"}


@pytest.fixture
def admin(cloud_server):
    """An administrator who has just shown the password again."""
    client = cloud_server.client("admin")
    proof = {"password": cloud_server.passwords["admin"]}
    assert client.post("/api/step-up", json=proof).status_code == 200
    return client


def post(client, path, body=None, *, status=201):
    answer = client.post(f"/api/{path}", json=body)
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


def hire(admin):
    return post(admin, f"organisations/{ORGANISATION}/practitioners", PERSON)["id"]


def test_new_account_logs_in_until_it_is_disabled(cloud_server, admin):
    wanted = {"name": "wang", "role": "nurse"}
    made = post(admin, f"practitioners/{hire(admin)}/accounts", wanted)
    nurse = cloud_server.client()
    credentials = {"name": "wang", "password": made["password"]}
    assert nurse.post("/api/login", json=credentials).json()["role"] == "nurse"
    assert nurse.get("/api/organisations").status_code == 200

    post(admin, "accounts/wang/disable", status=204)
    assert nurse.get("/api/organisations").status_code == 401
    assert nurse.post("/api/login", json=credentials).status_code == 401
    listed = admin.get(f"/api/organisations/{ORGANISATION}/accounts")
    assert made["password"] not in listed.text
    assert {one["name"] for one in listed.json() if one["disabled_at"]} == {"wang"}


def test_account_is_made_and_disabled_only_with_a_fresh_proof(cloud_server):
    admin = cloud_server.client("admin")
    wanted = {"name": "wang", "role": "nurse"}
    assert post(admin, f"practitioners/{hire(admin)}/accounts", wanted, status=403)["needs"] == "step_up"
    assert post(admin, "accounts/doctor/disable", status=403)["needs"] == "step_up"
    assert cloud_server.client("doctor").get("/api/me").status_code == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (f"teams/{TEAM}/places", {"site": SITE}),
        (f"teams/{TEAM}/duties", {"person": "p", "begins_at": 1}),
        (
            f"teams/{TEAM}/duty-pattern",
            {"person": "p", "first": "2031-01-06", "last": "2031-01-06", "shifts": [NIGHT]},
        ),
        ("practitioners/p/roles", {"organisation": ORGANISATION, "role": "nurse"}),
        ("practitioners/p/qualifications", LICENCE),
    ],
    ids=["place", "duty", "pattern", "role", "licence"],
)
def test_what_lets_staff_see_people_or_sign_needs_a_fresh_proof(cloud_server, path, body):
    assert post(cloud_server.client("admin"), path, body, status=403)["needs"] == "step_up"


def test_nobody_disables_the_own_account(admin):
    assert "own account" in post(admin, "accounts/admin/disable", status=409)["error"]


def test_licence_lets_sign_and_its_number_is_nowhere(admin, database):
    person = hire(admin)
    record = post(admin, f"practitioners/{person}/qualifications", LICENCE)

    assert record["signing_refusal"] is None
    assert record["qualifications"][0]["number"] == "************6789"
    number = record["qualifications"][0]["id"]
    revoked = post(admin, f"practitioners/{person}/qualifications/{number}/revoke", status=200)
    assert revoked["signing_refusal"] == "licence_revoked"
    written = str([(act.action, act.target) for act in stored(database)])
    assert "add_qualification" in written
    assert LICENCE["number"] not in written


def test_refused_licence_is_not_repeated(admin):
    answer = admin.post("/api/practitioners/x/qualifications", json={**LICENCE, "kind": "shoe_size"})

    assert answer.status_code == 422
    assert LICENCE["number"] not in answer.text


def test_doctor_and_nurse_of_the_seed_are_on_duty_for_each_bed(cloud_server):
    doctor = cloud_server.client("doctor")
    for path in (f"locations/{bed_location('1')}/on-duty", "patients/p-1/on-duty"):
        found = doctor.get(f"/api/{path}").json()
        assert {(one["team"], one["location"], one["ends_at"]) for one in found} == {(TEAM, None, None)}
        assert {one["display_en"] for one in found} == {"Clinician", "Nurse"}


def test_duty_and_pattern_over_http(admin):
    person, now = hire(admin), int(time.time() * 1000)
    duty = post(admin, f"teams/{TEAM}/duties", {"person": person, "begins_at": now, "ends_at": now + 1000})
    again = {"person": person, "begins_at": now + 500}
    assert "already from" in post(admin, f"teams/{TEAM}/duties", again, status=409)["error"]
    nights = [{"weekday": day, "begins": "20:00", "ends": "08:00"} for day in range(7)]
    pattern = {"person": person, "first": "2031-01-06", "last": "2031-01-12", "shifts": nights}
    assert post(admin, f"teams/{TEAM}/duty-pattern", pattern) == {"made": 7}

    span = {"from_at": now, "to_at": now + 400 * 86_400_000 * 5}
    found = admin.get(f"/api/teams/{TEAM}/duties", params=span).json()
    mine = [one for one in found if one["person"] == person]
    assert (mine[0]["id"], len(mine)) == (duty["id"], 8)
    post(admin, f"duties/{mine[-1]['id']}/end", status=204)
    post(admin, f"duties/{mine[-1]['id']}/end", status=404)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (f"teams/{TEAM}/duties", {"person": "p", "begins_at": 10**18}),
        (f"teams/{TEAM}/duties", {"person": "p\x00", "begins_at": 1}),
        (f"teams/{TEAM}/duty-pattern", {"person": "p", "first": "x", "last": "x", "shifts": []}),
        (f"organisations/{ORGANISATION}/teams", {"name_zh": "", "name_en": "x"}),
        (f"sites/{SITE}/locations", {"kind": "moon", "code": "1", "name_zh": "x", "name_en": "x"}),
        ("duties/99999999999999999999/end", None),
        ("teams/%00/close", None),
    ],
)
def test_what_cannot_be_is_answered_422(admin, path, body):
    assert set(post(admin, path, body, status=422)) == {"error"}


@pytest.mark.parametrize("name", ["doctor", "nurse", "auditor"])
def test_staff_reads_places_but_changes_none(cloud_server, name):
    client = cloud_server.client(name)

    assert client.get(f"/api/organisations/{ORGANISATION}/teams").json()[0]["id"] == TEAM
    assert client.post(f"/api/organisations/{ORGANISATION}/practitioners", json=PERSON).status_code == 403
    assert client.get(f"/api/organisations/{ORGANISATION}/accounts").status_code == 403
