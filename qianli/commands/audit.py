"""Give the audit away as a file, and check such a file on any machine."""

import argparse
import json
import os
from contextlib import closing
from pathlib import Path

import psycopg

from cloud.audit.lines import verify_lines
from cloud.audit.model import ChainBroken
from cloud.audit.service import export_audit, load_signing_key
from cloud.identity.service import utc_now
from cloud.store.connection import connect
from qianli.embedded.postgres import database_url
from qianli.errors import StartRefused
from qianli.home import home_from_environment

HELP = "export the audit (who looked and acted), or verify an export without any database"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the two actions."""
    actions = parser.add_subparsers(dest="action", required=True)
    export = actions.add_parser("export", help="write entries, signatures and public key as JSON lines")
    export.add_argument("file", type=Path)
    verify = actions.add_parser("verify", help="find any change, removal or other order; exit code 1 if so")
    verify.add_argument("file", type=Path)
    verify.add_argument(
        "--key", help="fingerprint of the only key that may have signed, as its own export printed it"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print what was written or proved as one JSON object.

    Raises:
        StartRefused: the file or the database cannot be reached.
    """
    try:
        if arguments.action == "verify":
            return _verify(arguments.file, trusted=arguments.key)
        return _export(arguments.file)
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


def _export(path: Path) -> int:
    home = home_from_environment()
    key = load_signing_key(home.path / "keys")
    with closing(connect(os.environ.get("QIANLI_DATABASE_URL") or database_url(home.postgres))) as connection:
        written = export_audit(connection, key, path, now=utc_now())
    print(json.dumps({"entries": written.entries, "head": written.head_hash, "key": written.key}))
    return 0


def _verify(path: Path, *, trusted: str | None) -> int:
    with path.open("rb") as lines:
        try:
            found = verify_lines(lines, trusted=trusted)
        except ChainBroken as error:
            print(json.dumps({"intact": False, "entry": error.sequence, "reason": error.reason}))
            return 1
    proved = {"intact": True, "entries": found.entries, "head": found.head_hash, "keys": found.keys}
    print(json.dumps(proved))
    return 0
