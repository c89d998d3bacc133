"""One agent's connection to the broker, over gmqtt (see `qianli.fleet`), by MQTT 3.1.1: all brokers know it.

In MQTT 5 gmqtt refuses to send more than the broker's Receive Maximum, 20 with Mosquitto, where an agent has
up to 128 messages under way.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import gmqtt
from gmqtt.mqtt.handler import MQTTError

from qianli.fleet.errors import OptionInvalid

CONNECT_WITHIN_S = 10.0
KEEPALIVE_S = 10
UNREACHABLE = (OSError, TimeoutError, MQTTError)
_MQTT_311 = 4
_NO_RETRY = -2  # -1 would be for ever; whether and when we come back, the fleet decides

ContextOf = Callable[[str], ssl.SSLContext]
"""The TLS context with which an agent shows who it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerAddress:
    """Where the broker is, and how agents show themselves there."""

    host: str
    port: int
    user: str | None
    password: str | None
    context_of: ContextOf | None = None


def parse_broker(url: str, *, context_of: ContextOf | None = None) -> BrokerAddress:
    """Read `mqtt://user:password@host:port`, or `mqtts://host:port` with `context_of`.

    What stands behind `?` for other clients is passed over.

    Raises:
        OptionInvalid: it is neither.
    """
    parts = urlsplit(url)
    is_secret = parts.scheme == "mqtts"
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
        raise OptionInvalid("--broker", "expected mqtt://user:password@host:port or mqtts://host:port")
    if is_secret and context_of is None:
        raise OptionInvalid("--broker", "mqtts needs --authority, which makes a certificate for each agent")
    return BrokerAddress(
        host=parts.hostname,
        port=parts.port or (8883 if is_secret else 1883),
        user=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        context_of=context_of if is_secret else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkRole:
    """Who we are at the broker, what it says when we are gone, and what we listen to."""

    agent: str
    will: tuple[str, bytes]
    listens_to: str


class Link:
    """Opened, lost, opened again; nothing that was sent over one connection is kept for the next."""

    def __init__(
        self, address: BrokerAddress, role: LinkRole, *, on_message: Callable[[bytes], None]
    ) -> None:
        self._address = address
        self._role = role
        self._on_message = on_message
        self._client: gmqtt.Client | None = None
        self._lost = asyncio.Event()

    @property
    def is_open(self) -> bool:
        """Whether the broker has taken us and the connection stands."""
        return self._client is not None

    async def open(self) -> None:
        """Connect and listen.

        Raises:
            one of UNREACHABLE.
        """
        context_of, agent = self._address.context_of, self._role.agent
        context = None if context_of is None else await asyncio.to_thread(context_of, agent)
        client = self._make_client()
        self._lost.clear()
        try:
            async with asyncio.timeout(CONNECT_WITHIN_S):
                await client.connect(
                    self._address.host,
                    self._address.port,
                    ssl=context or False,
                    keepalive=KEEPALIVE_S,
                    version=_MQTT_311,
                )
        except BaseException:
            _abort(client)
            raise
        if not client.is_connected:
            raise ConnectionResetError("lost at once")
        client.subscribe(self._role.listens_to, qos=1)
        self._client = client

    async def until_lost(self) -> None:
        """Return when the connection is gone."""
        await self._lost.wait()

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Hand over a message; without a connection it goes nowhere."""
        if self._client is not None:
            self._client.publish(topic, payload, qos=qos, retain=retain)

    def cut(self) -> None:
        """As a pulled cable would: no goodbye, and what was on its way is gone."""
        if self._client is not None:
            _abort(self._client)

    async def close(self) -> None:
        """Say goodbye; the will is said too, for the agent is off either way."""
        client, self._client = self._client, None
        if client is None:
            return
        client.publish(*self._role.will, qos=1, retain=True)
        try:
            async with asyncio.timeout(1):
                await client.disconnect()
        except UNREACHABLE:
            _abort(client)

    def _make_client(self) -> gmqtt.Client:
        topic, payload = self._role.will
        client = gmqtt.Client(
            f"agent-{self._role.agent}",
            clean_session=True,
            will_message=gmqtt.Message(topic, payload, qos=1, retain=True),
            logger=logging.getLogger("gmqtt"),
        )
        # amqtt keeps no session of a client without a user name
        client.set_auth_credentials(self._address.user or self._role.agent, self._address.password)
        client.set_config({"reconnect_retries": _NO_RETRY})
        client.on_message = self._heard
        client.on_disconnect = self._gone
        return client

    def _heard(
        self, _client: gmqtt.Client, topic: str, payload: bytes, _qos: int, _properties: object
    ) -> int:
        if topic == self._role.listens_to:  # amqtt hands out what it retains for all others
            self._on_message(payload)
        return 0

    def _gone(self, client: gmqtt.Client, _packet: object, _error: object = None) -> None:
        if client is self._client:
            self._client = None
            self._lost.set()


def _abort(client: gmqtt.Client) -> None:
    connection = client._connection  # noqa: SLF001 # gmqtt has no way to end a connection without goodbye
    if connection is not None:
        connection._transport.abort()  # noqa: SLF001 # the same
