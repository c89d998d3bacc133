import asyncio
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from cryptography import x509

from cloud.broker.address import AUTHORITY_FILE, parse_mqtt_url
from cloud.broker.stand_in import StandIn, context_of
from cloud.enrolment.authority.certificates import (
    Revoked,
    build_crl,
    issue_stand_in,
    key_pem,
    new_key,
    pem,
)
from cloud.enrolment.authority.files import REVOKED, cloud_pair, open_authority, write_public
from qianli.embedded.broker import broker_answers
from qianli.home import Home
from qianli.ports import port_is_free
from qianli.processes import embedded_mqtt_url
from tests.fixtures.certificates import agent_identity, tls_context
from vitals.wire.topics import AgentTopic

pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]


@dataclass
class Running:
    home: Home
    port: int
    process: subprocess.Popen[bytes]

    def pair(self, agent: str | None) -> Path:
        keys, now = self.home.keys, datetime.now(UTC)
        if agent is None:
            return cloud_pair(keys, open_authority(keys, now=now), now=now)
        return agent_identity(keys, agent).pair

    def context(self, agent: str | None) -> ssl.SSLContext:
        return tls_context(self.home.keys / AUTHORITY_FILE, self.pair(agent))


@pytest.fixture
def broker(home: Home) -> Iterator[Running]:
    port = next(port for port in range(18830, 18900) if port_is_free(port))
    command = [sys.executable, "-m", "qianli", "broker", "--port", str(port)]
    with subprocess.Popen(
        command, env={"QIANLI_HOME": str(home.path)}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        asyncio.run(_until_it_answers(port, home.keys / AUTHORITY_FILE))
        yield Running(home, port, process)
        process.terminate()


async def _until_it_answers(port: int, authority: Path) -> None:
    for _ in range(400):
        if await broker_answers(port=port, authority=authority):
            return
        await asyncio.sleep(0.05)
    pytest.fail("the broker does not answer")


class Client:
    """A paho client of 3.1.1 that is connected, or was refused."""

    def __init__(
        self, broker: Running, context: ssl.SSLContext, client_id: str, *, clean: bool = True, will: str = ""
    ) -> None:
        self.greetings: list[tuple[str, bool]] = []
        self.heard: list[tuple[str, bytes]] = []
        self.codes: list[int] = []
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=clean)
        self.client.tls_set_context(context)
        self.client.username_pw_set("anybody")
        if will:
            self.client.will_set(will, b"gone", qos=1)
        self.client.on_connect = lambda _c, _u, flags, code, _p: self.greetings.append(
            (str(code), flags.session_present)
        )
        self.client.on_message = lambda _c, _u, message: self.heard.append((message.topic, message.payload))
        self.client.on_subscribe = lambda _c, _u, _m, codes, _p: self.codes.append(codes[0].value)
        self.client.connect("127.0.0.1", broker.port)
        self.turn(until=lambda: bool(self.greetings), within_s=3)

    def turn(self, *, until, within_s: float) -> None:
        deadline = time.monotonic() + within_s
        while not until() and time.monotonic() < deadline:
            if self.client.loop(0.05) != mqtt.MQTT_ERR_SUCCESS:
                return

    @property
    def is_connected(self) -> bool:
        return [code for code, _ in self.greetings] == ["Success"]

    def is_alive(self) -> bool:
        return self.client.loop(0.05) == mqtt.MQTT_ERR_SUCCESS

    def subscribe(self, topic: str) -> int:
        self.client.subscribe(topic, qos=1)
        self.turn(until=lambda: bool(self.codes), within_s=3)
        return self.codes.pop()

    def publish(self, topic: str, payload: bytes) -> None:
        told = self.client.publish(topic, payload, qos=1)
        self.turn(until=told.is_published, within_s=3)
        assert told.is_published()

    def cut(self) -> None:
        sock = self.client.socket()
        if sock is not None:
            sock.close()


@pytest.fixture
def join(broker: Running):
    joined: list[Client] = []

    def connect(agent: str | None, client_id: str | None = None, **options: object) -> Client:
        own = "qianli-ingest" if agent is None else f"agent-{agent}"
        joined.append(Client(broker, broker.context(agent), client_id or own, **options))
        return joined[-1]

    yield connect
    for client in joined:
        client.cut()


def topic_of(agent: str, name: str) -> str:
    return str(AgentTopic(agent=agent, name=name))


def test_agent_is_heard_under_its_own_name_only(join) -> None:
    cloud, agent = join(None), join("hut-1")
    assert cloud.subscribe("q/v1/#") == 1
    for name in ("hut-2", "hut-1"):
        agent.publish(topic_of(name, "vitals"), b"1")
    cloud.turn(until=lambda: bool(cloud.heard), within_s=5)

    assert cloud.heard == [(topic_of("hut-1", "vitals"), b"1")]


def test_agent_subscribes_to_its_own_acknowledgements_only(join) -> None:
    agent = join("hut-1")

    assert agent.subscribe(topic_of("hut-1", "ack")) == 1
    for other in (
        "q/v1/#",
        "#",
        topic_of("hut-2", "ack"),
        topic_of("hut-1", "+"),
        topic_of("hut-2", "vitals"),
    ):
        assert agent.subscribe(other) == 0x80


@pytest.mark.parametrize("clean", [True, False], ids=["clean", "kept"])
def test_agent_cannot_take_over_anothers_session(join, *, clean: bool) -> None:
    owner = join("hut-2", clean=False)
    thief = join("hut-1", "agent-hut-2", clean=clean)

    assert owner.is_connected
    assert thief.greetings == []
    assert owner.is_alive()
    assert owner.subscribe(topic_of("hut-2", "ack")) == 1


def test_agent_cannot_leave_anothers_will(join) -> None:
    assert join("hut-1", will=topic_of("hut-2", "status")).greetings == []
    assert join("hut-1", will=topic_of("hut-1", "status")).is_connected


def test_cloud_gets_its_durable_session_back(join) -> None:
    first = join(None, clean=False)
    first.client.disconnect()
    first.turn(until=lambda: False, within_s=0.3)

    assert first.greetings == [("Success", False)]
    assert join(None, clean=False).greetings == [("Success", True)]


def test_no_agent_connects_as_the_cloud(join) -> None:
    assert join("hut-1", "qianli-ingest").greetings == []


@pytest.mark.parametrize("stranger", ["nobody", "foreign", "server"])
def test_strangers_are_refused(broker: Running, tmp_path: Path, stranger: str) -> None:
    pairs = {
        "nobody": None,
        "foreign": agent_identity(tmp_path / "keys", "hut-1").pair,
        "server": broker.home.keys / "broker.pem",
    }
    context = tls_context(broker.home.keys / AUTHORITY_FILE, pairs[stranger])
    client = Client.__new__(Client)
    with pytest.raises((OSError, ValueError)):  # noqa: PT012 # at the handshake, or at the first byte after it
        try:
            client.__init__(broker, context, "agent-hut-1")  # type: ignore[misc]
            assert client.greetings == []
            raise ConnectionRefusedError
        finally:
            client.cut()


def revoke(broker: Running, *agents: str) -> None:
    now = datetime.now(UTC)
    certificates = [x509.load_pem_x509_certificates(broker.pair(one).read_bytes())[0] for one in agents]
    revoked = [Revoked(serial=one.serial_number, at=now) for one in certificates]
    crl = build_crl(open_authority(broker.home.keys, now=now), revoked, number=2, now=now)
    write_public(broker.home.keys / REVOKED, pem(crl))


def test_revoked_agent_is_cut_off_and_kept_out(broker: Running, join) -> None:
    revoked, other = join("hut-1"), join("hut-2")
    revoke(broker, "hut-1")
    deadline = time.monotonic() + 5
    while revoked.is_alive():
        assert time.monotonic() < deadline, "the revoked agent stays"

    assert join("hut-1").greetings == []
    assert other.is_alive()


def test_revoked_agent_that_answers_no_goodbye_is_cut_as_fast(broker: Running, join) -> None:
    silent, polite = join("hut-1").client.socket(), join("hut-2")
    assert silent is not None
    revoke(broker, "hut-1")
    time.sleep(1.5)  # the broker has begun to end it; nobody reads here, so a goodbye would not be answered
    revoke(broker, "hut-1", "hut-2")
    deadline = time.monotonic() + 5
    while polite.is_alive():
        assert time.monotonic() < deadline, "one that is silent holds up the others"
    with pytest.raises(OSError):  # noqa: PT012, PT011 # a reset, at the latest by the second writing
        for _ in range(100):
            silent.sendall(b"\xc0\x00")
            time.sleep(0.02)


def test_stand_in_for_a_revoked_agent_disturbs_nobody_here(broker: Running, join) -> None:
    agent, other, now = join("hut-1"), join("hut-2"), datetime.now(UTC)
    authority, key = open_authority(broker.home.keys, now=now), new_key()
    certificate = issue_stand_in(authority, key.public_key(), agent="hut-1", now=now)
    context = context_of(key_pem(key) + pem(certificate), authority=pem(authority.certificate))
    address = parse_mqtt_url(embedded_mqtt_url(port=broker.port), keys=broker.home.keys)
    place = StandIn(address, "hut-1", context=context, clock=lambda: datetime.now(UTC))
    place.start()
    revoke(broker, "hut-1")  # amqtt leaves the older connection open; here it is the list that cuts it
    try:
        deadline = time.monotonic() + 5
        while agent.is_alive() or not place.is_there:
            assert time.monotonic() < deadline, "the agent keeps its place"
        assert other.is_alive()
        assert join("hut-1").greetings == []
    finally:
        place.stop()


def test_list_of_a_foreign_authority_revokes_nobody(broker: Running, tmp_path: Path, join) -> None:
    serial = x509.load_pem_x509_certificates(broker.pair("hut-1").read_bytes())[0].serial_number
    foreign = open_authority(tmp_path, now=datetime.now(UTC))
    crl = build_crl(foreign, [Revoked(serial=serial, at=datetime.now(UTC))], number=9, now=datetime.now(UTC))
    write_public(broker.home.keys / REVOKED, pem(crl))

    assert join("hut-1").is_connected


@pytest.mark.usefixtures("broker")
def test_only_the_loopback_interface_is_served(broker: Running) -> None:
    listeners = Path("/proc/net/tcp").read_text()
    wanted = f":{broker.port:04X}"
    serving = [line.split()[1] for line in listeners.splitlines() if line.split()[1].endswith(wanted)]
    assert set(serving) == {f"0100007F{wanted}"}


def test_older_tls_is_refused(broker: Running) -> None:
    context = broker.context("hut-1")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(OSError):  # noqa: PT011 # an alert or a reset, whichever comes first
        asyncio.run(asyncio.open_connection("127.0.0.1", broker.port, ssl=context))


def test_sigterm_stops_it_quietly(broker: Running) -> None:
    broker.process.send_signal(signal.SIGTERM)
    assert broker.process.wait(5) == 0
    assert broker.process.stderr is not None
    assert broker.process.stderr.read() == b""


async def test_a_closed_port_does_not_answer(home: Home) -> None:
    open_authority(home.keys, now=datetime.now(UTC))
    assert not await broker_answers(port=1, authority=home.keys / AUTHORITY_FILE)


def test_the_address_for_clients_asks_for_tls() -> None:
    assert embedded_mqtt_url(port=8883) == "mqtts://127.0.0.1:8883?version=3"
