from datetime import timedelta

import pytest

from cloud.identity.model import SESSION_IDLES, SESSION_LASTS
from cloud.identity.sessions import device_of

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]

FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:130.0) Gecko/20100101 Firefox/130.0"


@pytest.mark.parametrize(
    ("user_agent", "device"),
    [
        (FIREFOX, "Firefox · Windows"),
        (
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/120.0 Safari/537.36 Edg/120.0",
            "Edge · Linux",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Version/17.0 Safari/604.1",
            "Safari · iPhone",
        ),
        ("curl/8.4.0", "curl"),
        ("<script>alert(1)</script>", ""),
        ("", ""),
    ],
)
def test_device_is_named_by_browser_and_system_and_no_more(user_agent, device):
    assert device_of(user_agent) == device


def test_own_sessions_are_listed_with_this_one_marked(clinic):
    old = clinic.browser()
    clinic.log_in(old, "doctor", **{"user-agent": FIREFOX})
    clinic.browser("admin")
    clinic.clock.now += timedelta(minutes=1)
    listed = clinic.browser("doctor").get("/api/sessions").json()

    assert [(one["device"], one["this"]) for one in listed] == [
        ("python-httpx", True),
        ("Firefox · Windows", False),
    ]
    assert listed[0]["created_at"] - listed[1]["created_at"] == 60_000


def test_one_session_or_all_others_can_be_ended_and_it_is_recorded(clinic):
    first, second, third = (clinic.browser("doctor") for _ in range(3))
    (first_id,) = [one["id"] for one in first.get("/api/sessions").json() if one["this"]]
    assert third.delete(f"/api/sessions/{first_id}").status_code == 204
    assert first.get("/api/me").status_code == 401
    assert second.get("/api/me").status_code == 200

    assert third.post("/api/sessions/revoke-others").json() == {"ended": 1}
    assert [browser.get("/api/me").status_code for browser in (second, third)] == [401, 200]
    assert clinic.recorder.words()[-2:] == [("revoke_session", first_id), ("revoke_session", "others")]


def test_session_of_somebody_else_is_answered_like_none_and_lives_on(clinic):
    other = clinic.browser("admin")
    (other_id,) = [one["id"] for one in other.get("/api/sessions").json()]
    doctor = clinic.browser("doctor")
    answers = [doctor.delete(f"/api/sessions/{name}") for name in (other_id, "session-none")]

    assert [(one.status_code, one.content) for one in answers] == [(204, b"")] * 2
    assert other.get("/api/me").status_code == 200


def test_idle_session_ends_and_a_used_one_does_not(clinic):
    idle, used = clinic.browser("doctor"), clinic.browser("doctor")
    for _ in range(3):
        clinic.clock.now += SESSION_IDLES / 2
        assert used.get("/api/me").status_code == 200

    assert idle.get("/api/me").status_code == 401


def test_used_session_ends_in_the_end(clinic):
    browser = clinic.browser("doctor")
    ends_at = clinic.clock.now + SESSION_LASTS
    while clinic.clock.now + SESSION_IDLES / 2 < ends_at:
        clinic.clock.now += SESSION_IDLES / 2
        assert browser.get("/api/me").status_code == 200
    clinic.clock.now = ends_at

    assert browser.get("/api/me").status_code == 401


def test_token_changes_at_login_and_step_up_and_the_old_one_is_worthless(clinic):
    browser = clinic.browser("doctor")
    tokens = [browser.cookies["qianli_session"]]
    clinic.log_in(browser, "doctor")
    tokens.append(browser.cookies["qianli_session"])
    browser.post("/api/step-up", json={"password": "a long password"})
    tokens.append(browser.cookies["qianli_session"])

    answers = []
    for token in tokens:
        copy = clinic.browser()
        copy.cookies.set("qianli_session", token)
        answers.append(copy.get("/api/me").status_code)
    assert answers == [401, 401, 200]


def test_over_https_the_cookie_is_bound_to_this_host(clinic):
    browser = clinic.browser(origin="https://localhost")
    answer = clinic.log_in(browser, "doctor")

    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-qianli_session=")
    assert all(word in cookie for word in ("; Secure", "; HttpOnly", "; Path=/", "SameSite=strict"))
    assert "Domain" not in cookie
    assert browser.get("/api/me").status_code == 200
    browser.cookies = {"qianli_session": answer.cookies["__Host-qianli_session"]}
    assert browser.get("/api/me").status_code == 401


@pytest.mark.parametrize(
    "headers",
    [{"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}],
    ids=["origin", "fetch-site"],
)
def test_foreign_page_does_nothing_with_the_session_of_a_visitor(clinic, headers):
    browser = clinic.browser("doctor")
    answers = [
        browser.post("/api/step-up", json={"password": "a long password"}, headers=headers),
        browser.post("/api/sessions/revoke-others", headers=headers),
        browser.post("/api/logout", headers=headers),
    ]

    assert [answer.status_code for answer in answers] == [403] * 3
    assert browser.get("/api/me").status_code == 200
