"""Several servers in one process: the first opens and ends the application, the others serve beside it."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator, Sequence

import structlog
import uvicorn
from starlette.types import ASGIApp

from cloud.connection import HttpConnection
from cloud.errors import SettingInvalid
from cloud.own_names import EVERY_ADDRESS
from cloud.tls import CHECK_EVERY_S, Certificate

_log = structlog.get_logger()


class FirstServer(uvicorn.Server):
    """Tells when it stands."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.stands = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As in the base."""
        await super().startup(sockets)
        if self.started:
            self.stands.set()


class BesideServer(uvicorn.Server):
    """One that leaves the signals to the first."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take none."""
        yield


Beside = Sequence[tuple[uvicorn.Server, socket.socket]]


async def serve_together(first: FirstServer, bound: socket.socket, *, beside: Beside) -> None:
    """Serve until the first has ended; the others begin once it stands, and end with it."""
    begin = asyncio.create_task(_serve_beside(first.stands, beside), name="beside")
    begin.add_done_callback(lambda done: _end_with(first, done))
    try:
        await first.serve(sockets=[bound])
    finally:
        for server, _ in beside:
            server.should_exit = True
        if not first.stands.is_set():
            begin.cancel()
        await asyncio.gather(begin, return_exceptions=True)


def _end_with(first: FirstServer, done: asyncio.Task[None]) -> None:
    """A process of which half is dead would look alive: better that it ends and is restarted."""
    if not done.cancelled() and done.exception() is not None:
        _log.error("server_failed", error=repr(done.exception()))
        first.should_exit = True


async def _serve_beside(stands: asyncio.Event, beside: Beside) -> None:
    await stands.wait()
    async with asyncio.TaskGroup() as group:
        for server, bound in beside:
            group.create_task(server.serve(sockets=[bound]))


def http_config(
    app: ASGIApp,
    *,
    certificate: Certificate | None = None,
    lifespan: bool = True,
    connection: type[HttpConnection] = HttpConnection,
) -> uvicorn.Config:
    """How each of our servers is set; with a certificate by TLS, which follows the machine."""
    return uvicorn.Config(
        app,
        lifespan="on" if lifespan else "off",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # who sits on this machine must not choose its address or pretend HTTPS
        http=connection,
        ws="websockets-sansio",
        ws_max_size=64 * 1024,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=1,
        ssl_context_factory=None if certificate is None else lambda _config, _default: certificate.context,
        callback_notify=None if certificate is None else certificate.keep_current,
        timeout_notify=CHECK_EVERY_S,
    )


def bind(host: str, port: int, *, setting: str) -> socket.socket:
    """Take the port first: a second service must not touch anything before it finds that it is the second.

    Raises:
        SettingInvalid: the port is taken, or the address is not one of this machine.
    """
    try:
        bound = _listen(host, port)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        reason = f"port {port} on {host or 'some address'} is not free ({why}); choose another"
        raise SettingInvalid(setting, reason) from error
    # Every connection inherits it. asyncio sets it only on sockets that name their protocol; without it the
    # second part of an answer waits 40 ms for the acknowledgement of the first.
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return bound


def _listen(host: str, port: int) -> socket.socket:
    if host in EVERY_ADDRESS:
        dual = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if dual else socket.AF_INET
        return socket.create_server(("", port), family=family, dualstack_ipv6=dual)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)
