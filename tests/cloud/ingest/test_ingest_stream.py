import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import paho.mqtt.client as mqtt
import pytest
from msgspec import structs

from cloud.broker.address import parse_mqtt_url
from cloud.ingest import stream
from cloud.ingest.model import decode
from cloud.ingest.stream import LONGEST_SILENCE_S, AckBook, Inbox, IngestStream, Share
from cloud.shards.model import LEASE_LASTS, Lease, LeaseLost
from cloud.store.connection import connect
from cloud.store.fence import UNCONTESTED, Fence
from tests.fixtures.certificates import agent_client
from tests.fixtures.stored import stored_cells
from tests.fixtures.wire_messages import LINEAGE, SOURCE, WireAgent, seconds, utc_now
from vitals.gap import GapCause
from vitals.observation import SourceId
from vitals.wire.status import Ack, decode_ack, decode_cloud_status
from vitals.wire.topics import CLOUD_STATUS, AgentTopic, Lane, shard_of

real = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]
AGENT = WireAgent(agent="hut-stream")
OWN_SHARD = shard_of(AGENT.agent)


def wait_until(condition, within_s=10.0):
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


class Sender:
    """An agent's end of the broker."""

    def __init__(self, url, agent=AGENT.agent):
        address = parse_mqtt_url(url)
        self.acks = []
        self.statuses = []
        self.client = agent_client(url, agent, protocol=mqtt.MQTTv311)
        self.client.on_message = self._take
        self.client.connect(address.host, address.port)
        self.client.subscribe([(str(AgentTopic(agent=agent, name="ack")), 1), (CLOUD_STATUS, 1)])
        self.client.loop_start()

    def _take(self, _client, _state, message):
        if message.topic == CLOUD_STATUS:
            self.statuses.append(decode_cloud_status(message.payload).online)
        elif message.payload and not message.retain:  # what an earlier test was told does not count
            self.acks.append(decode_ack(message.payload))

    def send(self, *messages):
        for message in messages:
            self.client.publish(message.topic, message.payload, qos=1).wait_for_publish(timeout=5)

    def upto(self):
        return max((ack.upto[Lane.LIVE] for ack in self.acks if ack.ln == LINEAGE), default=0)

    def said(self):
        """The sum over all lanes."""
        return max((sum(ack.upto.values()) for ack in self.acks if ack.ln == LINEAGE), default=0)

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


WAITING_FOR = "SELECT count(*) FROM pg_locks WHERE relation = %s::regclass AND NOT granted"


@contextmanager
def ingesting(database_url, mqtt_url, *, fence=UNCONTESTED, shards=()):
    stream = IngestStream(
        database_url,
        parse_mqtt_url(mqtt_url).as_part("ingest-0"),
        share=Share(name="ingest-0", shards=shards),
        fence=fence,
        clock=utc_now,
    )
    stream.start()
    try:
        wait_until(lambda: stream._link.state.ok)
        yield stream
    finally:
        stream.stop()


@pytest.fixture
def sender(mqtt_url):
    opened = Sender(mqtt_url)
    yield opened
    opened.close()


def stored(database):
    return sorted(cell["value"] for cell in stored_cells(database, SOURCE))


def beats(*sequence):
    return [AGENT.vitals(s, 60 + s, at=utc_now() - seconds(20 - s)) for s in sequence]


class TestRealThings:
    pytestmark = real

    def test_value_is_committed_when_the_acknowledgement_arrives(
        self, database_url, database, mqtt_url, sender
    ):
        with ingesting(database_url, mqtt_url):
            sender.send(AGENT.birth(), *beats(1, 2, 3))
            wait_until(lambda: sender.upto() == 3)
            assert stored(database) == [61, 62, 63]

    def test_what_the_cloud_said_itself_is_no_dead_letter_when_a_broker_hands_it_back(
        self, database_url, database, mqtt_url, sender
    ):
        for s in (1, 2):  # amqtt gives to whoever comes back what it retains for the subscriptions of others
            with ingesting(database_url, mqtt_url):
                sender.send(*beats(s))
                wait_until(lambda s=s: sender.upto() == s)
                time.sleep(0.3)

        assert database.execute("SELECT topic FROM dead_letter").fetchall() == []

    def test_burst_over_tls_is_taken_whole(self, database_url, database, mqtt_url, sender):
        messages = [AGENT.vitals(s, s % 100, at=utc_now() - seconds(s / 100)) for s in range(1, 601)]
        with ingesting(database_url, mqtt_url):
            for message in messages:
                sender.client.publish(message.topic, message.payload, qos=1)
            wait_until(lambda: sender.upto() == 600, within_s=30)

        assert stored(database) == sorted(s % 100 for s in range(1, 601))

    def test_message_is_tried_again_while_others_keep_coming(self, database_url, database, mqtt_url, sender):
        database.execute(
            "INSERT INTO dead_letter (topic, payload, reason, detail, received_at, replay_asked_at) "
            "VALUES ('q/v1/00/x/vitals', '?', 'contract', '', now(), now())"
        )
        with ingesting(database_url, mqtt_url):
            for s in range(1, 500):
                sender.send(AGENT.vitals(s, 70, at=utc_now()))
                if database.execute("SELECT replay_asked_at FROM dead_letter").fetchone() == (None,):
                    break
            else:
                pytest.fail("it was never tried")

    @pytest.mark.parametrize(
        ("table", "measured"),
        [
            ("series_batch", lambda at: AGENT.vitals(1, 61, at=at)),
            ("observation", lambda at: AGENT.vitals(1, 97, at=at, key="spo2")),
            ("wave_block", lambda at: AGENT.wave(1, [1, 2], at=at)),
            ("gap", lambda at: AGENT.gap(1, GapCause.SENSOR_OFF, start=at)),
            ("lane_progress", lambda at: AGENT.vitals(1, 61, at=at)),
        ],
        ids=["values of a series", "value", "wave", "gap", "progress"],
    )
    def test_nothing_is_acknowledged_before_the_commit(
        self, database_url, database, mqtt_url, sender, table, measured
    ):
        message = measured(utc_now())
        with ingesting(database_url, mqtt_url):
            sender.send(AGENT.birth())
            wait_until(lambda: database.execute("SELECT count(*) FROM source").fetchone() == (1,))
            with database.transaction():
                database.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
                sender.send(message)
                wait_until(lambda: database.execute(WAITING_FOR, (table,)).fetchone() == (1,))
                time.sleep(0.5)
                assert sender.said() == 0
            wait_until(lambda: sender.said() == 1)

    def test_nothing_is_stored_or_acknowledged_once_the_fence_is_up(
        self, database_url, database, mqtt_url, sender
    ):
        lost = LeaseLost(Lease(group=0, groups=1, holder="w", token=1))
        refuse = Fence(condition="false", refusal=lost)
        with ingesting(database_url, mqtt_url, fence=refuse) as stream:
            sender.send(*beats(1))
            wait_until(lambda: not stream._link.state.ok)
            assert (sender.upto(), stored(database)) == (0, [])
        with ingesting(database_url, mqtt_url):
            sender.send(*beats(1))  # as an agent does that has heard nothing
            wait_until(lambda: sender.upto() == 1)

    def test_only_messages_of_its_shards_are_taken(self, database_url, database, mqtt_url, sender):
        other = next(agent for agent in (f"hut-{n}" for n in range(99)) if shard_of(agent) != OWN_SHARD)
        foreign = Sender(mqtt_url, other)
        with ingesting(database_url, mqtt_url, shards=(OWN_SHARD,)):
            foreign.send(replace(AGENT, agent=other, src=SourceId("s-9")).vitals(1, 40, at=utc_now()))
            sender.send(*beats(1))
            wait_until(lambda: sender.upto() == 1)
            time.sleep(0.3)
            assert stored(database) == [61]
        foreign.close()

    @pytest.mark.timeout(90)
    def test_database_that_crashes_midway_loses_nothing(
        self, postgres_server, database_url, mqtt_url, sender
    ):
        with ingesting(database_url, mqtt_url):
            sender.send(*beats(1, 2))
            wait_until(lambda: sender.upto() == 2)
            postgres_server.stop(signal.SIGQUIT)
            sender.send(*beats(3, 4, 5), *beats(4))
            time.sleep(1)
            assert sender.upto() == 2
            postgres_server.start()
            wait_until(lambda: sender.upto() == 5)
        with connect(database_url) as database:
            assert stored(database) == [61, 62, 63, 64, 65]

    @pytest.mark.timeout(90)
    def test_broker_that_crashes_is_found_again(self, broker_server, database_url, database, mqtt_url):
        with ingesting(database_url, mqtt_url) as stream:
            broker_server.kill()
            wait_until(lambda: not stream._link.state.ok, within_s=4)
            broker_server.start()
            wait_until(lambda: stream._link.state.ok)
            sender = Sender(mqtt_url)
            sender.send(*beats(1))
            wait_until(lambda: stored(database) == [61])
            wait_until(lambda: sender.upto() == 1)
            sender.close()

    def test_messages_that_came_while_the_cloud_was_off_are_taken_up(
        self, database_url, database, mqtt_url, sender
    ):
        with ingesting(database_url, mqtt_url):
            wait_until(lambda: sender.statuses[-1:] == [True])
        wait_until(lambda: sender.statuses[-1:] == [False])
        sender.send(*beats(1, 2))
        with ingesting(database_url, mqtt_url):
            wait_until(lambda: sender.upto() == 2)
        assert stored(database) == [61, 62]


def test_repeat_of_a_waiting_message_joins_it():
    inbox, settled = Inbox(), []
    for number in range(3):
        assert inbox.offer(decode(beats(1)[0]), lambda number=number: settled.append(number))

    assert len(inbox.look(limit=10, timeout_s=0)) == 1
    for acknowledge in inbox.settle(1):
        acknowledge()
    assert settled == [0, 1, 2]


@pytest.mark.parametrize("limits", [{"max_messages": 2}, {"max_bytes": 500}], ids=["number", "bytes"])
def test_full_inbox_takes_nothing_and_has_room_again_when_settled(limits):
    inbox = Inbox(**limits)
    offered = [inbox.offer(decode(message), lambda: None) for message in beats(1, 2, 3)]
    assert offered == [True, True, False]

    inbox.settle(1)
    assert inbox.offer(decode(beats(3)[0]), lambda: None)
    assert inbox.refused == 1


def test_inbox_with_two_transactions_has_no_room_unless_nothing_gets_done(monkeypatch):
    inbox = Inbox()
    waiting = decode(beats(1)[0])
    for s in range(1, 1002):
        inbox.offer(structs.replace(waiting, place=structs.replace(waiting.place, s=s)), lambda: None)
    inbox.settle(1)
    assert not inbox.has_room()
    inbox.settle(1)
    assert inbox.has_room()

    inbox.offer(structs.replace(waiting, place=structs.replace(waiting.place, s=2000)), lambda: None)
    assert not inbox.has_room()
    monkeypatch.setattr(stream, "_STANDS_STILL_S", 0.05)
    time.sleep(0.1)
    assert inbox.has_room()


def test_inbox_that_is_half_full_of_bytes_has_no_room():
    inbox = Inbox(max_bytes=1000)
    inbox.settle(0)
    assert inbox.has_room()

    for message in beats(1, 2, 3):
        inbox.offer(decode(message), lambda: None)

    assert not inbox.has_room()


def test_rest_ends_with_a_full_transaction_and_not_before():
    inbox = Inbox()
    rested = threading.Thread(target=inbox.gather, args=[2], kwargs={"timeout_s": 30})
    rested.start()
    inbox.offer(decode(beats(1)[0]), lambda: None)
    rested.join(timeout=0.2)
    assert rested.is_alive()

    inbox.offer(decode(beats(2)[0]), lambda: None)
    rested.join(timeout=5)

    assert not rested.is_alive()


def test_waiting_for_the_first_message_can_be_ended():
    inbox = Inbox()
    looker = threading.Thread(target=inbox.look, kwargs={"limit": 1, "timeout_s": 30})
    looker.start()
    inbox.offer(decode(beats(1)[0]), lambda: None)
    looker.join(timeout=5)

    assert not looker.is_alive()


def test_agent_is_answered_at_once_and_then_not_too_often():
    book = AckBook()
    book.put({"hut-1": ack(1)})
    assert book.take(10.0) == [("hut-1", ack(1))]

    book.put({"hut-1": ack(2)})
    assert (book.take(10.45), book.waits) == ([], True)
    book.put({"hut-1": ack(3)})
    assert book.take(10.51) == [("hut-1", ack(3))]
    assert (book.waits, book.said) == (False, {"hut-1": ack(3)})


def ack(upto):
    return Ack(v=1, ln=LINEAGE, upto={Lane.LIVE: upto}, at=0)


@pytest.mark.parametrize(
    ("topic", "wanted"),
    [
        ("q/v1/5a/hut-1/vitals", True),
        ("q/v1/5a/hut-1/wave/ecg", True),
        ("q/v1/5b/hut-1/vitals", False),
        ("q/v1/5a/hut-1/ack", False),
        ("q/v1/cloud/status", False),
        ("q", False),
    ],
)
def test_what_a_session_of_an_earlier_share_still_brings_is_left_to_its_owner(topic, wanted):
    assert Share(name="ingest-0", shards=("5a",)).wants(topic) is wanted


def test_silence_in_a_transaction_ends_before_the_lease_does():
    assert LEASE_LASTS.total_seconds() > LONGEST_SILENCE_S
