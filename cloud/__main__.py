"""`python -m cloud` serves; `python -m cloud seed --demo --ward FILE` fills an empty database."""

import argparse
import json
import logging
import socket
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import psycopg
import structlog
import uvicorn

from cloud.app import assemble, build_app
from cloud.errors import CloudError, SettingInvalid
from cloud.identity.service import utc_now
from cloud.seed import seed_demo
from cloud.settings import CloudSettings, read_settings
from cloud.store.connection import await_database
from cloud.store.migrate import migrate
from cloud.ward.model import read_ward_file

HOST = "127.0.0.1"


def main(argv: Sequence[str] | None = None) -> int:
    """Run; a failure is one sentence on stderr and exit code 1."""
    arguments = _parser().parse_args(argv)
    _set_up_logs()
    try:
        settings = read_settings()
        if arguments.command == "seed":
            return _seed(settings, arguments.ward)
        return _serve(settings)
    except (CloudError, psycopg.Error) as error:
        sys.stderr.write(" ".join(str(error).split()) + "\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m cloud", description="The service and its pages")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("serve", help="serve on 127.0.0.1 (the default)")
    seed = commands.add_parser("seed", help="create the demo's accounts and patients where they are missing")
    seed.add_argument("--demo", action="store_true", required=True, help="say that it is for a demo")
    seed.add_argument("--ward", type=Path, required=True, help="JSON file of patients and their sources")
    return parser


def _set_up_logs() -> None:
    """One JSON line per event on stderr, without anything about people."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)


def _seed(settings: CloudSettings, ward_file: Path) -> int:
    ward = read_ward_file(ward_file)
    with await_database(settings.database_url) as connection:
        migrate(connection)
        accounts = seed_demo(connection, ward, now=utc_now())
    if accounts:
        sys.stdout.write(json.dumps({"accounts": accounts}) + "\n")
    return 0


class _Server(uvicorn.Server):
    """Says in one line that it is ready, and where."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and sockets:
            port = sockets[0].getsockname()[1]
            sys.stdout.write(f"cloud ready at http://{HOST}:{port}/\n")
            sys.stdout.flush()


def _bind(port: int) -> socket.socket:
    """Take the port first: a second service must not touch anything before it finds that it is the second.

    Raises:
        SettingInvalid: the port is not free.
    """
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((HOST, port))
    except OSError as error:
        bound.close()
        reason = f"port {port} on {HOST} is not free ({error.strerror}); choose another"
        raise SettingInvalid("QIANLI_HTTP_PORT", reason) from error
    return bound


def _serve(settings: CloudSettings) -> int:
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


if __name__ == "__main__":
    sys.exit(main())
