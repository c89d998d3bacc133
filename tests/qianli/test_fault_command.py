"""`qianli fault` refuses before it switches anything."""

import threading
from http.server import HTTPServer, SimpleHTTPRequestHandler

import pytest

from qianli.__main__ import main


@pytest.mark.parametrize("device", ["h10-1", "uplink"])
def test_a_device_without_a_fault_switches_nothing(device: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fault", device]) == 1
    assert f"name the fault too: `qianli fault` lists those of {device}" in capsys.readouterr().err


def test_the_link_knows_one_fault(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fault", "uplink", "banana", "off"]) == 1
    assert "the link cannot have the fault banana; it can have: cut" in capsys.readouterr().err


def test_no_agent_is_said_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fault", "--panel-port", "1"]) == 1
    assert "no agent panel on port 1" in capsys.readouterr().err


@pytest.mark.enable_socket
def test_another_program_on_the_port_is_said_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with HTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as other:
        thread = threading.Thread(target=other.handle_request)
        thread.start()
        assert main(["fault", "--panel-port", str(other.server_port)]) == 1
        thread.join(timeout=5)
    assert f"what answers on port {other.server_port} is no agent panel" in capsys.readouterr().err
