"""The embedded MQTT broker: amqtt on the loopback interface, one user, nobody anonymous.

amqtt speaks MQTT 3.1.1 only, keeps everything in memory, and gives durable sessions only to clients with a
user name. Nothing depends on it for durability: the edge keeps each message until the cloud says "stored".
"""

import asyncio
import hmac
import logging
import signal
from dataclasses import dataclass

from amqtt.broker import Broker
from amqtt.plugins.base import BaseAuthPlugin
from amqtt.session import Session

USER = "qianli"
FORGET_SESSION_AFTER_S = 3600


class PasswordPlugin(BaseAuthPlugin):
    """Admits the one user with the one password."""

    @dataclass
    class Config:
        """What the broker passes to the plugin."""

        password: str

    async def authenticate(self, *, session: Session) -> bool:
        """Compare in constant time; a client without a user name is refused."""
        given = f"{session.username or ''}:{session.password or ''}"
        expected = f"{USER}:{self.config.password}"
        return hmac.compare_digest(given.encode(), expected.encode())


async def serve_broker(*, port: int, password: str) -> None:
    """Serve on 127.0.0.1 until SIGTERM or SIGINT."""
    logging.getLogger("amqtt").setLevel(logging.WARNING)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    plugin = f"{PasswordPlugin.__module__}.{PasswordPlugin.__qualname__}"
    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
            "session_expiry_interval": FORGET_SESSION_AFTER_S,
            "plugins": {plugin: {"password": password}},
        }
    )
    await broker.start()
    await stop.wait()
    await broker.shutdown()


async def broker_answers(*, port: int, password: str, within_s: float = 1.0) -> bool:
    """Does a broker there accept our user? Speaks one CONNECT and one DISCONNECT of MQTT 3.1.1."""
    try:
        async with asyncio.timeout(within_s):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(_connect_packet(password))
                answer = await reader.readexactly(4)
                writer.write(b"\xe0\x00")
                await writer.drain()
            finally:
                writer.close()
    except (OSError, TimeoutError, EOFError):
        return False
    return answer == b"\x20\x02\x00\x00"


def _connect_packet(password: str) -> bytes:
    # MQTT 3.1.1 section 3.1: protocol name, level 4, flags user + password + clean session, keep alive 10 s.
    words = ("qianli-probe", USER, password)
    payload = b"".join(len(word).to_bytes(2) + word.encode() for word in words)
    body = b"\x00\x04MQTT\x04\xc2\x00\x0a" + payload
    return bytes([0x10, len(body)]) + body
