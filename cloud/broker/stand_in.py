"""Takes an agent's place at the broker, which cuts the agent off.

A broker that has read a new list of revoked certificates asks it of new connections only; one that was open
lives on. But of a client id it keeps one connection: when a second comes, it ends the first (MQTT 3.1.1,
[MQTT-3.1.4-2]; MQTT 5.0, [MQTT-3.1.4-3]). The brokers of `deploy/` make the name in the certificate the
client id, so that an agent cannot hide behind another one, and nobody but its authority can take its place.
"""

import ssl
import tempfile
from collections.abc import Callable
from datetime import datetime
from typing import Any

import paho.mqtt.client as mqtt
import structlog
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from cloud.broker.address import BrokerAddress

_log = structlog.get_logger()
_KEEPALIVE_S = 10
_PAUSE_S = (1, 5)


class StandIn:
    """One connection in an agent's name; it says nothing, asks for nothing, and comes back when it is cut."""

    def __init__(
        self, address: BrokerAddress, agent: str, *, context: ssl.SSLContext, clock: Callable[[], datetime]
    ) -> None:
        self._agent = agent
        self._clock = clock
        self.contested_at: datetime | None = None
        """When somebody took the place back last, or the broker went away."""
        self.is_there = False
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"agent-{agent}",
            clean_session=True,
            protocol=MQTTProtocolVersion.MQTTv311,
        )
        self._client.username_pw_set(agent)  # amqtt keeps no session of a client without a user name
        self._client.tls_set_context(context)
        self._client.reconnect_delay_set(*_PAUSE_S)
        self._client.connect_timeout = 3.0
        self._client.on_connect = self._greeted
        self._client.on_disconnect = self._cut
        self._client.connect_async(address.host, address.port, keepalive=_KEEPALIVE_S)

    def start(self) -> None:
        """Come, in the background."""
        self._client.loop_start()

    def stop(self) -> None:
        """Go, and leave the place empty."""
        self._client.disconnect()
        self._client.loop_stop()
        left = self._client.socket()
        if left is not None:  # it was just being opened; paho leaves it
            left.close()

    def _greeted(self, _client: mqtt.Client, _state: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self.is_there = not reason.is_failure
        _log.info("agent_place_taken", agent=self._agent, refused=reason.is_failure)

    def _cut(self, _client: mqtt.Client, _state: Any, _flags: Any, _reason: Any, _properties: Any) -> None:
        self.is_there = False
        self.contested_at = self._clock()


def context_of(pair: bytes, *, authority: bytes) -> ssl.SSLContext:
    """TLS 1.3 with a key and certificate (PEM) that lie in no folder."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=authority.decode())
    with tempfile.NamedTemporaryFile() as file:  # for its owner only, and gone at once: ssl reads files alone
        file.write(pair)
        file.flush()
        context.load_cert_chain(file.name)
    return context
