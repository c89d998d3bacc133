"""Say how long what is kept, and remove what is over now instead of at night."""

import argparse
import json
import os
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import psycopg

from cloud.act import Origin
from cloud.audit.service import DirectRecorder
from cloud.identity.service import utc_now
from cloud.kept_waves import open_waves
from cloud.people.service import open_sealer
from cloud.retention.stream import Keeping, RetentionStream, read_policy
from cloud.settings import CloudSettings
from cloud.store.connection import build_pool, connect
from qianli.embedded.postgres import database_url
from qianli.errors import StartRefused
from qianli.home import home_from_environment

HELP = "show the policy of keeping, or remove what is over; a policy below the law's periods is refused"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("policy", help="print the policy that is in force")
    actions.add_parser("apply", help="remove what is over, and propose whose whole record is over")


def run(arguments: argparse.Namespace) -> int:
    """Print the policy, or what was removed, as one JSON object.

    Raises:
        PolicyInvalid: the file of QIANLI_RETENTION_FILE cannot be used.
        StartRefused: the database does not answer.
    """
    said = os.environ.get("QIANLI_RETENTION_FILE")
    policy = read_policy(Path(said) if said else None)
    if arguments.action == "policy":
        print(json.dumps({**asdict(policy), "audit": "forever", "sha256": policy.sha256.hex()}))
        return 0
    home = home_from_environment()
    url = os.environ.get("QIANLI_DATABASE_URL") or database_url(home.postgres)
    try:
        with closing(connect(url)) as connection, build_pool(url) as pool:
            stream = RetentionStream(
                pool,
                recorder=DirectRecorder(connection, clock=utc_now),
                clock=utc_now,
                keeping=Keeping(policy=policy),
                waves=open_waves(
                    CloudSettings(home=home.path), lambda: open_sealer(connection, home=home.path)
                ),
            )
            removed = stream.apply(origin=Origin.COMMAND)
    except psycopg.OperationalError as error:
        raise StartRefused(
            "数据库没有响应:请先启动 qianli up,或设置 QIANLI_DATABASE_URL。",
            "The database does not answer: start `qianli up` first, or set QIANLI_DATABASE_URL.",
        ) from error
    counts = dict[str, int]()
    for one in removed:
        counts[one.table] = counts.get(one.table, 0) + one.rows
    print(json.dumps({"removed": counts, "policy": policy.sha256.hex()}))
    return 0
