import json
import secrets
import sys
import time
from contextlib import ExitStack

import numpy as np
import paho.mqtt.client as mqtt
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from cloud.broker.address import parse_mqtt_url
from cloud.live import routes
from tests.fixtures.certificates import agent_client
from tests.fixtures.wire_messages import SOURCE, WireAgent, seconds, utc_now

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]

AGENT = WireAgent()


@pytest.fixture(autouse=True)
def _new_spool(monkeypatch):
    """The broker may still send what an earlier test left: the same place must not be another message."""
    monkeypatch.setattr(sys.modules[__name__], "AGENT", WireAgent(lineage=secrets.token_hex(8)))


@pytest.fixture
def send(mqtt_url):
    address = parse_mqtt_url(mqtt_url)
    client = agent_client(mqtt_url, AGENT.agent, protocol=mqtt.MQTTv311)
    client.connect(address.host, address.port)
    client.loop_start()

    def publish(*messages):
        for message in messages:
            client.publish(message.topic, message.payload, qos=1).wait_for_publish(timeout=5)

    yield publish
    client.disconnect()
    client.loop_stop()


@pytest.fixture
def ready_server(cloud_server):
    deadline = time.monotonic() + 10
    while not cloud_server.client().get("/api/health").json()["broker"]:
        assert time.monotonic() < deadline
    return cloud_server


def next_frame(websocket, wanted, within_s=6.0):
    """The next text frame of a type that passes, or the next wave."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        frame = websocket.recv(timeout=within_s)
        if isinstance(frame, bytes):
            if wanted == "wave":
                return frame
        elif json.loads(frame)["type"] == wanted:
            return json.loads(frame)
    pytest.fail(f"no {wanted} within {within_s} s")


def close_code(websocket):
    """Read to the end."""
    try:
        while True:
            websocket.recv(timeout=5)
    except ConnectionClosed as closed:
        return closed.rcvd.code


def test_first_frame_is_the_whole_state(ready_server):
    with ready_server.websocket(ready_server.client("doctor")) as websocket:
        hello = json.loads(websocket.recv(timeout=5))

    assert hello["type"] == "hello"
    assert hello["display_delay_ms"] == 2000
    patient = hello["patients"][0]
    assert (patient["id"], patient["name_zh"], patient["values"]) == ("p-1", "张三", [])
    assert (patient["score"]["total"], patient["score"]["total_max"]) == (None, 20)


def test_session_has_five_walls_at_once_and_the_sixth_writes_no_entry(ready_server, database):
    doctor, admin = ready_server.client("doctor"), ready_server.client("admin")
    watched = "SELECT count(*) FROM audit_entry WHERE action = 'watch' AND role = 'clinician'"
    with ExitStack() as stack:
        walls = [stack.enter_context(ready_server.websocket(doctor)) for _ in range(5)]
        assert [json.loads(wall.recv(timeout=5))["type"] for wall in walls] == ["hello"] * 5
        with ready_server.websocket(doctor) as sixth:
            assert close_code(sixth) == routes.TRY_AGAIN
        assert database.execute(watched).fetchone() == (5,)
        with ready_server.websocket(admin) as wall:
            assert json.loads(wall.recv(timeout=5))["type"] == "hello"
    with ready_server.websocket(doctor) as wall:
        assert json.loads(wall.recv(timeout=5))["type"] == "hello"


def test_tick_tells_the_state_of_the_parts_every_second(ready_server):
    with ready_server.websocket(ready_server.client("doctor")) as websocket:
        first, second = (next_frame(websocket, "tick") for _ in range(2))

    assert 900 <= second["server_at"] - first["server_at"] <= 1500
    parts = {name: part["ok"] for name, part in second["parts"].items()}
    assert parts == {"database": True, "broker": True, "ingest": False}


def test_value_and_wave_come_from_the_broker_to_the_viewer(ready_server, send):
    with ready_server.websocket(ready_server.client("doctor")) as websocket:
        send(AGENT.birth())
        time.sleep(0.3)
        send(AGENT.vitals(1, 72, at=utc_now()), AGENT.wave(2, [4, -5, 600], at=utc_now(), first=9))
        value = next_frame(websocket, "values")["values"][0]
        wave = next_frame(websocket, "wave")

    assert (value["src"], value["key"], value["value"], value["late"]) == (SOURCE, "heart_rate", 72, False)
    length = int.from_bytes(wave[:4], "little")
    header = json.loads(wave[4 : 4 + length])
    assert (header["n"], header["first"], header["rate"], header["gain"]) == (3, 9, [130, 1], 0.001)
    samples = np.frombuffer(wave, "<i4", offset=(4 + length + 3) // 4 * 4)
    assert samples.tolist() == [4, -5, 600]


def header_of(wave):
    return json.loads(wave[4 : 4 + int.from_bytes(wave[:4], "little")])


def waves_until_tick(websocket):
    """The first samples of the waves that come before the second tick, so in a second at least."""
    found = []
    for _ in range(2):
        while isinstance(frame := websocket.recv(timeout=5), bytes) or json.loads(frame)["type"] != "tick":
            found += [header_of(frame)["first"]] if isinstance(frame, bytes) else []
    return found


def test_viewer_that_comes_back_gets_the_waves_it_missed_and_the_whole_state(ready_server, send):
    doctor, now = ready_server.client("doctor"), utc_now()
    with ready_server.websocket(doctor) as websocket:
        send(AGENT.birth())
        time.sleep(0.3)
        send(AGENT.wave(1, [1], at=now, first=10))
        next_frame(websocket, "wave")
        tick = next_frame(websocket, "tick")
    waves = [AGENT.wave(2 + n, [n], at=now + seconds(1 + n), first=20 + 10 * n) for n in range(3)]
    send(*waves, AGENT.vitals(9, 72, at=utc_now()))
    time.sleep(0.5)
    query = f"?journal={tick['journal']}&after={tick['upto']}"
    with ready_server.websocket(doctor, query=query) as websocket:
        hello = json.loads(websocket.recv(timeout=5))
        missed = waves_until_tick(websocket)

    assert [value["value"] for value in hello["patients"][0]["values"]] == [72]
    assert hello["upto"] == tick["upto"] + 3
    assert missed == [20, 30, 40]


@pytest.mark.parametrize("query", ["", "?journal=other&after=0", "?after=-1", "?journal=x&after=1e9"])
def test_viewer_whose_mark_is_not_of_this_service_gets_no_old_wave(ready_server, send, query):
    send(AGENT.birth())
    time.sleep(0.3)
    send(AGENT.wave(1, [1], at=utc_now()))
    time.sleep(0.3)
    with ready_server.websocket(ready_server.client("doctor"), query=query) as websocket:
        assert json.loads(websocket.recv(timeout=5))["upto"] == 1
        assert waves_until_tick(websocket) == []


def test_waves_come_only_for_watched_patients(ready_server, send):
    with ready_server.websocket(ready_server.client("doctor")) as websocket:
        websocket.send(json.dumps({"type": "watch", "patients": []}))
        send(AGENT.birth())
        time.sleep(0.3)
        send(AGENT.wave(1, [1], at=utc_now()), AGENT.vitals(2, 72, at=utc_now()))
        next_frame(websocket, "values")
        frames = [websocket.recv(timeout=2) for _ in range(2)]

    assert not [frame for frame in frames if isinstance(frame, bytes)]


def test_value_from_before_the_binding_is_not_shown(ready_server, send):
    with ready_server.websocket(ready_server.client("doctor")) as websocket:
        next_frame(websocket, "hello")
        send(
            AGENT.birth(),
            AGENT.vitals(1, 50, at=utc_now() - seconds(20)),
            AGENT.vitals(2, 71, at=utc_now()),
        )
        values = next_frame(websocket, "values")["values"]

    assert [value["value"] for value in values] == [71]


def test_silent_source_is_told_within_five_seconds(ready_server, send):
    with ready_server.websocket(ready_server.client("doctor")) as websocket:
        next_frame(websocket, "hello")
        send(AGENT.birth(), AGENT.vitals(1, 72, at=utc_now()))
        next_frame(websocket, "values")
        started = time.monotonic()
        silences = []
        while not silences:  # the end of an earlier test's silence may come first
            silences = next_frame(websocket, "silence")["silences"]

    assert time.monotonic() - started < 5
    assert silences[0]["src"] == SOURCE


def test_without_a_session_the_connection_is_closed_with_its_code(cloud_server):
    with cloud_server.websocket() as websocket:
        assert close_code(websocket) == routes.NOT_LOGGED_IN


@pytest.mark.parametrize("origin", ["http://evil.example", "https://127.0.0.1", "null"])
def test_foreign_page_gets_no_connection(cloud_server, origin):
    client = cloud_server.client("doctor")
    with pytest.raises(InvalidStatus) as refused:
        cloud_server.websocket(client, origin=origin)

    assert refused.value.response.status_code == 403


def test_session_that_ends_closes_the_connection(cloud_server, monkeypatch):
    monkeypatch.setattr(routes, "LOOK_AGAIN_EVERY_S", 0.2)
    client = cloud_server.client("doctor")
    with cloud_server.websocket(client) as websocket:
        client.post("/api/logout")
        assert close_code(websocket) == routes.NOT_LOGGED_IN


@pytest.mark.parametrize("words", ["hello", b"\x00\x01"], ids=["text", "bytes"])
def test_words_that_are_not_understood_end_the_connection(cloud_server, words):
    with cloud_server.websocket(cloud_server.client("doctor")) as websocket:
        websocket.send(words)
        assert close_code(websocket) == routes.NOT_UNDERSTOOD
