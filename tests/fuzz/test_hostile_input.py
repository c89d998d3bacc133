"""Hostile bytes on every door: drivers, wire, the running broker and the running HTTP service.

`QIANLI_FUZZ` sets how many inputs each door gets, `QIANLI_SEED` which.
"""

import os
import random
import time

import httpx
import paho.mqtt.client as mqtt
import pytest

from cloud.broker.address import AUTHORITY_FILE
from devices.driver import Frame
from devices.errors import FrameError
from devices.registry import driver_by_name
from edge_agent.clock import utc_now
from tests.fixtures.certificates import agent_identity, tls_context
from tests.fixtures.running_demo import wait_until
from vitals.wire import batch, command, event, status, wave_block
from vitals.wire.errors import WireError
from vitals.wire.packing import pack_text
from vitals.wire.topics import AgentTopic

pytestmark = [pytest.mark.fuzz, pytest.mark.timeout(3600)]

COUNT = int(os.environ.get("QIANLI_FUZZ", "300"))
SEED = int(os.environ.get("QIANLI_SEED", "20261125"))
BATCH = (
    b'{"v":1,"ln":"0011223344556677","boot":"0011223344556677","lane":"live","s":1,"src":"s-fuzz","t0":1790000000000,'
    b'"dt":[0],"rx":[5],"m":{"heart_rate":[72.0]},"u":{"heart_rate":"/min"},"sent":1790000000010,"h":0}'
)
GAP = (
    b'{"v":1,"ln":"0011223344556677","boot":"0011223344556677","lane":"event","s":1,"src":"s-fuzz","kind":"gap",'
    b'"keys":[],"cause":"cable","from_ms":1790000000000,"to_ms":null}'
)
COMMAND = (
    b'{"v":1,"id":"c-1","name":"resend","issued_at":1,"expires_at":2,"issued_by":"p","args":{"lane":"live"}}'
)
REPLY = b'{"v":1,"id":"c-1","state":"done","at":1790000000000,"result":{"t1":1,"src":"ntp"},"reason":""}'


def mutate(chance, seed_bytes):
    """A few changes: flipped bits, cuts, repeats, inserted bytes, or nothing but noise."""
    if chance.random() < 0.1:
        return chance.randbytes(chance.randrange(0, 300))
    changed = bytearray(seed_bytes)
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(0, len(changed) + 1)
        match chance.randrange(4):
            case 0 if changed:
                changed[at % len(changed)] ^= 1 << chance.randrange(8)
            case 1:
                del changed[at : at + chance.randrange(1, 20)]
            case 2:
                changed[at:at] = changed[at // 2 : at]
            case _:
                changed[at:at] = chance.randbytes(chance.randrange(1, 6))
    return bytes(changed)


@pytest.mark.parametrize("driver", driver_by_name().values(), ids=lambda driver: driver.name)
def test_driver_gives_readings_or_a_frame_error(driver):
    chance = random.Random(SEED)
    channels = [item.uuid for item in driver.characteristics] or ["serial"]
    for _ in range(COUNT):
        decoder = driver.new_decoder()
        for _ in range(5):
            payload = chance.randbytes(chance.randrange(0, 260))
            frame = Frame(channel=chance.choice(channels), payload=payload, received_at=utc_now())
            try:
                decoder.feed(frame)
            except FrameError as error:
                assert str(error)  # noqa: PT017 any other exception fails the test by itself


@pytest.mark.parametrize(
    ("decode", "seed_bytes"),
    [
        (batch.decode_batch, BATCH),
        (event.decode_event, GAP),
        (status.decode_status, b'{"v":1,"agent":"a","boot":"b","online":true,"sources":[]}'),
        (lambda payload: wave_block.decode_wave(payload, stream="ecg"), b"QWB1\x01\x01" + bytes(80)),
        (batch.decode_batch, pack_text(BATCH)),
        (command.decode_command, COMMAND),
        (command.decode_reply, REPLY),
    ],
    ids=["batch", "gap", "status", "wave", "packed batch", "command", "reply"],
)
def test_wire_gives_a_message_or_a_wire_error(decode, seed_bytes):
    chance = random.Random(SEED)
    for _ in range(COUNT * 5):
        try:
            decode(mutate(chance, seed_bytes))
        except WireError as error:
            assert str(error)  # noqa: PT017 any other exception fails the test by itself


def test_ingest_survives_and_keeps_what_it_cannot_read(running_demo, viewer):
    chance = random.Random(SEED)
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="agent-fuzz-hut")
    keys = running_demo.home / "keys"
    client.tls_set_context(tls_context(keys / AUTHORITY_FILE, agent_identity(keys, "fuzz-hut").pair))
    client.connect("127.0.0.1", running_demo.mqtt_port)
    client.loop_start()
    doors = [
        ("vitals", BATCH),
        ("event", GAP),
        ("wave/ecg", b"QWB1\x01\x01" + bytes(80)),
        ("beat", b'{"v":1}'),
        ("cmd/reply", REPLY),
        ("status", b'{"v":1,"agent":"fuzz-hut","boot":"b","online":true}'),
    ]
    for number in range(COUNT):
        name, seed_bytes = chance.choice(doors)
        topic = str(AgentTopic(agent="fuzz-hut", name=name))
        sent = client.publish(topic, mutate(chance, seed_bytes), qos=1)
        if number % 50 == 49:
            sent.wait_for_publish(10)
    client.publish(str(AgentTopic(agent="fuzz-hut", name="vitals")), b"\x00poison", qos=1).wait_for_publish(
        10
    )

    def kept():
        with running_demo.database() as database:
            return database.execute(
                "SELECT count(*) FROM dead_letter WHERE payload = %s", (b"\x00poison",)
            ).fetchone()

    wait_until(lambda: kept()[0] == 1, within_s=30, what="the poison among the dead letters")
    client.loop_stop()
    fresh_after = time.time() * 1000
    wait_until(
        lambda: (viewer.value("p-demo-1", "heart_rate") or {"measured_at": 0})["measured_at"] > fresh_after,
        within_s=20,
        what="live values after it",
    )
    with running_demo.database() as database:
        database.execute("DELETE FROM dead_letter")


def test_http_never_answers_with_a_server_error(running_demo):
    chance = random.Random(SEED)
    paths = [
        "/api/login",
        "/api/me",
        "/api/patients/x/trend",
        "/api/vocabulary",
        "/api/live",
        "/",
        "/assets/x",
    ]
    for number in range(COUNT):
        path = chance.choice(paths) + chance.choice(
            ["", "/../../etc/passwd", "?hours=1e9", "?hours=-1", "%00", "/%ff"]
        )
        headers = chance.choice(
            [{}, {"Origin": "http://evil.example"}, {"Cookie": f"qianli_session={number}"}]
        )
        body = chance.choice(
            [b"", chance.randbytes(40), b'{"name":' + b'"a"' * 3, b'{"name":"doctor","password":null}']
        )
        method = chance.choice(["GET", "POST", "PUT", "DELETE"])
        answer = httpx.request(
            method,
            running_demo.address + path,
            content=body,
            headers={"content-type": "application/json", **headers},
        )
        assert answer.status_code < 500, (method, path, answer.status_code)
