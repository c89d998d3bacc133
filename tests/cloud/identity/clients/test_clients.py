from datetime import timedelta

import pytest

from cloud.identity.clients.service import TOKEN_LASTS

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]

GRANT = {"grant_type": "client_credentials"}
READS = ["read_patients", "read_system"]


@pytest.fixture
def client(clinic):
    """Id and secret of a system."""
    body = {"title": "laboratory", "scopes": READS}
    made = clinic.stepped_up("admin").post("/api/clients", json=body)
    assert made.status_code == 201, made.text
    return made.json()["id"], made.json()["secret"]


def ask(clinic, login, **form):
    return clinic.browser().post("/api/oauth/token", data={**GRANT, **form}, auth=login)


def read(clinic, token, path="/api/read"):
    return clinic.browser().post(path, headers={"Authorization": f"Bearer {token}"}).status_code


def test_system_gets_a_token_that_opens_what_its_scopes_say(clinic, client):
    answer = ask(clinic, client)
    body = answer.json()

    assert (body["token_type"], body["expires_in"], body["scope"]) == (
        "Bearer",
        600,
        "read_patients read_system",
    )
    assert len(body["access_token"]) >= 43
    assert read(clinic, body["access_token"]) == 200
    assert read(clinic, body["access_token"], "/api/sign") == 403
    assert (
        clinic.browser()
        .get("/api/sessions", headers={"Authorization": f"Bearer {body['access_token']}"})
        .status_code
        == 401
    )


def test_token_may_have_less_than_the_client_and_never_more(clinic, client):
    less = ask(clinic, client, scope="read_system").json()
    assert less["scope"] == "read_system"
    assert read(clinic, less["access_token"]) == 403

    for scope in ("edit_patients", "read_system manage_devices", "nonsense"):
        more = ask(clinic, client, scope=scope)
        assert (more.status_code, more.json()) == (400, {"error": "invalid_scope"})


def test_token_lives_ten_minutes(clinic, client):
    token = ask(clinic, client).json()["access_token"]
    clinic.clock.now += TOKEN_LASTS - timedelta(seconds=1)
    assert read(clinic, token) == 200
    clinic.clock.now += timedelta(seconds=1)

    assert read(clinic, token) == 401


def test_neither_secret_nor_token_is_in_the_database(clinic, client):
    token = ask(clinic, client).json()["access_token"]
    rows = str(clinic.database.execute("SELECT * FROM api_client, api_token").fetchall())

    assert client[0] in rows
    assert client[1] not in rows
    assert token not in rows


def test_revoked_token_is_over_and_an_unknown_one_is_no_error(clinic, client):
    token, other = (ask(clinic, client).json()["access_token"] for _ in range(2))
    answers = [
        clinic.browser().post("/api/oauth/revoke", data={"token": one}, auth=client).status_code
        for one in (token, "unknown")
    ]

    assert answers == [200, 200]
    assert [read(clinic, one) for one in (token, other)] == [401, 200]


def test_client_cannot_revoke_the_token_of_another(clinic, client):
    made = clinic.stepped_up("admin").post("/api/clients", json={"title": "other", "scopes": READS}).json()
    token = ask(clinic, client).json()["access_token"]
    clinic.browser().post("/api/oauth/revoke", data={"token": token}, auth=(made["id"], made["secret"]))

    assert read(clinic, token) == 200


def test_revoked_client_is_out_with_all_its_tokens(clinic, client):
    token = ask(clinic, client).json()["access_token"]
    assert clinic.stepped_up("admin").delete(f"/api/clients/{client[0]}").status_code == 204

    assert read(clinic, token) == 401
    assert ask(clinic, client).status_code == 401


def test_wrong_secret_and_unknown_client_are_the_same_bytes_and_lock_alike(clinic, client):
    said = []
    for name in (client[0], "client-unknown"):
        answers = [ask(clinic, (name, "wrong")) for _ in range(6)]
        said.append([(one.status_code, sorted(one.headers.items()), one.content) for one in answers])

    assert said[0] == said[1]
    assert [status for status, _, _ in said[0]] == [401] * 5 + [429]
    assert said[0][0][2] == b'{"error":"invalid_client"}'
    assert dict(said[0][0][1])["www-authenticate"].startswith("Basic")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "invalid_request"),
        (b"grant_type=password", "unsupported_grant_type"),
        (b"grant_type=client_credentials&grant_type=client_credentials", "invalid_request"),
        (b"\xff\xfe", "invalid_request"),
        (b"a=" + b"x" * 9000, "invalid_request"),
    ],
    ids=["empty", "password", "twice", "no-text", "long"],
)
def test_request_of_another_shape_gets_the_words_of_the_standard(clinic, client, body, error):
    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = clinic.browser().post("/api/oauth/token", content=body, auth=client, headers=headers)

    assert (answer.status_code, answer.json()) == (400, {"error": error})
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("header", ["", "Basic", "Basic !!!", "Basic YQ==", "Bearer x"])
def test_without_readable_credentials_there_is_no_token(clinic, header):
    headers = {"Authorization": header} if header else {}

    assert clinic.browser().post("/api/oauth/token", data=GRANT, headers=headers).status_code == 401


@pytest.mark.parametrize("scope", ["sign", "break_glass", "manage_accounts", "review_access", "read_own"])
def test_no_system_gets_what_needs_a_person(clinic, scope):
    body = {"title": "x", "scopes": [scope]}

    assert clinic.stepped_up("admin").post("/api/clients", json=body).status_code == 403


def test_only_administrators_with_a_fresh_proof_make_clients_and_see_their_own(clinic, client):
    body = {"title": "x", "scopes": READS}
    assert clinic.stepped_up("doctor").post("/api/clients", json=body).status_code == 403
    assert clinic.browser("admin").post("/api/clients", json=body).json()["needs"] == "step_up"
    (listed,) = clinic.browser("admin").get("/api/clients").json()

    assert (listed["id"], listed["title"], listed["scopes"]) == (client[0], "laboratory", READS)
    assert "secret" not in listed


def test_client_of_another_organisation_is_answered_like_none(clinic, client):
    clinic.database.execute("UPDATE api_client SET organisation_id = 'other'")
    admin = clinic.stepped_up("admin")
    answers = [admin.delete(f"/api/clients/{name}") for name in (client[0], "client-none")]

    assert [(one.status_code, one.content) for one in answers] == [(404, b'{"error":"no such client"}')] * 2


def test_acts_of_clients_are_recorded_under_their_id(clinic, client):
    token = ask(clinic, client).json()["access_token"]
    clinic.browser().post("/api/oauth/revoke", data={"token": token}, auth=client)
    clinic.stepped_up("admin").delete(f"/api/clients/{client[0]}")
    words = [(act.person, str(act.action)) for act in clinic.recorder.acts if act.target.kind == "client"]

    assert words == [
        ("person-admin", "create_client"),
        (client[0], "issue_token"),
        (client[0], "revoke_token"),
        ("person-admin", "revoke_client"),
    ]
