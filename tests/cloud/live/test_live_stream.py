import asyncio
from contextlib import suppress

import pytest
from psycopg_pool import PoolTimeout

from cloud.events import Part, PartState
from cloud.live import stream
from cloud.live.service import Hub
from cloud.live.stream import LiveStream
from cloud.warning.model import score_patient
from tests.fixtures.wire_messages import utc_now


class Books:
    """Counts how often it is told to record."""

    def __init__(self):
        self.recorded = 0

    def judge(self, parts):
        return {}

    def record(self):
        self.recorded += 1


class ClosedPool:
    """A database that gives no connection."""

    def connection(self):
        raise PoolTimeout


@pytest.mark.parametrize(
    ("down", "is_recorded"), [(Part.BROKER, True), (Part.DATABASE, False)], ids=["broker", "database"]
)
async def test_gaps_are_recorded_whenever_the_database_is_there(monkeypatch, down, is_recorded):
    monkeypatch.setattr(stream, "REREAD_EVERY_S", 0.005)
    parts = tuple(PartState(part=part, ok=part is not down, since_at=utc_now()) for part in Part)
    hub = Hub(judge=score_patient, clock=utc_now, display_delay_ms=0)
    books = Books()
    live = LiveStream(hub, ClosedPool(), parts=lambda: parts, books=books, clock=utc_now)

    with suppress(TimeoutError):
        await asyncio.wait_for(live.run(), timeout=0.1)

    assert (books.recorded > 0) is is_recorded
