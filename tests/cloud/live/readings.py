"""Readings of one source on a clock of seconds."""

from cloud.events import Reading
from tests.fixtures.wire_messages import HEART_RATE, SOURCE, seconds, utc_now
from vitals.observation import Quality

START = utc_now()


def at(second):
    return START + seconds(second)


def reading(second, value, *, late=False):
    return Reading(
        src=SOURCE,
        key=HEART_RATE,
        value=value,
        unit="/min",
        measured_at=at(second),
        received_at=at(second),
        stored_at=at(second),
        quality=Quality.GOOD,
        flags=(),
        late=late,
    )
