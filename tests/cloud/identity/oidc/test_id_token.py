"""ID tokens of an issuer of our own making, so that each can be wrong in one way."""

import json
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey

from cloud.identity.errors import OidcRefused, OidcUnreachable
from cloud.identity.model import Role
from cloud.identity.oidc.model import ProviderSettings, role_in
from cloud.identity.oidc.provider import CLOCK_SKEW_S, Provider

pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]

NOW = datetime(2026, 11, 25, 4, 0, tzinfo=UTC)
NOW_S = int(NOW.timestamp())
KEY = ECKey.generate_key("P-256", {"kid": "k1", "use": "sig"})


@pytest.fixture
def issuer():
    """Documents by path, served; the paths that were asked are noted."""
    documents, asked = {}, []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            document = documents.get(self.path)
            self.send_response(404 if document is None else 200)
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    documents["/.well-known/openid-configuration"] = {"issuer": address, "jwks_uri": f"{address}/jwks"}
    documents["/jwks"] = {"keys": [KEY.as_dict(private=False)]}
    yield address, documents, asked
    server.shutdown()
    server.server_close()


def settings(address, **fields):
    return ProviderSettings(
        key="county",
        issuer=address,
        client_id="qianli",
        title_zh="县",
        title_en="County",
        organisation="own",
        roles={"doctors": Role.CLINICIAN},
        **fields,
    )


@pytest.fixture
def provider(issuer):
    made = Provider(settings(issuer[0]), clock=lambda: NOW)
    yield made
    made.close()


def token(address, *, key=KEY, header=None, **changes):
    claims = {"iss": address, "aud": "qianli", "sub": "s-1", "exp": NOW_S + 60, "iat": NOW_S, "nonce": "n"}
    claims = {name: value for name, value in {**claims, **changes}.items() if value is not None}
    return jwt.encode(header or {"alg": "ES256", "kid": "k1"}, claims, key, algorithms=["ES256", "HS256"])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"aud": ["qianli"]},
        {"aud": ["qianli", "other"], "azp": "qianli"},
        {"exp": NOW_S - CLOCK_SKEW_S + 1},
        {"iat": NOW_S + CLOCK_SKEW_S - 1},
    ],
    ids=["plain", "list", "authorized-party", "just-over", "clock-ahead"],
)
def test_token_that_holds_is_taken(provider, issuer, changes):
    assert provider.read_id_token(token(issuer[0], **changes), nonce="n")["sub"] == "s-1"


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.example"},
        {"iss": None},
        {"aud": "other"},
        {"aud": None},
        {"aud": ["qianli", "other"]},
        {"aud": ["qianli", "other"], "azp": "other"},
        {"azp": "other"},
        {"exp": NOW_S - CLOCK_SKEW_S - 1},
        {"exp": None},
        {"iat": NOW_S + CLOCK_SKEW_S + 1},
        {"iat": None},
        {"nonce": "other"},
        {"nonce": None},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "x" * 256},
        {"nbf": NOW_S + CLOCK_SKEW_S + 1},
    ],
    ids=lambda changes: "-".join(f"{name}={str(value)[:20]}" for name, value in changes.items()),
)
def test_token_that_is_wrong_in_one_way_is_refused(provider, issuer, changes):
    with pytest.raises(OidcRefused):
        provider.read_id_token(token(issuer[0], **changes), nonce="n")


def test_token_signed_by_nobody_or_with_what_everybody_knows_is_refused(provider, issuer):
    public = OctKey.import_key(json.dumps(KEY.as_dict(private=False)))
    unsigned = token(issuer[0]).rsplit(".", 1)[0].replace("ES256", "none") + "."
    foreign = ECKey.generate_key("P-256", {"kid": "k1"})
    shared = token(issuer[0], key=public, header={"alg": "HS256", "kid": "k1"})
    for wrong in (unsigned, shared, token(issuer[0], key=foreign), "junk", "", "a.b.c"):
        with pytest.raises(OidcRefused):
            provider.read_id_token(wrong, nonce="n")


def test_unknown_key_is_looked_for_once_and_not_again_at_once(provider, issuer):
    address, documents, asked = issuer
    provider.read_id_token(token(address), nonce="n")
    fresh = ECKey.generate_key("P-256", {"kid": "k2"})
    for _ in range(3):
        with pytest.raises(OidcRefused):
            provider.read_id_token(token(address, key=fresh, header={"alg": "ES256", "kid": "k2"}), nonce="n")
    assert asked.count("/jwks") == 1

    documents["/jwks"]["keys"].append(fresh.as_dict(private=False))
    provider._keys = (provider._keys[0] - 60, provider._keys[1])
    assert provider.read_id_token(token(address, key=fresh, header={"alg": "ES256", "kid": "k2"}), nonce="n")


def test_description_of_another_issuer_is_refused(provider, issuer):
    issuer[1]["/.well-known/openid-configuration"]["issuer"] = "https://evil.example"

    with pytest.raises(OidcRefused):
        provider.read_id_token(token(issuer[0]), nonce="n")


def test_nothing_is_asked_of_any_other_origin(provider, issuer):
    address, documents, _ = issuer
    documents["/.well-known/openid-configuration"]["jwks_uri"] = (
        address.replace("127.0.0.1", "localhost") + "/jwks"
    )

    with pytest.raises(OidcRefused, match="cannot be accepted"):
        provider.read_id_token(token(address), nonce="n")


def test_issuer_that_does_not_answer_is_unreachable():
    provider = Provider(settings("http://127.0.0.1:9"), clock=lambda: NOW)
    with pytest.raises(OidcUnreachable):
        provider.read_id_token("x", nonce="n")
    assert provider.end_session_url(return_to="http://localhost/") is None
    provider.close()


def test_weaker_sign_in_than_asked_for_is_refused(issuer):
    provider = Provider(settings(issuer[0], acr="two-factors"), clock=lambda: NOW)
    with pytest.raises(OidcRefused):
        provider.read_id_token(token(issuer[0]), nonce="n")

    assert provider.read_id_token(token(issuer[0], acr="two-factors"), nonce="n")["acr"] == "two-factors"
    provider.close()


@pytest.mark.parametrize(
    ("claim", "claims", "role"),
    [
        ("groups", {"groups": ["x", "doctors"]}, Role.CLINICIAN),
        ("groups", {"groups": "doctors"}, Role.CLINICIAN),
        ("realm.roles", {"realm": {"roles": ["doctors"]}}, Role.CLINICIAN),
        ("groups", {"groups": ["cleaners"]}, None),
        ("groups", {"groups": {"doctors": True}}, None),
        ("groups", {}, None),
    ],
)
def test_role_is_what_the_file_says(claim, claims, role):
    assert role_in(claims, settings("https://id.example", role_claim=claim)) is role
