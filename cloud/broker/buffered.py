"""A socket that paho may read byte by byte and write packet by packet without a system call for each.

paho asks for the first byte of a packet, then for each of its length, then for the rest, and sends every
acknowledgement alone. Each of these calls gives the interpreter to another thread and has to get it back,
which under load costs more than everything else that is done with a message.
"""

import socket
import ssl
from contextlib import suppress
from typing import Any, cast

import paho.mqtt.client as mqtt

_READ_BYTES = 65_536
_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class BufferedSocket:
    """What paho needs of a socket that does not block. One thread uses it; `flush` is for whoever waits."""

    def __init__(self, inner: socket.socket) -> None:
        inner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._inner = inner
        self._read = memoryview(b"")
        self._unsent = bytearray()

    def recv(self, buffer_size: int) -> bytes:
        """Up to so many bytes; BlockingIOError when there are none now, nothing when there will be none."""
        if not self._read:
            try:
                self._read = memoryview(self._inner.recv(_READ_BYTES))
            except ssl.SSLWantReadError:
                raise BlockingIOError from None
        taken, self._read = self._read[:buffer_size], self._read[buffer_size:]
        return bytes(taken)

    def send(self, buffer: bytes) -> int:
        """Keep it for the next `flush`."""
        self._unsent += buffer
        return len(buffer)

    def flush(self) -> None:
        """Send what is kept, as far as the other side takes it.

        Raises:
            OSError: the connection has ended.
        """
        with suppress(*_WOULD_BLOCK):
            while self._unsent:
                sent = self._inner.send(self._unsent)
                del self._unsent[:sent]

    @property
    def has_unread(self) -> bool:
        """Whether something can be read for which the other side need send nothing."""
        return bool(self._read) or (isinstance(self._inner, ssl.SSLSocket) and self._inner.pending() > 0)

    @property
    def has_unsent(self) -> bool:
        """Whether something waits for `flush`."""
        return bool(self._unsent)

    def fileno(self) -> int:
        """The descriptor to wait for."""
        return self._inner.fileno()

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001 # as of a socket
        """As of a socket."""
        self._inner.setblocking(flag)

    def close(self) -> None:
        """Send what is kept, and close."""
        with suppress(OSError):
            self.flush()
        self._inner.close()


class BufferedClient(mqtt.Client):
    """A client of paho on a `BufferedSocket`; its loop is the caller's, who flushes."""

    def _create_socket(self) -> Any:  # paho's SocketLike, which is there for type checkers only
        return BufferedSocket(cast("socket.socket", super()._create_socket()))  # no WebSocket

    def buffered(self) -> BufferedSocket | None:
        """The socket, while there is a connection."""
        opened = self.socket()
        return opened if isinstance(opened, BufferedSocket) else None
