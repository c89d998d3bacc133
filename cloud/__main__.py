"""`python -m cloud` serves; `python -m cloud seed --ward FILE` fills an empty database."""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import psycopg
import structlog

from cloud.errors import CloudError
from cloud.identity.service import utc_now
from cloud.people.service import open_sealer
from cloud.seed import seed_ward
from cloud.settings import CloudSettings, read_settings
from cloud.store.connection import await_database
from cloud.store.migrate import migrate
from cloud.ward.model import read_ward_file


def main(argv: Sequence[str] | None = None) -> int:
    """Run; a failure is one sentence on stderr and exit code 1."""
    arguments = _parser().parse_args(argv)
    _set_up_logs()
    try:
        settings = read_settings()
        if arguments.command == "seed":
            return _seed(settings, arguments.ward, since=arguments.since)
        return _serve(settings)
    except (CloudError, psycopg.Error) as error:
        sys.stderr.write(" ".join(str(error).split()) + "\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m cloud", description="The service and its pages")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("serve", help="serve on 127.0.0.1 (the default)")
    seed = commands.add_parser("seed", help="create accounts, patients and bindings where they are missing")
    seed.add_argument("--ward", type=Path, required=True, help="JSON file of patients and their sources")
    seed.add_argument(
        "--since",
        type=datetime.fromisoformat,
        default=utc_now(),
        help="from when new bindings hold (ISO 8601 with zone; default now)",
    )
    return parser


def _set_up_logs() -> None:
    """One JSON line per event on stderr, without anything about people."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)


def _seed(settings: CloudSettings, ward_file: Path, *, since: datetime) -> int:
    ward = read_ward_file(ward_file)
    with await_database(settings.database_url) as connection:
        migrate(connection)
        sealer = open_sealer(connection, home=settings.home)
        accounts = seed_ward(connection, ward, now=since, sealer=sealer)
    if accounts:
        sys.stdout.write(json.dumps({"accounts": accounts}) + "\n")
    return 0


def _serve(settings: CloudSettings) -> int:
    from cloud.server import serve  # noqa: PLC0415 seeding does without the web framework and starts at once

    return serve(settings)


if __name__ == "__main__":
    sys.exit(main())
