import os
from pathlib import Path

from devices.simulators.pty_port import PtyPort


def test_what_is_sent_to_a_closed_port_is_lost(tmp_path: Path) -> None:
    port = PtyPort(tmp_path / "tty")
    port.plug_in()
    port.write(b"nobody hears this")
    reader = os.open(port.path, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY)
    assert port.is_open
    port.write(b"heard\n")
    assert os.read(reader, 100) == b"heard\n"
    os.close(reader)
    assert not port.is_open
    port.pull_out()


def test_a_sleeping_reader_does_not_stop_the_device(tmp_path: Path) -> None:
    port = PtyPort(tmp_path / "tty")
    port.plug_in()
    reader = os.open(port.path, os.O_RDWR | os.O_NOCTTY)
    for _ in range(100):
        port.write(bytes(1000))
    assert port.is_open
    os.close(reader)
    port.pull_out()


def test_a_pulled_port_is_gone_and_comes_back_at_the_same_path(tmp_path: Path) -> None:
    port = PtyPort(tmp_path / "tty")
    port.plug_in()
    port.plug_in()
    port.pull_out()
    port.pull_out()
    assert not port.path.is_symlink()
    assert not port.is_open
    port.write(b"into the air")
    port.plug_in()
    assert port.path.exists()
    port.pull_out()


def test_a_link_left_by_a_killed_run_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "tty").symlink_to("/dev/pts/999999")
    port = PtyPort(tmp_path / "tty")
    port.plug_in()
    assert port.path.exists()
    port.pull_out()
