"""The configuration in `deploy/mosquitto` against the real broker: who may come, and with which topics."""

import signal
import socket
import ssl
import subprocess
import time
from datetime import UTC, datetime

import pytest

from cloud.broker.address import AUTHORITY_FILE, COMMANDS, parse_mqtt_url, speaks_mqtt5
from cloud.broker.conformance import ask_broker
from cloud.broker.stand_in import StandIn, context_of
from cloud.enrolment.authority.certificates import issue_stand_in, key_pem, new_key, pem
from cloud.enrolment.authority.files import cloud_pair
from tests.fixtures.certificates import agent_identity, tls_context
from tests.fixtures.mosquitto import Mosquitto
from tests.fixtures.running_demo import free_port
from vitals.wire.topics import AgentTopic

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]

NOT_AUTHORISED = 135


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


@pytest.mark.parametrize("name", ["status", "beat", "vitals", "event", "wave/ecg", "cmd/reply"])
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


def test_commands_reach_their_agent_beside_the_other_connection_of_the_cloud(mosquitto):
    agent, cloud, commands = (mosquitto.connect(name) for name in ("hut-1", None, COMMANDS))
    heard = []
    agent.on_message = lambda _c, _u, message: heard.append(message.topic)
    agent.subscribe(str(AgentTopic(agent="hut-1", name="cmd")), qos=1)
    for name in ("hut-2", "hut-1"):
        assert answer_to_publish(commands, str(AgentTopic(agent=name, name="cmd"))) in (0, 16)
    deadline = time.monotonic() + 5
    while not heard and time.monotonic() < deadline:
        agent.loop(0.1)

    assert heard == [str(AgentTopic(agent="hut-1", name="cmd"))]
    assert is_alive(cloud)
    assert answer_to_publish(commands, str(AgentTopic(agent="hut-1", name="ack"))) == NOT_AUTHORISED


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
    mosquitto.revoke("hut-9")
    mosquitto.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 5
    while mosquitto.hello("hut-9"):
        assert time.monotonic() < deadline, "the revoked agent still gets in"

    mosquitto.connect("hut-1").disconnect()


def is_alive(client):
    """Whether the connection stands; what the broker said meanwhile is read."""
    return all(client.loop(0.02) == 0 for _ in range(5))


def await_cut(client, *, within_s=5):
    deadline = time.monotonic() + within_s
    while is_alive(client):
        assert time.monotonic() < deadline, "the agent is still connected"


def test_agent_cannot_take_the_place_of_another_by_its_client_id(mosquitto):
    owner = mosquitto.connect("hut-1", client_id="agent-hut-1")
    for stolen in ("agent-hut-1", "hut-1", "qianli.cloud"):
        mosquitto.connect("hut-2", client_id=stolen)

    assert is_alive(owner)


def test_second_connection_of_a_certificate_ends_the_first_whatever_it_calls_itself(mosquitto):
    first = mosquitto.connect("hut-1", client_id="agent-hut-1")
    mosquitto.connect("hut-1", client_id="something else")

    await_cut(first)


def test_version_question_leaves_the_session_of_the_cloud_alone(mosquitto):
    cloud_pair(mosquitto.keys, mosquitto.authority, now=datetime.now(UTC))
    address = parse_mqtt_url(f"mqtts://127.0.0.1:{mosquitto.port}", keys=mosquitto.keys)
    topic = str(AgentTopic(agent="hut-1", name="event"))
    kept = mosquitto.connect(None, session_s=600)
    assert answer_to_subscribe(kept, topic) in (0, 1)
    kept.disconnect()

    assert speaks_mqtt5(address)
    assert answer_to_publish(mosquitto.connect("hut-1"), topic) == 0
    heard = []
    mosquitto.connect(None, session_s=600, heard=heard)
    assert heard == [topic]


def stand_in(mosquitto, agent):
    key, now = new_key(), datetime.now(UTC)
    certificate = issue_stand_in(mosquitto.authority, key.public_key(), agent=agent, now=now)
    context = context_of(key_pem(key) + pem(certificate), authority=pem(mosquitto.authority.certificate))
    address = parse_mqtt_url(f"mqtts://127.0.0.1:{mosquitto.port}", keys=mosquitto.keys)
    return StandIn(address, agent, context=context, clock=lambda: datetime.now(UTC))


def test_open_connection_of_a_revoked_agent_outlives_the_list_and_not_the_stand_in(mosquitto):
    revoked, other = mosquitto.connect("hut-8", client_id="hidden"), mosquitto.connect("hut-1")
    mosquitto.revoke("hut-8", "hut-6")
    mosquitto.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 5
    while mosquitto.hello("hut-6"):
        assert time.monotonic() < deadline, "the list is not read"
    assert is_alive(revoked)
    place = stand_in(mosquitto, "hut-8")
    place.start()
    try:
        await_cut(revoked)
        assert is_alive(other)
        assert not mosquitto.hello("hut-8")
        assert place.is_there
    finally:
        place.stop()


def test_stand_in_takes_the_place_back_when_it_is_contested(mosquitto):
    place = stand_in(mosquitto, "hut-7")
    place.start()
    try:
        await_place(place)
        again = mosquitto.connect("hut-7")
        await_cut(again, within_s=10)
        await_place(place)
        assert place.contested_at is not None
    finally:
        place.stop()


def await_place(place):
    deadline = time.monotonic() + 10
    while not place.is_there:
        assert time.monotonic() < deadline, "the stand-in does not come"
        time.sleep(0.02)


def test_check_finds_whether_the_window_is_kept(mosquitto):
    cloud_pair(mosquitto.keys, mosquitto.authority, name="check", now=datetime.now(UTC))
    address = parse_mqtt_url(f"mqtts://127.0.0.1:{mosquitto.port}", keys=mosquitto.keys).as_part("check")
    found = ask_broker(address, client_id="check")

    version = subprocess.run(["mosquitto", "-h"], capture_output=True, text=True, check=False).stdout
    is_old = "version 2.0.11" in version
    assert (found.speaks_5, found.keeps_window) == (True, not is_old)
