"""One connection to the broker over paho that comes back by itself, with acknowledgement by hand.

The loop is ours: paho's own waits for the socket again before each message, and is woken for each
acknowledgement, which together cost more than what is done with a message.
"""

import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec
import paho.mqtt.client as mqtt
import structlog
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from cloud.broker.address import BrokerAddress, speaks_mqtt5
from cloud.broker.buffered import BufferedClient
from cloud.events import Clock, Part, PartState

_log = structlog.get_logger()
_KEEPALIVE_S = 10
_CONNACK_WITHIN_S = 5.0
_SESSION_EXPIRY_S = 86_400
_RECEIVE_MAXIMUM = 1000
_LOOK_EVERY_S = 1.0
_PACKETS_BETWEEN_LOOKS = 200
_GOODBYE_WITHIN_S = 0.5
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 5.0


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A message as it arrived. `acknowledge` sends the PUBACK on the connection that it came from."""

    topic: str
    payload: bytes
    retained: bool
    acknowledge: Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """What a link says of itself, retained: `online` when it is there, `offline` as its will."""

    topic: str
    online: Callable[[], bytes]
    offline: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkRole:
    """Who we are at the broker. A lasting session gets later what came while we were away.

    `version` 3 is MQTT 3.1.1, None the best that the broker speaks. In MQTT 5 paho spends more on the
    properties of a message, which ours have not, than on all the rest of it. Nothing is read while there is
    no room for it (`has_room`), so that the broker and who sends to it are slowed; an acknowledgement lets
    us look again.
    """

    client_id: str
    subscriptions: tuple[tuple[str, int], ...]
    is_lasting: bool
    announcement: Announcement | None = None
    version: int | None = None
    has_room: Callable[[], bool] = lambda: True


class BrokerLink:
    """Keeps a session at the broker and comes back by itself.

    `on_delivery` and `on_connected` are called in the link's thread and must return at once. Acknowledging
    and publishing are safe from any thread.
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
        self._version = role.version or address.version
        self._stopping = threading.Event()
        self._is_session_over = False
        self._is_connected = False
        self._client: mqtt.Client | None = None
        self._arrived: list[mqtt.MQTTMessage] = []
        self._asked: deque[tuple[mqtt.Client, Callable[[mqtt.Client], object]]] = deque()
        self._bell: socket.socket | None = None
        self._ring: socket.socket | None = None
        self._is_rung = False
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

    def leave(self) -> None:
        """Say that we go, in the background."""
        self._stopping.set()
        self._wake()

    def stop(self) -> None:
        """Say that we go, and end the connection."""
        self.leave()
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)

    def restart(self) -> None:
        """Reconnect, so that the broker delivers again what was not acknowledged."""
        self._is_session_over = True
        self._wake()

    def publish(self, topic: str, payload: bytes, *, retain: bool, qos: int = 1) -> bool:
        """Hand over one message; False when there is no connection, and then nothing is kept."""
        client = self._client
        if client is None or not self._is_connected:
            return False
        self._ask(client, lambda client: client.publish(topic, payload, qos=qos, retain=retain))
        return True

    def _ask(self, client: mqtt.Client, action: Callable[[mqtt.Client], object]) -> None:
        """Let the link's thread do it on this connection, or nobody once that has ended."""
        self._asked.append((client, action))
        if not self._is_rung:
            self._wake()

    def _wake(self) -> None:
        self._is_rung = True
        with suppress(OSError):  # it is full, and so has been heard; or nobody listens any more
            if self._ring is not None:
                self._ring.send(b"!")

    def _run(self) -> None:
        self._bell, self._ring = socket.socketpair()
        with self._bell, self._ring:
            self._bell.settimeout(0)
            self._ring.settimeout(0)
            self._come_back_until_stopped()

    def _come_back_until_stopped(self) -> None:
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
        self._is_session_over = self._is_connected = False
        self._arrived.clear()  # of a session that ended: it was not acknowledged and comes again
        client = self._build_client()
        self._connect(client)
        self._client = client
        give_up_mono_s = time.monotonic() + _CONNACK_WITHIN_S
        was_connected = False
        try:
            while not self._is_session_over and not self._stopping.is_set():
                was_connected = was_connected or self._is_connected
                if not was_connected and time.monotonic() > give_up_mono_s:
                    break
                self._turn(client, timeout_s=_LOOK_EVERY_S)
            if self._stopping.is_set() and self._is_connected:
                self._say_goodbye(client)
        finally:
            self._is_connected = False
            self._client = None
            client.disconnect()
        return was_connected

    def _turn(self, client: BufferedClient, *, timeout_s: float) -> None:
        """Wait until something can be done, and do it."""
        broker, bell = client.buffered(), self._bell
        if broker is None or bell is None:
            self._is_session_over = True
            return
        try:
            if client.want_write():  # what was asked for within a callback
                client.loop_write()
            broker.flush()
        except OSError:
            self._is_session_over = True
            return
        # Unlike `select`, `poll` knows descriptors of any number.
        waiting = select.poll()
        has_room = not self._is_connected or self._role.has_room()
        sought = (select.POLLIN if has_room else 0) | (select.POLLOUT if broker.has_unsent else 0)
        waiting.register(broker, sought)
        waiting.register(bell, select.POLLIN)
        is_unread = has_room and broker.has_unread
        ready = dict(waiting.poll(0 if is_unread else timeout_s * 1000))
        of_broker = ready.get(broker.fileno(), 0)
        if bell.fileno() in ready:
            bell.recv(4096)
            self._is_rung = False  # after it: who asks meanwhile would ring a bell that is then emptied
        self._do_asked(client)
        if is_unread or of_broker & ~select.POLLOUT:
            self._read(client)
            self._hand_out(client)
        client.loop_misc()

    def _read(self, client: BufferedClient) -> None:
        """What has come, packet after packet; the rest of a burst waits a turn."""
        for _ in range(_PACKETS_BETWEEN_LOOKS):
            if client.loop_read() != mqtt.MQTT_ERR_SUCCESS:
                self._is_session_over = True
                return
            broker = client.buffered()
            if broker is None or not broker.has_unread:
                return

    def _do_asked(self, client: mqtt.Client) -> None:
        while self._asked:
            asked_of, action = self._asked.popleft()
            if asked_of is client:
                action(client)

    def _say_goodbye(self, client: BufferedClient) -> None:
        spoken = self._role.announcement
        self._do_asked(client)
        if spoken is None:
            return
        said = client.publish(spoken.topic, spoken.offline, qos=1, retain=True)
        ends_mono_s = time.monotonic() + _GOODBYE_WITHIN_S
        while not self._is_session_over and not said.is_published() and time.monotonic() < ends_mono_s:
            self._turn(client, timeout_s=0.05)

    def _build_client(self) -> BufferedClient:
        modern = self._version == 5
        client = BufferedClient(
            CallbackAPIVersion.VERSION2,
            client_id=self._role.client_id,
            clean_session=None if modern else not self._role.is_lasting,
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
        if self._role.announcement is not None:
            spoken = self._role.announcement
            client.will_set(spoken.topic, spoken.offline, qos=1, retain=True)
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
        properties.SessionExpiryInterval = _SESSION_EXPIRY_S if self._role.is_lasting else 0
        properties.ReceiveMaximum = _RECEIVE_MAXIMUM
        client.connect(
            host,
            port,
            keepalive=_KEEPALIVE_S,
            clean_start=not self._role.is_lasting,
            properties=properties,
        )

    def _greeted(self, client: mqtt.Client, _state: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            _log.warning("broker_refused", broker=str(self._address), reason=str(reason))
            self._is_session_over = True
            return
        client.subscribe(list(self._role.subscriptions))
        if self._role.announcement is not None:
            spoken = self._role.announcement
            client.publish(spoken.topic, spoken.online(), qos=1, retain=True)
        self._is_connected = True
        _log.info("broker_connected", broker=str(self._address))
        self._note_state(ok=True)
        self._on_connected()

    def _disconnected(
        self, _client: mqtt.Client, _state: Any, _flags: Any, _reason: Any, _properties: Any
    ) -> None:
        self._note_state(ok=False)
        self._is_session_over = True

    def _delivered(self, _client: mqtt.Client, _state: Any, message: mqtt.MQTTMessage) -> None:
        self._arrived.append(message)

    def _hand_out(self, client: mqtt.Client) -> None:
        """What one look brought: reading and this take half as long when they do not alternate."""
        arrived, self._arrived = self._arrived, []
        for message in arrived:
            self._deliver(client, message)

    def _deliver(self, client: mqtt.Client, message: mqtt.MQTTMessage) -> None:
        mid, qos = message.mid, message.qos

        def acknowledge() -> None:
            if qos:
                self._ask(client, lambda client: client.ack(mid, qos))

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
            # The root of the link's thread: an error here would end it and leave a link that looks alive.
            _log.exception("delivery_failed", topic=topic)
            self._is_session_over = True
