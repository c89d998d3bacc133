"""The servers of the service: HTTP on the loopback interface, the agents' door, and if told so HTTPS."""

import asyncio
import socket
import sys
from contextlib import ExitStack, closing
from functools import partial
from ipaddress import ip_address

from cloud.agent_door import DoorCertificate, build_door, door_server
from cloud.app import build_app
from cloud.assembly import Assembly, assemble
from cloud.enrolment.authority.files import normal_hosts
from cloud.guard import LOOPBACK_HOSTS
from cloud.identity.service import utc_now
from cloud.listener import Beside, BesideServer, FirstServer, bind, http_config, serve_together
from cloud.metrics import Told, serve_metrics
from cloud.own_names import own_names
from cloud.service_metrics import tell_service
from cloud.settings import CloudSettings
from cloud.store.connection import await_database
from cloud.store.migrate import migrate
from cloud.tls import Certificate
from cloud.trust_page import build_trust_page

HOST = "127.0.0.1"


class _Server(FirstServer):
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
    with ExitStack() as stack:

        def take(host: str, port: int, setting: str) -> socket.socket:
            return stack.enter_context(closing(bind(host, port, setting=setting)))

        bound = take(HOST, settings.http_port, "QIANLI_HTTP_PORT")
        door_bound = take(_door_host(settings), settings.agent_port, "QIANLI_AGENT_PORT")
        found = settings.model_copy(update={"agent_port": door_bound.getsockname()[1]})
        host = settings.https_host
        secure = None if host is None else take(host, settings.https_port, "QIANLI_HTTPS_PORT")
        plain = None if host is None else take(host, settings.trust_port, "QIANLI_TRUST_PORT")
        with await_database(settings.database_url) as connection:
            migrate(connection)
            built = assemble(found, connection)
        if settings.metrics_port is not None:
            metrics = serve_metrics(partial(_tell, built), port=settings.metrics_port)
            stack.callback(metrics.stop)
        certificate = None if host is None else _certificate(settings, built, host=host)
        app = build_app(built, hosts=certificate.hosts if certificate else lambda: LOOPBACK_HOSTS)
        beside: Beside = [(open_door(found, built), door_bound)]
        if certificate is not None and secure is not None and plain is not None:
            trust = build_trust_page(certificate, https_port=secure.getsockname()[1])
            beside = [
                *beside,
                (BesideServer(http_config(app, certificate=certificate, lifespan=False)), secure),
                (BesideServer(http_config(trust, lifespan=False)), plain),
            ]
        server = _Server(http_config(app))
        with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
            runner.run(serve_together(server, bound, beside=beside))
    return 0 if server.started else 1


def _tell(built: Assembly) -> list[Told]:
    """What Prometheus reads of the service."""
    watching, now = built.watching, built.clock()
    return tell_service(
        parts=watching.parts(),
        spools=watching.spools.recent(now),
        viewers=len(watching.hub.viewers()),
        now=now,
    )


def open_door(settings: CloudSettings, built: Assembly) -> BesideServer:
    """The agents' door, with a server certificate for the names of the settings."""
    names = tuple(normal_hosts(settings.agent_names))
    certificate = DoorCertificate(
        settings.home / "keys", built.enrolment.authority, names=lambda: names, clock=built.clock
    )
    return door_server(build_door(built.enrolment, built.people, hosts=certificate.hosts), certificate)


def _door_host(settings: CloudSettings) -> str:
    """Every address as soon as agents of other machines are to come."""
    return HOST if all(map(_is_loopback, settings.agent_names)) else ""


def _is_loopback(name: str) -> bool:
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _certificate(settings: CloudSettings, built: Assembly, *, host: str) -> Certificate:
    """That of HTTPS for other machines, which follows the names of this one."""
    return Certificate(
        settings.home / "keys",
        built.enrolment.authority,
        names=lambda: own_names(host, further=settings.further_names),
        clock=utc_now,
    )
