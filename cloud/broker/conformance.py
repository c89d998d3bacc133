"""What a broker really does, asked before it is relied on.

Brokers differ from their documents: Mosquitto 2.0.11 sends on when its window is full (fixed in 2.0.13), some
speak 3.1.1 only. Nothing is lost by this, for nothing is let go before it is stored, and our own inbox bounds
what is under way; but who runs the system should know.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from cloud.broker.address import BrokerAddress, speaks_mqtt5
from vitals.wire.topics import AgentTopic

WINDOW = 10
_MESSAGES = 4 * WINDOW
_FEW = WINDOW // 2
_WITHIN_S = 5.0
_QUIET_S = 0.2
TOPIC = str(AgentTopic(agent="conformance", name="check"))
"""Nobody listens there but us, and only this check may write there (`deploy/mosquitto/acl`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conformance:
    """What was found. `keeps_window`: no more than asked for is under way without an acknowledgement.

    MQTT 3.1.1 has no way to ask for a window, so there it is None.
    """

    speaks_5: bool
    keeps_window: bool | None


class BrokerSilent(OSError):
    """The broker did not answer in time."""


class _Client:
    """One connection that this check drives itself."""

    def __init__(self, address: BrokerAddress, *, client_id: str, is_modern: bool) -> None:
        self.arrived: list[mqtt.MQTTMessage] = []
        self._is_greeted = False
        self._is_subscribed = False
        version = MQTTProtocolVersion.MQTTv5 if is_modern else MQTTProtocolVersion.MQTTv311
        self.paho = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=None if is_modern else True,
            protocol=version,
            manual_ack=True,
        )
        self.paho.username_pw_set(address.user, None if address.tls else address.password)
        if address.tls is not None:
            self.paho.tls_set_context(address.tls.context())
        self.paho.max_inflight_messages_set(_MESSAGES)
        self.paho.on_connect = self._greeted
        self.paho.on_subscribe = self._subscribed
        self.paho.on_message = self._take
        self._connect(address, is_modern=is_modern)

    def _connect(self, address: BrokerAddress, *, is_modern: bool) -> None:
        if not is_modern:
            self.paho.connect(address.host, address.port)
        else:
            asked = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho's own
            asked.ReceiveMaximum = WINDOW
            self.paho.connect(address.host, address.port, clean_start=True, properties=asked)
        self.turn(lambda: self._is_greeted)

    def _greeted(self, _client: mqtt.Client, _state: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self._is_greeted = not reason.is_failure

    def _subscribed(self, *_said: Any) -> None:
        self._is_subscribed = True

    def _take(self, _client: mqtt.Client, _state: Any, message: mqtt.MQTTMessage) -> None:
        if message.topic == TOPIC and not message.retain:
            self.arrived.append(message)

    def turn(self, until: Callable[[], bool], *, within_s: float = _WITHIN_S) -> None:
        """Work until something is so.

        Raises:
            BrokerSilent: not in time.
        """
        deadline = time.monotonic() + within_s
        while not until():
            if time.monotonic() > deadline or self.paho.loop(0.05) != mqtt.MQTT_ERR_SUCCESS:
                raise BrokerSilent("the broker does not answer the questions of the conformance check")

    def linger(self, for_s: float) -> None:
        """Work for a while, whatever comes."""
        deadline = time.monotonic() + for_s
        while time.monotonic() < deadline:
            self.paho.loop(0.05)

    def subscribe(self) -> None:
        """Ask for what this check sends."""
        self.paho.subscribe(TOPIC, qos=1)
        self.turn(lambda: self._is_subscribed)

    def send(self, number: int) -> None:
        """Publish so many, and wait until the broker has them."""
        sent = [self.paho.publish(TOPIC, b"?", qos=1) for _ in range(number)]
        self.turn(lambda: all(one.is_published() for one in sent))

    def acknowledge(self, number: int) -> None:
        """The oldest that have come."""
        for message in self.arrived[:number]:
            self.paho.ack(message.mid, message.qos)
        del self.arrived[:number]

    def close(self) -> None:
        """Say goodbye, so that a will is not spoken."""
        self.paho.disconnect()
        sock = self.paho.socket()
        if sock is not None:
            sock.close()


def ask_broker(address: BrokerAddress, *, client_id: str) -> Conformance:
    """Ask with a client of our own, whose session must not be in use.

    Raises:
        OSError: the broker cannot be reached, refuses us or does not answer (`ssl.SSLError`, `BrokerSilent`).
    """
    is_modern = address.version == 5 or (address.version is None and speaks_mqtt5(address))
    client = _Client(address, client_id=client_id, is_modern=is_modern)
    client.subscribe()
    client.send(_MESSAGES)
    client.linger(_QUIET_S)
    most = len(client.arrived)
    while client.arrived:
        client.acknowledge(_FEW)
        client.linger(_QUIET_S)
        most = max(most, len(client.arrived))
    client.close()
    return Conformance(speaks_5=is_modern, keeps_window=most <= WINDOW if is_modern else None)
