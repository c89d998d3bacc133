"""The uplink against a real broker, with a cloud that the test plays itself."""

import asyncio
import queue
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime

import paho.mqtt.client as mqtt
import pytest
from structlog.testing import capture_logs

from cloud.broker.address import AUTHORITY_FILE
from cloud.enrolment.authority.files import cloud_pair, open_authority
from edge_agent.clock import Hands, OwnClock, now_us
from edge_agent.errors import SettingInvalid
from edge_agent.spool import OutboxEntry, Spool
from edge_agent.uplink import BrokerAddress, Uplink
from qianli.embedded.broker import broker_answers
from tests.fixtures.certificates import agent_identity, tls_context
from tests.fixtures.running_demo import free_port, wait_until
from vitals.observation import Observation, SourceId, VitalKey
from vitals.wire.batch import ClockState, Envelope, build_batch, decode_batch, encode_batch, from_ms
from vitals.wire.command import Command, ReplyState, ResendArgs, as_words, decode_reply, encode_command
from vitals.wire.status import Ack, decode_beat, decode_status, encode_control
from vitals.wire.topics import AgentTopic, Lane

AGENT = "test-hut"
pytestmark = pytest.mark.slow


class Broker:
    """amqtt in its own process; can be killed and started again."""

    def __init__(self, home):
        self.home = home
        self.port = free_port()
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "qianli", "broker", "--port", str(self.port)],
            env={"QIANLI_HOME": str(self.home.path)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(
            lambda: asyncio.run(broker_answers(port=self.port, authority=self.home.keys / AUTHORITY_FILE)),
            within_s=15,
            what="broker",
        )

    def kill(self):
        self.process.kill()
        self.process.wait()

    @property
    def address(self):
        return BrokerAddress.parse(f"mqtts://127.0.0.1:{self.port}?version=3", identity=self.identity)

    @property
    def identity(self):
        return agent_identity(self.home.keys, AGENT)


@pytest.fixture
def broker(home):
    made = Broker(home)
    made.start()
    yield made
    made.kill()


class Cloud:
    """Collects what the agent sends, and acknowledges when the test says so."""

    def __init__(self, broker):
        self.received = queue.Queue()
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="cloud")
        keys = broker.home.keys
        authority = open_authority(keys, now=datetime.now(UTC))
        pair = cloud_pair(keys, authority, now=datetime.now(UTC))
        self.client.tls_set_context(tls_context(keys / AUTHORITY_FILE, pair))
        self.client.on_message = lambda _c, _u, message: self.received.put(message)
        self.client.on_connect = lambda client, *_: client.subscribe("q/v1/#", qos=1)
        self.client.connect("127.0.0.1", broker.port)
        self.client.loop_start()

    def take(self, name, *, within_s=10.0):
        """The next message of that topic."""
        topic = str(AgentTopic(agent=AGENT, name=name))
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            try:
                message = self.received.get(timeout=0.2)
            except queue.Empty:
                continue
            if message.topic == topic:
                return message.payload
        pytest.fail(f"no {name} within {within_s} s")

    def acknowledge(self, lineage, upto):
        topic = str(AgentTopic(agent=AGENT, name="ack"))
        payload = encode_control(Ack(v=1, ln=lineage, upto=upto, at=0))
        self.client.publish(topic, payload, qos=1, retain=True).wait_for_publish(5)

    def close(self):
        self.client.loop_stop()


@pytest.fixture
def cloud(broker):
    made = Cloud(broker)
    yield made
    made.close()


@pytest.fixture
def spool(tmp_path):
    opened = Spool(tmp_path / "spool.sqlite3")
    yield opened
    opened.close()


class FullSpool(Spool):
    """Its disk is full for the first few messages."""

    failures = 3

    def assign(self, lane, *, now_ms, limit):
        if self.failures:
            self.failures -= 1
            raise sqlite3.OperationalError("database or disk is full")
        return super().assign(lane, now_ms=now_ms, limit=limit)


@pytest.fixture
def uplink(spool, broker):
    made = Uplink(spool, agent=AGENT, boot="00" * 8, broker=broker.address, sources=list)
    yield made
    made.stop()


def queue_value(spool, value=72.0, *, age_ms=0, clock=None):
    now_ms = time.time_ns() // 1_000_000 - age_ms
    item = Observation(
        key=VitalKey("heart_rate"),
        value=value,
        unit="/min",
        measured_at=from_ms(now_ms),
        received_at=from_ms(now_ms),
    )
    envelope = Envelope(ln=spool.lineage, boot="00" * 8, lane=Lane.LIVE, s=1)
    batch = build_batch([item], src=SourceId("s-1"), envelope=envelope, clock=ClockState())
    entry = OutboxEntry(topic="vitals", payload=encode_batch(batch), created_ms=now_ms)
    spool.commit_parsed([entry], parsed_up_to=0, clock=clock)


def test_birth_comes_before_values_and_beats_follow(uplink, cloud):
    uplink.start()

    assert decode_status(cloud.take("status")).online is True
    assert decode_beat(cloud.take("beat")).depth == 0


def test_message_stays_until_the_cloud_says_stored(uplink, cloud, spool):
    queue_value(spool)
    uplink.start()
    batch = decode_batch(cloud.take("vitals"))
    assert (batch.s, batch.lane, batch.h) == (1, Lane.LIVE, 0)
    assert spool.depth().messages == 1

    cloud.acknowledge(spool.lineage, {Lane.LIVE: 1})

    wait_until(lambda: spool.depth().messages == 0, within_s=5, what="an empty spool")


def test_acknowledgement_of_another_disk_is_ignored(uplink, cloud, spool):
    queue_value(spool)
    uplink.start()
    cloud.take("vitals")

    cloud.acknowledge("ff" * 8, {Lane.LIVE: 99})
    cloud.take("beat")
    cloud.take("beat")

    assert spool.depth().messages == 1


def test_what_the_broker_sends_unasked_is_no_acknowledgement(uplink, cloud, spool):
    """amqtt hands to whoever connects the retained messages of all topics that anybody has subscribed to."""
    other = str(AgentTopic(agent="other-hut", name="ack"))
    foreign = encode_control(Ack(v=1, ln=spool.lineage, upto={Lane.LIVE: 1}, at=0))
    cloud.client.publish(other, foreign, qos=1, retain=True).wait_for_publish(5)
    queue_value(spool)
    with capture_logs() as logs:
        uplink.start()
        cloud.take("vitals")
        uplink.cut.set()
        assert decode_status(cloud.take("status")).online is False
        uplink.cut.clear()
        cloud.take("vitals")
        assert spool.depth().messages == 1

        cloud.acknowledge(spool.lineage, {Lane.LIVE: 1})

        wait_until(lambda: spool.depth().messages == 0, within_s=5, what="an empty spool")
    assert "ack_unreadable" not in {line["event"] for line in logs}


def test_cloud_that_has_forgotten_is_told_what_was_let_go(uplink, cloud, spool):
    queue_value(spool)
    uplink.start()
    assert decode_status(cloud.take("status")).released[Lane.LIVE] == 0
    cloud.take("vitals")
    cloud.acknowledge(spool.lineage, {Lane.LIVE: 1})

    cloud.acknowledge(spool.lineage, {Lane.LIVE: 0})

    assert decode_status(cloud.take("status")).released[Lane.LIVE] == 1


def test_unacknowledged_message_is_sent_again(uplink, cloud, spool):
    queue_value(spool)
    uplink.start()

    first = decode_batch(cloud.take("vitals"))
    again = decode_batch(cloud.take("vitals", within_s=12))

    assert (first.s, first.m) == (again.s, again.m)


def test_killed_broker_loses_nothing(uplink, broker, cloud, spool):
    uplink.start()
    cloud.take("status")
    broker.kill()
    queue_value(spool, 61.0)
    queue_value(spool, 62.0)

    broker.start()

    values = {decode_batch(cloud.take("vitals", within_s=20)).m["heart_rate"][0] for _ in range(2)}
    assert values == {61.0, 62.0}


def test_full_disk_does_not_end_the_uplink(tmp_path, broker, cloud):
    spool = FullSpool(tmp_path / "full.sqlite3")
    uplink = Uplink(spool, agent=AGENT, boot="00" * 8, broker=broker.address, sources=list)
    queue_value(spool)

    uplink.start()

    assert decode_batch(cloud.take("vitals")).s == 1
    assert spool.failures == 0
    uplink.stop()


def test_window_bounds_what_is_under_way(uplink, cloud, spool):
    for n in range(100):
        queue_value(spool, float(n))
    uplink.start()

    for _ in range(64):
        cloud.take("vitals")

    assert len(spool.unacknowledged(Lane.LIVE)) == 64


def test_cut_link_is_told_by_the_will(uplink, cloud):
    uplink.start()
    assert decode_status(cloud.take("status")).online is True

    uplink.cut.set()

    assert decode_status(cloud.take("status")).online is False


def test_broker_without_mqtt_5_is_spoken_to_in_3_1_1(spool, broker, cloud):
    address = BrokerAddress.parse(f"mqtts://127.0.0.1:{broker.port}", identity=broker.identity)
    uplink = Uplink(spool, agent=AGENT, boot="00" * 8, broker=address, sources=list)

    uplink.start()

    assert decode_status(cloud.take("status", within_s=15)).online is True
    uplink.stop()


@pytest.mark.parametrize("url", ["", "http://x", "mqtt://", "mqtt://x?version=4", "mqtts://x"])
def test_wrong_address_is_said(url):
    with pytest.raises(SettingInvalid, match="mqtt://user:password@host:port"):
        BrokerAddress.parse(url)


def test_port_that_cannot_be_is_said():
    with pytest.raises(SettingInvalid, match="65535"):
        BrokerAddress.parse("mqtt://x:99999")


def test_address_keeps_special_characters_of_the_password():
    parsed = BrokerAddress.parse("mqtt://me:a%2Fb@broker.local:1884")

    assert (parsed.host, parsed.port, parsed.user, parsed.password) == ("broker.local", 1884, "me", "a/b")


def command(name, *, agent=AGENT, command_id="c-1"):
    made = Command(id=command_id, name=name, issued_at=0, expires_at=2**41, issued_by="system")
    return str(AgentTopic(agent=agent, name="cmd")), encode_command(made)


def test_command_is_done_and_answered(uplink, cloud):
    uplink.start()
    cloud.take("status")

    cloud.client.publish(*command("birth"), qos=1).wait_for_publish(5)

    states = [decode_reply(cloud.take("cmd/reply")).state for _ in range(2)]
    assert states == [ReplyState.RECEIVED, ReplyState.DONE]
    assert decode_status(cloud.take("status")).online is True


def test_command_for_another_agent_or_from_long_ago_is_none(uplink, cloud):
    """amqtt hands out what it retains for the subscriptions of all others; a command is never retained."""
    for agent in ("other-hut", AGENT):
        topic, payload = command("birth", agent=agent)
        cloud.client.publish(topic, payload, qos=1, retain=True).wait_for_publish(5)
    uplink.start()
    cloud.take("status")

    cloud.client.publish(*command("dance", command_id="c-2"), qos=1).wait_for_publish(5)

    assert decode_reply(cloud.take("cmd/reply")).id == "c-2"


def test_range_is_sent_again_when_the_cloud_asks(uplink, cloud, spool):
    for n in range(3):
        queue_value(spool, float(n))
    uplink.start()
    assert {decode_batch(cloud.take("vitals")).s for _ in range(3)} == {1, 2, 3}

    args = as_words(ResendArgs(ln=spool.lineage, lane=Lane.LIVE, first=2, last=2))
    asked = Command(id="c-3", name="resend", issued_at=0, expires_at=2**41, issued_by="system", args=args)
    topic = str(AgentTopic(agent=AGENT, name="cmd"))
    cloud.client.publish(topic, encode_command(asked), qos=1).wait_for_publish(5)

    assert decode_batch(cloud.take("vitals", within_s=3)).s == 2


def test_backlog_goes_at_the_rate_of_the_cloud_and_live_values_pass_it(uplink, cloud, spool):
    topic = str(AgentTopic(agent=AGENT, name="ack"))
    slow = encode_control(Ack(v=1, ln=spool.lineage, upto={}, at=0, rate=5.0))
    cloud.client.publish(topic, slow, qos=1, retain=True).wait_for_publish(5)
    for n in range(60):
        queue_value(spool, float(n), age_ms=3_600_000 - n)
    uplink.start()
    first = decode_batch(cloud.take("vitals"))
    time.sleep(2.0)
    queue_value(spool)
    later = [decode_batch(cloud.take("vitals"))]
    while later[-1].lane is not Lane.LIVE:
        later.append(decode_batch(cloud.take("vitals")))

    assert first.lane is Lane.BACKLOG
    assert 8 <= len(later) <= 40
    assert [batch.s for batch in later[:-1]] == list(range(2, len(later) + 1))


def test_value_from_before_the_clock_was_set_is_told_by_the_clock_of_today(spool, broker, cloud):
    behind_us = 7_200_000_000
    own = OwnClock(Hands(wall_us=lambda: now_us() - behind_us, source=lambda: "none"))
    queue_value(spool, age_ms=7_260_000, clock=own.run())
    behind_us = 0
    uplink = Uplink(spool, agent=AGENT, boot="00" * 8, broker=broker.address, sources=list, clock=own)

    uplink.start()
    batch = decode_batch(cloud.take("vitals"))
    uplink.stop()

    assert 59_000 < batch.sent - batch.t0 < 75_000
    assert (batch.h, batch.clk.off_ms) == (1, None)
