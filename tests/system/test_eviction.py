"""From a revocation in the cloud to a cut connection at the broker, with the services of docker-compose.yml.

No image is run; what runs in them is: follow.sh, Mosquitto and the command of the service `trust`.
"""

import asyncio
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from cloud.broker.address import parse_mqtt_url
from cloud.broker.stand_in import StandIn
from cloud.enrolment.authority.certificates import pem
from cloud.enrolment.model import Admission
from cloud.enrolment.stream import EvictionStream
from edge_agent.identity import new_request, store_identity
from tests.cloud.enrolment.conftest import ADMIN, open_room
from tests.fixtures.certificates import agent_identity, tls_context
from tests.fixtures.mosquitto import FollowedMosquitto
from tests.fixtures.running_demo import free_port
from tests.system.test_mosquitto import await_cut, is_alive

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]

COMPOSE = yaml.safe_load((Path(__file__).parents[2] / "docker-compose.yml").read_text())


@pytest.fixture
def mosquitto(tmp_path):
    broker = FollowedMosquitto(folder=tmp_path, port=free_port())
    yield broker
    broker.hang_up()
    broker.stop()


def follow_command(folder):
    """That of the service `trust`, with another folder."""
    command = COMPOSE["services"]["trust"]["command"]
    assert command[:4] == ["python", "-m", "cloud", "broker-certificate"]
    into = {
        "/var/lib/qianli-broker": str(folder),
        "/var/lib/qianli-workers": f"{folder}-workers",
        command[-1]: "127.0.0.1,localhost",
    }
    return [sys.executable, *(into.get(word, word) for word in command[1:])]


@pytest.fixture
def room(database_url, database, mosquitto):
    database.execute("INSERT INTO organisation (organisation_id, name_zh, name_en) VALUES ('north', '', '')")
    database.execute(
        "INSERT INTO site (site_id, organisation_id, name_zh, name_en) VALUES ('north-site', 'north', '', '')"
    )
    with open_room(database_url, mosquitto.keys) as (service, clock, _):
        for agent in ("hut-1", "hut-2"):
            enrol(service, mosquitto, agent)
        mosquitto.start(follow_command(mosquitto.files))
        with evicting(service, mosquitto, clock) as stream:
            yield service, stream


def enrol(service, mosquitto, agent):
    files = agent_identity(mosquitto.keys, agent)
    code, request = service.invite(ADMIN, Admission(agent=agent)).code, new_request()
    _, certificate = service.enrol(code, request.pem.encode(), caller="10.0.0.1")
    authority = files.authority.read_bytes()
    store_identity(files, request, certificate=pem(certificate).decode(), authority=authority)


@contextmanager
def evicting(service, mosquitto, clock):
    """As the service runs it."""
    address = parse_mqtt_url(f"mqtts://127.0.0.1:{mosquitto.port}", keys=mosquitto.keys)

    def make_place(agent):
        return StandIn(address, agent, context=service.stand_in_context(agent), clock=clock)

    stream = EvictionStream(service.put_out_since, make_place, clock=clock, every_s=0.2)
    loop = asyncio.new_event_loop()
    task = loop.create_task(stream.run())
    thread = threading.Thread(target=lambda: loop.run_until_complete(asyncio.wait([task])))
    thread.start()
    yield stream
    loop.call_soon_threadsafe(task.cancel)
    thread.join(20)
    loop.close()


def test_revoked_agent_is_cut_within_seconds_and_stays_out(mosquitto, room):
    service, stream = room
    stolen, other = mosquitto.connect("hut-1", client_id="hidden"), mosquitto.connect("hut-2")
    assert is_alive(stolen)
    began = time.monotonic()
    service.revoke(ADMIN, "hut-1", reason="stolen")
    await_cut(stolen, within_s=5)
    took_s = time.monotonic() - began
    deadline = began + 10
    while mosquitto.hello("hut-1"):
        assert time.monotonic() < deadline, "the list is not read"

    assert took_s < 5
    assert is_alive(other)
    assert stream.held == {"hut-1"}


def test_agent_that_is_let_in_again_gets_its_place_back(mosquitto, room):
    service, stream = room
    service.revoke(ADMIN, "hut-1", reason="lost")
    await_held(stream, {"hut-1"})
    enrol(service, mosquitto, "hut-1")
    await_held(stream, set())

    assert is_alive(mosquitto.connect("hut-1"))


def await_held(stream, agents):
    deadline = time.monotonic() + 10
    while stream.held != agents:
        assert time.monotonic() < deadline, f"held are {stream.held}"
        time.sleep(0.05)


def test_script_ends_with_its_broker_and_gives_its_files_to_the_owner_alone(mosquitto, room):
    del room
    modes = {path.name: path.stat().st_mode & 0o777 for path in (mosquitto.folder / "etc").glob("*.pem")}
    mosquitto.process.terminate()

    assert modes == {"broker.pem": 0o400, "revoked.pem": 0o400}
    assert mosquitto.process.wait(10) is not None
    with pytest.raises(OSError):  # noqa: PT011 # whatever a closed port says
        mosquitto.connect("hut-2", tls_context(mosquitto.keys / "authority.crt", None))
