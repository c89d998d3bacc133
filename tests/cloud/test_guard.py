import pytest
from starlette.datastructures import Headers

from cloud.guard import security_headers, why_refused

OWN = "127.0.0.1:8000"


def refused(kind="http", method="GET", path="/api/me", scheme="http", **headers):
    given = {"host": OWN, **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope = {"type": kind, "method": method, "path": path, "scheme": scheme}
    return why_refused(scope, Headers(given), hosts=frozenset({"127.0.0.1", "192.0.2.7"}))


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:1", "[::1]:8000", "LOCALHOST"])
def test_names_of_this_machine_are_answered(host):
    assert refused(host=host) is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "",
        "10.0.0.1:8000",
        "[",
        "[::1",
        "127.0.0.1:8; script-src *",
        "a;b@127.0.0.1",
    ],
)
def test_any_other_name_is_refused_because_it_may_be_rebound(host):
    assert "127.0.0.1" in refused(host=host)


@pytest.mark.parametrize(("kind", "method"), [("http", "POST"), ("http", "DELETE"), ("websocket", "GET")])
@pytest.mark.parametrize(
    "origin", ["http://evil.example", f"https://{OWN}", "null", "http://127.0.0.1:9000", "http://["]
)
def test_foreign_page_can_neither_change_nor_watch_anything(kind, method, origin):
    assert refused(kind, method, origin=origin) == "this request comes from a foreign page"


@pytest.mark.parametrize(("kind", "method"), [("http", "POST"), ("websocket", "GET")])
def test_own_page_and_plain_programs_may(kind, method):
    assert refused(kind, method, origin=f"http://{OWN}") is None
    assert refused(kind, method) is None
    assert refused(kind, method, sec_fetch_site="same-origin") is None


def test_browser_that_hides_the_origin_of_a_foreign_page_is_refused():
    assert refused("http", "POST", sec_fetch_site="cross-site") is not None


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_foreign_page_reads_nothing_of_the_api_but_may_link_to_us(site):
    assert refused(sec_fetch_site=site, sec_fetch_mode="no-cors") is not None
    assert refused(sec_fetch_site=site, sec_fetch_mode="navigate") is None
    assert refused(path="/", sec_fetch_site=site, sec_fetch_mode="no-cors") is None


def test_told_names_are_answered_by_https_only():
    assert refused(scheme="https", host="192.0.2.7:8443") is None
    assert refused(scheme="http", host="192.0.2.7:8443") is not None
    assert refused(scheme="https", host="192.0.2.8:8443") is not None


@pytest.mark.parametrize(("kind", "scheme"), [("http", "https"), ("websocket", "wss")])
def test_by_https_the_own_page_is_an_https_page(kind, scheme):
    told = {"host": "192.0.2.7:8443", "scheme": scheme}

    assert refused(kind, "POST", origin="https://192.0.2.7:8443", **told) is None
    assert refused(kind, "POST", origin="http://192.0.2.7:8443", **told) is not None


def policy(host="127.0.0.1:1", scheme="http"):
    return security_headers({"path": "/", "scheme": scheme}, host=host)


def test_policy_lets_nothing_in_that_is_not_a_file_of_ours():
    directives = dict(part.strip().split(" ", 1) for part in policy()["Content-Security-Policy"].split(";"))

    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == directives["style-src"] == "'self'"
    assert directives["connect-src"] == "'self' ws://127.0.0.1:1"
    assert directives["frame-ancestors"] == directives["base-uri"] == "'none'"
    assert not any("unsafe" in words or "*" in words for words in directives.values())


@pytest.mark.parametrize(
    ("host", "scheme", "lasting"),
    [
        ("hut.example:8443", "https", True),
        ("hut.example:8443", "http", False),
        ("localhost:8443", "https", False),
        ("192.0.2.7", "https", False),
        ("[2001:db8::1]:8443", "https", False),
    ],
)
def test_browsers_keep_to_https_where_only_https_is_served(host, scheme, lasting):
    assert ("Strict-Transport-Security" in policy(host, scheme)) is lasting


def test_camera_is_for_our_own_pages_only():
    allowed = dict(part.strip().split("=") for part in policy()["Permissions-Policy"].split(","))

    assert allowed["camera"] == "(self)"
    assert allowed["microphone"] == allowed["geolocation"] == "()"
