"""Moving identifiers from one key to the next while people are looked for and registered."""

from cloud.identity.model import SYSTEM
from cloud.people import queries
from cloud.people.model import digested_text, sealing_context
from cloud.store.connection import Database
from cloud.store.sealing import Sealer


def move_seals(connection: Database, sealer: Sealer, *, limit: int = 1000) -> int:
    """Seal up to `limit` identifiers with the newest key and lay their next digests beside the present ones.

    Returns how many were moved; 0 when nothing is left to do. Whatever interrupts it, nothing is lost:
    present digests stay in use until `switch_digests`.
    """
    with connection.transaction():
        stale = queries.find_stale_seals(connection, SYSTEM, newest=sealer.newest_number, limit=limit)
        for patient_id, kind, issuer, identifier_id, sealed in stale:
            context = sealing_context(patient_id, kind, issuer)
            value = sealer.unseal(sealed, context=context)
            queries.lay_next_seal(
                connection,
                identifier_id,
                sealed=sealer.seal(value, context=context),
                digest=sealer.newest_digest(digested_text(kind, issuer, value)),
            )
    return len(stale)


def switch_digests(connection: Database, sealer: Sealer) -> bool:
    """Let look-ups go by the newest key, all at one instant; True once they do.

    Writers wait meanwhile, readers do not: they ask by the digests of all keys.
    """
    with connection.transaction():
        if queries.hold_fingerprint(connection, exclusive=True) == sealer.newest_fingerprint:
            return True
        if queries.find_stale_seals(connection, SYSTEM, newest=sealer.newest_number, limit=1):
            return False
        queries.take_next_digests(connection)
        queries.replace_fingerprint(connection, sealer.newest_fingerprint)
    sealer.use(sealer.newest_fingerprint)
    return True
