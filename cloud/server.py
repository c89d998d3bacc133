"""The HTTP servers of the service: pages and API on the loopback interface, and the agents' door."""

import asyncio
import socket
import sys
from contextlib import closing
from ipaddress import ip_address

import uvicorn
from starlette.types import ASGIApp

from cloud.agent_door import DoorServer, build_door, door_context
from cloud.app import Assembly, assemble, build_app
from cloud.connection import HttpConnection
from cloud.enrolment.authority.files import server_pair
from cloud.errors import SettingInvalid
from cloud.identity.service import utc_now
from cloud.settings import CloudSettings
from cloud.store.connection import await_database
from cloud.store.migrate import migrate

HOST = "127.0.0.1"


class _Server(uvicorn.Server):
    """Says in one line that it is ready, and where."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and sockets:
            port = sockets[0].getsockname()[1]
            sys.stdout.write(f"cloud ready at http://{HOST}:{port}/\n")
            sys.stdout.flush()


def serve(settings: CloudSettings) -> int:
    """Serve until SIGINT or SIGTERM.

    Raises:
        CloudError: a port is taken, or the database does not answer or is newer than this code.
    """
    with (
        closing(_bind(HOST, settings.http_port, setting="QIANLI_HTTP_PORT")) as bound,
        closing(_bind_door(settings)) as door_bound,
    ):
        found = settings.model_copy(update={"agent_port": door_bound.getsockname()[1]})
        with await_database(settings.database_url) as connection:
            migrate(connection)
            built = assemble(found, connection)
        config = http_config(build_app(built))
        server = _Server(config)
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(_serve_both(server, bound, door=open_door(found, built), door_bound=door_bound))
    return 0 if server.started else 1


def http_config(app: ASGIApp) -> uvicorn.Config:
    """How our server is set."""
    return uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        http=HttpConnection,
        ws="websockets-sansio",
        ws_max_size=64 * 1024,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=1,
    )


def open_door(settings: CloudSettings, built: Assembly) -> DoorServer:
    """The agents' door, with a server certificate for the names of the settings."""
    keys = settings.home / "keys"
    authority = built.enrolment.authority
    pair = server_pair(keys, authority, name="agent-door", hosts=settings.agent_names, now=utc_now())
    return DoorServer(build_door(built.enrolment, built.people), door_context(pair, authority.certificate))


async def _serve_both(
    server: _Server, bound: socket.socket, *, door: DoorServer, door_bound: socket.socket
) -> None:
    """The pages' server opens and closes the parts; the door serves while they are there."""
    beside = asyncio.create_task(door.serve(sockets=[door_bound]), name="agent-door")
    try:
        await server.serve(sockets=[bound])
    finally:
        door.should_exit = True
        await asyncio.gather(beside, return_exceptions=True)


def _bind_door(settings: CloudSettings) -> socket.socket:
    host = HOST if all(map(_is_loopback, settings.agent_names)) else "0.0.0.0"  # noqa: S104 # asked for by name
    return _bind(host, settings.agent_port, setting="QIANLI_AGENT_PORT")


def _is_loopback(name: str) -> bool:
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _bind(host: str, port: int, *, setting: str) -> socket.socket:
    """Take the port first: a second service must not touch anything before it finds that it is the second."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        reason = f"port {port} on {host} is not free ({error.strerror}); choose another"
        raise SettingInvalid(setting, reason) from error
    return bound
