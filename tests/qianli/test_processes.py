import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from qianli.processes import http_answers

pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]


@asynccontextmanager
async def server_that_says(words: bytes) -> AsyncIterator[str]:
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(words)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


@pytest.mark.parametrize(
    ("words", "answers"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 503 Away\r\nContent-Length: 0\r\n\r\n", True),
        (b"SSH-2.0-OpenSSH_9.2\r\n", False),
        (b"", False),
    ],
    ids=["well", "away", "another protocol", "hangs up"],
)
async def test_only_a_web_server_answers(words: bytes, *, answers: bool) -> None:
    async with server_that_says(words) as address:
        assert await http_answers(address) is answers
