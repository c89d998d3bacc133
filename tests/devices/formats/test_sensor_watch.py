from datetime import UTC, datetime

from devices.driver import SensorState
from devices.formats.sensor_watch import SensorWatch
from vitals.gap import GapCause

NOW = datetime(2026, 11, 22, tzinfo=UTC)
KEYS = ("spo2",)


def test_session_that_begins_well_says_nothing():
    assert SensorWatch().note(None, KEYS, at=NOW) == []


def test_only_changes_are_told():
    watch = SensorWatch()
    off = SensorState(cause=GapCause.SENSOR_OFF, keys=KEYS, at=NOW)
    assert watch.note(GapCause.SENSOR_OFF, KEYS, at=NOW) == [off]
    assert watch.note(GapCause.SENSOR_OFF, KEYS, at=NOW) == []
    assert watch.note(None, KEYS, at=NOW) == [SensorState(cause=None, keys=KEYS, at=NOW)]
    assert watch.note(None, KEYS, at=NOW) == []


def test_new_cause_ends_the_one_before():
    watch = SensorWatch()
    watch.note(GapCause.SENSOR_OFF, ("spo2", "pleth"), at=NOW)
    assert watch.note(GapCause.DEMO_MODE, KEYS, at=NOW) == [
        SensorState(cause=None, keys=("spo2", "pleth"), at=NOW),
        SensorState(cause=GapCause.DEMO_MODE, keys=KEYS, at=NOW),
    ]


def test_same_cause_for_other_keys_is_a_change():
    watch = SensorWatch()
    watch.note(GapCause.SENSOR_OFF, ("spo2", "pleth"), at=NOW)
    changes = watch.note(GapCause.SENSOR_OFF, KEYS, at=NOW)
    assert [(change.cause, change.keys) for change in changes] == [
        (None, ("spo2", "pleth")),
        (GapCause.SENSOR_OFF, KEYS),
    ]
