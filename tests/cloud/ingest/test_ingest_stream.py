import queue
import signal
import threading
import time
from contextlib import contextmanager

import paho.mqtt.client as mqtt
import pytest

from cloud.broker.address import parse_mqtt_url
from cloud.events import AgentBorn, AgentGone, AgentHeard, Part, PartState, ReadingsStored
from cloud.ingest.stream import DatabaseWatch, Inbox, IngestStream
from cloud.store.connection import connect
from tests.fixtures.certificates import agent_client
from tests.fixtures.wire_messages import LINEAGE, WireAgent, seconds, utc_now
from vitals.wire.status import Beat, decode_ack, decode_cloud_status, encode_control
from vitals.wire.topics import CLOUD_STATUS, Lane

real = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]
AGENT = WireAgent(agent="hut-stream")


def wait_until(condition, within_s=10.0):
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


class Sender:
    """An agent's end of the broker."""

    def __init__(self, url):
        address = parse_mqtt_url(url)
        self.acks = []
        self.statuses = []
        self.client = agent_client(url, AGENT.agent, protocol=mqtt.MQTTv311)
        self.client.on_message = self._take
        self.client.connect(address.host, address.port)
        self.client.subscribe([(AGENT.topic("ack"), 1), (CLOUD_STATUS, 1)])
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

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


@contextmanager
def ingesting(database_url, mqtt_url, events=None):
    told = queue.SimpleQueue() if events is None else events
    stream = IngestStream(
        database_url,
        parse_mqtt_url(mqtt_url),
        deliver=lambda batch: [told.put(event) for event in batch],
        clock=utc_now,
    )
    stream.start()
    try:
        wait_until(lambda: stream.part_states()[1].ok)
        yield stream
    finally:
        stream.stop()


@pytest.fixture
def sender(mqtt_url):
    opened = Sender(mqtt_url)
    yield opened
    opened.close()


def stored(database):
    return [row[0] for row in database.execute("SELECT value FROM observation ORDER BY value")]


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

    def test_nothing_is_acknowledged_or_told_before_the_commit(
        self, database_url, database, mqtt_url, sender
    ):
        events = queue.SimpleQueue()
        with ingesting(database_url, mqtt_url, events), database.transaction():
            database.execute("LOCK TABLE observation IN ACCESS EXCLUSIVE MODE")
            sender.send(*beats(1))
            time.sleep(0.7)
            told = [events.get() for _ in range(events.qsize())]
            assert sender.upto() == 0
            assert not [event for event in told if isinstance(event, ReadingsStored)]

    @pytest.mark.timeout(90)
    def test_database_that_crashes_midway_loses_nothing(
        self, postgres_server, database_url, mqtt_url, sender
    ):
        with ingesting(database_url, mqtt_url) as stream:
            sender.send(*beats(1, 2))
            wait_until(lambda: sender.upto() == 2)
            postgres_server.stop(signal.SIGQUIT)
            sender.send(*beats(3, 4, 5), *beats(4))
            wait_until(lambda: not stream.part_states()[0].ok, within_s=4)
            assert sender.upto() == 2
            postgres_server.start()
            wait_until(lambda: sender.upto() == 5)
            assert stream.part_states()[0].ok
        with connect(database_url) as database:
            assert stored(database) == [61, 62, 63, 64, 65]

    @pytest.mark.timeout(90)
    def test_broker_that_crashes_is_found_again(self, broker_server, database_url, database, mqtt_url):
        with ingesting(database_url, mqtt_url) as stream:
            broker_server.kill()
            wait_until(lambda: not stream.part_states()[1].ok, within_s=4)
            broker_server.start()
            wait_until(lambda: stream.part_states()[1].ok)
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

    def test_life_and_death_of_an_agent_are_told(self, database_url, mqtt_url, sender):
        events = queue.SimpleQueue()
        beat = AGENT.arrived("beat", encode_control(Beat(v=1, ln=LINEAGE, boot="00", at=1, depth=0)))
        with ingesting(database_url, mqtt_url, events):
            sender.send(AGENT.birth(), beat, AGENT.will())
            kinds = [type(events.get(timeout=5)) for _ in range(3)]
        assert sorted(kinds, key=str) == sorted([AgentBorn, AgentHeard, AgentGone], key=str)


def test_repeat_of_a_waiting_message_joins_it():
    inbox, settled = Inbox(), []
    for number in range(3):
        assert inbox.offer(beats(1)[0], lambda number=number: settled.append(number))

    assert len(inbox.look(limit=10, timeout_s=0)) == 1
    for acknowledge in inbox.settle(1):
        acknowledge()
    assert settled == [0, 1, 2]


@pytest.mark.parametrize("limits", [{"max_messages": 2}, {"max_bytes": 700}], ids=["number", "bytes"])
def test_full_inbox_takes_nothing_and_has_room_again_when_settled(limits):
    inbox = Inbox(**limits)
    offered = [inbox.offer(message, lambda: None) for message in beats(1, 2, 3)]
    assert offered == [True, True, False]

    inbox.settle(1)
    assert inbox.offer(beats(3)[0], lambda: None)
    assert inbox.refused == 1


def test_waiting_for_the_first_message_can_be_ended():
    inbox = Inbox()
    looker = threading.Thread(target=inbox.look, kwargs={"limit": 1, "timeout_s": 30})
    looker.start()
    inbox.offer(beats(1)[0], lambda: None)
    looker.join(timeout=5)

    assert not looker.is_alive()


def watched_database(now):
    return DatabaseWatch(PartState(part=Part.DATABASE, ok=True, since_at=now))


def test_database_that_does_not_answer_is_off_since_the_question():
    start = utc_now()
    watch = watched_database(start)
    watch.begin(start + seconds(10))

    assert watch.state(start + seconds(12)).ok
    state = watch.state(start + seconds(13.5))
    assert (state.ok, state.since_at) == (False, start + seconds(10))
    watch.note(start + seconds(14), ok=True)
    assert watch.state(start + seconds(30)).ok


def test_database_is_back_only_when_it_answers():
    start = utc_now()
    watch = watched_database(start)
    watch.begin(start + seconds(1))
    watch.note(start + seconds(2), ok=False)
    watch.begin(start + seconds(3))
    assert watch.state(start + seconds(9)).since_at == start + seconds(1)

    watch.note(start + seconds(10), ok=True)
    assert (watch.state(start + seconds(11)).ok, watch.state(start + seconds(11)).since_at) == (
        True,
        start + seconds(10),
    )
