"""The HTTP server of the service: loopback only in this version."""

import socket
import sys
from contextlib import closing

import uvicorn

from cloud.app import assemble, build_app
from cloud.errors import SettingInvalid
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
        CloudError: the port is taken, or the database does not answer or is newer than this code.
    """
    with closing(_bind(settings.http_port)) as bound:
        with await_database(settings.database_url) as connection:
            migrate(connection)
            built = assemble(settings, connection)
        config = uvicorn.Config(
            build_app(built),
            log_level="warning",
            access_log=False,
            server_header=False,
            ws="websockets-sansio",
            ws_max_size=64 * 1024,
            ws_per_message_deflate=False,
            timeout_graceful_shutdown=1,
        )
        server = _Server(config)
        server.run(sockets=[bound])
    return 0 if server.started else 1


def _bind(port: int) -> socket.socket:
    """Take the port first: a second service must not touch anything before it finds that it is the second."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((HOST, port))
    except OSError as error:
        bound.close()
        reason = f"port {port} on {HOST} is not free ({error.strerror}); choose another"
        raise SettingInvalid("QIANLI_HTTP_PORT", reason) from error
    return bound
