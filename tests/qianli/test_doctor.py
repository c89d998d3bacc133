import json
import os
import shutil
import socket
from pathlib import Path

import pytest

from qianli.__main__ import main
from qianli.commands.doctor import line_for_people
from qianli.home import Home
from qianli.machine import (
    Finding,
    Machine,
    Verdict,
    find_bluetooth,
    find_disk,
    find_memory,
    find_pages,
    find_ports,
    find_python,
    find_serial,
)
from qianli.ports import port_is_free


def machine(root: Path, **changes: tuple[int, int]) -> Machine:
    return Machine(home=Home(path=root / "home"), checkout=root / "checkout", root=root, **changes)


def free_port() -> int:
    return next(port for port in range(18200, 18300) if port_is_free(port))


def test_an_old_python_blocks_and_says_which_is_needed(tmp_path: Path) -> None:
    finding = find_python(machine(tmp_path, python=(3, 9)))
    assert finding.verdict is Verdict.BLOCKED
    assert "install 3.11 or newer" in finding.en


def test_a_full_disk_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=10_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    finding = find_disk(machine(tmp_path))
    assert finding.verdict is Verdict.BLOCKED
    assert "0.0 GB" in finding.en


@pytest.mark.parametrize(
    ("text", "verdict"),
    [("MemAvailable: 4000000 kB\n", "ok"), ("MemAvailable: 300000 kB\n", "limited"), ("", "limited")],
    ids=["enough", "little", "unknown"],
)
def test_memory(text: str, verdict: str, tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text(text)
    assert find_memory(machine(tmp_path)).verdict == verdict


def test_no_bluetooth_adapter_says_that_the_demo_runs(tmp_path: Path) -> None:
    finding = find_bluetooth(machine(tmp_path))
    assert finding.verdict is Verdict.LIMITED
    assert "demo runs all the same" in finding.en


def test_an_adapter_without_bluez_says_what_to_start(tmp_path: Path) -> None:
    (tmp_path / "sys/class/bluetooth/hci0").mkdir(parents=True)
    assert "systemctl start bluetooth" in find_bluetooth(machine(tmp_path)).en


def test_an_adapter_with_bluez_is_ready(tmp_path: Path) -> None:
    for folder in ("sys/class/bluetooth/hci0", "sys/class/bluetooth/hci0:12", "run/dbus", "proc/77"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "run/dbus/system_bus_socket").touch()
    (tmp_path / "proc/77/comm").write_text("bluetoothd\n")
    finding = find_bluetooth(machine(tmp_path))
    assert (finding.verdict, finding.en) == (Verdict.OK, "Bluetooth adapter hci0 is ready")


def test_a_serial_port_without_rights_names_the_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/ttyUSB0").touch()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    finding = find_serial(machine(tmp_path))
    assert finding.verdict is Verdict.LIMITED
    assert "sudo usermod -aG" in finding.en


def test_serial_ports_that_open_are_named(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/ttyUSB0").touch()
    assert find_serial(machine(tmp_path)).en == "serial ports ttyUSB0 are ready"


@pytest.mark.enable_socket
@pytest.mark.parametrize(
    ("variable", "verdict"), [("QIANLI_HTTP_PORT", "blocked"), ("QIANLI_MQTT_PORT", "limited")]
)
def test_a_taken_port(variable: str, verdict: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("QIANLI_HTTP_PORT", "QIANLI_MQTT_PORT"):
        monkeypatch.setenv(name, str(free_port()))
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv(variable, str(server.getsockname()[1]))
        assert find_ports(machine(tmp_path)).verdict == verdict


@pytest.mark.parametrize("variable", ["QIANLI_HTTP_PORT", "QIANLI_MQTT_PORT"])
def test_a_setting_that_is_no_port_is_a_finding(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "abc")
    finding = find_ports(machine(tmp_path))
    assert finding.verdict is Verdict.BLOCKED
    assert "'abc' is not a port" in finding.en


def test_pages_are_found_once_built(tmp_path: Path) -> None:
    assert find_pages(machine(tmp_path)).verdict is Verdict.LIMITED
    (tmp_path / "checkout/cloud/static").mkdir(parents=True)
    (tmp_path / "checkout/cloud/static/index.html").touch()
    assert find_pages(machine(tmp_path)).verdict is Verdict.OK


@pytest.mark.parametrize(("language", "text"), [("zh_CN.UTF-8", "好"), ("en_GB", "good"), ("C", "好 · good")])
def test_the_locale_chooses_the_language(language: str, text: str) -> None:
    finding = Finding(check="disk", verdict=Verdict.OK, zh="好", en="good")
    assert line_for_people(finding, language=language) == f"✓ disk       {text}"


@pytest.mark.enable_socket
def test_the_command_ends_with_1_only_if_something_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QIANLI_HOME", str(tmp_path))
    monkeypatch.setenv("QIANLI_HTTP_PORT", str(free_port()))
    assert main(["doctor", "--json"]) == 0
    findings = json.loads(capsys.readouterr().out)
    assert {"python", "disk", "memory", "bluetooth", "serial", "clock", "ports", "pages"} == {
        finding["check"] for finding in findings
    }
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("QIANLI_HTTP_PORT", str(server.getsockname()[1]))
        assert main(["doctor"]) == 1
    assert "✗ ports" in capsys.readouterr().out
