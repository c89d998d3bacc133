"""How fast one source and one session may ask: token buckets, as many as fit, never more.

A bucket holds `burst` requests and fills by `per_s`. A source is an address (of IPv6 the /64, which one house
has); it is counted before anybody is known, so that inventing sessions gains nothing.
"""

import hashlib
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from starlette.datastructures import Headers
from starlette.types import Scope

MOST_BUCKETS = 10_000
_COSTS: Mapping[str, float] = dict.fromkeys(
    (
        "/api/login",
        "/api/login/second-factor",
        "/api/step-up",
        "/api/join",
        "/api/password",
        "/api/password/reset",
        "/agent/v1/enrol",
    ),
    20.0,
) | {"/api/live": 50.0}
"""Routes that cost us more than others: a password or a code is slow to check on purpose, and a wall that
opens reads the rights to every patient on it and writes an entry for each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """How much one bucket gives."""

    per_s: float
    burst: float


A_SOURCE = Allowance(per_s=200, burst=6000)
"""A hospital behind one address: forty walls that reload at once, each with a hundred trends."""
A_SESSION = Allowance(per_s=50, burst=1000)


class Buckets:
    """One bucket per key; the one that was not used for longest makes room."""

    def __init__(self, allowance: Allowance, *, most: int = MOST_BUCKETS) -> None:
        self._allowance = allowance
        self._most = most
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # what is left, and when it was

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: str, cost: float, *, now_s: float) -> float | None:
        """Take; None, or in how many seconds there will be enough."""
        left, since_s = self._buckets.get(key, (self._allowance.burst, now_s))
        left = min(self._allowance.burst, left + (now_s - since_s) * self._allowance.per_s)
        missing = cost - left
        self._buckets[key] = (left if missing > 0 else left - cost, now_s)
        self._buckets.move_to_end(key)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return missing / self._allowance.per_s if missing > 0 else None


class Pace:
    """Counts the requests of this process."""

    def __init__(
        self,
        *,
        source: Allowance = A_SOURCE,
        session: Allowance = A_SESSION,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sources = Buckets(source)
        self._sessions = Buckets(session)
        self._clock_s = clock_s

    def take(self, scope: Scope, headers: Headers) -> int | None:
        """Count one request; None, or the seconds for Retry-After."""
        now_s = self._clock_s()
        cost = _COSTS.get(scope["path"], 1.0)
        wait_s = self._sources.take(source_of(scope), cost, now_s=now_s)
        session = _session_of(headers)
        if wait_s is None and session is not None:
            wait_s = self._sessions.take(session, cost, now_s=now_s)
        return None if wait_s is None else max(1, math.ceil(wait_s))


class Strangers:
    """Which refusals of nobody become entries: of one source the first in a minute, of all one in a second.

    An entry stays for ever, and whoever has no login can ask without end.
    """

    def __init__(self, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._sources = Buckets(Allowance(per_s=1 / 60, burst=1))
        self._everybody = Buckets(Allowance(per_s=1, burst=60))
        self._clock_s = clock_s
        self._lock = threading.Lock()

    def is_news(self, source: str) -> bool:
        """Whether the refusal of this source is to be written down; safe to call from any thread."""
        with self._lock:
            now_s = self._clock_s()
            if self._sources.take(source, 1, now_s=now_s) is not None:
                return False
            return self._everybody.take("", 1, now_s=now_s) is None


def source_of(scope: Scope) -> str:
    """Where a request comes from, as one who may ask."""
    client = scope.get("client")
    try:
        address = ip_address(client[0] if client else "")
    except ValueError:
        return "unknown"
    if not isinstance(address, IPv6Address):
        return str(address)
    return str(address.ipv4_mapped or address.exploded[:19])


def _session_of(headers: Headers) -> str | None:
    """A mark of who asks: of the whole header, for a secret must not lie about in memory."""
    shown = headers.get("authorization") or headers.get("cookie")
    return None if shown is None else hashlib.sha256(shown.encode()).hexdigest()
