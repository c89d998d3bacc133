"""What the guard does to a whole server: every route, every kind of failure, real connections."""

import json
import re
import socket
import time

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.routing import APIRoute
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect as connect_websocket

from cloud.connection import HttpConnection
from cloud.guard import Guard
from cloud.identity.access import PUBLIC
from cloud.intake import Intake
from cloud.pace import Allowance, Pace
from tests.cloud.conftest import serving

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]

EVERYWHERE = {
    "content-security-policy",
    "x-content-type-options",
    "x-frame-options",
    "referrer-policy",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "permissions-policy",
}


def routes_of(routes):
    for route in routes:
        inner = getattr(route, "original_router", None)
        yield from [route] if inner is None else routes_of(inner.routes)


def bare(answer):
    """The security headers that are missing."""
    missing = EVERYWHERE - set(answer.headers)
    if answer.request.url.path.startswith("/api/") and answer.headers.get("cache-control") != "no-store":
        missing.add("cache-control")
    return missing


@pytest.mark.timeout(240)  # a thousand requests
def test_every_route_by_every_method_answers_with_all_headers(cloud_server):
    paths = {route.path for route in routes_of(cloud_server.app.routes) if isinstance(route, APIRoute)}
    assert len(paths) >= 9
    wrong = []
    for client in (cloud_server.client(), cloud_server.client("doctor")):
        for path in sorted(paths):
            address = re.sub(r"\{\w+(:\w+)?\}", "x", path)
            for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
                answer = client.request(method, address, content=b"{", timeout=10)
                if bare(answer) or answer.status_code >= 500:
                    wrong.append((method, path, answer.status_code, bare(answer)))
    assert wrong == []


def raw(server, text):
    host, port = server.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(text)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return answer.decode()


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("nonsense", 400),
        ("GET / HTTP/1.1\r\nHost: evil.example", 403),
        (f"GET /{'a' * 5000} HTTP/1.1\r\nHost: 127.0.0.1", 414),
        (f"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: {'a' * 20_000}", 431),
        (f"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: {'a' * 200_000}", 400),
        ("POST /api/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999", 413),
        ("GET /api/none HTTP/1.1\r\nHost: 127.0.0.1", 404),
    ],
)
def test_refusal_of_every_kind_is_plain_and_has_the_headers(cloud_server, request_line, status):
    answer = raw(cloud_server.address, f"{request_line}\r\nConnection: close\r\n\r\n".encode())
    head, body = answer.split("\r\n\r\n", 1)

    assert head.startswith(f"HTTP/1.1 {status} ")
    assert set(re.findall(r"^([\w-]+):", head.lower(), re.M)) >= EVERYWHERE
    assert list(json.loads(body)) == ["error"]
    assert "evil.example" not in head


def test_body_in_chunks_is_cut_off_where_it_is_too_large(cloud_server):
    def endless():
        for _ in range(1000):
            yield b"x" * 4096

    answer = cloud_server.client().post("/api/login", content=endless())

    assert (answer.status_code, bare(answer)) == (413, set())


@pytest.fixture
def fragile():
    """A small application behind the guard, with routes that fail."""
    app = FastAPI(openapi_url=None)
    app.add_middleware(
        Guard,
        pace=Pace(source=Allowance(per_s=0.01, burst=5)),
        intake=Intake(most_bytes=1000, first_byte_within_s=0.3),
    )
    router = APIRouter(prefix="/api", dependencies=[Depends(PUBLIC)])

    @router.get("/fails")
    def fail() -> None:
        raise ValueError("Zhang San 110105194912310021")

    @router.post("/takes")
    async def take(request: Request) -> int:
        return len(await request.body())

    app.include_router(router)
    with serving(app) as address:
        yield address


def test_failure_tells_a_number_that_is_in_the_log_and_nothing_else(fragile, capfd):
    answer = httpx.get(f"{fragile}/api/fails")
    incident = re.search(r"[0-9a-f]{12}", answer.json()["error"])[0]
    logged = "".join(capfd.readouterr())

    assert (answer.status_code, bare(answer)) == (500, set())
    assert "ValueError" not in answer.text
    assert "Traceback" not in answer.text
    assert incident in logged
    assert "ValueError" in logged
    assert "Zhang San" not in answer.text + logged


def test_too_many_requests_are_told_when_to_come_again(fragile):
    answers = [httpx.post(f"{fragile}/api/takes", content=b"x") for _ in range(7)]

    assert [answer.status_code for answer in answers[:5]] == [200] * 5
    assert answers[-1].status_code == 429
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 100
    assert bare(answers[-1]) == set()


def test_slow_body_is_given_up(fragile):
    began = time.monotonic()
    answer = raw(fragile, b"POST /api/takes HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\nabc")

    assert answer.startswith("HTTP/1.1 408 ")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHost: 127"])
@pytest.mark.parametrize(
    "earlier", [b"", b"GET /api/health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"], ids=["first", "second"]
)
def test_half_a_request_does_not_hold_a_connection(cloud_server, earlier, begun, monkeypatch):
    monkeypatch.setattr(HttpConnection, "headers_within_s", 0.5)
    host, port = cloud_server.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        if earlier:
            connection.sendall(earlier)
            answer = b""
            while not answer.endswith(b"}"):
                answer += connection.recv(65536)
        connection.sendall(begun)
        began = time.monotonic()
        assert connection.recv(65536) == b""
    # A connection between two requests, where nothing is begun, may rest as long as browsers like.
    assert time.monotonic() - began < (9 if earlier and not begun else 4)


@pytest.mark.parametrize("origin", ["http://evil.example", "null"])
def test_websocket_of_a_foreign_page_is_refused_before_it_opens(cloud_server, origin):
    url = cloud_server.address.replace("http", "ws") + "/api/live"

    with pytest.raises(InvalidStatus) as refusal, connect_websocket(url, origin=origin):
        pass
    assert refusal.value.response.status_code == 403


def test_form_of_a_foreign_page_changes_nothing_although_the_session_comes_along(cloud_server):
    client = cloud_server.client("doctor")
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert client.post("/api/logout", headers=headers).status_code == 403

    assert client.get("/api/me").status_code == 200
