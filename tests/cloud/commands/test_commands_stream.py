"""Commands through a real broker to a real agent's uplink, and its replies back into the database."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass

import pytest

from cloud.broker.address import AUTHORITY_FILE, COMMANDS, client_file, parse_mqtt_url
from cloud.broker.link import Delivery
from cloud.commands import queries
from cloud.commands import stream as module
from cloud.commands.model import CommandState, LaneRange, Order
from cloud.commands.stream import CommandStream
from cloud.identity.service import utc_now
from edge_agent.clock import Hands, OwnClock, now_us
from edge_agent.spool import OutboxEntry, Spool
from edge_agent.uplink import BrokerAddress, Uplink
from tests.cloud.enrolment.conftest import ADMIN
from tests.fixtures.certificates import agent_identity
from tests.fixtures.ingest import uncontested_ingest
from tests.fixtures.wire_messages import WireAgent, seconds
from vitals.wire.batch import decode_batch, to_ms
from vitals.wire.command import CommandName, CommandReply, ReplyState, encode_reply
from vitals.wire.status import Status, encode_control
from vitals.wire.topics import AgentTopic, Lane

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]

BEHIND_US = 2_500_000


@dataclass
class Hut:
    """An agent whose clock is behind and has no time service."""

    spool: Spool
    uplink: Uplink
    clock: OwnClock
    behind_us: int = BEHIND_US

    def wall_us(self):
        return now_us() - self.behind_us


@pytest.fixture
def hut(broker_server, tmp_path):
    keys = broker_server.home.keys
    spool = Spool(tmp_path / "spool.sqlite3")
    made = Hut(spool=spool, uplink=None, clock=None)
    made.clock = OwnClock(Hands(wall_us=made.wall_us, source=lambda: "rtc"))
    url = f"mqtts://127.0.0.1:{broker_server.port}?version=3"
    broker = BrokerAddress.parse(url, identity=agent_identity(keys, "hut-1"))
    made.uplink = Uplink(spool, agent="hut-1", boot="00" * 8, broker=broker, sources=list, clock=made.clock)
    yield made
    made.uplink.stop()
    spool.close()


@pytest.fixture
async def stream(room, mqtt_url):
    broker = parse_mqtt_url(mqtt_url).as_part(COMMANDS)
    made = CommandStream(room.service, broker, clock=utc_now)
    room.post = made.post
    room.service._post = made.post
    room.service._clock = utc_now
    running = asyncio.create_task(made.run())
    yield made
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def until(condition, *, within_s=15.0):
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it does not come"
        await asyncio.sleep(0.05)


async def until_it_listens(hut):
    """Connected is not yet subscribed; a first exchange came through its commands."""
    await until(lambda: hut.clock.offset_ms() is not None)


async def test_agent_learns_how_far_its_clock_is_from_the_clouds(hut, room, stream):
    hut.uplink.start()
    await until(lambda: hut.clock.offset_ms() is not None)
    await until(lambda: room.service.clock_of(ADMIN, "hut-1") is not None)

    measured = room.service.clock_of(ADMIN, "hut-1")
    assert abs(hut.clock.offset_ms() - 2500) <= measured.delay_ms / 2 + 2
    assert abs(measured.offset_ms - 2500) <= measured.delay_ms / 2
    assert measured.quality == "rtc"


async def test_jump_of_the_agents_clock_brings_a_new_exchange_at_once(hut, room, stream):
    hut.uplink.start()
    await until(lambda: hut.clock.offset_ms() is not None)

    hut.behind_us -= 60_000_000

    await until(lambda: (hut.clock.offset_ms() or 0) < -50_000, within_s=5)
    assert hut.clock.step == 1
    assert abs(hut.clock.offset_ms() + 57_500) < 1000


async def test_staff_asks_for_the_time_and_reads_the_answer(hut, room, stream):
    hut.uplink.start()
    await until_it_listens(hut)

    room.service.issue(ADMIN, "hut-1", Order(name=CommandName.TIME))

    await until(lambda: room.service.list_commands(ADMIN, "hut-1")[0].state is CommandState.DONE)
    result = room.service.list_commands(ADMIN, "hut-1")[0].result
    assert abs(result["t2"] - result["t1"] + BEHIND_US) < 1_000_000


async def test_agent_is_told_to_send_again_and_says_what_it_has_no_longer(hut, room, stream):
    entries = [OutboxEntry(topic="vitals", payload=b"{}", created_ms=now_us() // 1000)] * 6
    hut.spool.commit_parsed(entries, parsed_up_to=0)
    hut.spool.assign(Lane.LIVE, now_ms=now_us() // 1000, limit=6)
    hut.spool.acknowledge({Lane.LIVE: 6})
    room.database.execute("UPDATE agent SET lineage = %s WHERE agent = 'hut-1'", (hut.spool.lineage,))
    hut.uplink.start()
    await until_it_listens(hut)

    order = Order(name=CommandName.RESEND, resend=LaneRange(lane=Lane.LIVE, first=3, last=5))
    room.service.issue(ADMIN, "hut-1", order)

    await until(lambda: room.service.list_commands(ADMIN, "hut-1")[0].state is CommandState.DONE)
    assert room.service.list_commands(ADMIN, "hut-1")[0].result == {"sent": 0, "released": 6}


@pytest.fixture
def ingest(database_url, mqtt_url):
    made = uncontested_ingest(database_url, mqtt_url)
    made.start()
    yield made
    made.stop()


def queue_values(spool, number):
    now = utc_now()
    for n in range(number):
        message = WireAgent(lineage=spool.lineage).vitals(1, 60.0 + n, at=now - seconds(n))
        spool.commit_parsed(
            [OutboxEntry(topic="vitals", payload=message.payload, created_ms=to_ms(now))], parsed_up_to=0
        )


async def test_message_that_was_lost_on_the_way_is_asked_for(hut, room, stream, ingest, monkeypatch):
    monkeypatch.setattr(module, "LOOK_EVERY_TICKS", 1)
    monkeypatch.setattr(queries, "HOLE_ALLOWED", seconds(2))
    publish, lost = hut.uplink._publish, []

    def lose_one(client, name, payload, **how):
        if name == "vitals" and not lost and decode_batch(payload).s == 2:
            lost.append(payload)
        else:
            publish(client, name, payload, **how)

    monkeypatch.setattr(hut.uplink, "_publish", lose_one)
    hut.uplink._windows[Lane.LIVE].pause_s = 1e6  # it would soon send again by itself
    queue_values(hut.spool, 3)
    hut.uplink.start()

    await until(lambda: hut.spool.depth().messages == 0)

    (command,) = room.service.list_commands(ADMIN, "hut-1")
    assert (command.issued_by, command.args["first"], command.args["last"]) == ("system", 2, 2)
    await until(lambda: room.service.list_commands(ADMIN, "hut-1")[0].result.get("sent") == 1)


class Way:
    """What would go to the broker."""

    def __init__(self, stream, monkeypatch):
        self.sent = []
        self.stream = stream
        monkeypatch.setattr(stream._link, "publish", self.publish)

    def publish(self, topic, payload, *, retain):
        self.sent.append((topic, payload))
        return True

    def deliver(self, name, payload, *, retained=False):
        topic = str(AgentTopic(agent="hut-1", name=name))
        self.stream.receive(
            Delivery(topic=topic, payload=payload, retained=retained, acknowledge=lambda: None)
        )


@pytest.fixture
def way(room, monkeypatch):
    address = parse_mqtt_url("mqtt://127.0.0.1:1")
    return Way(CommandStream(room.service, address, clock=utc_now), monkeypatch)


def birth(*, online=True):
    return encode_control(Status(v=1, agent="hut-1", boot="b", online=online))


def test_agent_that_was_there_before_us_is_asked_within_a_minute_and_a_will_ends_it(way, monkeypatch):
    monkeypatch.setattr(module, "SPREAD_S", 0.0)
    way.deliver("status", birth(), retained=True)
    assert way.sent == []
    way.stream.tick()
    assert [topic for topic, _ in way.sent] == [str(AgentTopic(agent="hut-1", name="cmd"))]

    way.deliver("status", birth(online=False))
    way.stream.tick()

    assert len(way.sent) == 1


def test_replies_that_wait_are_bounded_and_unreadable_ones_are_dropped(way, monkeypatch):
    monkeypatch.setattr(module, "REPLIES_KEPT", 3)
    for number in range(5):
        way.deliver("cmd/reply", encode_reply(CommandReply(id=f"c-{number}", state=ReplyState.DONE, at=0)))
    way.deliver("cmd/reply", b"\x00")
    way.deliver("vitals", b"\x00")

    assert [reply.id for _, reply in way.stream._replies] == ["c-2", "c-3", "c-4"]
    way.stream.tick()
    assert not way.stream._replies


async def test_stream_lives_on_when_the_database_fails(room, way, monkeypatch):
    monkeypatch.setattr(module, "TICK_S", 0.01)
    ticks = []

    def fail():
        ticks.append(1)
        raise RuntimeError

    monkeypatch.setattr(way.stream, "tick", fail)
    running = asyncio.create_task(way.stream.run())
    await until(lambda: len(ticks) > 2)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


def test_keys_of_the_commands_lie_beside_the_others(broker_server):
    assert (broker_server.home.keys / client_file(COMMANDS)).exists()
    assert (broker_server.home.keys / AUTHORITY_FILE).exists()
