"""Change the keys that hide and find values, while everything runs."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import psycopg

from cloud.act import Action, Origin, TargetKind, target
from cloud.audit.model import TimedAct
from cloud.audit.service import append_acts
from cloud.identity.model import SYSTEM
from cloud.identity.service import utc_now
from cloud.people.service import KEY_FILE, open_sealer
from cloud.people.stream import move_all_seals, switch_digests
from cloud.sealed_columns import SEALED_COLUMNS
from cloud.store.connection import Database, connect
from cloud.store.reseal import count_waiting, move_column
from cloud.store.sealing import KeyFile, Sealer
from cloud.store.suite import Suite
from qianli.embedded.postgres import database_url
from qianli.errors import StartRefused
from qianli.home import home_from_environment

HELP = "show or change the keys that hide and find values; safe to interrupt and to repeat"

_MOST_NAMED = 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("status", help="which keys there are and whether anything waits to be moved")
    actions.add_parser("rotate", help="make a new key, then move everything to it")
    actions.add_parser("move", help="go on with a move that was interrupted; makes no key")


def run(arguments: argparse.Namespace) -> int:
    """Print how things stand afterwards as one JSON object.

    Raises:
        StartRefused: the database does not answer, or the setting names no suite.
    """
    home = home_from_environment()
    url = os.environ.get("QIANLI_DATABASE_URL") or database_url(home.postgres)
    try:
        with closing(connect(url)) as connection:
            sealer = open_sealer(connection, home=home.path, suite=_suite())
            if arguments.action == "rotate":
                rotate(connection, home.path / KEY_FILE, suite=_suite())
            moved = 0 if arguments.action == "status" else move_all(connection, sealer)
            print(json.dumps(_standing(connection, sealer, moved=moved)))
    except psycopg.OperationalError as error:
        raise StartRefused(
            "数据库没有响应:请先启动 qianli up,或设置 QIANLI_DATABASE_URL。",
            "The database does not answer: start `qianli up` first, or set QIANLI_DATABASE_URL.",
        ) from error
    return 0


def rotate(connection: Database, path: Path, *, suite: Suite) -> None:
    """Add a key to the ring; the entry about it is written first."""
    file = KeyFile(path)
    number = (file.read() or [])[-1].number + 1
    act = SYSTEM.act(Action.ROTATE_KEYS, target(TargetKind.KEY, str(number)), origin=Origin.COMMAND)
    append_acts(connection, [TimedAct(act=act, at=utc_now())])
    file.add(suite)


def move_all(connection: Database, sealer: Sealer) -> int:
    """Move digests and seals to the newest key; returns how many values were sealed anew."""
    moved, broken = 0, tuple[str, ...]()
    while sealer.fingerprint != sealer.newest_fingerprint:
        part = move_all_seals(connection, sealer)
        moved, broken = moved + part.sealed, part.broken
        switch_digests(connection, sealer)
    if broken:
        _tell_broken(broken)
    return moved + sum(move_column(connection, sealer, place).sealed for place in SEALED_COLUMNS)


def _tell_broken(patient_ids: Sequence[str]) -> None:
    more = "" if len(patient_ids) <= _MOST_NAMED else " …"
    print(
        f"keys: {len(patient_ids)} identifiers open with no key of the ring and stay as they are; at a "
        "registration nobody is found by them any more. Record the numbers anew for: "
        f"{', '.join(patient_ids[:_MOST_NAMED])}{more}",
        file=sys.stderr,
    )


def _standing(connection: Database, sealer: Sealer, *, moved: int) -> dict[str, object]:
    """What waits after a move is what no key of the ring opens, or what was written just now: move again."""
    counts = {place.table: count_waiting(connection, sealer, place) for place in SEALED_COLUMNS}
    waiting = {table: count for table, count in counts.items() if count}
    return {
        "newest": sealer.newest_number,
        "moved": moved,
        "waiting": waiting,
        "done": sealer.fingerprint == sealer.newest_fingerprint and not waiting,
    }


def _suite() -> Suite:
    name = os.environ.get("QIANLI_SIGNATURES", Suite.ED25519.value)
    try:
        return Suite(name)
    except ValueError as error:
        raise StartRefused(
            f"QIANLI_SIGNATURES={name} 无效:可选 ed25519、ecdsa、sm2。",
            f"QIANLI_SIGNATURES={name} names no suite: choose ed25519, ecdsa or sm2.",
        ) from error
