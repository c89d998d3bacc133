"""Groups of shards and who should hold how many. Pure.

An agent belongs to one of 256 shards for ever (docs/wire-contract.md). Shards are dealt out to `groups`, and
a worker leases whole groups: one lease, one session at the broker, one connection to the database.
"""

from dataclasses import dataclass
from datetime import timedelta

from cloud.errors import CloudError

SHARDS = 256
MOST_GROUPS = 16
LEASE_LASTS = timedelta(seconds=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to write for a group. `token` is larger than that of any lease before it, of any group."""

    group: int
    groups: int
    holder: str
    token: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupState:
    """How a group is served now; `holder` is None when nobody's lease is running."""

    group: int
    holder: str | None
    is_held: bool


class LeaseLost(CloudError):
    """Another worker has taken the group: nothing of the transaction was stored, nothing is acknowledged."""

    def __init__(self, lease: Lease) -> None:
        super().__init__(lease)
        self.lease = lease

    def __str__(self) -> str:
        return f"group {self.lease.group} is not {self.lease.holder}'s any more (token {self.lease.token})"


class GroupsDiffer(CloudError):
    """Workers that run now divide the shards into another number of groups."""

    def __init__(self, wanted: int, found: int) -> None:
        super().__init__(wanted, found)
        self.wanted = wanted
        self.found = found

    def __str__(self) -> str:
        return (
            f"QIANLI_INGEST_GROUPS is {self.wanted}, but workers that run now use {self.found}: "
            "stop them first, or wait 10 s after they were killed, or give all the same number"
        )


def part_of(group: int) -> str:
    """What serves a group, as the broker knows it (`deploy/mosquitto/acl` has a user for each)."""
    return f"ingest-{group}"


def shards_of(group: int, *, groups: int) -> tuple[str, ...]:
    """The shards of a group, as they stand in topics."""
    return tuple(f"{shard:02x}" for shard in range(SHARDS) if shard % groups == group)


def fair_share(groups: int, *, workers: int) -> int:
    """How many groups a worker may hold at most, so that each of `workers` gets one if there is one."""
    return -(-groups // max(workers, 1))
