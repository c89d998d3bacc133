"""Against a real provider process: discovery, PKCE, state, nonce, keys, roles, logout."""

from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import pytest

from cloud.identity.model import Role
from cloud.identity.oidc import routes as oidc_routes
from cloud.identity.oidc.model import ProviderSettings
from cloud.identity.oidc.service import OidcSignIn
from cloud.identity.service import utc_now
from cloud.store.sealing import Sealer
from tests.cloud.identity.conftest import build_clinic
from tests.cloud.identity.oidc.conftest import HOST, SECRET

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket, pytest.mark.timeout(400)]

ROLES = {"doctors": Role.CLINICIAN, "admins": Role.ADMINISTRATOR}


@dataclass(kw_only=True)
class Hospital:
    clinic: object
    provider: object
    sign_in: OidcSignIn

    def browser(self):
        return self.clinic.browser(origin=f"http://{HOST}")

    def depart(self, browser):
        answer = browser.get("/api/oidc/county/start")
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    def arrive(self, browser):
        """The whole way there and back; returns where the browser ends."""
        back = self.provider.sign_in(self.depart(browser))
        return browser.get(back).headers["location"]

    def accounts(self):
        query = "SELECT name, role, person_id FROM account WHERE name LIKE 'county-%'"
        return self.clinic.database.execute(query).fetchall()


@pytest.fixture
def hospital(database, pool, provider, tmp_path):
    clinic = build_clinic(database, pool, utc_now)
    secret_file = tmp_path / "secret"
    secret_file.write_text(SECRET + "\n")
    settings = ProviderSettings(
        key="county",
        issuer=provider.address,
        client_id="qianli",
        client_secret_file=secret_file,
        title_zh="县医院",
        title_en="County hospital",
        organisation="own",
        roles=ROLES,
    )
    sign_in = OidcSignIn(
        clinic.identity,
        providers=[settings],
        sealer=Sealer(b"k" * 32),
        recorder=clinic.recorder,
        clock=utc_now,
    )
    clinic.end_of_issuer = sign_in.end_of
    clinic.app.include_router(oidc_routes.build_routes(clinic.identity, sign_in))
    yield Hospital(clinic=clinic, provider=provider, sign_in=sign_in)
    sign_in.close()
    for browser in clinic.browsers:
        browser.close()


def test_sign_in_page_offers_the_hospital(hospital):
    offered = hospital.browser().get("/api/oidc").json()

    assert offered == [{"key": "county", "title_zh": "县医院", "title_en": "County hospital"}]


def test_person_of_the_hospital_gets_in_and_is_the_same_person_next_time(hospital):
    browser = hospital.browser()
    assert hospital.arrive(browser) == "/"
    me = browser.get("/api/me").json()
    assert (me["display_zh"], me["role"]) == ("王医生", "clinician")

    again = hospital.browser()
    hospital.arrive(again)
    assert again.get("/api/me").json() == me
    assert len(hospital.accounts()) == 1
    assert [word for word, _ in hospital.clinic.recorder.words()] == ["create_account", "log_in", "log_in"]


def test_browser_leaves_with_state_nonce_and_a_challenge_that_does_not_show_its_secret(hospital):
    browser = hospital.browser()
    asked = parse_qs(urlsplit(hospital.depart(browser)).query)

    assert asked["response_type"] == ["code"]
    assert asked["code_challenge_method"] == ["S256"]
    assert {len(asked[name][0]) for name in ("state", "nonce", "code_challenge")} == {43}
    (cookie,) = [cookie for cookie in browser.cookies.jar if cookie.name == "qianli_oidc"]
    assert cookie.value not in str(asked)


def test_role_follows_the_hospital_and_without_one_nobody_gets_in(hospital):
    hospital.arrive(hospital.browser())
    hospital.provider.person(sub="s-1", groups=["admins"], name="王医生")
    browser = hospital.browser()
    hospital.arrive(browser)
    assert browser.get("/api/me").json()["role"] == "administrator"

    hospital.provider.person(sub="s-1", groups=["cleaners"], name="王医生")
    refused = hospital.browser()
    assert hospital.arrive(refused) == "/?sign_in=refused"
    assert refused.get("/api/me").status_code == 401


def test_two_people_with_one_name_are_two(hospital):
    hospital.arrive(hospital.browser())
    hospital.provider.person(sub="s-2", groups=["doctors"], name="王医生", email="same@example.org")
    hospital.arrive(hospital.browser())

    assert len({person for _, _, person in hospital.accounts()}) == 2


def test_new_key_of_the_provider_is_found(hospital, monkeypatch):
    hospital.arrive(hospital.browser())
    hospital.provider.rotate_keys()
    monkeypatch.setattr("cloud.identity.oidc.provider._ASK_KEYS_AGAIN_S", 0)

    assert hospital.arrive(hospital.browser()) == "/"


def test_answer_that_another_browser_brings_is_refused(hospital):
    victim, attacker = hospital.browser(), hospital.browser()
    back = hospital.provider.sign_in(hospital.depart(attacker))
    hospital.depart(victim)

    assert victim.get(back).headers["location"] == "/?sign_in=refused"
    assert victim.get("/api/me").status_code == 401


def test_answer_is_taken_once(hospital):
    browser = hospital.browser()
    token = None
    back = hospital.provider.sign_in(hospital.depart(browser))
    token = browser.cookies["qianli_oidc"]
    browser.get(back)
    browser.cookies.set("qianli_oidc", token)

    assert browser.get(back).headers["location"] == "/?sign_in=refused"


@pytest.mark.parametrize(
    "change",
    [("iss=", "iss=http%3A%2F%2Fevil.example%2F"), ("code=", "code=x"), ("state=", "state=x")],
    ids=["issuer", "code", "state"],
)
def test_changed_answer_is_refused(hospital, change):
    browser = hospital.browser()
    back = hospital.provider.sign_in(hospital.depart(browser)).replace(*change)

    assert browser.get(back).headers["location"] == "/?sign_in=refused"
    assert ("log_in", "unknown") in hospital.clinic.recorder.words()


def test_refusal_of_the_provider_is_a_refusal(hospital):
    browser = hospital.browser()
    state = parse_qs(urlsplit(hospital.depart(browser)).query)["state"][0]
    answer = browser.get("/api/oidc/county/callback", params={"state": state, "error": "access_denied"})

    assert answer.headers["location"] == "/?sign_in=refused"


def test_disabled_account_stays_out(hospital):
    hospital.arrive(hospital.browser())
    hospital.clinic.database.execute("UPDATE account SET disabled_at = now()")

    assert hospital.arrive(hospital.browser()) == "/?sign_in=refused"


def test_logout_leads_to_the_end_of_the_session_at_the_provider(hospital):
    browser = hospital.browser()
    hospital.arrive(browser)
    answer = browser.post("/api/logout")
    there = urlsplit(answer.json()["go_to"])

    assert answer.status_code == 200
    assert f"{there.scheme}://{there.netloc}" == hospital.provider.address
    assert parse_qs(there.query)["post_logout_redirect_uri"] == [f"http://{HOST}/"]
    assert browser.get("/api/me").status_code == 401


def test_account_of_a_provider_has_no_password(hospital):
    hospital.arrive(hospital.browser())
    ((name, _, _),) = hospital.accounts()

    assert hospital.clinic.log_in(hospital.browser(), name, "!").status_code == 401


def test_person_of_the_hospital_sets_up_a_second_factor_right_after_the_sign_in_only(hospital):
    browser = hospital.browser()
    hospital.arrive(browser)
    assert browser.get("/api/second-factor").json()["step_up_methods"] == []
    assert browser.post("/api/sign").json()["needs"] == "step_up"
    assert browser.post("/api/second-factor/totp").status_code == 200

    hospital.clinic.database.execute(
        "UPDATE login_session SET created_at = created_at - interval '5 minutes'"
    )
    assert browser.post("/api/second-factor/totp").json()["needs"] == "step_up"


def test_unknown_provider_is_not_there(hospital):
    assert hospital.browser().get("/api/oidc/other/start").status_code == 404
