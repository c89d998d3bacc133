"""One lasting connection to the broker over paho, with acknowledgement by hand."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as mqtt
import structlog
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from cloud.broker.address import BrokerAddress, speaks_mqtt5
from cloud.events import Clock, Part, PartState

_log = structlog.get_logger()
_KEEPALIVE_S = 10
_CONNACK_WITHIN_S = 5.0
_SESSION_EXPIRY_S = 86_400
_RECEIVE_MAXIMUM = 1000
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A message as it arrived. `acknowledge` sends the PUBACK on the connection that it came from."""

    topic: str
    payload: bytes
    retained: bool
    acknowledge: Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkRole:
    """Who we are at the broker. `offline` is the will of `status_topic`; both messages there are retained.

    Without a `status_topic` nobody is told that we come and go.
    """

    client_id: str
    subscriptions: tuple[tuple[str, int], ...]
    status_topic: str | None = None
    online: Callable[[], bytes] = bytes
    offline: bytes = b""


class BrokerLink:
    """Keeps a persistent session at the broker and comes back by itself.

    `on_delivery` and `on_connected` are called in paho's thread and must return at once. Acknowledging and
    publishing are safe from any thread.
    """

    def __init__(
        self,
        address: BrokerAddress,
        role: LinkRole,
        *,
        on_delivery: Callable[[Delivery], None],
        on_connected: Callable[[], None],
        clock: Clock,
    ) -> None:
        self._address = address
        self._role = role
        self._on_delivery = on_delivery
        self._on_connected = on_connected
        self._clock = clock
        self._state = PartState(part=Part.BROKER, ok=False, since_at=clock())
        self._version = address.version
        self._stopping = threading.Event()
        self._session_over = threading.Event()
        self._connected = threading.Event()
        self._client: mqtt.Client | None = None
        self._thread = threading.Thread(target=self._run, name="broker-link", daemon=True)

    @property
    def state(self) -> PartState:
        """Whether the broker is connected, and since when that is so."""
        return self._state

    def _note_state(self, *, ok: bool) -> None:
        if self._state.ok is not ok:
            self._state = PartState(part=Part.BROKER, ok=ok, since_at=self._clock())

    def start(self) -> None:
        """Begin to connect, in the background."""
        self._thread.start()

    def stop(self) -> None:
        """Say that we go, and end the connection."""
        self._stopping.set()
        self._session_over.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)

    def restart(self) -> None:
        """Reconnect, so that the broker delivers again what was not acknowledged."""
        self._session_over.set()

    def publish(self, topic: str, payload: bytes, *, retain: bool) -> bool:
        """Hand over one QoS 1 message; False when there is no connection, and then nothing is kept."""
        client = self._client
        if client is None or not self._connected.is_set():
            return False
        return client.publish(topic, payload, qos=1, retain=retain).rc == mqtt.MQTT_ERR_SUCCESS

    def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._stopping.is_set():
            try:
                was_connected = self._serve_session()
            except (OSError, ValueError) as error:
                was_connected = False
                _log.warning("broker_unreachable", broker=str(self._address), error=str(error))
            self._note_state(ok=False)
            pause_s = FIRST_PAUSE_S if was_connected else min(pause_s * 2, LONGEST_PAUSE_S)
            self._stopping.wait(pause_s)

    def _serve_session(self) -> bool:
        """Connect and serve until the connection ends; tells whether there was one."""
        if self._version is None:
            self._version = 5 if speaks_mqtt5(self._address) else 3
            _log.info("broker_version", broker=str(self._address), mqtt=self._version)
        self._session_over.clear()
        self._connected.clear()
        client = self._build_client()
        self._client = client
        self._connect(client)
        client.loop_start()
        try:
            greeted = self._connected.wait(_CONNACK_WITHIN_S)
            if greeted and not self._stopping.is_set():
                self._session_over.wait()
            status_topic = self._role.status_topic
            if self._stopping.is_set() and self._connected.is_set() and status_topic is not None:
                told = client.publish(status_topic, self._role.offline, qos=1, retain=True)
                told.wait_for_publish(timeout=0.5)
        except (RuntimeError, ValueError):
            greeted = True  # the connection went away while we said goodbye
        finally:
            self._connected.clear()
            self._client = None
            client.disconnect()
            client.loop_stop()
        return greeted

    def _build_client(self) -> mqtt.Client:
        modern = self._version == 5
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._role.client_id,
            clean_session=None if modern else False,
            protocol=MQTTProtocolVersion.MQTTv5 if modern else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        if self._address.tls is None:
            client.username_pw_set(self._address.user, self._address.password)
        else:
            # amqtt keeps no session of a client without a user name; the certificate says who it is.
            client.username_pw_set(self._address.user)
            client.tls_set_context(self._address.tls.context())
        if self._role.status_topic is not None:
            client.will_set(self._role.status_topic, self._role.offline, qos=1, retain=True)
        client.connect_timeout = 3.0
        client.on_connect = self._greeted
        client.on_disconnect = self._disconnected
        client.on_message = self._delivered
        return client

    def _connect(self, client: mqtt.Client) -> None:
        host, port = self._address.host, self._address.port
        if self._version != 5:
            client.connect(host, port, keepalive=_KEEPALIVE_S)
            return
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho's own
        properties.SessionExpiryInterval = _SESSION_EXPIRY_S
        properties.ReceiveMaximum = _RECEIVE_MAXIMUM
        client.connect(host, port, keepalive=_KEEPALIVE_S, clean_start=False, properties=properties)

    def _greeted(self, client: mqtt.Client, _state: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            _log.warning("broker_refused", broker=str(self._address), reason=str(reason))
            self._session_over.set()
            return
        client.subscribe(list(self._role.subscriptions))
        if self._role.status_topic is not None:
            client.publish(self._role.status_topic, self._role.online(), qos=1, retain=True)
        self._connected.set()
        _log.info("broker_connected", broker=str(self._address))
        self._note_state(ok=True)
        self._on_connected()

    def _disconnected(
        self, _client: mqtt.Client, _state: Any, _flags: Any, _reason: Any, _properties: Any
    ) -> None:
        self._note_state(ok=False)
        self._session_over.set()

    def _delivered(self, client: mqtt.Client, _state: Any, message: mqtt.MQTTMessage) -> None:
        mid, qos = message.mid, message.qos

        def acknowledge() -> None:
            if qos:
                client.ack(mid, qos)

        try:
            topic = message.topic
        except UnicodeDecodeError:
            acknowledge()
            return
        delivery = Delivery(
            topic=topic,
            payload=bytes(message.payload),
            retained=bool(message.retain),
            acknowledge=acknowledge,
        )
        try:
            self._on_delivery(delivery)
        except Exception:
            # The root of paho's thread: an error here would end it and leave a link that looks alive.
            _log.exception("delivery_failed", topic=topic)
            self._session_over.set()
