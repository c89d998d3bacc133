import json
from datetime import timedelta

import pytest

from cloud.identity.model import CHALLENGE_LASTS
from tests.cloud.identity.proofs.authenticator import Authenticator

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]


def register(browser, authenticator, title="phone"):
    options = browser.post("/api/second-factor/passkeys/options").json()
    body = {"title": title, "passkey": authenticator.create(options)}
    return browser.post("/api/second-factor/passkeys", json=body)


def log_in(browser, authenticator):
    options = browser.post("/api/login/passkey-options").json()
    return browser.post("/api/login/second-factor", json={"passkey": authenticator.get(options)})


@pytest.fixture
def enrolled(clinic):
    """A browser whose account has a passkey, and the authenticator."""
    browser, authenticator = clinic.stepped_up("doctor"), Authenticator()
    answer = register(browser, authenticator)
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["recovery_codes"]) == 10
    return browser, authenticator


def test_browser_is_asked_to_verify_the_user_and_told_nothing_about_the_person(clinic):
    options = clinic.stepped_up("doctor").post("/api/second-factor/passkeys/options").json()

    assert options["rp"]["id"] == "localhost"
    assert options["authenticatorSelection"]["userVerification"] == "required"
    assert options["attestation"] == "none"
    assert -7 in [one["alg"] for one in options["pubKeyCredParams"]]


def test_passkey_is_the_second_step_of_a_login(clinic, enrolled):
    browser = clinic.browser()
    assert clinic.log_in(browser, "doctor").json() == {
        "needs": "second_factor",
        "methods": ["passkey", "recovery_code"],
    }
    assert log_in(browser, enrolled[1]).json()["name"] == "doctor"
    assert browser.get("/api/me").status_code == 200


def test_passkey_steps_up(clinic, enrolled):
    browser, authenticator = enrolled
    clinic.clock.now += timedelta(minutes=6)
    options = browser.post("/api/step-up/passkey-options").json()
    assert browser.post("/api/sign").status_code == 403

    assert browser.post("/api/step-up", json={"passkey": authenticator.get(options)}).status_code == 200
    assert browser.post("/api/sign").status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        {"origin": "http://localhost.evil.example"},
        {"origin": "https://localhost"},
        {"relying_party": "evil.example"},
        {"is_verifying": False},
        {"key": Authenticator().key},
    ],
    ids=["foreign-origin", "other-scheme", "foreign-party", "unverified", "foreign-key"],
)
def test_signature_that_is_not_for_us_opens_nothing(clinic, enrolled, change):
    _, authenticator = enrolled
    for name, value in change.items():
        setattr(authenticator, name, value)

    assert log_in(clinic.browser("doctor"), authenticator).status_code == 401


@pytest.mark.parametrize(
    "change",
    [{"origin": "http://evil.example"}, {"relying_party": "evil.example"}, {"is_verifying": False}],
    ids=["origin", "party", "unverified"],
)
def test_credential_made_elsewhere_is_not_kept(clinic, change):
    browser = clinic.stepped_up("doctor")

    assert register(browser, Authenticator(**change)).status_code == 401
    assert browser.get("/api/second-factor").json()["passkeys"] == []


def test_answer_to_an_old_challenge_opens_nothing(clinic, enrolled):
    browser = clinic.browser("doctor")
    answer = enrolled[1].get(browser.post("/api/login/passkey-options").json())
    browser.post("/api/login/passkey-options")
    assert browser.post("/api/login/second-factor", json={"passkey": answer}).status_code == 401

    late = enrolled[1].get(browser.post("/api/login/passkey-options").json())
    clinic.clock.now += CHALLENGE_LASTS
    assert browser.post("/api/login/second-factor", json={"passkey": late}).status_code == 401


def test_counter_that_goes_back_suspends_the_passkey_for_a_copy_may_exist(clinic, enrolled):
    browser, authenticator = enrolled
    assert log_in(clinic.browser("doctor"), authenticator).status_code == 200
    authenticator.sign_count = 0
    assert log_in(clinic.browser("doctor"), authenticator).status_code == 401
    authenticator.sign_count = 100

    answer = clinic.log_in(clinic.browser(), "doctor").json()
    assert answer == {"needs": "second_factor", "methods": ["recovery_code"]}
    assert [one["suspended"] for one in browser.get("/api/second-factor").json()["passkeys"]] == [True]
    assert ("suspend_passkey", "person-doctor") in clinic.recorder.words()


def test_authenticator_without_counter_may_log_in_again_and_again(clinic, enrolled):
    _, authenticator = enrolled
    authenticator.counts = False

    assert [log_in(clinic.browser("doctor"), authenticator).status_code for _ in range(2)] == [200, 200]


def test_passkey_of_another_account_opens_nothing(clinic, enrolled):
    admins = Authenticator()
    register(clinic.stepped_up("admin"), admins)
    browser = clinic.browser("doctor")
    options = browser.post("/api/login/passkey-options").json()
    assert [one["id"] for one in options["allowCredentials"]] != [admins.create(options)["id"]]

    answer = browser.post("/api/login/second-factor", json={"passkey": admins.get(options)})
    assert answer.status_code == 401


def test_one_credential_belongs_to_one_account(clinic, enrolled):
    assert register(clinic.stepped_up("admin"), enrolled[1]).status_code == 401


def test_page_opened_by_number_is_told_to_use_a_name(clinic):
    browser = clinic.browser("doctor", origin="http://127.0.0.1")
    browser.post("/api/step-up", json={"password": "a long password"})
    answer = browser.post("/api/second-factor/passkeys/options")

    assert (answer.status_code, "localhost" in answer.json()["error"]) == (409, True)


@pytest.mark.parametrize("junk", [{}, {"id": 1}, {"id": "AAAA", "response": []}, {"id": "\ud800"}])
def test_junk_instead_of_an_answer_is_refused(clinic, enrolled, junk):
    browser = clinic.browser("doctor")
    browser.post("/api/login/passkey-options")

    body = json.dumps({"passkey": junk})
    headers = {"content-type": "application/json"}
    answer = browser.post("/api/login/second-factor", content=body, headers=headers)
    assert answer.status_code in (401, 422)


def test_removed_passkey_opens_nothing(clinic, enrolled):
    browser, authenticator = enrolled
    clinic.clock.now += timedelta(seconds=1)
    register(browser, Authenticator(), "key ring")
    by_title = {one["title"]: one for one in browser.get("/api/second-factor").json()["passkeys"]}
    assert by_title.keys() == {"phone", "key ring"}
    first = by_title["phone"]
    assert browser.delete(f"/api/second-factor/passkeys/{first['id']}").status_code == 204

    assert browser.delete(f"/api/second-factor/passkeys/{first['id']}").status_code == 404
    assert log_in(clinic.browser("doctor"), authenticator).status_code == 401
