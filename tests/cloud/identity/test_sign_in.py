from datetime import timedelta

import pytest

from cloud.identity.model import PENDING_LOGIN_LASTS, STEP_UP_LASTS
from cloud.identity.proofs.service import SEALED_SECRETS
from cloud.people.model import IdentifierKeyLost
from cloud.people.service import open_sealer
from cloud.store.reseal import move_column
from cloud.store.sealing import Sealer, SealingKey
from cloud.store.suite import Suite
from tests.cloud.identity.conftest import PASSWORD, build_clinic

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]

NEEDS = {"needs": "second_factor", "methods": ["totp", "recovery_code"]}


def give(browser, **proof):
    return browser.post("/api/login/second-factor", json=proof)


def test_account_without_second_factor_logs_in_as_before(clinic):
    assert clinic.log_in(clinic.browser(), "doctor").json() == {
        "name": "doctor",
        "display_zh": "doctor",
        "display_en": "doctor",
        "role": "clinician",
    }


def test_password_alone_opens_nothing_once_there_is_a_second_factor(clinic):
    _, secret, _ = clinic.with_totp("doctor")
    clinic.clock.now += timedelta(seconds=30)
    browser = clinic.browser()
    assert clinic.log_in(browser, "doctor").json() == NEEDS
    assert browser.get("/api/me").status_code == 401

    answer = give(browser, totp=clinic.code(secret))
    assert (answer.status_code, answer.json()["name"]) == (200, "doctor")
    assert browser.get("/api/me").status_code == 200


def test_code_works_once_even_in_another_browser(clinic):
    _, secret, _ = clinic.with_totp("doctor")
    clinic.clock.now += timedelta(seconds=30)
    first, second = clinic.browser("doctor"), clinic.browser("doctor")
    code = clinic.code(secret)

    assert [give(one, totp=code).status_code for one in (first, second)] == [200, 401]


def test_code_that_confirmed_the_enrolment_opens_no_login(clinic):
    _, secret, _ = clinic.with_totp("doctor")

    assert give(clinic.browser("doctor"), totp=clinic.code(secret)).status_code == 401


def test_recovery_code_and_app_work_after_the_keys_have_changed(clinic):
    _, secret, codes = clinic.with_totp("doctor")
    first = SealingKey(number=1, suite=Suite.ED25519, secret=b"k" * 32)
    ring = Sealer([first, SealingKey(number=2, suite=Suite.SM2, secret=b"l" * 32)])
    move_column(clinic.database, ring, SEALED_SECRETS)
    assert ring.use(ring.newest_fingerprint)
    clinic.identity.proofs._sealer = ring
    clinic.clock.now += timedelta(minutes=2)

    assert give(clinic.browser("doctor"), recovery_code=codes[0]).status_code == 200
    assert give(clinic.browser("doctor"), recovery_code=codes[0]).status_code == 401
    assert give(clinic.browser("doctor"), totp=clinic.code(secret)).status_code == 200


def test_each_recovery_code_works_once_however_it_is_typed(clinic):
    _, _, codes = clinic.with_totp("doctor")
    assert len(set(codes)) == 10
    typed = codes[0].lower().replace("-", " ")

    assert give(clinic.browser("doctor"), recovery_code=typed).status_code == 200
    again = clinic.browser("doctor")
    assert give(again, recovery_code=codes[0]).status_code == 401
    assert give(again, recovery_code=codes[1]).status_code == 200
    assert again.get("/api/second-factor").json()["recovery_codes_left"] == 8


def test_second_step_is_open_for_a_few_minutes_and_used_once(clinic):
    _, _, codes = clinic.with_totp("doctor")
    browser, late = clinic.browser("doctor"), clinic.browser("doctor")
    token = browser.cookies["qianli_login"]
    assert give(browser, recovery_code=codes[0]).status_code == 200
    copy = clinic.browser()
    copy.cookies.set("qianli_login", token)
    assert give(copy, recovery_code=codes[1]).status_code == 401

    clinic.clock.now += PENDING_LOGIN_LASTS
    assert give(late, recovery_code=codes[2]).json() == {"error": "log in first"}


def test_guessing_codes_locks_even_with_the_password(clinic):
    _, secret, _ = clinic.with_totp("doctor")
    clinic.clock.now += timedelta(seconds=30)
    browser = clinic.browser("doctor")
    wrong = [give(browser, totp=f"00000{digit}").status_code for digit in range(5)]
    assert wrong == [401, 401, 401, 401, 429]

    assert give(browser, totp=clinic.code(secret)).status_code == 429
    assert clinic.log_in(clinic.browser(), "doctor").status_code == 429


@pytest.mark.parametrize("failures", [1, 6], ids=["refused", "locked"])
def test_name_that_exists_and_name_that_does_not_are_the_same_bytes(clinic, failures):
    said = []
    for name in ("doctor", "nobody"):
        for _ in range(failures):
            answer = clinic.log_in(clinic.browser(), name, "wrong")
        said.append((answer.status_code, sorted(answer.headers.items()), answer.content))

    assert said[0] == said[1]
    assert said[0][0] == (401 if failures == 1 else 429)


def test_lock_outlives_a_restart(clinic, pool):
    for _ in range(5):
        clinic.log_in(clinic.browser(), "doctor", "wrong")
    restarted = build_clinic(clinic.database, pool, clinic.clock)

    with restarted.browser() as browser:
        assert restarted.log_in(browser, "doctor").status_code == 429


def test_table_of_failures_holds_nothing_that_was_typed(clinic):
    clinic.log_in(clinic.browser(), "my-secret-passphrase", "wrong")
    rows = clinic.database.execute("SELECT kind, digest FROM sign_in_failure").fetchall()

    assert {kind for kind, _ in rows} == {"account", "source"}
    assert all(len(digest) == 32 for _, digest in rows)


def test_password_is_hashed_anew_when_the_parameters_changed(clinic):
    stored = "SELECT password_hash FROM account WHERE name = 'doctor'"
    (before,) = clinic.database.execute(stored).fetchone()
    clinic.identity._hasher = type(clinic.identity._hasher)(time_cost=2, memory_cost=16, parallelism=1)
    clinic.browser("doctor")
    (after,) = clinic.database.execute(stored).fetchone()

    assert ("m=8,t=1" in before, "m=16,t=2" in after) == (True, True)
    clinic.browser("doctor")
    assert clinic.database.execute(stored).fetchone() == (after,)


def test_without_fresh_proof_nobody_signs_and_five_minutes_are_fresh(clinic):
    browser = clinic.browser("doctor")
    refused = browser.post("/api/sign")
    assert refused.status_code == 403
    assert refused.json() == {"error": "prove again who you are first", "needs": "step_up"}

    until = browser.post("/api/step-up", json={"password": PASSWORD}).json()["until_at"]
    assert until == (clinic.clock.now + STEP_UP_LASTS).timestamp() * 1000
    assert browser.post("/api/sign").status_code == 200
    clinic.clock.now += STEP_UP_LASTS
    assert browser.post("/api/sign").status_code == 403


def test_who_has_a_second_factor_does_not_step_up_with_the_password(clinic):
    browser, secret, _ = clinic.with_totp("doctor")
    clinic.clock.now += timedelta(minutes=6)

    assert browser.post("/api/step-up", json={"password": PASSWORD}).status_code == 401
    assert browser.post("/api/step-up", json={"totp": clinic.code(secret)}).status_code == 200


def test_step_up_of_a_copied_session_is_throttled(clinic):
    browser = clinic.browser("doctor")
    tries = [browser.post("/api/step-up", json={"password": "no"}).status_code for _ in range(6)]

    assert tries == [401] * 5 + [429]


def test_strangers_failures_bar_nobody_from_stepping_up(clinic):
    browser, stranger = clinic.browser("doctor"), clinic.browser()
    for name in ["doctor"] * 5 + [f"nobody-{number}" for number in range(45)]:
        clinic.log_in(stranger, name, "wrong")
    assert clinic.log_in(stranger, "doctor").status_code == 429
    assert clinic.log_in(stranger, "admin").status_code == 429

    assert browser.post("/api/step-up", json={"password": PASSWORD}).status_code == 200


def test_failed_step_up_of_one_session_bars_no_other(clinic):
    stolen, own = clinic.browser("doctor"), clinic.browser("doctor")
    for _ in range(6):
        stolen.post("/api/step-up", json={"password": "no"})

    assert own.post("/api/step-up", json={"password": PASSWORD}).status_code == 200
    assert clinic.log_in(clinic.browser(), "doctor").status_code == 200


@pytest.mark.parametrize(
    "body", [{}, {"totp": "1", "password": "x"}, {"totp": None}], ids=["none", "two", "null"]
)
def test_exactly_one_proof_is_given(clinic, body):
    assert clinic.browser("doctor").post("/api/step-up", json=body).status_code == 422


def test_new_second_factor_needs_a_fresh_proof_and_ends_other_sessions(clinic):
    other = clinic.browser("doctor")
    assert other.post("/api/second-factor/totp").json()["needs"] == "step_up"
    browser, _, _ = clinic.with_totp("doctor")

    assert [one.get("/api/me").status_code for one in (other, browser)] == [401, 200]


def test_enrolment_shows_the_same_secret_as_text_address_and_code(clinic):
    made = clinic.stepped_up("doctor").post("/api/second-factor/totp").json()

    assert f"secret={made['secret']}" in made["uri"]
    assert {len(row) for row in made["qr"]} == {len(made["qr"])}
    assert set("".join(made["qr"])) == {"0", "1"}
    (sealed,) = clinic.database.execute("SELECT sealed_secret FROM totp").fetchone()
    assert made["secret"].encode() not in sealed


def test_lost_key_is_noticed_at_the_start_once_a_second_factor_is_sealed_with_it(database, clinic, tmp_path):
    open_sealer(database, home=tmp_path / "one")
    assert open_sealer(database, home=tmp_path / "two")
    clinic.with_totp("doctor")

    with pytest.raises(IdentifierKeyLost):
        open_sealer(database, home=tmp_path / "three")


def test_wrong_code_confirms_nothing(clinic):
    browser = clinic.stepped_up("doctor")
    assert browser.post("/api/second-factor/totp/confirm", json={"code": "000000"}).status_code == 409
    browser.post("/api/second-factor/totp")
    assert browser.post("/api/second-factor/totp/confirm", json={"code": "abc"}).status_code == 401

    assert browser.get("/api/second-factor").json()["totp"] is False


def test_removed_second_factor_is_asked_for_no_more(clinic):
    browser, _, _ = clinic.with_totp("doctor")
    assert browser.delete("/api/second-factor/totp").status_code == 204

    assert clinic.log_in(clinic.browser(), "doctor").json()["name"] == "doctor"
    assert ("remove_second_factor", "person-doctor") in clinic.recorder.words()


def test_acts_are_recorded(clinic):
    _, _, codes = clinic.with_totp("doctor")
    give(clinic.browser("doctor"), recovery_code=codes[0])

    assert [word for word, _ in clinic.recorder.words()] == [
        "log_in",
        "step_up",
        "enrol_second_factor",
        "log_in",
    ]


def test_without_audit_nobody_gets_in_or_changes_a_proof(clinic):
    browser = clinic.stepped_up("doctor")
    secret = browser.post("/api/second-factor/totp").json()["secret"]
    clinic.recorder.is_away = True
    refused = browser.post("/api/second-factor/totp/confirm", json={"code": clinic.code(secret)})
    assert refused.status_code >= 500
    assert clinic.log_in(clinic.browser(), "admin").status_code >= 500
    clinic.recorder.is_away = False

    assert browser.get("/api/second-factor").json()["totp"] is False


def test_where_it_is_required_staff_can_do_nothing_but_enrol(strict_clinic):
    clinic = strict_clinic
    browser = clinic.browser()
    assert clinic.log_in(browser, "doctor").json() == {"needs": "enrolment", "methods": ["totp", "passkey"]}
    for method, path in (("GET", "/api/me"), ("POST", "/api/read"), ("POST", "/api/step-up")):
        refused = browser.request(method, path, json={"password": PASSWORD})
        assert (refused.status_code, refused.json()["needs"]) == (403, "enrolment"), path

    secret = browser.post("/api/second-factor/totp").json()["secret"]
    browser.post("/api/second-factor/totp/confirm", json={"code": clinic.code(secret)})
    assert browser.get("/api/me").status_code == 200
    assert browser.delete("/api/second-factor/totp").json()["needs"] == "step_up"


def test_where_it_is_required_the_last_one_stays(strict_clinic):
    clinic = strict_clinic
    browser = clinic.browser("doctor")
    secret = browser.post("/api/second-factor/totp").json()["secret"]
    browser.post("/api/second-factor/totp/confirm", json={"code": clinic.code(secret)})
    clinic.clock.now += timedelta(seconds=30)
    browser.post("/api/step-up", json={"totp": clinic.code(secret)})

    assert browser.delete("/api/second-factor/totp").status_code == 409
    assert browser.get("/api/second-factor").json()["totp"] is True


def test_where_it_is_required_residents_are_not_meant(strict_clinic):
    assert strict_clinic.browser("resident").get("/api/me").status_code == 200
