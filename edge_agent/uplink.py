"""Spool to broker, in small windows, until the cloud says that it is stored.

One thread drives paho and the spool in turn, so that nothing is shared. The broker is only a pipe: its PUBACK
moves nothing; only the cloud's `ack` lets rows go (docs/wire-contract.md). What is not acknowledged in time,
or was under way when the link broke, is sent again.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

import paho.mqtt.client as mqtt
import structlog
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge_agent.clock import OwnClock, now_ms
from edge_agent.commands import CommandDesk, Hooks
from edge_agent.errors import AgentError, IdentityForeign, SettingInvalid
from edge_agent.identity import IdentityFiles, read_identity
from edge_agent.pacing import BackOff, OwnPace, TokenBucket
from edge_agent.spool import Spool, SpooledMessage
from vitals.wire.batch import Timing, stamp_batch
from vitals.wire.command import encode_reply
from vitals.wire.errors import WireError
from vitals.wire.event import stamp_event
from vitals.wire.lane_window import LaneWindow
from vitals.wire.status import Beat, SourceDeclaration, Status, decode_ack, encode_control
from vitals.wire.topics import AgentTopic, Lane
from vitals.wire.wave_block import stamp_wave

log = structlog.get_logger()

WINDOW = {Lane.EVENT: 32, Lane.LIVE: 64, Lane.BACKLOG: 128}
"""In the order in which the lanes are served."""
KEEPALIVE_S = 3
BEAT_EVERY_S = 2.0
CONNECT_WITHIN_S = 5.0
LOOP_S = 0.05
BIRTH_PAUSE_S = 1.0
IDENTITY_LOOK_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerAddress:
    """Where the broker is, and its MQTT version where it is known.

    With `mqtts://host:port` the agent shows its certificate; else `mqtt://user:password@host:port`.
    """

    host: str
    port: int
    user: str | None
    password: str | None
    version: int | None = None
    identity: IdentityFiles | None = None

    @classmethod
    def parse(cls, url: str, *, identity: IdentityFiles | None = None) -> "BrokerAddress":
        """Read an address; `identity` is where the certificate for `mqtts` lies.

        Raises:
            SettingInvalid.
        """
        parts = urlsplit(url)
        version = parse_qs(parts.query).get("version", [None])[0]
        try:
            port = parts.port or (8883 if parts.scheme == "mqtts" else 1883)
        except ValueError as error:
            raise SettingInvalid("QIANLI_MQTT_URL", "its port is not a number up to 65535") from error
        is_known = parts.scheme in ("mqtt", "mqtts" if identity else "mqtt") and version in (None, "3", "5")
        if not is_known or not parts.hostname:
            reason = "expected mqtts://host:port or mqtt://user:password@host:port, each with [?version=3|5]"
            raise SettingInvalid("QIANLI_MQTT_URL", reason)
        return cls(
            host=parts.hostname,
            port=port,
            user=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            version=None if version is None else int(version),
            identity=identity if parts.scheme == "mqtts" else None,
        )


class Uplink:
    """Owns the connection. `start` and `stop` from any thread; everything else happens in its own."""

    def __init__(  # noqa: PLR0913 # one agent, and where it sends to
        self,
        spool: Spool,
        *,
        agent: str,
        boot: str,
        broker: BrokerAddress,
        sources: Callable[[], list[SourceDeclaration]],
        clock: OwnClock | None = None,
    ) -> None:
        self._spool = spool
        self._agent = agent
        self._boot = boot
        self._broker = broker
        self._sources = sources
        self._clock = clock or OwnClock()
        self._clock_step = self._clock.step
        hooks = Hooks(announce=self.announce, resend=self._resend_range)
        self._desk = CommandDesk(spool, boot=boot, clock=self._clock, hooks=hooks)
        self._windows = {lane: LaneWindow(size) for lane, size in WINDOW.items()}
        self._to_resend: set[Lane] = set()
        self._back_off = BackOff()
        self._own_pace = OwnPace()
        self._backlog = TokenBucket(rate=self._own_pace.rate())
        self._rate_of_cloud: float | None = None
        self._client: mqtt.Client | None = None
        self._stopping = threading.Event()
        self._birth_due = threading.Event()
        self._protocol = mqtt.MQTTv311 if broker.version == 3 else mqtt.MQTTv5
        self._connected = False
        self._connected_mono_s = 0.0
        self._beat_mono_s = 0.0
        self._birth_mono_s = 0.0
        self.cut = threading.Event()
        """Set: the link is cut on purpose (from the panel), nothing is sent or received."""
        self._thread = threading.Thread(target=self._run, name="uplink", daemon=True)

    @property
    def is_connected(self) -> bool:
        """Whether the broker has accepted us and the link still stands."""
        return self._connected

    def start(self) -> None:
        """Begin to connect and send."""
        self._thread.start()

    def stop(self) -> None:
        """Say goodbye to the broker and end the thread."""
        self._stopping.set()
        self._thread.join(timeout=5)

    def announce(self) -> None:
        """Send the birth message again: a source is new."""
        self._birth_due.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._stopping.wait(self._attempt())

    def _attempt(self) -> float:
        """One connection, if there may be one; how long to wait before the next."""
        self._connected_mono_s = 0.0
        try:
            if self.cut.is_set() or not self._may_show_identity():
                return IDENTITY_LOOK_S
            self._serve_connection()
        except OSError as error:
            log.info("uplink_unreachable", reason=str(error))
        except AgentError as error:
            log.warning("identity_unusable", reason=str(error))
        except Exception:
            # The root of this thread: a full disk or a flaw must not end it, for nobody would notice.
            log.exception("uplink_failed")
        self._connected = False
        if self.cut.is_set():
            return IDENTITY_LOOK_S
        stood_s = time.monotonic() - self._connected_mono_s if self._connected_mono_s else 0.0
        return self._back_off.pause_after(stood_s)

    def _may_show_identity(self) -> bool:
        """Whether we have what this broker asks for; before the agent is enrolled there is no certificate."""
        if self._broker.identity is None:
            return True
        found = read_identity(self._broker.identity)
        if found is not None and found.agent != self._agent:
            raise IdentityForeign(found.agent, self._agent)
        return found is not None

    def _serve_connection(self) -> None:
        """Connect and work until the link breaks."""
        client = self._make_client()
        self._client = client
        client.connect(self._broker.host, self._broker.port, keepalive=KEEPALIVE_S)
        give_up_mono_s = time.monotonic() + CONNECT_WITHIN_S
        while self._may_go_on(client):
            mono_s = time.monotonic()
            if self._connected:
                self._talk(client, mono_s)
            elif self._connected_mono_s or mono_s > give_up_mono_s:
                break
        self._end(client)
        if not self._connected_mono_s:
            self._try_other_protocol()

    def _may_go_on(self, client: mqtt.Client) -> bool:
        if self._stopping.is_set() or self.cut.is_set():
            return False
        return client.loop(LOOP_S) is MQTTErrorCode.MQTT_ERR_SUCCESS

    def _talk(self, client: mqtt.Client, mono_s: float) -> None:
        if self._clock.step != self._clock_step:
            self._clock_step = self._clock.step
            log.warning("clock_jumped", step=self._clock_step)
            self._birth_due.set()  # it says that no offset is known, which brings an exchange at once
        if self._birth_due.is_set() and mono_s - self._birth_mono_s >= BIRTH_PAUSE_S:
            self._birth_due.clear()
            self._birth_mono_s = mono_s
            self._publish(client, "status", self._birth(), retain=True)
        if mono_s - self._beat_mono_s >= BEAT_EVERY_S:
            self._beat_mono_s = mono_s
            self._publish(client, "beat", self._beat(), qos=0)
            self._own_pace.note(self._spool.last_id(), mono_s=mono_s)
        self._pump(client, mono_s)

    def _make_client(self) -> mqtt.Client:
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"agent-{self._agent}",
            clean_session=None if self._protocol == mqtt.MQTTv5 else True,
            protocol=self._protocol,
        )
        if self._broker.identity is not None:
            client.tls_set_context(self._broker.identity.context())
        else:
            client.username_pw_set(self._broker.user, self._broker.password)
        client.will_set(self._topic("status"), self._will(), qos=1, retain=True)
        client.max_inflight_messages_set(sum(WINDOW.values()) + 16)
        client.on_connect = self._on_connect
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        return client

    def _on_connect(
        self,
        client: mqtt.Client,
        _userdata: object,
        _flags: mqtt.ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            log.warning("uplink_refused", reason=str(reason))
            return
        for lane, window in self._windows.items():
            window.forget()
            self._to_resend.add(lane)
        client.subscribe([(self._topic("ack"), 1), (self._topic("cmd"), 1)])
        self._birth_due.set()
        self._birth_mono_s = 0.0
        self._connected = True
        self._connected_mono_s = time.monotonic()
        log.info("uplink_connected", protocol=int(self._protocol))

    def _on_disconnect(self, *_details: object) -> None:
        self._connected = False

    def _on_message(self, client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage) -> None:
        # amqtt hands to whoever connects what it retains for the subscriptions of all others
        if message.topic == self._topic("ack"):
            self._take_ack(bytes(message.payload))
        elif message.topic == self._topic("cmd") and not message.retain:
            for reply in self._desk.take(bytes(message.payload)):
                self._publish(client, "cmd/reply", encode_reply(reply))

    def _take_ack(self, payload: bytes) -> None:
        try:
            ack = decode_ack(payload)
        except WireError as error:
            log.warning("ack_unreadable", reason=str(error))
            return
        if ack.ln != self._spool.lineage:
            return  # it speaks of the spool of a disk that was here before
        released = self._spool.released()
        if any(upto < released[lane] for lane, upto in ack.upto.items()):
            log.warning("cloud_knows_less", upto=ack.upto, released=released)  # a database from a backup
            self._birth_due.set()
        self._rate_of_cloud = ack.rate
        self._spool.acknowledge(ack.upto)
        for lane, upto in ack.upto.items():
            self._windows[lane].acknowledge(upto, time.monotonic())

    def _pump(self, client: mqtt.Client, mono_s: float) -> None:
        for lane, window in self._windows.items():
            if window.is_overdue(mono_s):
                self._probe(client, lane, mono_s)
            room = self._room(lane, mono_s)
            if room > 0 and lane in self._to_resend:
                room -= self._resend(client, lane, mono_s=mono_s, limit=room)
            if room > 0:
                for message in self._spool.assign(lane, now_ms=now_ms(), limit=room):
                    self._send(client, message, mono_s)

    def _room(self, lane: Lane, mono_s: float) -> int:
        """How many messages of a lane may go now. The backlog goes at its rate, and lets live values pass."""
        free = self._windows[lane].free()
        if lane is not Lane.BACKLOG:
            return free
        if self._windows[Lane.EVENT].is_late(mono_s) or self._windows[Lane.LIVE].is_late(mono_s):
            return 0
        self._backlog.rate = self._own_pace.rate() if self._rate_of_cloud is None else self._rate_of_cloud
        return self._backlog.take(free, mono_s=mono_s)

    def _resend_range(self, lane: Lane, first: int, last: int) -> int:
        messages = self._spool.within(lane, first=first, last=last)
        for message in messages:
            if self._client is not None:
                self._send(self._client, message, time.monotonic())
        return len(messages)

    def _probe(self, client: mqtt.Client, lane: Lane, mono_s: float) -> None:
        window = self._windows[lane]
        oldest = self._spool.unacknowledged(lane)[: window.probes]
        for message in oldest:
            self._send(client, message, mono_s)
        if oldest:
            window.note_probe(oldest[-1].s, mono_s)
        else:
            window.forget()

    def _resend(self, client: mqtt.Client, lane: Lane, *, mono_s: float, limit: int) -> int:
        """Send again what is not known to be stored and not under way, within the same limits; how many."""
        under_way = self._windows[lane].sent_mono_s
        waiting = [message for message in self._spool.unacknowledged(lane) if message.s not in under_way]
        for message in waiting[:limit]:
            self._send(client, message, mono_s)
        if len(waiting) <= limit:
            self._to_resend.discard(lane)
        return min(len(waiting), limit)

    def _send(self, client: mqtt.Client, message: SpooledMessage, mono_s: float) -> None:
        self._windows[message.lane].note_sent(message.s, mono_s)
        timing = self._clock.timing_of(message.clock)
        self._publish(client, message.topic, stamp(message, sent_ms=now_ms(), timing=timing))

    def _publish(
        self, client: mqtt.Client, name: str, payload: bytes, *, qos: int = 1, retain: bool = False
    ) -> None:
        client.publish(self._topic(name), payload, qos=qos, retain=retain)

    def _topic(self, name: str) -> str:
        return str(AgentTopic(agent=self._agent, name=name))

    def _birth(self) -> bytes:
        return encode_control(
            Status(
                v=1,
                agent=self._agent,
                boot=self._boot,
                online=True,
                ln=self._spool.lineage,
                at=now_ms(),
                clk=self._clock.state(),
                sources=self._sources(),
                released=self._spool.released(),
            )
        )

    def _will(self) -> bytes:
        return encode_control(Status(v=1, agent=self._agent, boot=self._boot, online=False))

    def _beat(self) -> bytes:
        depth = self._spool.depth()
        return encode_control(
            Beat(
                v=1,
                ln=self._spool.lineage,
                boot=self._boot,
                at=now_ms(),
                depth=depth.messages,
                oldest=depth.oldest_ms,
                clk=self._clock.state(),
            )
        )

    def _end(self, client: mqtt.Client) -> None:
        """A planned stop tells the broker to publish the will too: the agent is off either way."""
        if not self._connected:
            return
        if self.cut.is_set():
            sock = client.socket()
            if sock is not None:
                sock.close()  # as a pulled cable would: no goodbye
            return
        self._publish(client, "status", self._will(), retain=True)
        client.loop(LOOP_S)
        client.disconnect()

    def _try_other_protocol(self) -> None:
        """MQTT 5 where the broker offers it, 3.1.1 where not; a version that was given stays."""
        if self._broker.version is not None:
            return
        self._protocol = mqtt.MQTTv311 if self._protocol == mqtt.MQTTv5 else mqtt.MQTTv5


def stamp(message: SpooledMessage, *, sent_ms: int, timing: Timing) -> bytes:
    """The payload as it goes out now. The two ends of a gap are told apart, and have to stay as they were."""
    lane, s = message.lane, message.s
    if message.topic == "event":
        return stamp_event(message.payload, lane=lane, s=s, sent_ms=sent_ms)
    into = stamp_batch if message.topic == "vitals" else stamp_wave
    return into(message.payload, lane=lane, s=s, sent_ms=sent_ms, timing=timing)
