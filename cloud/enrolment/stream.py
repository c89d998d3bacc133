"""Once in a while: a fresh list of the revoked, and new certificates for our own servers in time."""

import asyncio
from collections.abc import Callable

import structlog

_log = structlog.get_logger()
EVERY_S = 6 * 3600.0


class TrustStream:
    """Runs what keeps the installation's own trust fresh; each step by itself."""

    def __init__(self, *steps: Callable[[], object], every_s: float = EVERY_S) -> None:
        self._steps = steps
        self._every_s = every_s

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await asyncio.sleep(self._every_s)
            for step in self._steps:
                await self._take(step)

    async def _take(self, step: Callable[[], object]) -> None:
        try:
            await asyncio.to_thread(step)
        except Exception as error:  # the root of a task: the next round tries again
            _log.exception("trust_not_refreshed", error=type(error).__name__)
