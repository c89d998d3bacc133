"""A sign-in in flight does not outlive what ends the password or the proofs that it rests on."""

from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta

import pytest
from argon2 import PasswordHasher

from cloud.act import Action
from tests.cloud.identity.conftest import PASSWORD, QUICK

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]

NEW = "another long password"


class Interposed(PasswordHasher):
    """Something happens between the moment a password was found right and what follows."""

    def __init__(self, happens, *, strength=1):
        super().__init__(time_cost=strength, memory_cost=8 * strength, parallelism=1)
        self._happens = happens

    def verify(self, hash, password):  # noqa: A002 # the base's name
        held = super().verify(hash, password)
        happens, self._happens = self._happens, lambda: None
        happens()
        return held


def reset_by(admin):
    return lambda: admin.post("/api/accounts/doctor/reset-password")


@pytest.mark.parametrize("strength", [1, 2], ids=["same parameters", "newer parameters"])
def test_login_does_not_outlive_a_reset_of_the_password(clinic, strength):
    clinic.identity._hasher = Interposed(reset_by(clinic.stepped_up("admin")), strength=strength)
    browser = clinic.browser()

    assert clinic.log_in(browser, "doctor").status_code == 401
    assert browser.get("/api/me").status_code == 401
    assert clinic.log_in(browser, "doctor").status_code == 401


def test_first_step_does_not_outlive_a_reset_of_the_password(clinic):
    clinic.with_totp("doctor")
    clinic.identity._hasher = Interposed(reset_by(clinic.stepped_up("admin")))
    browser = clinic.browser()

    assert clinic.log_in(browser, "doctor").status_code == 401
    assert "qianli_login" not in browser.cookies


def test_change_in_flight_does_not_undo_a_reset(clinic):
    browser, admin = clinic.stepped_up("doctor"), clinic.stepped_up("admin")
    clinic.identity._hasher = Interposed(reset_by(admin))

    assert browser.post("/api/password", json={"old": PASSWORD, "new": NEW}).status_code == 401
    assert clinic.log_in(clinic.browser(), "doctor", NEW).status_code == 401


def test_login_by_password_alone_does_not_outlive_the_enrolment_of_a_second_factor(clinic):
    clinic.identity._hasher = QUICK
    own = clinic.stepped_up("doctor")
    secret = own.post("/api/second-factor/totp").json()["secret"]
    confirmed = []

    def confirm():
        code = {"code": clinic.code(secret)}
        confirmed.append(own.post("/api/second-factor/totp/confirm", json=code).status_code)

    original = clinic.identity.proofs.enrolled

    def enrolled_before(account):
        found = original(account)
        clinic.identity.proofs.enrolled = original
        confirm()
        return found

    clinic.identity.proofs.enrolled = enrolled_before
    browser = clinic.browser()

    assert clinic.log_in(browser, "doctor").status_code == 401
    assert (confirmed, browser.get("/api/me").status_code) == ([200], 401)


def test_second_step_does_not_outlive_the_reset_of_the_second_factor(clinic):
    _, secret, _ = clinic.with_totp("doctor")
    admin, browser = clinic.stepped_up("admin"), clinic.browser("doctor")
    clinic.clock.now += timedelta(seconds=30)
    original = clinic.identity.proofs.holds

    def holds_before(*args, **named):
        held = original(*args, **named)
        assert admin.post("/api/accounts/doctor/reset-second-factor").status_code == 204
        return held

    clinic.identity.proofs.holds = holds_before
    answer = browser.post("/api/login/second-factor", json={"totp": clinic.code(secret)})

    assert answer.status_code == 401
    assert browser.get("/api/me").status_code == 401


def test_enrolment_ends_a_session_that_begins_at_the_same_moment(clinic):
    own = clinic.stepped_up("doctor")
    secret = own.post("/api/second-factor/totp").json()["secret"]
    original, browser, begun = clinic.recorder.begin, clinic.browser(), []
    with ThreadPoolExecutor(1) as thread:

        def begin(*acts):
            if acts[0].action is Action.LOG_IN and not begun:
                code = {"code": clinic.code(secret)}
                begun.append(thread.submit(own.post, "/api/second-factor/totp/confirm", json=code))
                wait(begun, timeout=0.3)
            return original(*acts)

        clinic.recorder.begin = begin
        assert clinic.log_in(browser, "doctor").status_code == 200
        assert begun[0].result(10).status_code == 200

    assert [one.get("/api/me").status_code for one in (browser, own)] == [401, 200]
