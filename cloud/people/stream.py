"""Moving identifiers from one key to the next while people are looked for and registered."""

from dataclasses import dataclass

from cloud.identity.model import SYSTEM
from cloud.people import queries
from cloud.people.model import digested_text, sealing_context
from cloud.people.queries import StaleSeal
from cloud.store.connection import Database
from cloud.store.errors import SealBroken
from cloud.store.sealing import Sealer


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """How many identifiers were moved, and whose no key of the ring opens: those stay as they are.

    `last` is the identifier after which to go on; None when there was nothing more.
    """

    sealed: int
    broken: tuple[str, ...]
    last: int | None


def move_all_seals(connection: Database, sealer: Sealer) -> Moved:
    """Move every identifier that opens, batch by batch."""
    sealed, broken, after = 0, list[str](), 0
    while True:
        moved = move_seals(connection, sealer, after=after)
        if moved.last is None:
            return Moved(sealed=sealed, broken=tuple(broken), last=None)
        sealed, after = sealed + moved.sealed, moved.last
        broken += moved.broken


def move_seals(connection: Database, sealer: Sealer, *, after: int = 0, limit: int = 1000) -> Moved:
    """Seal up to `limit` identifiers with the newest key and lay their next digests beside the present ones.

    Whatever interrupts it, nothing is lost: present digests stay in use until `switch_digests`.
    """
    broken = list[str]()
    with connection.transaction():
        stale = queries.find_stale_seals(
            connection, SYSTEM, newest=sealer.newest_number, after=after, limit=limit
        )
        for one in stale:
            value = _open(sealer, one)
            if value is None:
                broken.append(one.patient_id)
                continue
            queries.lay_next_seal(
                connection,
                one.identifier_id,
                sealed=sealer.seal(value, context=sealing_context(one.patient_id, one.kind, one.issuer)),
                digest=sealer.newest_digest(digested_text(one.kind, one.issuer, value)),
            )
    last = stale[-1].identifier_id if stale else None
    return Moved(sealed=len(stale) - len(broken), broken=tuple(broken), last=last)


def switch_digests(connection: Database, sealer: Sealer) -> bool:
    """Let look-ups go by the newest key, all at one instant; True once they do.

    Writers wait meanwhile, readers do not: they ask by the digests of all keys. What no key opens has no
    next digest and holds nothing up: it keeps the present one, by which no registration asks any more.
    """
    with connection.transaction():
        if queries.hold_fingerprint(connection, exclusive=True) == sealer.newest_fingerprint:
            return True
        if _is_any_left(connection, sealer):
            return False
        queries.take_next_digests(connection)
        queries.replace_fingerprint(connection, sealer.newest_fingerprint)
    sealer.use(sealer.newest_fingerprint)
    return True


def _is_any_left(connection: Database, sealer: Sealer) -> bool:
    """Whether an identifier that opens has no next digest."""
    after = 0
    while stale := queries.find_stale_seals(
        connection, SYSTEM, newest=sealer.newest_number, after=after, limit=1000
    ):
        if any(_open(sealer, one) is not None for one in stale):
            return True
        after = stale[-1].identifier_id
    return False


def _open(sealer: Sealer, one: StaleSeal) -> str | None:
    try:
        return sealer.unseal(one.sealed, context=sealing_context(one.patient_id, one.kind, one.issuer))
    except SealBroken:
        return None
