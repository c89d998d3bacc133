"""Write a person's whole record into a file, on the machine of the database."""

import argparse
import json
import os
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import psycopg

from cloud.act import Origin
from cloud.audit.service import DirectRecorder, load_signing_key
from cloud.identity.model import SYSTEM
from cloud.identity.service import utc_now
from cloud.kept_waves import open_waves
from cloud.people.service import PeopleService, open_sealer
from cloud.retention.service import Ports, RetentionService, signed_with
from cloud.retention.stream import read_policy
from cloud.rights.service import EncounterBook
from cloud.settings import CloudSettings
from cloud.store.connection import Database, Pool, build_pool, connect
from qianli.embedded.postgres import database_url
from qianli.errors import StartRefused
from qianli.home import home_from_environment

HELP = "write a person's whole record, with open numbers, into a new file that only its owner may read"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add who and whereto."""
    parser.add_argument("person", help="the id of the patient, as in the address of the person's page")
    parser.add_argument("file", type=Path, help="a zip; it must not exist yet")


def run(arguments: argparse.Namespace) -> int:
    """Print what was written as one JSON object.

    Raises:
        RecordUnknown: there is no such person.
        StartRefused: the file or the database cannot be used.
    """
    home = home_from_environment().path
    url = os.environ.get("QIANLI_DATABASE_URL") or database_url(home_from_environment().postgres)
    running = sha256()
    try:
        with closing(connect(url)) as connection, build_pool(url) as pool:
            pieces = _service(connection, pool, home).export(SYSTEM, arguments.person, origin=Origin.COMMAND)
            fresh = os.open(arguments.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(fresh, "wb") as file:
                for piece in pieces:
                    running.update(piece)
                    file.write(piece)
                size = file.tell()
    except OSError as error:
        raise StartRefused(
            f"无法使用文件 {arguments.file}:{error.strerror}。",
            f"{arguments.file} cannot be used: {error.strerror}.",
        ) from error
    except psycopg.OperationalError as error:
        raise StartRefused(
            "数据库没有响应:请先启动 qianli up,或设置 QIANLI_DATABASE_URL。",
            "The database does not answer: start `qianli up` first, or set QIANLI_DATABASE_URL.",
        ) from error
    print(json.dumps({"bytes": size, "sha256": running.hexdigest()}))
    return 0


def _service(connection: Database, pool: Pool, home: Path) -> RetentionService:
    recorder = DirectRecorder(connection, clock=utc_now)
    sealer = open_sealer(connection, home=home)
    people = PeopleService(
        pool,
        sealer=sealer,
        encounters=EncounterBook(),
        recorder=recorder,
        clock=utc_now,
    )
    return RetentionService(
        pool,
        recorder=recorder,
        clock=utc_now,
        ports=Ports(
            numbers=people.list_numbers,
            signed=signed_with(load_signing_key(home / "keys")),
            waves=open_waves(CloudSettings(home=home), lambda: sealer),
        ),
        policy=read_policy(None),
    )
