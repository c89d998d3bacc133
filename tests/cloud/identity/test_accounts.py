import pytest

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]


def change(browser, word, name="doctor"):
    return browser.post(f"/api/accounts/{name}/{word}")


def test_administrator_sees_and_lifts_a_lock(clinic):
    for _ in range(5):
        clinic.log_in(clinic.browser(), "doctor", "wrong")
    admin = clinic.stepped_up("admin")
    locked = {one["name"]: one["locked_until_at"] for one in admin.get("/api/accounts").json()}
    assert locked == {"admin": None, "doctor": (clinic.clock.now.timestamp() + 60) * 1000}

    assert change(admin, "unlock").status_code == 204
    assert clinic.log_in(clinic.browser(), "doctor").status_code == 200
    assert ("unlock_account", "person-doctor") in clinic.recorder.words()


def test_disabled_account_is_out_at_once_and_comes_back_without_its_sessions(clinic):
    doctor, admin = clinic.browser("doctor"), clinic.stepped_up("admin")
    clinic.database.execute("UPDATE account SET disabled_at = now() WHERE name = 'doctor'")
    assert doctor.get("/api/me").status_code == 401
    assert clinic.log_in(clinic.browser(), "doctor").status_code == 401

    assert change(admin, "enable").status_code == 204
    assert doctor.get("/api/me").status_code == 401
    assert clinic.log_in(clinic.browser(), "doctor").status_code == 200


def test_lost_second_factor_is_reset_by_an_administrator(clinic):
    doctor, _, _ = clinic.with_totp("doctor")
    assert change(clinic.stepped_up("admin"), "reset-second-factor").status_code == 204

    assert doctor.get("/api/me").status_code == 401
    assert clinic.log_in(clinic.browser(), "doctor").json()["name"] == "doctor"


@pytest.mark.parametrize("word", ["unlock", "enable", "reset-second-factor"])
def test_account_of_another_organisation_is_answered_like_none(clinic, word):
    admin = clinic.stepped_up("admin")
    answers = [change(admin, word, name) for name in ("stranger", "none")]

    assert [(one.status_code, one.content) for one in answers] == [(404, b'{"error":"no such account"}')] * 2


def test_administrator_does_not_reset_the_own_second_factor(clinic):
    assert change(clinic.stepped_up("admin"), "reset-second-factor", "admin").status_code == 409


def test_change_needs_the_right_and_a_fresh_proof(clinic):
    assert change(clinic.stepped_up("doctor"), "enable", "admin").json() == {
        "error": "this account may not do that"
    }
    assert change(clinic.browser("admin"), "enable").json()["needs"] == "step_up"
