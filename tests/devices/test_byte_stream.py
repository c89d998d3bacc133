import asyncio
import fcntl
import os
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from devices.byte_stream import ByteStream, open_serial
from devices.driver import SerialSettings
from devices.errors import PortBusy, PortDenied, PortLost, PortMissing, PortRefused
from devices.simulators.pty_port import PtyPort

LINE = SerialSettings(baud=19200, parity="O")


@pytest.fixture
def port(tmp_path: Path) -> Iterator[PtyPort]:
    made = PtyPort(tmp_path / "ttySIM")
    made.plug_in()
    yield made
    made.pull_out()


async def read_all(stream: ByteStream, count: int) -> bytes:
    got = b""
    async with asyncio.timeout(2):
        while len(got) < count:
            got += await stream.read()
    return got


async def test_bytes_arrive_unchanged_though_a_pty_knows_no_parity(port: PtyPort) -> None:
    stream = open_serial(str(port.path), LINE)
    sent = bytes(range(256))
    port.write(sent)
    assert await read_all(stream, len(sent)) == sent
    await stream.close()


async def test_a_pulled_cable_ends_the_stream_after_the_bytes_before_it(port: PtyPort) -> None:
    stream = open_serial(str(port.path), LINE)
    port.write(b"last")
    assert await read_all(stream, 4) == b"last"
    waiting = asyncio.create_task(stream.read())
    await asyncio.sleep(0)
    port.pull_out()
    assert await asyncio.wait_for(waiting, 2) == b""
    assert await stream.read() == b""
    await stream.close()


async def test_writing_to_a_pulled_port_says_that_it_is_lost(port: PtyPort) -> None:
    stream = open_serial(str(port.path), LINE)
    port.pull_out()
    with pytest.raises(PortLost) as caught:
        await stream.write(b"\xf5\xf5")
    assert caught.value.path == str(port.path)
    await stream.close()


async def test_a_port_put_back_at_the_same_path_opens_again(port: PtyPort) -> None:
    stream = open_serial(str(port.path), LINE)
    port.pull_out()
    await stream.close()
    port.plug_in()
    again = open_serial(str(port.path), LINE)
    port.write(b"back")
    assert await read_all(again, 4) == b"back"
    await again.close()


async def test_closing_wakes_a_waiting_read_with_the_end(port: PtyPort) -> None:
    stream = open_serial(str(port.path), LINE)
    waiting = asyncio.create_task(stream.read())
    await asyncio.sleep(0)
    await stream.close()
    await stream.close()
    assert await asyncio.wait_for(waiting, 2) == b""


async def test_a_closed_stream_is_at_its_end_and_cannot_be_written(port: PtyPort) -> None:
    stream = open_serial(str(port.path), LINE)
    await stream.close()
    assert await stream.read() == b""
    with pytest.raises(PortLost, match="closed"):
        await stream.write(b"x")


async def test_a_cancelled_read_leaves_the_stream_usable(port: PtyPort) -> None:
    stream = open_serial(str(port.path), LINE)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(stream.read(), 0.01)
    port.write(b"later")
    assert await read_all(stream, 5) == b"later"
    await stream.close()


async def test_writing_waits_while_the_other_end_is_full() -> None:
    master, slave = os.openpty()
    stream = open_serial(os.ttyname(slave), LINE)
    os.close(slave)
    sent = bytes(50_000)
    writing = asyncio.create_task(stream.write(sent))
    got = 0
    async with asyncio.timeout(2):
        while got < len(sent):
            await asyncio.sleep(0)
            got += len(os.read(master, 4096))
        await writing
    await stream.close()
    os.close(master)


def test_no_port_at_the_path_says_that_it_is_missing(tmp_path: Path) -> None:
    with pytest.raises(PortMissing, match="No such file") as caught:
        open_serial(str(tmp_path / "ttyUSB0"), LINE)
    assert caught.value.path == str(tmp_path / "ttyUSB0")


def test_a_port_that_another_holds_is_busy(port: PtyPort) -> None:
    holder = os.open(port.path, os.O_RDWR | os.O_NOCTTY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    with pytest.raises(PortBusy):
        open_serial(str(port.path), LINE)
    os.close(holder)


def test_a_file_that_is_no_port_is_refused(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    with pytest.raises(PortRefused):
        open_serial(str(plain), LINE)


def test_a_port_without_permission_is_denied(port: PtyPort, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_options: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("serial.serialposix.os.open", refuse)  # root may open any file
    with pytest.raises(PortDenied):
        open_serial(str(port.path), LINE)


def test_line_settings_that_the_driver_refuses_are_told(
    port: PtyPort, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object) -> None:
        raise termios.error(22, "Invalid argument")

    monkeypatch.setattr("serial.serialposix.termios.tcsetattr", refuse)
    with pytest.raises(PortRefused, match="Invalid argument"):
        open_serial(str(port.path), LINE)
