"""Readings of one source on a clock of seconds."""

from cloud.events import LaneOf, Reading, ReadingsHeard
from tests.fixtures.wire_messages import HEART_RATE, LINEAGE, SOURCE, seconds, utc_now
from vitals.observation import Quality
from vitals.wire.topics import Lane

START = utc_now()


def at(second):
    return START + seconds(second)


LANE = LaneOf(agent="hut-1", lineage=LINEAGE, lane=Lane.LIVE)


def heard(*readings, s=1):
    """One message, heard at second 5."""
    return ReadingsHeard(readings=readings, heard_at=at(5), lane=LANE, s=s)


def reading(second, value, *, late=False):
    return Reading(
        src=SOURCE,
        key=HEART_RATE,
        value=value,
        unit="/min",
        measured_at=at(second),
        received_at=at(second),
        arrived_at=at(second),
        stored_at=at(second),
        quality=Quality.GOOD,
        flags=(),
        late=late,
    )
