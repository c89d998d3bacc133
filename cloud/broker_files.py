"""What a broker and workers elsewhere need from us, put into folders of theirs and kept fresh there."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from cloud.broker.address import AUTHORITY_FILE, CHECK, client_file
from cloud.enrolment.authority.files import (
    REVOKED,
    TrustUnusable,
    cloud_pair,
    open_authority,
    server_pair,
    write_private,
    write_public,
)
from cloud.events import Clock
from cloud.shards.model import part_of

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


def make_worker_files(keys: Path, *, groups: int, clock: Clock) -> dict[str, Path]:
    """The pair of each group of shards and the authority's certificate, by their names in a worker's `keys/`.

    Raises:
        TrustUnusable: a file cannot be read or made.
    """
    now = clock()
    authority = open_authority(keys, now=now)
    names = [CHECK, *(part_of(group) for group in range(groups))]
    pairs = {client_file(name): cloud_pair(keys, authority, name=name, now=now) for name in names}
    return {AUTHORITY_FILE: keys / AUTHORITY_FILE, **pairs}


def put_files(files: dict[str, Path], folder: Path) -> list[str]:
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
            if name not in (AUTHORITY_FILE, REVOKED):
                write_private(target, content, replace=True)
            else:
                write_public(target, content)
            changed.append(name)
    except OSError as error:
        raise TrustUnusable(folder, error.strerror or "it cannot be written") from error
    return changed


def follow_files(put: Sequence[Callable[[], object]]) -> None:
    """Keep folders fresh until the process is ended; each of `put` writes into one.

    Raises:
        TrustUnusable: as for the others.
    """
    while True:
        for one in put:
            one()
        time.sleep(FOLLOW_EVERY_S)
