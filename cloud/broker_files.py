"""What a broker of its own needs from us, put into a folder that it can read, and kept fresh there."""

import time
from collections.abc import Sequence
from pathlib import Path

from cloud.broker.address import AUTHORITY_FILE
from cloud.enrolment.authority.files import (
    REVOKED,
    TrustUnusable,
    open_authority,
    server_pair,
    write_private,
    write_public,
)
from cloud.events import Clock

BROKER_PAIR = "broker.pem"
FOLLOW_EVERY_S = 1.0


def make_broker_files(keys: Path, *, hosts: Sequence[str], clock: Clock) -> dict[str, Path]:
    """The broker's pair, the authority's certificate and the list of the revoked, by their names there.

    Raises:
        TrustUnusable: a file cannot be read or made.
    """
    now = clock()
    authority = open_authority(keys, now=now)
    pair = server_pair(keys, authority, name="broker-elsewhere", hosts=hosts, now=now)
    return {
        BROKER_PAIR: pair,
        AUTHORITY_FILE: keys / AUTHORITY_FILE,
        REVOKED: keys / REVOKED,
    }


def put_broker_files(files: dict[str, Path], folder: Path) -> list[str]:
    """Write what is new into the folder, each file whole or not at all; returns the names of those.

    The list comes with the first start of the cloud; until then it is left out.

    Raises:
        TrustUnusable: the folder cannot be written.
    """
    changed = []
    try:
        for name, source in files.items():
            target = folder / name
            if name == REVOKED and not source.exists():
                continue
            content = source.read_bytes()
            if target.exists() and target.read_bytes() == content:
                continue
            if name == BROKER_PAIR:
                write_private(target, content, replace=True)
            else:
                write_public(target, content)
            changed.append(name)
    except OSError as error:
        raise TrustUnusable(folder, error.strerror or "it cannot be written") from error
    return changed


def follow_broker_files(keys: Path, folder: Path, *, hosts: Sequence[str], clock: Clock) -> None:
    """Keep the folder fresh until the process is ended.

    Raises:
        TrustUnusable: as for the others.
    """
    while True:
        put_broker_files(make_broker_files(keys, hosts=hosts, clock=clock), folder)
        time.sleep(FOLLOW_EVERY_S)
