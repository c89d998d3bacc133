"""The two threads of ingest: paho's receives and answers pings, the writer's commits and acknowledges.

    broker -> Inbox (bounded) -> one transaction -> PUBACK -> `ack` per agent -> typed events

While the database is away the Inbox keeps what came; a repeat of a waiting message joins it. A message that
finds the Inbox full is neither kept nor acknowledged: the broker and the agent still have it.
"""

import signal
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice

import psycopg
import structlog

from cloud.broker.address import BrokerAddress
from cloud.broker.link import BrokerLink, Delivery, LinkRole
from cloud.events import AgentBorn, AgentGone, AgentHeard, Clock, Deliver, Part, PartState
from cloud.ingest import queries
from cloud.ingest.model import Arrived, Place, StatusMessage, decode, peek_place
from cloud.ingest.service import Writer
from cloud.store.connection import Database, connect
from vitals.wire.batch import to_ms
from vitals.wire.errors import WireError
from vitals.wire.status import Ack, CloudStatus, decode_beat, encode_control
from vitals.wire.topics import CLOUD_STATUS, ROOT, AgentTopic, parse_agent_topic

_log = structlog.get_logger()
SUBSCRIPTIONS = (
    (f"{ROOT}/+/+/vitals", 1),
    (f"{ROOT}/+/+/wave/#", 1),
    (f"{ROOT}/+/+/event", 1),
    (f"{ROOT}/+/+/status", 1),
    (f"{ROOT}/+/+/beat", 0),
)
_SAID_BY_US = ("/ack", "/cmd", CLOUD_STATUS)
_TRANSACTION_MESSAGES = 500
_IDLE_S = 1.0
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 2.0
_STUCK_AFTER = timedelta(seconds=3)


@dataclass(slots=True)
class _Waiting:
    arrived: Arrived
    acknowledge: list[Callable[[], None]]


class Inbox:
    """Messages that wait for the database, bounded by number and bytes."""

    def __init__(self, *, max_messages: int = 20_000, max_bytes: int = 64 * 1024 * 1024) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._waiting: OrderedDict[Place | int, _Waiting] = OrderedDict()
        self._bytes = 0
        self._count = 0
        self._is_closed = False
        self._changed = threading.Condition()
        self.refused = 0

    def offer(self, arrived: Arrived, acknowledge: Callable[[], None]) -> bool:
        """Keep a message, or join it to the same one that waits; False when there is no room."""
        with self._changed:
            self._count += 1
            key = peek_place(arrived.topic, arrived.payload) or self._count
            waiting = self._waiting.get(key)
            if waiting is not None:
                waiting.acknowledge.append(acknowledge)
                return True
            full = len(self._waiting) >= self._max_messages
            if full or self._bytes + len(arrived.payload) > self._max_bytes:
                self.refused += 1
                return False
            self._waiting[key] = _Waiting(arrived, [acknowledge])
            self._bytes += len(arrived.payload)
            self._changed.notify()
            return True

    def look(self, *, limit: int, timeout_s: float) -> list[Arrived]:
        """The oldest messages, which stay until they are settled; waits for the first one."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closed, timeout_s)
            return [waiting.arrived for waiting in islice(self._waiting.values(), limit)]

    def settle(self, number: int) -> list[Callable[[], None]]:
        """Forget the oldest `number` messages, which are stored, and return their acknowledgements."""
        with self._changed:
            settled = [self._waiting.popitem(last=False)[1] for _ in range(number)]
            self._bytes -= sum(len(waiting.arrived.payload) for waiting in settled)
        return [acknowledge for waiting in settled for acknowledge in waiting.acknowledge]

    def close(self) -> None:
        """Let `look` return at once from now on."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def __len__(self) -> int:
        return len(self._waiting)


@dataclass(slots=True)
class DatabaseWatch:
    """Whether the database answers. A write that takes too long counts as no answer."""

    _state: PartState
    _busy_since: datetime | None = field(default=None)

    def begin(self, now: datetime) -> None:
        """A question is put to the database."""
        self._busy_since = self._busy_since or now

    def note(self, now: datetime, *, ok: bool) -> None:
        """It answered, or it did not."""
        since_at = self._busy_since if not ok and self._busy_since else now
        self._busy_since = None
        if self._state.ok is not ok:
            self._state = PartState(part=Part.DATABASE, ok=ok, since_at=since_at)

    def state(self, now: datetime) -> PartState:
        """As it is now."""
        busy_since = self._busy_since
        if self._state.ok and busy_since is not None and now - busy_since > _STUCK_AFTER:
            return PartState(part=Part.DATABASE, ok=False, since_at=busy_since)
        return self._state


class IngestStream:
    """Receives, stores, acknowledges, tells. Both threads call `deliver`, which must return at once."""

    def __init__(self, database_url: str, address: BrokerAddress, *, deliver: Deliver, clock: Clock) -> None:
        self._database_url = database_url
        self._deliver = deliver
        self._clock = clock
        self._inbox = Inbox()
        self._writer = Writer()
        self._acks: dict[str, Ack] = {}
        self._stopping = threading.Event()
        self._database: Database | None = None
        self._watch = DatabaseWatch(PartState(part=Part.DATABASE, ok=True, since_at=clock()))
        role = LinkRole(
            client_id="qianli-ingest",
            subscriptions=SUBSCRIPTIONS,
            status_topic=CLOUD_STATUS,
            online=lambda: encode_control(CloudStatus(v=1, online=True, at=to_ms(clock()))),
            offline=encode_control(CloudStatus(v=1, online=False)),
        )
        self._link = BrokerLink(
            address, role, on_delivery=self.receive, on_connected=self._publish_known_acks, clock=clock
        )
        self._thread = threading.Thread(target=self._run, name="ingest-writer", daemon=True)

    def start(self) -> None:
        """Start both threads."""
        self._thread.start()
        self._link.start()

    def stop(self) -> None:
        """Finish the transaction that runs; what still waits was not acknowledged and will come again."""
        self._stopping.set()
        self._inbox.close()
        if self._thread.is_alive():
            self._thread.join(timeout=1.5)
        self._link.stop()

    def part_states(self) -> tuple[PartState, PartState]:
        """Database and broker as they are now."""
        return self._watch.state(self._clock()), self._link.state

    def receive(self, delivery: Delivery) -> None:
        """Take one message from the broker (paho's thread)."""
        now = self._clock()
        if delivery.topic.endswith(_SAID_BY_US):
            delivery.acknowledge()  # amqtt gives to whoever connects what it retains for all others
            return
        if delivery.topic.endswith("/beat"):
            self._receive_beat(delivery, now)
            return
        arrived = Arrived(
            topic=delivery.topic, payload=delivery.payload, received_at=now, retained=delivery.retained
        )
        if delivery.topic.endswith("/status"):
            self._tell_status(arrived)
        if not self._inbox.offer(arrived, delivery.acknowledge):
            _log.warning("inbox_full", waiting=len(self._inbox), refused=self._inbox.refused)

    def _receive_beat(self, delivery: Delivery, now: datetime) -> None:
        try:
            agent = parse_agent_topic(delivery.topic).agent
            decode_beat(delivery.payload)
        except WireError as error:
            _log.warning("beat_refused", topic=delivery.topic, error=str(error))
            return
        self._deliver([AgentHeard(agent=agent, heard_at=now)])

    def _tell_status(self, arrived: Arrived) -> None:
        """An agent that comes or goes is news even while the database is away."""
        decoded = decode(arrived)
        if not isinstance(decoded, StatusMessage):
            return
        heard_at = None if arrived.retained else arrived.received_at
        if not decoded.status.online:
            self._deliver([AgentGone(agent=decoded.agent, heard_at=heard_at)])
            return
        self._deliver(
            [AgentBorn(agent=decoded.agent, sources=tuple(decoded.status.sources), heard_at=heard_at)]
        )

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                messages = self._inbox.look(limit=_TRANSACTION_MESSAGES, timeout_s=_IDLE_S)
                self._store_until_done(messages)
        except Exception:
            # Without its writer the process would look alive: better that it ends and is restarted.
            _log.exception("writer_failed")
            signal.raise_signal(signal.SIGTERM)
        finally:
            self._disconnect()

    def _store_until_done(self, messages: Sequence[Arrived]) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self._stopping.is_set():
            self._watch.begin(self._clock())
            try:
                self._store(messages)
            except psycopg.Error as error:
                self._watch.note(self._clock(), ok=False)
                _log.warning("database_failed", waiting=len(self._inbox), error=" ".join(str(error).split()))
                self._disconnect()
                self._stopping.wait(pause_s)
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
            else:
                self._watch.note(self._clock(), ok=True)
                return

    def _store(self, messages: Sequence[Arrived]) -> None:
        if self._database is None:
            self._database = connect(self._database_url)
        if not messages:
            queries.is_alive(self._database)
            return
        written = self._writer.write(self._database, messages, now=self._clock())
        for acknowledge in self._inbox.settle(len(messages)):
            acknowledge()
        self._acks |= written.acks
        for agent, ack in written.acks.items():
            self._publish_ack(agent, ack)
        self._deliver(written.events)
        if self._inbox.refused and len(self._inbox) == 0:
            self._inbox.refused = 0
            self._link.restart()

    def _disconnect(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    def _publish_known_acks(self) -> None:
        """After a reconnect: a broker that lost its memory gets the retained ones again."""
        for agent, ack in dict(self._acks).items():
            self._publish_ack(agent, ack)

    def _publish_ack(self, agent: str, ack: Ack) -> None:
        self._link.publish(str(AgentTopic(agent=agent, name="ack")), encode_control(ack), retain=True)
