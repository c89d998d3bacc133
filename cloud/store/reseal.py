"""Sealing values anew with the newest key, batch by batch, while everything runs.

A batch is one transaction: whatever is killed leaves each value under its old key or its new one; both open.
"""

from dataclasses import dataclass

from cloud.store import queries
from cloud.store.connection import Database
from cloud.store.errors import SealBroken
from cloud.store.sealing import SealedColumn, Sealer


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """How many values of a column were sealed anew, and how many no key of the ring opens: those stay."""

    sealed: int = 0
    broken: int = 0


def move_column(connection: Database, sealer: Sealer, place: SealedColumn, *, limit: int = 1000) -> Moved:
    """Seal every value of a column with the newest key."""
    moved, broken, after = 0, 0, None
    while True:
        with connection.transaction():
            stale = queries.find_stale_seals(
                connection, place, newest=sealer.newest_number, after=after, limit=limit
            )
            fresh = dict[object, bytes]()
            for key, sealed, names in stale:
                context = place.context(*names)
                try:
                    fresh[key] = sealer.seal(sealer.unseal(sealed, context=context), context=context)
                except SealBroken:
                    broken += 1
            queries.replace_seals(connection, place, fresh)
        if not stale:
            return Moved(sealed=moved, broken=broken)
        moved += len(fresh)
        after = stale[-1][0]


def count_waiting(connection: Database, sealer: Sealer, place: SealedColumn) -> int:
    """How many values of a column wait for the newest key."""
    return queries.count_stale_seals(connection, place, newest=sealer.newest_number)
