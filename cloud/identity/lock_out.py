"""After some failures, wait; after more, wait longer. Kept in the database: a restart forgives nothing.

An attempt is counted before it is judged, in one statement: attempts made at once cannot outrun the count.
What is counted is the name as typed, so that names that exist and names that do not behave alike.
"""

import ipaddress
from collections.abc import Callable
from datetime import datetime, timedelta

from cloud.identity import queries
from cloud.identity.errors import LoginThrottled
from cloud.identity.model import Limit, Locked
from cloud.pace import Strangers
from cloud.store.connection import Database

_ONE_NAME = Limit(
    allowed=5,
    first=timedelta(minutes=1),
    longest=timedelta(minutes=15),
    forgotten_after=timedelta(hours=24),
)
LIMITS = {
    Locked.ACCOUNT: _ONE_NAME,
    Locked.CLIENT: _ONE_NAME,
    Locked.STEP_UP: _ONE_NAME,
    # A whole hospital may stand behind one address.
    Locked.SOURCE: Limit(
        allowed=50,
        first=timedelta(seconds=30),
        longest=timedelta(minutes=15),
        forgotten_after=timedelta(hours=1),
    ),
}


class LockOut:
    """Counts attempts; safe to call from several threads."""

    def __init__(self, digest: Callable[[str], bytes]) -> None:
        self._digest = digest
        self.strangers = Strangers()

    def charge(self, connection: Database, kind: Locked, *, name: str, now: datetime) -> None:
        """Count an attempt as a failure until it is forgiven.

        Raises:
            LoginThrottled: it must wait, and is not counted.
        """
        limit = LIMITS[kind]
        until = queries.charge_attempt(connection, kind, digest=self.digest(kind, name), limit=limit, now=now)
        if until is not None:
            raise LoginThrottled(until - now)

    def forgive(self, connection: Database, kind: Locked, *, name: str) -> None:
        """Forget the failures of a name: it signed in, or an administrator lifts the lock."""
        queries.forget_failures(connection, kind, digest=self.digest(kind, name))

    def refund(self, connection: Database, kind: Locked, *, name: str, charged_at: datetime) -> None:
        """Take one attempt back: it was none. Other failures stay, and a lock that one of them made later."""
        queries.refund_attempt(
            connection, kind, digest=self.digest(kind, name), limit=LIMITS[kind], charged_at=charged_at
        )

    def digest(self, kind: Locked, name: str) -> bytes:
        """What the table keeps: what is typed as a name may be a password."""
        return self._digest(f"lock-out {kind}: {name}")


def source_of(address: str) -> str:
    """What counts as one source: an IPv4 address, or the /64 that one subscriber has."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed.packed, 64), strict=False))
