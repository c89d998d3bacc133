import asyncio

import pytest
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException

from cloud.intake import Intake

SCOPE = {"type": "http", "path": "/api/people"}
INTAKE = Intake(
    most_bytes=100, larger={"/api/files/": 1000}, first_byte_within_s=0.05, least_bytes_per_s=1000
)


def chunks(*bodies):
    """What a server hands over, the last chunk marked; then it waits for the connection to end."""
    waiting = [
        {"type": "http.request", "body": body, "more_body": number < len(bodies)}
        for number, body in enumerate(bodies, start=1)
    ]

    async def receive():
        if not waiting:
            await asyncio.sleep(3600)
        return waiting.pop(0)

    return receive


async def test_body_is_given_on_chunk_by_chunk():
    receive = INTAKE.watch(chunks(b"a" * 60, b"b" * 40), SCOPE)

    assert (await receive())["body"] == b"a" * 60
    assert (await receive())["body"] == b"b" * 40


async def test_body_that_grows_too_large_is_refused_at_once():
    receive = INTAKE.watch(chunks(b"a" * 60, b"b" * 41, b"c"), SCOPE)
    await receive()

    with pytest.raises(HTTPException) as refusal:
        await receive()
    assert refusal.value.status_code == 413


async def test_body_that_does_not_come_is_given_up():
    async def never():
        await asyncio.sleep(3600)

    with pytest.raises(HTTPException) as refusal:
        await INTAKE.watch(never, SCOPE)()
    assert refusal.value.status_code == 408


async def test_whole_body_leaves_all_the_time_to_the_answer():
    receive = INTAKE.watch(chunks(b"a"), SCOPE)
    await receive()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(receive(), timeout=0.1)


@pytest.mark.parametrize(
    ("path", "told", "too_large"),
    [
        ("/api/people", "100", False),
        ("/api/people", "101", True),
        ("/api/files/1", "1000", False),
        ("/api/files/1", "1001", True),
        ("/api/people", "-1", False),
        ("/api/people", "many", False),
    ],
)
def test_told_length_is_held_against_the_limit_of_the_route(path, told, too_large):
    assert INTAKE.is_too_large({**SCOPE, "path": path}, Headers({"content-length": told})) is too_large


def test_websocket_has_no_body_to_watch():
    receive = chunks(b"x")

    assert INTAKE.watch(receive, {"type": "websocket", "path": "/api/live"}) is receive
