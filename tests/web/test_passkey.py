"""A passkey in Chromium's own virtual authenticator, through the routes that the sign-in page uses."""

import pytest

pytestmark = [pytest.mark.web, pytest.mark.timeout(180)]

ASK = """async ([method, path, body]) => {
    const answer = await fetch(path, {method, headers: {"content-type": "application/json"},
        body: body === null ? undefined : JSON.stringify(body)});
    const text = await answer.text();
    return [answer.status, text === "" ? null : JSON.parse(text)];
}"""
CREATE = """async (options) => (await navigator.credentials.create(
    {publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options)})).toJSON()"""
GET = """async (options) => (await navigator.credentials.get(
    {publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options)})).toJSON()"""
AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture
def page(browser, running_demo):
    """A page under the name localhost, with an authenticator."""
    context = browser.new_context()
    opened = context.new_page()
    devices = context.new_cdp_session(opened)
    devices.send("WebAuthn.enable")
    devices.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
    opened.goto(running_demo.address.replace("127.0.0.1", "localhost"))
    yield opened
    context.close()


def ask(page, path, body=None, *, method="POST"):
    return page.evaluate(ASK, [method, path, body])


def step_up(page):
    _, options = ask(page, "/api/step-up/passkey-options")
    return ask(page, "/api/step-up", {"passkey": page.evaluate(GET, options)})


def test_passkey_is_made_opens_the_next_login_and_is_removed(page, running_demo):
    login = {"name": "admin", "password": running_demo.passwords["admin"]}
    assert ask(page, "/api/login", login)[1]["role"] == "administrator"
    assert ask(page, "/api/step-up", {"password": login["password"]})[0] == 200
    _, options = ask(page, "/api/second-factor/passkeys/options")
    made = {"title": "this computer", "passkey": page.evaluate(CREATE, options)}
    status, shown = ask(page, "/api/second-factor/passkeys", made)
    assert (status, len(shown["recovery_codes"])) == (200, 10)

    ask(page, "/api/logout")
    assert ask(page, "/api/login", login)[1]["methods"] == ["passkey", "recovery_code"]
    _, options = ask(page, "/api/login/passkey-options")
    answer = {"passkey": page.evaluate(GET, options)}
    assert ask(page, "/api/login/second-factor", answer)[1]["name"] == "admin"

    assert step_up(page)[0] == 200
    (passkey,) = ask(page, "/api/second-factor", method="GET")[1]["passkeys"]
    path = f"/api/second-factor/passkeys/{passkey['id']}"
    assert ask(page, path, method="DELETE")[0] == 204
    assert ask(page, "/api/login", login)[1]["role"] == "administrator"
