"""The trust of an installation that runs on one machine: made at the first start, nothing to set up."""

import contextlib
from datetime import UTC, datetime

import msgspec

from cloud.broker.address import AUTHORITY_FILE
from cloud.enrolment.authority.files import REVOKED, open_authority, server_pair
from edge_agent.errors import IdentityUnusable
from edge_agent.identity import DoorAddress, IdentityFiles, read_identity, write_file
from edge_agent.spool import Spool
from qianli.embedded.broker import BrokerFiles
from qianli.home import Home

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def open_broker_files(home: Home) -> BrokerFiles:
    """The broker's certificate, made or renewed when needed.

    Raises:
        TrustUnusable: a file of the authority cannot be read or made.
    """
    now = datetime.now(UTC)
    authority = open_authority(home.keys, now=now)
    return BrokerFiles(
        pair=server_pair(home.keys, authority, name="broker", hosts=LOOPBACK, now=now),
        authority=home.keys / AUTHORITY_FILE,
        revoked=home.keys / REVOKED,
    )


def agent_files(home: Home) -> IdentityFiles:
    """Where the agent of this machine keeps its identity."""
    return IdentityFiles(folder=home.path / "edge")


def needs_invitation(home: Home) -> bool:
    """Whether the agent of this machine has no certificate of this machine's authority that still holds."""
    files = agent_files(home)
    try:
        identity = read_identity(files)
        believed = files.authority.read_bytes() if identity is not None else b""
        ours = (home.keys / AUTHORITY_FILE).read_bytes()
    except (IdentityUnusable, OSError):
        return True
    return identity is None or identity.is_over(datetime.now(UTC)) or believed.split() != ours.split()


def agent_name(home: Home) -> str | None:
    """What the agent of this machine was called so far, if it ever ran."""
    path = home.path / "edge" / "spool.sqlite3"
    if not path.exists():
        return None
    with contextlib.closing(Spool(path)) as spool:
        return spool.setting("agent", default="") or None


def put_invitation(home: Home, invitation: str) -> None:
    """Leave a code for the agent, which waits for it."""
    write_file(agent_files(home).invitation, invitation.encode())


def point_at_door(home: Home, port: int) -> None:
    """Tell the agent of this machine where the door is in this run: the port may be another one."""
    files = agent_files(home)
    if files.door.exists():
        write_file(files.door, msgspec.json.encode(DoorAddress(host="127.0.0.1", port=port)))
