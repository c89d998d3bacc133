"""Bring a backup into an empty data folder, on this machine or another."""

import argparse
import json
import time
from pathlib import Path

from qianli.backup.archive import restore_backup
from qianli.backup.envelope import Opener
from qianli.backup.journal import position_text
from qianli.commands.backup import read_passphrase
from qianli.embedded.postgres import find_programs
from qianli.errors import StartRefused
from qianli.home import hold_home, home_from_environment, prepare_home

HELP = "bring a backup into an empty data folder; refuses a changed or shortened one"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "source", type=Path, help="the file of `qianli backup`, or the folder of its --follow"
    )
    parser.add_argument("--passphrase-file", type=Path, help="its first line is the passphrase")
    parser.add_argument("--key", type=Path, help="the private key that `qianli backup --make-key` wrote")


def run(arguments: argparse.Namespace) -> int:
    """Print what came back as one JSON object.

    Raises:
        StartRefused: a file cannot be read, or the data folder is in use or not empty.
        SealedStreamInvalid: the backup was changed, cut off, or is for somebody else.
    """
    home = home_from_environment()
    began_s = time.monotonic()
    try:
        opener = Opener(
            passphrase=read_passphrase(arguments.passphrase_file),
            private_key=bytes.fromhex(arguments.key.read_text()) if arguments.key else None,
        )
        prepare_home(home)
        with hold_home(home):
            restored = restore_backup(arguments.source, home, find_programs(home), opener=opener)
    except (OSError, ValueError) as error:
        raise StartRefused(f"无法恢复:{error}", f"The backup cannot be restored: {error}") from error
    print(
        json.dumps(
            {
                "files": restored.files,
                "bytes": restored.bytes,
                "journal_end": position_text(restored.journal_end) if restored.journal_end else None,
                "seconds": round(time.monotonic() - began_s, 1),
            }
        )
    )
    return 0
