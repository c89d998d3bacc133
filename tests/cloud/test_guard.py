import pytest
from starlette.datastructures import Headers

from cloud.guard import content_security_policy, why_refused

OWN = "127.0.0.1:8000"


def refused(kind="http", method="GET", *, scheme="http", **headers):
    given = {"host": OWN, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return why_refused({"type": kind, "method": method, "scheme": scheme}, Headers(given))


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:1", "[::1]:8000", "LOCALHOST"])
def test_names_of_this_machine_are_answered(host):
    assert refused(host=host) is None


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "", "10.0.0.1:8000", "[", "[::1", "127.0.0.1:8; script-src *"],
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


@pytest.mark.parametrize(
    ("kind", "method", "scheme"), [("http", "POST", "https"), ("websocket", "GET", "wss")]
)
def test_over_tls_only_the_page_over_tls_is_our_own(kind, method, scheme):
    assert refused(kind, method, scheme=scheme, origin=f"https://{OWN}") is None
    assert refused(kind, method, scheme=scheme, origin=f"http://{OWN}") is not None
    assert f"wss://{OWN}" in content_security_policy(OWN, is_secure=True)
