"""A fleet over a real Mosquitto; the test plays the cloud and acknowledges."""

import json
import subprocess
import sys

import paho.mqtt.client as mqtt
import pytest

from cloud.ingest.model import LaneProgress, peek_place
from qianli.fleet.fleet import Fleet, Plan
from qianli.fleet.link import parse_broker
from qianli.fleet.scenario import read_scenario
from tests.fixtures.brokers import mosquitto
from vitals.wire.status import Ack, decode_status, encode_control
from vitals.wire.topics import LANES, AgentTopic, Lane

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]
TOWN = """
[[group]]
name = "town"
kind = "home"
number = 6
pace = 50
"""
OUTAGE = "outages = [{ from_s = 0.8, to_s = 1.6 }]\n"


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    made = mosquitto(tmp_path_factory.mktemp("mosquitto"))
    made.start()
    yield made
    made.stop()


class Cloud:
    """Acknowledges what arrives without a hole."""

    def __init__(self, port):
        self.births = []
        self._progress = {}
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self._client.on_message = self._take
        self._client.connect("127.0.0.1", port)
        self._client.subscribe("q/v1/#", qos=1)
        self._client.loop_start()

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()

    def _take(self, client, _userdata, message):
        if message.topic.endswith("/status"):
            self.births.append(decode_status(message.payload))
        place = None if message.topic.endswith("/ack") else peek_place(message.topic, message.payload)
        if place is None:
            return
        known = self._progress.setdefault((place.agent, place.lineage), dict.fromkeys(LANES, LaneProgress()))
        known[place.lane] = known[place.lane].add(place.s)
        upto = {Lane(lane): progress.upto for lane, progress in known.items()}
        topic = str(AgentTopic(agent=place.agent, name="ack"))
        client.publish(topic, encode_control(Ack(v=1, ln=place.lineage, upto=upto, at=0)), qos=1)


@pytest.fixture
def cloud(broker):
    made = Cloud(broker.port)
    yield made
    made.close()


@pytest.fixture
def make_fleet(broker, tmp_path):
    def make(text=TOWN, **plan):
        (tmp_path / "s.toml").write_text(text)
        return Fleet(read_scenario(tmp_path / "s.toml"), parse_broker(broker.url), plan=Plan(**plan))

    return make


async def test_all_is_acknowledged_through_an_outage(cloud, make_fleet):
    lines = []
    fleet = make_fleet(TOWN + OUTAGE, duration_s=2.5, drain_s=10, tell_every_s=0.25)

    assert await fleet.run(lines.append)
    assert lines[-1]["summary"]
    assert lines[-1]["acknowledged"] == lines[-1]["made"] >= 60
    assert lines[-1]["connections"] == 12
    assert min(line["connected"] for line in lines[3:-1]) == 0
    assert {status.agent for status in cloud.births if status.online} == {f"town-0000{n}" for n in range(6)}


async def test_what_nobody_acknowledges_is_told(make_fleet):
    lines = []

    assert not await make_fleet(duration_s=0.5, drain_s=0.5).run(lines.append)
    assert lines[-1]["waiting"] == lines[-1]["made"] > 0


async def test_broker_that_is_not_there_stops_no_measuring(make_fleet, broker):
    lines = []
    fleet = make_fleet(duration_s=0.5, drain_s=0.2)
    fleet._running[0].link._address = parse_broker("mqtt://127.0.0.1:9")

    await fleet.run(lines.append)
    assert lines[-1]["connections"] == 5


def test_command_prints_lines_and_writes_the_ledger(cloud, broker, tmp_path):
    (tmp_path / "s.toml").write_text(TOWN)
    words = ["--broker", broker.url, "--shard", "2/3", "--duration", "1", "--ledger", tmp_path / "l.json"]
    command = [sys.executable, "-m", "qianli", "fleet", tmp_path / "s.toml", *words]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    summary = json.loads(result.stdout.splitlines()[-1])
    sources = json.loads((tmp_path / "l.json").read_text())

    assert len(sources) == 2
    assert (
        sum(one["samples"] for source in sources.values() for one in source["vitals"].values())
        == summary["samples"]
    )
