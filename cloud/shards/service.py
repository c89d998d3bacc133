"""Taking, keeping and giving back leases."""

from collections.abc import Mapping, Sequence

from cloud.shards import queries
from cloud.shards.model import GroupsDiffer, Lease, LeaseLost, fair_share
from cloud.store.connection import Database
from cloud.store.fence import Fence


def lay_out(connection: Database, groups: int) -> None:
    """Divide the shards into groups.

    Raises:
        GroupsDiffer: workers that run now divide them otherwise.
    """
    with connection.transaction():
        running = queries.find_running_groups(connection)
        if running - {groups}:
            raise GroupsDiffer(groups, max(running))
        queries.place_groups(connection, groups)


def fence(lease: Lease) -> Fence:
    """What a writer asks in each transaction; where the lease is not the last of its group it is LeaseLost.

    The row of the lease stays locked until the transaction ends, so that whoever takes the group over waits
    for what we commit: it never reads the progress of a lane and misses a message that was under way.
    """
    values = {"fence_group": lease.group, "fence_token": lease.token}
    return Fence(condition=queries.IS_LAST, values=values, refusal=LeaseLost(lease))


class LeaseBook:
    """The leases of one worker."""

    def __init__(self, name: str, *, groups: int) -> None:
        self._name = name
        self._groups = groups
        self._is_first = True
        self._held: dict[int, Lease] = {}

    @property
    def held(self) -> Sequence[Lease]:
        """What we hold, as far as we know."""
        return tuple(self._held.values())

    def follow(self, connection: Database, *, tally: Mapping[str, float]) -> None:
        """Renew what is ours, forget what was taken, and take what is free up to a fair share."""
        queries.note_worker(connection, self._name, tally=tally)
        if self._is_first:
            queries.forget_dead_workers(connection)
        kept = queries.renew(connection, self.held) if self._held else set()
        self._held = {group: lease for group, lease in self._held.items() if group in kept}
        share = fair_share(self._groups, workers=queries.count_workers(connection))
        wanted = share - len(self._held)
        if wanted > 0:
            taken = queries.claim(
                connection, self._name, groups=self._groups, limit=wanted, with_own=self._is_first
            )
            self._held |= {lease.group: lease for lease in taken}
        self._is_first = False

    def surplus(self, connection: Database) -> Sequence[Lease]:
        """What we hold beyond a fair share; to be given back once nothing of it is written any more."""
        share = fair_share(self._groups, workers=queries.count_workers(connection))
        return self.held[share:]

    def give_back(self, connection: Database, leases: Sequence[Lease]) -> None:
        """Let others take these at once."""
        queries.release(connection, leases)
        for lease in leases:
            self._held.pop(lease.group, None)

    def leave(self, connection: Database) -> None:
        """Give everything back: the worker ends."""
        self.give_back(connection, self.held)
        queries.forget_worker(connection, self._name)


def are_all_held(connection: Database) -> bool:
    """Whether somebody stores for every group."""
    groups = queries.find_groups(connection)
    return bool(groups) and all(group.is_held for group in groups)
