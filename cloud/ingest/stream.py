"""The two threads that serve a group of shards: the link's receives, the writer's commits and acknowledges.

    broker -> Inbox (bounded) -> one transaction -> PUBACK -> `ack` per agent

No more is read than can be stored soon, so that senders are slowed. While the database is away the Inbox
keeps what came; a repeat of a waiting message joins it. A message that finds it full is neither kept nor
acknowledged: the broker and the agent still have it.
"""

import signal
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import psycopg
import structlog

from cloud.broker.address import BrokerAddress
from cloud.broker.link import Announcement, BrokerLink, Delivery, LinkRole
from cloud.errors import CloudError
from cloud.events import Clock
from cloud.ingest import queries
from cloud.ingest.model import Arrived, Decoded, Place, StatusMessage, decode
from cloud.ingest.service import BacklogRate, Writer
from cloud.series.port import SeriesStore
from cloud.series.stores.postgres import POSTGRES
from cloud.store.connection import Database, connect
from cloud.store.fence import Fence
from cloud.tracing.port import NO_TRACES, Span, Tracer
from vitals.wire.batch import to_ms
from vitals.wire.status import Ack, CloudStatus, encode_control
from vitals.wire.topics import CLOUD_STATUS, ROOT, AgentTopic

_log = structlog.get_logger()
_STORED = ("vitals", "wave/#", "event", "status")
_ACK_EVERY_S = 0.5
_REST_AT_MOST_S = 0.02
_MANY = 20
"""From so many in a transaction on it pays to wait for more; with fewer somebody would only wait."""
_TRANSACTION_MESSAGES = 500
_ENOUGH = 2 * _TRANSACTION_MESSAGES
_BUSY_FROM = _ENOUGH
_STANDS_STILL_S = 2.0
_IDLE_S = 1.0
_REPLAY_EVERY_S = 2.0
_REPLAYS_AT_ONCE = 50
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 2.0
LONGEST_SILENCE_S = 8.0
"""Whoever is silent in the middle of a transaction (a machine that sleeps) keeps nobody from the lease."""

Load = Callable[[], float]


@dataclass(slots=True)
class _Waiting:
    message: Decoded
    acknowledge: list[Callable[[], None]]


class Inbox:
    """Messages that wait for the database, bounded by number and by their bytes on the wire."""

    def __init__(self, *, max_messages: int = 20_000, max_bytes: int = 16 * 1024 * 1024) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._waiting: OrderedDict[Place | int, _Waiting] = OrderedDict()
        self._bytes = 0
        self._count = 0
        self._is_closed = False
        self._wanted = 1
        self._settled_mono_s = 0.0
        self._changed = threading.Condition()
        self.refused = 0

    def offer(self, message: Decoded, acknowledge: Callable[[], None]) -> bool:
        """Keep a message, or join it to the same one that waits; False when there is no room."""
        place = None if isinstance(message, StatusMessage) else message.place
        size = len(message.arrived.payload)
        with self._changed:
            self._count += 1
            key = place or self._count
            waiting = self._waiting.get(key)
            if waiting is not None:
                waiting.acknowledge.append(acknowledge)
                return True
            full = len(self._waiting) >= self._max_messages
            if full or self._bytes + size > self._max_bytes:
                self.refused += 1
                return False
            self._waiting[key] = _Waiting(message, [acknowledge])
            self._bytes += size
            if len(self._waiting) >= self._wanted:
                self._changed.notify()
            return True

    def look(self, *, limit: int, timeout_s: float) -> list[Decoded]:
        """The oldest messages, which stay until they are settled; waits for the first one."""
        with self._changed:
            self._await(1, timeout_s)
            return [waiting.message for waiting in islice(self._waiting.values(), limit)]

    def gather(self, number: int, *, timeout_s: float) -> None:
        """Rest, so that one transaction takes many; a full one need not wait.

        Who rests as long as the last transaction took is half as busy, and late by that much only.
        """
        with self._changed:
            self._await(number, timeout_s)

    def _await(self, number: int, timeout_s: float) -> None:
        self._wanted = number
        self._changed.wait_for(lambda: len(self._waiting) >= number or self._is_closed, timeout_s)

    def settle(self, number: int) -> list[Callable[[], None]]:
        """Forget the oldest `number` messages, which are stored, and return their acknowledgements."""
        self._settled_mono_s = time.monotonic()
        with self._changed:
            settled = [self._waiting.popitem(last=False)[1] for _ in range(number)]
            self._bytes -= sum(len(waiting.message.arrived.payload) for waiting in settled)
        return [acknowledge for waiting in settled for acknowledge in waiting.acknowledge]

    def has_room(self) -> bool:
        """Whether more should come: two transactions wait at most, unless nothing gets done for long.

        Then it is better to keep what comes, up to the limit, than to lose the session for want of reading.
        """
        stands_still = time.monotonic() - self._settled_mono_s > _STANDS_STILL_S
        is_enough = len(self._waiting) >= _ENOUGH or self._bytes >= self._max_bytes // 2
        return not is_enough or stands_still

    def load(self) -> float:
        """How busy the writer is: 0 is idle, 1 and more means that live values are enough."""
        return len(self._waiting) / _BUSY_FROM

    def close(self) -> None:
        """Let `look` return at once from now on."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def __len__(self) -> int:
        return len(self._waiting)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one stream serves: a name at the broker, which keeps its session, and shards (empty: all).

    `pace` makes what tells agents how fast to send a backlog, from how busy we are (0 is idle, 1 is full up).
    `series` takes the continuous values, and `tracer` hears of every transaction.
    """

    name: str
    shards: Sequence[str] = ()
    speaks_for_ingest: bool = True
    pace: Callable[[Load], BacklogRate] = lambda _load: lambda _agent, _upto, _now: None
    tracer: Tracer = NO_TRACES
    series: SeriesStore = POSTGRES

    def subscriptions(self) -> tuple[tuple[str, int], ...]:
        """Topic filters with their QoS."""
        return tuple((f"{ROOT}/{shard}/+/{name}", 1) for shard in self.shards or ("+",) for name in _STORED)

    def wants(self, topic: str) -> bool:
        """Whether a message is ours to store.

        A lasting session may still have the filters of an earlier share, and amqtt hands out what it retains
        for anybody: whom it concerns gets it too.
        """
        _, _, shard, _, name = (*topic.split("/", 4), "", "", "", "")[:5]
        is_stored = name in _STORED or name.startswith("wave/")
        return is_stored and (not self.shards or shard in self.shards)


class AckBook:
    """What is to be said to each agent: at once, and then again not before `_ACK_EVERY_S` has passed."""

    def __init__(self) -> None:
        self.said: dict[str, Ack] = {}
        self._due: dict[str, Ack] = {}
        self._said_mono_s: dict[str, float] = {}

    def put(self, acks: dict[str, Ack]) -> None:
        """These are true now."""
        self._due |= acks

    def take(self, mono_s: float) -> list[tuple[str, Ack]]:
        """What is to be published now."""
        ripe = [agent for agent in self._due if mono_s - self._said_mono_s.get(agent, -1.0) >= _ACK_EVERY_S]
        taken = [(agent, self._due.pop(agent)) for agent in ripe]
        self._said_mono_s |= dict.fromkeys(ripe, mono_s)
        self.said |= dict(taken)
        return taken

    @property
    def waits(self) -> bool:
        """Whether something is left to say."""
        return bool(self._due)


class IngestStream:
    """Receives, stores, acknowledges, until it is stopped or `fence` says that another one stores now."""

    def __init__(
        self,
        database_url: str,
        address: BrokerAddress,
        *,
        share: Share,
        fence: Fence,
        clock: Clock,
    ) -> None:
        self._database_url = database_url
        self._share = share
        self._clock = clock
        self._inbox = Inbox()
        self._writer = Writer(fence, series=share.series, backlog_rate=share.pace(self._inbox.load))
        self._acks = AckBook()
        self._replay_mono_s = 0.0
        self._counted = dict.fromkeys(("received", "committed", "transactions", "seconds_to_commit"), 0.0)
        self._stopping = threading.Event()
        self._database: Database | None = None
        spoken = Announcement(
            topic=CLOUD_STATUS,
            online=lambda: encode_control(CloudStatus(v=1, online=True, at=to_ms(clock()))),
            offline=encode_control(CloudStatus(v=1, online=False)),
        )
        role = LinkRole(
            client_id=f"qianli-{share.name}",
            subscriptions=share.subscriptions(),
            is_lasting=True,
            announcement=spoken if share.speaks_for_ingest else None,
            version=3,
            has_room=self._inbox.has_room,
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

    def tally(self) -> Mapping[str, float]:
        """What was received and committed, how long that took, and what waits."""
        return {**self._counted, "waiting": len(self._inbox)}

    def receive(self, delivery: Delivery) -> None:
        """Take one message from the broker and read it while others are being stored (the link's thread)."""
        if not self._share.wants(delivery.topic):
            delivery.acknowledge()
            return
        arrived = Arrived(
            topic=delivery.topic,
            payload=delivery.payload,
            received_at=self._clock(),
            retained=delivery.retained,
        )
        self._counted["received"] += 1
        if not self._inbox.offer(decode(arrived), delivery.acknowledge) and self._inbox.refused == 1:
            _log.warning("inbox_full", waiting=len(self._inbox))

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                timeout_s = _ACK_EVERY_S if self._acks.waits else _IDLE_S
                messages = self._inbox.look(limit=_TRANSACTION_MESSAGES, timeout_s=timeout_s)
                if messages:
                    began_mono_s = time.monotonic()
                    self._store_until_done(messages)
                    took_s = time.monotonic() - began_mono_s
                    if len(messages) >= _MANY:
                        self._inbox.gather(_TRANSACTION_MESSAGES, timeout_s=min(took_s, _REST_AT_MOST_S))
                if time.monotonic() >= self._replay_mono_s:
                    self._replay()
                self._publish_acks()
        except CloudError as error:
            _log.warning("another_stores", reason=str(error))
        except Exception:
            # Without its writer the process would look alive: better that it ends and is restarted.
            _log.exception("writer_failed")
            signal.raise_signal(signal.SIGTERM)
        finally:
            self._link.leave()
            self._disconnect()

    def _store_until_done(self, messages: Sequence[Decoded]) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self._stopping.is_set():
            try:
                self._store(messages)
            except psycopg.Error as error:
                _log.warning("database_failed", waiting=len(self._inbox), error=" ".join(str(error).split()))
                self._disconnect()
                self._stopping.wait(pause_s)
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
            else:
                return

    def _store(self, messages: Sequence[Decoded]) -> None:
        with self._share.tracer.trace(Span.STORE, group=self._share.name, messages=len(messages)):
            acks = self._writer.store(self._connection(), messages, now=self._clock())
        self._count(messages)
        for acknowledge in self._inbox.settle(len(messages)):
            acknowledge()
        self._acks.put(dict(acks))
        if self._inbox.refused and len(self._inbox) == 0:
            self._inbox.refused = 0
            self._link.restart()

    def _count(self, messages: Sequence[Decoded]) -> None:
        now = self._clock()
        self._counted["committed"] += len(messages)
        self._counted["transactions"] += 1
        self._counted["seconds_to_commit"] += sum(
            (now - message.arrived.received_at).total_seconds() for message in messages
        )

    def _replay(self) -> None:
        """Try again what somebody asks for, a few at a time: others wait meanwhile."""
        self._replay_mono_s = time.monotonic() + _REPLAY_EVERY_S
        try:
            database = self._connection()
            found = queries.find_replays(database, self._share.shards, limit=_REPLAYS_AT_ONCE)
            for letter_id, arrived in found:
                taken = self._writer.replay(database, letter_id, arrived, now=self._clock())
                _log.info("replayed", letter=letter_id, taken=taken)
        except psycopg.Error as error:
            _log.warning("database_failed", waiting=0, error=" ".join(str(error).split()))
            self._disconnect()

    def _connection(self) -> Database:
        if self._database is None:
            self._database = connect(self._database_url, longest_pause_s=LONGEST_SILENCE_S)
        return self._database

    def _disconnect(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    def _publish_acks(self) -> None:
        for agent, ack in self._acks.take(time.monotonic()):
            self._publish_ack(agent, ack)

    def _publish_known_acks(self) -> None:
        """After a reconnect: a broker that lost its memory gets the retained ones again."""
        for agent, ack in dict(self._acks.said).items():
            self._publish_ack(agent, ack)

    def _publish_ack(self, agent: str, ack: Ack) -> None:
        # QoS 0: if it is lost with the connection, the next one says the same and more.
        topic = str(AgentTopic(agent=agent, name="ack"))
        self._link.publish(topic, encode_control(ack), retain=True, qos=0)
