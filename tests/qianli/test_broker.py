import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator

import paho.mqtt.client as mqtt
import pytest

from qianli.embedded.broker import USER, broker_answers
from qianli.home import Home, broker_password
from qianli.ports import port_is_free
from qianli.processes import embedded_mqtt_url

pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]


@pytest.fixture
def port() -> int:
    return next(port for port in range(18830, 18900) if port_is_free(port))


@pytest.fixture
def broker(home: Home, port: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "qianli", "broker", "--port", str(port)]
    with subprocess.Popen(
        command, env={"QIANLI_HOME": str(home.path)}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        asyncio.run(_until_it_answers(port, broker_password(home)))
        yield process
        process.terminate()


async def _until_it_answers(port: int, password: str) -> None:
    for _ in range(400):
        if await broker_answers(port=port, password=password):
            return
        await asyncio.sleep(0.05)
    pytest.fail("the broker does not answer")


def connect(port: int, client_id: str, credentials: tuple[str, str] | None) -> tuple[str, bool]:
    """The broker's answer and whether it still knew the session."""
    answers: list[tuple[str, bool]] = []
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=False)
    if credentials is not None:
        client.username_pw_set(*credentials)
    client.on_connect = lambda _c, _u, flags, code, _p: answers.append((str(code), flags.session_present))
    client.connect("127.0.0.1", port)
    while not answers:
        client.loop(timeout=0.1)
    client.subscribe("q/#", qos=1)
    client.loop(timeout=0.2)
    client.disconnect()
    return answers[0]


@pytest.mark.usefixtures("broker")
@pytest.mark.parametrize(
    "credentials", [None, (USER, "guess"), ("other", "")], ids=["anonymous", "wrong", "other"]
)
def test_strangers_are_refused(port: int, credentials: tuple[str, str] | None) -> None:
    assert connect(port, "stranger", credentials) == ("Not authorized", False)


@pytest.mark.usefixtures("broker")
def test_our_user_gets_a_durable_session(port: int, home: Home) -> None:
    credentials = (USER, broker_password(home))
    assert connect(port, "edge-1", credentials) == ("Success", False)
    assert connect(port, "edge-1", credentials) == ("Success", True)


@pytest.mark.usefixtures("broker")
def test_only_the_loopback_interface_is_served(port: int) -> None:
    listeners = subprocess.run(["cat", "/proc/net/tcp"], capture_output=True, text=True, check=True).stdout
    serving = [line.split()[1] for line in listeners.splitlines() if line.split()[1].endswith(f":{port:04X}")]
    assert set(serving) == {f"0100007F:{port:04X}"}


def test_sigterm_stops_it_quietly(broker: subprocess.Popen[bytes]) -> None:
    broker.send_signal(signal.SIGTERM)
    assert broker.wait(5) == 0
    assert broker.stderr is not None
    assert broker.stderr.read() == b""


async def test_a_closed_port_does_not_answer(port: int) -> None:
    assert not await broker_answers(port=port, password="any")


def test_the_address_for_clients_holds_user_and_password() -> None:
    assert embedded_mqtt_url(port=1883, password="p") == "mqtt://qianli:p@127.0.0.1:1883?version=3"
