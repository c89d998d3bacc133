"""A patient joins, passwords are changed and replaced, and an administrator looks after accounts."""

import os
from pathlib import Path

import pytest
from playwright.sync_api import expect

from cloud.seed import ORGANISATION
from tests.web.conftest import log_in
from tests.web.test_pages import violations

pytestmark = [pytest.mark.web, pytest.mark.timeout(240)]

SCREENS = Path(os.environ.get("QIANLI_SCREENSHOTS", "screenshots"))
PASSWORD = "seven green boats"
OTHER_PASSWORD = "eight brown goats"
HIRED = {"display_zh": "王护士", "display_en": "Nurse Wang", "role": "nurse"}


def look(page, name):
    SCREENS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENS / f"{name}.png", full_page=True)
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0


def post(page, path, body, *, status=201):
    answer = page.request.post(f"{page.url.split('#')[0]}api/{path}", data=body)
    assert answer.status == status, answer.text()
    return answer.json() if answer.body() else None


def prove(page, password):
    page.get_by_test_id("proof").fill(password)
    page.get_by_test_id("proof-submit").click()
    expect(page.get_by_test_id("proof")).to_be_hidden()


def invite(doctor, patient, password):
    doctor.goto(doctor.url.split("#")[0] + f"#/person/{patient}")
    doctor.get_by_test_id("invite").click()
    prove(doctor, password)
    return doctor.get_by_test_id("family-code").inner_text()


def fill(page, **fields):
    for name, text in fields.items():
        page.get_by_test_id(name.replace("_", "-")).fill(text)


@pytest.mark.parametrize(
    ("width", "language", "patient"),
    [pytest.param(390, "zh", "p-demo-2", id="phone"), pytest.param(1280, "en", "p-demo-3", id="desktop")],
)
def test_patient_joins_with_a_code_and_changes_the_password(
    open_page, running_demo, width, language, patient
):
    doctor = open_page(width=width, language=language)
    post(
        doctor,
        f"people/{patient}/identifiers",
        {"kind": "passport", "text": f"E{width:08}", "issuer": "CHN"},
        status=200,
    )
    code = invite(doctor, patient, running_demo.passwords["doctor"])
    look(doctor, f"invitation-{width}-{language}")

    page = open_page(f"#/join/{code}", width=width, language=language, name=None)
    fill(page, join_known="1900-01-01", join_display="李明", join_name=f"li.{width}", join_password=PASSWORD)
    expect(page.get_by_test_id("join-code")).to_have_value(code)
    page.get_by_test_id("join-submit").click()
    expect(page.get_by_test_id("refused")).to_be_visible()
    look(page, f"join-{width}-{language}")
    page.get_by_test_id("join-known").fill(f"{width:04}"[-4:])
    page.get_by_test_id("join-submit").click()
    expect(page.get_by_test_id("me")).to_be_visible()

    page.goto(page.url.split("#")[0] + "#/account")
    fill(page, password_old=PASSWORD, password_new=OTHER_PASSWORD)
    page.get_by_test_id("password-submit").click()
    prove(page, PASSWORD)
    expect(page.get_by_test_id("password-changed")).to_be_visible()
    look(page, f"account-{width}-{language}")
    expect(invite_again(doctor)).to_be_visible()
    look(doctor, f"has-account-{width}-{language}")
    is_told_of_an_emergency(page, doctor, patient)
    look(page, f"notice-{width}-{language}")


def is_told_of_an_emergency(page, doctor, patient):
    """On a page that stays open and speaks of something else, within a minute."""
    glass = {"category": "unconscious", "reason": "not responding, alone at home"}
    post(doctor, f"people/{patient}/break-glass", glass)
    expect(page.get_by_test_id("account")).to_be_visible()
    expect(page.get_by_test_id("notice-band")).to_be_visible(timeout=60_000)
    page.get_by_test_id("notice-band").get_by_role("link").click()
    expect(page.get_by_test_id("notice")).to_contain_text(glass["reason"])
    expect(page.get_by_test_id("notice-band")).to_be_hidden()


def invite_again(doctor):
    doctor.reload()
    doctor.get_by_test_id("invite").click()
    return doctor.get_by_test_id("has-account")


def test_wrong_proof_ends_no_session(open_page):
    page = open_page("#/account", name="auditor")
    fill(page, password_old="whatever", password_new=OTHER_PASSWORD)
    page.get_by_test_id("password-submit").click()
    page.get_by_test_id("proof").fill("wrong")
    page.get_by_test_id("proof-submit").click()
    expect(page.get_by_test_id("proof-refused")).to_be_visible()
    expect(page.get_by_test_id("account")).to_be_visible()


def test_administrator_disables_enables_and_resets_a_password(open_page, running_demo):
    admin = open_page(name="admin", language="en")
    post(admin, "step-up", {"password": running_demo.passwords["admin"]}, status=200)
    hired = post(admin, f"organisations/{ORGANISATION}/practitioners", HIRED)["id"]
    post(admin, f"practitioners/{hired}/accounts", {"name": "wang", "role": "nurse"})

    admin.goto(admin.url.split("#")[0] + "#/staff")
    entry = admin.get_by_test_id("account").filter(has_text="wang")
    entry.get_by_test_id("disable").click()
    entry.get_by_test_id("disable-sure").click()
    entry.get_by_test_id("enable").click()
    entry.get_by_test_id("reset-password").click()
    entry.get_by_test_id("reset-password-sure").click()
    code = entry.get_by_test_id("shown-once").locator("code").inner_text()
    look(admin, "reset-password")

    page = open_page("#/password", width=390, language="zh", name=None)
    fill(page, reset_name="wang", reset_code=code, reset_password=PASSWORD)
    look(page, "new-password-390-zh")
    page.get_by_test_id("reset-submit").click()
    expect(page.get_by_test_id("password-chosen")).to_be_visible()
    page.get_by_role("link").last.click()
    log_in(page, "wang", PASSWORD)
    expect(page.get_by_test_id("nav-account")).to_be_visible()


def test_change_of_an_account_asks_for_a_fresh_proof(open_page, running_demo):
    admin = open_page("#/staff", name="admin", language="zh")
    entry = admin.get_by_test_id("account").filter(has_text="auditor")
    entry.get_by_test_id("disable").click()
    entry.get_by_test_id("disable-sure").click()
    prove(admin, running_demo.passwords["admin"])
    expect(entry.get_by_test_id("enable")).to_be_visible()
    entry.get_by_test_id("enable").click()
    expect(entry.get_by_test_id("disable")).to_be_visible()
