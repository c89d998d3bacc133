import asyncio
import socket

import pytest

from cloud.errors import SettingInvalid
from cloud.listener import BesideServer, FirstServer, bind, http_config, serve_together

pytestmark = pytest.mark.enable_socket


async def answer_nothing(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
    else:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})


class FailingServer(BesideServer):
    async def serve(self, sockets=None):
        raise OSError("no")


@pytest.fixture
def doors():
    bound = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    yield bound
    for door in bound:
        door.close()


async def ask(door, *, headers=b""):
    reader, writer = await asyncio.open_connection(*door.getsockname())
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + headers + b"Connection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return answer


async def test_both_doors_answer_and_close_together(doors, unused_signals):
    first = FirstServer(http_config(answer_nothing))
    beside = BesideServer(http_config(answer_nothing, lifespan=False))
    serving = asyncio.create_task(serve_together(first, doors[0], beside=[(beside, doors[1])]))
    await first.stands.wait()
    answers = [await ask(door) for door in doors]
    first.should_exit = True
    await asyncio.wait_for(serving, timeout=10)

    assert all(answer.startswith(b"HTTP/1.1 204") for answer in answers)
    assert beside.should_exit


async def test_server_that_fails_ends_the_other(doors, unused_signals):
    first = FirstServer(http_config(answer_nothing))
    failing = FailingServer(http_config(answer_nothing, lifespan=False))

    await asyncio.wait_for(serve_together(first, doors[0], beside=[(failing, doors[1])]), timeout=10)
    assert first.started


async def tell_where_from(scope, receive, send):
    told = f"{scope['client'][0]} {scope['scheme']}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": told})


async def test_header_of_a_forwarder_changes_neither_source_nor_scheme(doors, unused_signals):
    first = FirstServer(http_config(tell_where_from, lifespan=False))
    serving = asyncio.create_task(serve_together(first, doors[0], beside=[]))
    await first.stands.wait()
    forged = b"X-Forwarded-For: 198.51.100.7\r\nX-Forwarded-Proto: https\r\nForwarded: for=198.51.100.7\r\n"
    answer = await ask(doors[0], headers=forged)
    first.should_exit = True
    await asyncio.wait_for(serving, timeout=10)

    assert b"\r\n127.0.0.1 http\r\n" in answer


@pytest.fixture
def unused_signals(monkeypatch):
    """The test run keeps its own."""
    monkeypatch.setattr(FirstServer, "capture_signals", BesideServer.capture_signals)


def test_port_that_is_taken_names_its_setting(doors):
    host, port = doors[0].getsockname()
    with pytest.raises(SettingInvalid, match="QIANLI_HTTPS_PORT"):
        bind(host, port, setting="QIANLI_HTTPS_PORT")


def test_every_address_is_one_socket_for_both_families():
    with bind("", 0, setting="X") as bound:
        port = bound.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as caller:
            assert caller.getpeername()[1] == port


def test_no_part_of_an_answer_waits_for_the_acknowledgement_of_another():
    with bind("127.0.0.1", 0, setting="X") as bound, socket.create_connection(bound.getsockname()):
        connection, _ = bound.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
