"""`python -m cloud` serves people, `python -m cloud ingest` stores what agents send; the rest is small."""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import psycopg
import structlog

from cloud.broker_files import follow_files, make_broker_files, make_worker_files, put_files
from cloud.errors import CloudError
from cloud.identity.service import utc_now
from cloud.invite import invite_agent
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
            return _seed(settings, arguments.ward, invite=arguments.invite, since=arguments.since)
        if arguments.command == "broker-certificate":
            return _certify(settings, arguments)
        if arguments.command == "ingest":
            return _work(settings)
        return _serve(settings)
    except (CloudError, psycopg.Error) as error:
        sys.stderr.write(" ".join(str(error).split()) + "\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m cloud", description="The service and its pages")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("serve", help="serve on 127.0.0.1 (the default)")
    commands.add_parser("ingest", help="store what agents send; several may run, on several machines")
    seed = commands.add_parser("seed", help="create accounts, patients and bindings where they are missing")
    seed.add_argument("--ward", type=Path, help="JSON file of patients and their sources")
    seed.add_argument("--invite", metavar="AGENT", help="make a one-time code for an agent of the first site")
    seed.add_argument(
        "--since",
        type=datetime.fromisoformat,
        default=utc_now(),
        help="from when new bindings hold (ISO 8601 with zone; default now)",
    )
    certify = commands.add_parser("broker-certificate", help="make the files for a broker elsewhere")
    certify.add_argument("hosts", nargs="+", help="names and addresses under which clients reach that broker")
    certify.add_argument("--into", type=Path, metavar="FOLDER", help="write copies there, as broker.pem, …")
    certify.add_argument(
        "--workers-into", type=Path, metavar="FOLDER", help="write what workers elsewhere need there"
    )
    certify.add_argument("--follow", action="store_true", help="keep the copies fresh until ended")
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


def _seed(settings: CloudSettings, ward_file: Path | None, *, invite: str | None, since: datetime) -> int:
    ward = None if ward_file is None else read_ward_file(ward_file)
    told: dict[str, object] = {}
    with await_database(settings.database_url) as connection:
        migrate(connection)
        if ward is not None:
            sealer = open_sealer(connection, home=settings.home)
            accounts = seed_ward(connection, ward, now=since, sealer=sealer)
            told |= {"accounts": accounts} if accounts else {}
        if invite is not None:
            told["invitation"] = invite_agent(connection, invite, settings=settings)
    if told:
        sys.stdout.write(json.dumps(told) + "\n")
    return 0


def _certify(settings: CloudSettings, arguments: argparse.Namespace) -> int:
    """Keys and certificates for the broker and for workers, which must reach their machines by a safe way."""
    keys = settings.home / "keys"
    hosts = [host for given in arguments.hosts for host in given.split(",") if host]
    into: Path | None = arguments.into

    def put_for_broker() -> dict[str, Path]:
        files = make_broker_files(keys, hosts=hosts, clock=utc_now)
        if into is not None:
            put_files(files, into)
        return files

    def put_for_workers() -> None:
        files = make_worker_files(keys, groups=settings.ingest_groups, clock=utc_now)
        put_files(files, arguments.workers_into)

    if arguments.follow:
        follow_files([put_for_broker, *([put_for_workers] if arguments.workers_into else [])])
    files = put_for_broker()
    if arguments.workers_into:
        put_for_workers()
    for name, path in files.items():
        sys.stdout.write(f"{path if into is None else into / name}\n")
    return 0


def _work(settings: CloudSettings) -> int:
    from cloud.worker import work  # noqa: PLC0415 seeding does without it and starts at once

    return work(settings)


def _serve(settings: CloudSettings) -> int:
    from cloud.server import serve  # noqa: PLC0415 seeding does without the web framework and starts at once

    return serve(settings)


if __name__ == "__main__":
    sys.exit(main())
