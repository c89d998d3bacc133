"""Changing a password, and replacing a lost one, over HTTP."""

from datetime import timedelta

import pytest

from cloud.identity.codes import MOST_WRONG_TRIES
from tests.cloud.identity.conftest import PASSWORD

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]

NEW = "seven green boats"


def change(browser, old=PASSWORD, new=NEW):
    return browser.post("/api/password", json={"old": old, "new": new})


def reset(clinic, name="doctor"):
    answer = clinic.stepped_up("admin").post(f"/api/accounts/{name}/reset-password")
    return answer.json()["code"] if answer.status_code == 200 else answer


def choose(clinic, code, *, name="doctor", new=NEW):
    body = {"name": name, "code": code, "new": new}
    return clinic.browser().post("/api/password/reset", json=body)


def test_changed_password_ends_every_other_session(clinic):
    elsewhere, browser = clinic.browser("doctor"), clinic.stepped_up("doctor")
    before = dict(browser.cookies)
    assert change(browser).status_code == 204

    assert browser.get("/api/me").status_code == 200
    assert dict(browser.cookies) != before, "the token is a new one"
    assert elsewhere.get("/api/me").status_code == 401
    assert clinic.log_in(clinic.browser(), "doctor").status_code == 401
    assert clinic.log_in(clinic.browser(), "doctor", NEW).status_code == 200
    assert ("change_password", "person-doctor") in clinic.recorder.words()


def test_change_needs_a_fresh_proof_and_the_old_password(clinic):
    assert change(clinic.browser("doctor")).json()["needs"] == "step_up"
    assert change(clinic.stepped_up("doctor"), old="wrong").status_code == 401
    assert clinic.log_in(clinic.browser(), "doctor").status_code == 200


@pytest.mark.parametrize(("new", "reason"), [("1234567890", "tried first"), (PASSWORD, "one of now")])
def test_weak_or_same_password_is_refused_and_nothing_changes(clinic, new, reason):
    answer = change(clinic.stepped_up("doctor"), new=new)
    assert (answer.status_code, reason in answer.json()["error"]) == (422, True)
    assert clinic.log_in(clinic.browser(), "doctor").status_code == 200


def test_guessing_the_old_password_is_throttled(clinic):
    browser = clinic.stepped_up("doctor")
    assert [change(browser, old="wrong").status_code for _ in range(6)] == [401] * 5 + [429]


def test_reset_ends_password_and_sessions_at_once(clinic):
    doctor = clinic.browser("doctor")
    code = reset(clinic)

    assert doctor.get("/api/me").status_code == 401
    assert clinic.log_in(clinic.browser(), "doctor").status_code == 401
    assert choose(clinic, code).status_code == 204
    assert clinic.log_in(clinic.browser(), "doctor", NEW).status_code == 200
    assert [word for word, who in clinic.recorder.words() if who == "person-doctor"][-3:] == [
        "log_in",  # refused: the old password
        "change_password",
        "log_in",
    ]


def test_reset_leaves_the_second_factor(clinic):
    clinic.with_totp("doctor")
    assert choose(clinic, reset(clinic)).status_code == 204
    assert clinic.log_in(clinic.browser(), "doctor", NEW).json()["needs"] == "second_factor"


def test_code_works_once_and_for_a_day(clinic, clock):
    code = reset(clinic)
    assert choose(clinic, code.lower()).status_code == 204
    assert choose(clinic, code).status_code == 401

    late = reset(clinic)
    clock.now += timedelta(hours=24)
    assert choose(clinic, late).status_code == 401


def test_wrong_tries_use_the_code_up(clinic, clock):
    code = reset(clinic)
    for _ in range(MOST_WRONG_TRIES):
        assert choose(clinic, "WRONGWRONGWR").status_code == 401
        clock.now += timedelta(minutes=16)  # no lock-out is in the way
    assert choose(clinic, code).status_code == 401


def test_newer_code_replaces_the_older(clinic):
    older, newer = reset(clinic), reset(clinic)
    assert [choose(clinic, code).status_code for code in (older, newer)] == [401, 204]


def test_unknown_account_is_answered_like_a_wrong_code(clinic):
    reset(clinic)
    answers = [choose(clinic, "WRONGWRONGWR", name=name) for name in ("doctor", "nobody")]
    assert {(one.status_code, one.content) for one in answers} == {
        (401, b'{"error":"code or details are wrong"}')
    }


def test_code_of_a_disabled_account_waits_until_it_is_enabled(clinic):
    code = reset(clinic)
    clinic.database.execute("UPDATE account SET disabled_at = now() WHERE name = 'doctor'")
    assert choose(clinic, code).status_code == 401
    clinic.database.execute("UPDATE account SET disabled_at = NULL WHERE name = 'doctor'")
    assert choose(clinic, code).status_code == 204


@pytest.mark.parametrize(("name", "status"), [("admin", 409), ("stranger", 404), ("none", 404)])
def test_nobody_resets_the_own_account_or_one_elsewhere(clinic, name, status):
    assert reset(clinic, name).status_code == status


def test_account_of_a_hospitals_sign_in_has_no_password_to_reset(clinic):
    clinic.database.execute("INSERT INTO oidc_identity VALUES ('https://idp', 'x', 'doctor', now())")
    assert reset(clinic).status_code == 409


def test_code_is_not_in_the_database(clinic):
    code = reset(clinic)
    (row,) = clinic.database.execute("SELECT row_to_json(r)::text FROM password_reset r").fetchall()
    assert code not in row[0]


def test_audit_that_is_away_lets_no_password_change(clinic):
    browser = clinic.stepped_up("doctor")
    clinic.recorder.is_away = True
    assert change(browser).status_code == 500  # the whole application says 503
    clinic.recorder.is_away = False
    assert clinic.log_in(clinic.browser(), "doctor").status_code == 200
