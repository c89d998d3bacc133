"""The seam to serial devices: bytes in, bytes out, an end. Drivers never see the port."""

import asyncio
import errno
import os
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import serial

from devices.driver import SerialSettings
from devices.errors import PortBusy, PortDenied, PortError, PortLost, PortMissing, PortRefused

READ_BYTES = 4096

PORT_GONE_ERRNOS = frozenset({errno.EIO, errno.ENXIO, errno.ENODEV, errno.EBADF})
"""What a read gives when the USB adapter was pulled, or the other end of a pty was closed."""

PORT_ERROR_BY_ERRNO: dict[int | None, type[PortError]] = {
    errno.ENOENT: PortMissing,
    errno.ENXIO: PortMissing,
    errno.ENODEV: PortMissing,
    errno.EIO: PortMissing,  # a pty whose other end is closed
    errno.EACCES: PortDenied,
    errno.EPERM: PortDenied,
    errno.EAGAIN: PortBusy,  # somebody else holds the lock
    errno.EBUSY: PortBusy,
}


class ByteStream(Protocol):
    """An open two-way stream of bytes."""

    async def read(self) -> bytes:
        """Whatever has come, at least one byte; b"" once the stream has ended (cable pulled, or closed)."""

    async def write(self, payload: bytes) -> None:
        """Send all of it.

        Raises:
            PortLost: the port is gone.
        """

    async def close(self) -> None:
        """End the stream; a waiting `read` gives b"". Closing twice is allowed."""


def open_serial(path: str, settings: SerialSettings) -> ByteStream:
    """Open a serial port for this process alone. Call it inside the event loop that will read it.

    Linux refuses parity on a pseudo-terminal (EINVAL), so that a simulated device's port is opened
    without; its bytes are the same.

    Raises:
        PortMissing, PortDenied, PortBusy, PortRefused: it could not be opened.
    """
    is_pty = str(Path(path).resolve()).startswith("/dev/pts/")
    try:
        port = serial.Serial(
            path,
            baudrate=settings.baud,
            parity=serial.PARITY_NONE if is_pty else settings.parity,
            stopbits=settings.stop_bits,
            timeout=0,
            exclusive=True,
        )
        _tell_empty_from_ended(port.fileno())
    except (OSError, termios.error, ValueError) as error:  # SerialException is an OSError
        raise _port_error(path, error) from error
    return SerialStream(path, port)


class SerialStream:
    """`ByteStream` over an open pyserial port. It holds no buffer: what is not read waits in the kernel."""

    def __init__(self, path: str, port: serial.Serial) -> None:
        self._path = path
        self._port = port
        self._fd: int = port.fileno()
        self._closed = False
        self._waiting: set[asyncio.Future[None]] = set()

    async def read(self) -> bytes:
        """See `ByteStream`."""
        loop = asyncio.get_running_loop()
        while not self._closed:
            await self._wait_until_ready(loop.add_reader, loop.remove_reader)
            if self._closed:
                break
            try:
                return os.read(self._fd, READ_BYTES)
            except BlockingIOError:
                continue
            except OSError as error:
                if error.errno in PORT_GONE_ERRNOS:
                    break
                raise PortLost(self._path, error.strerror or str(error)) from error
        return b""

    async def write(self, payload: bytes) -> None:
        """See `ByteStream`."""
        loop = asyncio.get_running_loop()
        rest = memoryview(payload)
        while rest:
            if self._closed:
                raise PortLost(self._path, "closed")
            try:
                rest = rest[os.write(self._fd, rest) :]
            except BlockingIOError:
                await self._wait_until_ready(loop.add_writer, loop.remove_writer)
            except OSError as error:
                raise PortLost(self._path, error.strerror or str(error)) from error

    async def close(self) -> None:
        """See `ByteStream`."""
        if self._closed:
            return
        self._closed = True
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._fd)  # before the number can be given to another file
        loop.remove_writer(self._fd)
        for ready in self._waiting:
            _finish(ready)
        self._port.close()

    async def _wait_until_ready(self, watch: Callable[..., object], unwatch: Callable[[int], object]) -> None:
        ready = asyncio.get_running_loop().create_future()
        self._waiting.add(ready)
        watch(self._fd, _finish, ready)
        try:
            await ready
        finally:
            self._waiting.discard(ready)
            if not self._closed:
                unwatch(self._fd)


def _finish(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _tell_empty_from_ended(fd: int) -> None:
    """With pyserial's VMIN 0, b"" means both nothing came and the end; with 1 only the end."""
    attributes = termios.tcgetattr(fd)
    attributes[6][termios.VMIN] = 1
    termios.tcsetattr(fd, termios.TCSANOW, attributes)


def _port_error(path: str, error: Exception) -> PortError:
    code = getattr(error, "errno", None)
    if code is None and error.args and isinstance(error.args[0], int):
        code = error.args[0]  # termios.error is no OSError
    reason = os.strerror(code) if isinstance(code, int) else str(error)
    return PORT_ERROR_BY_ERRNO.get(code, PortRefused)(path, reason)
