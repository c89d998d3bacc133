import queue
from contextlib import closing

import pytest

from cloud.broker.address import parse_mqtt_url
from cloud.broker.link import Delivery
from cloud.events import (
    AgentBorn,
    AgentGone,
    AgentHeard,
    BrokerBack,
    GapHeard,
    LaneOf,
    ReadingsHeard,
    StoredUpTo,
    WaveHeard,
)
from cloud.ingest.hearing import Ear, hear
from tests.cloud.ingest.test_ingest_stream import Sender
from tests.fixtures.wire_messages import LINEAGE, WireAgent, seconds, utc_now
from vitals.gap import GapCause
from vitals.observation import Flag, SourceId
from vitals.wire.status import Ack, Beat, encode_control
from vitals.wire.topics import Lane

AGENT = WireAgent(agent="hut-ear", src=SourceId("s-ear"))
LANE = LaneOf(agent="hut-ear", lineage=LINEAGE, lane=Lane.LIVE)


def ack(upto):
    body = Ack(v=1, ln=LINEAGE, upto={Lane.LIVE: upto}, at=1_790_000_000_000)
    return AGENT.arrived("ack", encode_control(body))


def test_value_is_heard_as_not_yet_stored():
    (event,) = hear(AGENT.vitals(7, 72, at=utc_now()))

    assert (event.lane, event.s, event.is_stored) == (LANE, 7, False)
    assert [(one.value, one.stored_at) for one in event.readings] == [(72, None)]


@pytest.mark.parametrize(
    "message",
    [
        AGENT.vitals(1, 72, at=utc_now() + seconds(900)),
        AGENT.arrived("vitals", b"{}"),
        AGENT.arrived("vitals", b'{"v":9}'),
    ],
    ids=["future", "broken", "version"],
)
def test_what_goes_to_the_dead_letters_is_not_shown(message):
    assert hear(message) == []


def test_value_from_a_devices_memory_is_left_to_the_database_to_place():
    (event,) = hear(AGENT.vitals(1, 72, at=utc_now(), flags=(Flag.STORED,)))

    assert event.readings[0].clock_shift is None


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (AGENT.birth(), AgentBorn),
        (AGENT.will(), AgentGone),
        (AGENT.wave(1, [1, 2], at=utc_now()), WaveHeard),
        (AGENT.gap(1, GapCause.SENSOR_OFF, start=utc_now()), GapHeard),
        (AGENT.arrived("beat", encode_control(Beat(v=1, ln=LINEAGE, boot="00", at=1, depth=0))), AgentHeard),
        (ack(3), StoredUpTo),
    ],
)
def test_each_message_is_heard_as_what_it_is(message, kind):
    assert [type(event) for event in hear(message)] == [kind]


class Heard:
    """An ear whose broker is the test."""

    def __init__(self):
        self.events = []
        address = parse_mqtt_url("mqtt://127.0.0.1:1")
        self._ear = Ear(address, deliver=self.events.extend, clock=utc_now)

    def hear(self, message):
        delivery = Delivery(
            topic=message.topic, payload=message.payload, retained=False, acknowledge=lambda: None
        )
        self._ear.receive(delivery)


def test_message_that_is_heard_after_its_acknowledgement_is_stored():
    heard = Heard()
    heard.hear(ack(3))
    for s in (3, 4):
        heard.hear(AGENT.vitals(s, 72, at=utc_now()))

    assert [event.is_stored for event in heard.events if isinstance(event, ReadingsHeard)] == [True, False]


def test_broken_acknowledgement_is_passed_over():
    heard = Heard()
    heard.hear(AGENT.arrived("ack", b"x"))
    heard.hear(AGENT.vitals(1, 72, at=utc_now()))

    assert len(heard.events) == 1


@pytest.mark.system
@pytest.mark.slow
@pytest.mark.enable_socket
def test_ear_hears_life_values_and_death_at_a_real_broker(mqtt_url):
    events = queue.SimpleQueue()
    ear = Ear(parse_mqtt_url(mqtt_url), deliver=lambda told: [events.put(one) for one in told], clock=utc_now)
    ear.start()
    wanted = {BrokerBack, AgentBorn, ReadingsHeard, AgentGone}
    while BrokerBack in wanted:
        wanted.discard(type(events.get(timeout=10)))
    with closing(Sender(mqtt_url, AGENT.agent)) as sender:
        sender.send(AGENT.birth(), AGENT.vitals(1, 72, at=utc_now()), AGENT.will())
        while wanted:
            wanted.discard(type(events.get(timeout=5)))
    ear.stop()
