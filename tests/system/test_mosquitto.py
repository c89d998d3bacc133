"""The configuration in `deploy/mosquitto` against the real broker: who may come, and with which topics."""

import shutil
import signal
import socket
import ssl
import subprocess
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from cryptography import x509

from cloud.broker.address import AUTHORITY_FILE
from cloud.enrolment.authority.certificates import Revoked, build_crl, pem
from cloud.enrolment.authority.files import REVOKED, cloud_pair, open_authority, server_pair, write_public
from tests.fixtures.certificates import agent_identity, tls_context
from tests.fixtures.running_demo import free_port
from vitals.wire.topics import AgentTopic

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]

DEPLOY = Path(__file__).parents[2] / "deploy" / "mosquitto"
PROGRAM = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin")
NOT_AUTHORISED = 135


@dataclass(kw_only=True)
class Mosquitto:
    """The real broker with the configuration of the repository; only folders and port are replaced."""

    folder: Path
    port: int
    process: subprocess.Popen | None = None
    clients: list = field(default_factory=list)

    @property
    def keys(self):
        return self.folder / "keys"

    @property
    def authority(self):
        return open_authority(self.keys, now=datetime.now(UTC))

    def start(self):
        self.publish_list([])
        text = (DEPLOY / "mosquitto.conf").read_text()
        server_pair(self.keys, self.authority, name="broker", hosts=["127.0.0.1"], now=datetime.now(UTC))
        shutil.copy(DEPLOY / "acl", self.keys / "acl")
        text = text.replace("/etc/mosquitto/qianli", str(self.keys)).replace(
            "/var/lib/mosquitto", str(self.folder)
        )
        text = text.replace("listener 8883", f"listener {self.port} 127.0.0.1") + "user root\n"
        (self.folder / "mosquitto.conf").write_text(text)
        assert PROGRAM, "Mosquitto is not installed: apt-get install mosquitto"
        command = [PROGRAM, "-c", self.folder / "mosquitto.conf"]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while not self.hello("hut-1"):
            assert time.monotonic() < deadline, "Mosquitto did not start"
            time.sleep(0.05)

    def hello(self, agent):
        try:
            client = self.connect(agent)
        except OSError:
            return False
        client.disconnect()
        return True

    def publish_list(self, serials):
        revoked = [Revoked(serial=serial, at=datetime.now(UTC)) for serial in serials]
        crl = build_crl(self.authority, revoked, number=time.time_ns(), now=datetime.now(UTC))
        write_public(self.keys / REVOKED, pem(crl))

    def connect(self, agent, context=None):
        """A connected MQTT 5 client; agent None is the cloud. Raises OSError when refused."""
        if agent is None:
            pair = cloud_pair(self.keys, self.authority, now=datetime.now(UTC))
        else:
            pair = agent_identity(self.keys, agent).pair
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=f"c-{agent}", protocol=mqtt.MQTTv5)
        client.tls_set_context(context or tls_context(self.keys / AUTHORITY_FILE, pair))
        greeted = []
        client.on_connect = lambda _c, _u, _f, reason, _p: greeted.append(reason)
        self.clients.append(client)
        client.connect("127.0.0.1", self.port)
        deadline = time.monotonic() + 5
        while not greeted and time.monotonic() < deadline:
            if client.loop(0.1) != mqtt.MQTT_ERR_SUCCESS:
                raise ConnectionRefusedError
        if not greeted or greeted[0].is_failure:
            raise ConnectionRefusedError
        return client

    def hang_up(self):
        for client in self.clients:
            client.disconnect()
            sock = client.socket()
            if sock is not None:
                sock.close()
        self.clients.clear()


@pytest.fixture
def mosquitto(running_mosquitto):
    yield running_mosquitto
    running_mosquitto.hang_up()


@pytest.fixture(scope="module")
def running_mosquitto(tmp_path_factory):
    broker = Mosquitto(folder=tmp_path_factory.mktemp("mosquitto"), port=free_port())
    broker.start()
    yield broker
    broker.process.terminate()
    broker.process.wait(5)


def answer_to_publish(client, topic):
    """The reason code of the PUBACK."""
    answers = []
    client.on_publish = lambda _c, _u, _m, reason, _p: answers.append(reason.value)
    client.publish(topic, b"x", qos=1)
    return await_answer(client, answers)


def answer_to_subscribe(client, topic_filter):
    answers = []
    client.on_subscribe = lambda _c, _u, _m, reasons, _p: answers.append(reasons[0].value)
    client.subscribe(topic_filter, qos=1)
    return await_answer(client, answers)


def await_answer(client, answers):
    deadline = time.monotonic() + 5
    while not answers:
        assert time.monotonic() < deadline, "no answer"
        client.loop(0.1)
    return answers[0]


@pytest.mark.parametrize("name", ["status", "beat", "vitals", "event", "wave/ecg"])
def test_agent_publishes_as_itself_and_as_nobody_else(mosquitto, name):
    client = mosquitto.connect("hut-1")

    assert answer_to_publish(client, str(AgentTopic(agent="hut-1", name=name))) in (0, 16)
    assert answer_to_publish(client, str(AgentTopic(agent="hut-2", name=name))) == NOT_AUTHORISED


@pytest.mark.parametrize("topic", ["q/v1/cloud/status", "q/v1/00/hut-1/ack", "q/v1/00/hut-1/cmd", "other"])
def test_agent_never_speaks_for_the_cloud(mosquitto, topic):
    assert answer_to_publish(mosquitto.connect("hut-1"), topic) == NOT_AUTHORISED


def test_cloud_acknowledges_and_an_agent_hears_only_its_own(mosquitto):
    agent, cloud = mosquitto.connect("hut-1"), mosquitto.connect(None)
    heard = []
    agent.on_message = lambda _c, _u, message: heard.append(message.topic)
    agent.subscribe([("q/v1/#", 1), (str(AgentTopic(agent="hut-1", name="ack")), 1)])
    for name in ("hut-2", "hut-1"):
        assert answer_to_publish(cloud, str(AgentTopic(agent=name, name="ack"))) in (0, 16)
    deadline = time.monotonic() + 5
    while not heard and time.monotonic() < deadline:
        agent.loop(0.1)
    for _ in range(5):
        agent.loop(0.1)

    assert set(heard) == {str(AgentTopic(agent="hut-1", name="ack"))}


def test_without_a_certificate_there_is_no_connection(mosquitto):
    context = tls_context(mosquitto.keys / AUTHORITY_FILE, None)
    with pytest.raises(OSError):  # noqa: PT011 # TLS or TCP, whichever notices first
        mosquitto.connect("hut-1", context)


def test_certificate_of_a_foreign_authority_is_refused(mosquitto, tmp_path):
    foreign = agent_identity(tmp_path / "keys", "hut-1")
    with pytest.raises(OSError):  # noqa: PT011 # TLS or TCP, whichever notices first
        mosquitto.connect("hut-1", tls_context(mosquitto.keys / AUTHORITY_FILE, foreign.pair))


def test_older_tls_is_refused(mosquitto):
    context = tls_context(mosquitto.keys / AUTHORITY_FILE, agent_identity(mosquitto.keys, "hut-1").pair)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection(("127.0.0.1", mosquitto.port)) as connection,
        pytest.raises(ssl.SSLError, match=r"PROTOCOL_VERSION|protocol version"),
    ):
        context.wrap_socket(connection, server_hostname="127.0.0.1")


def test_servers_certificate_opens_nothing_as_a_client(mosquitto):
    context = tls_context(mosquitto.keys / AUTHORITY_FILE, mosquitto.keys / "broker.pem")
    with pytest.raises(OSError):  # noqa: PT011 # TLS or TCP, whichever notices first
        mosquitto.connect("hut-1", context)


def test_revoked_certificate_is_refused_after_a_reload_and_the_others_are_not(mosquitto):
    mosquitto.connect("hut-9").disconnect()
    content = agent_identity(mosquitto.keys, "hut-9").pair.read_bytes()
    mosquitto.publish_list([x509.load_pem_x509_certificates(content)[0].serial_number])
    mosquitto.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 5
    while mosquitto.hello("hut-9"):
        assert time.monotonic() < deadline, "the revoked agent still gets in"

    mosquitto.connect("hut-1").disconnect()
