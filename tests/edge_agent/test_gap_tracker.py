from datetime import UTC, datetime, timedelta

from edge_agent.gap_tracker import GapTracker
from vitals.gap import GapCause
from vitals.observation import SourceId, VitalKey

NOW = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
LATER = NOW + timedelta(seconds=5)
SRC = SourceId("s-1")
SPO2 = VitalKey("spo2")


def test_gap_is_told_once_while_it_lasts():
    tracker = GapTracker.resume([])

    assert len(tracker.open_gap(SRC, GapCause.SENSOR_OFF, at=NOW, keys=(SPO2,))) == 1
    assert tracker.open_gap(SRC, GapCause.SENSOR_OFF, at=LATER, keys=(SPO2,)) == []


def test_closing_keeps_the_start():
    tracker = GapTracker.resume([])
    tracker.open_gap(SRC, GapCause.OUT_OF_RANGE, at=NOW)

    (ended,) = tracker.close_gaps(SRC, at=LATER, causes=[GapCause.OUT_OF_RANGE])

    assert (ended.started_at, ended.ended_at) == (NOW, LATER)
    assert tracker.open_gaps() == []


def test_only_the_named_causes_and_source_end():
    tracker = GapTracker.resume([])
    tracker.open_gap(SRC, GapCause.SENSOR_OFF, at=NOW)
    tracker.open_gap(SourceId("s-2"), GapCause.OUT_OF_RANGE, at=NOW)

    assert tracker.close_gaps(SRC, at=LATER, causes=[GapCause.OUT_OF_RANGE]) == []
    assert len(tracker.open_gaps()) == 2


def test_good_value_ends_the_gap_that_covers_its_key():
    tracker = GapTracker.resume([])
    tracker.open_gap(SRC, GapCause.SENSOR_OFF, at=NOW, keys=(SPO2,))

    assert tracker.close_covering(SRC, VitalKey("heart_rate"), at=LATER, causes=[GapCause.SENSOR_OFF]) == []
    assert len(tracker.close_covering(SRC, SPO2, at=LATER, causes=[GapCause.SENSOR_OFF])) == 1


def test_gap_never_ends_before_it_started():
    tracker = GapTracker.resume([])
    tracker.open_gap(SRC, GapCause.CABLE, at=LATER)

    (ended,) = tracker.close_gaps(SRC, at=NOW, causes=[GapCause.CABLE])

    assert ended.ended_at == LATER


def test_open_gaps_survive_a_restart():
    before = GapTracker.resume([])
    before.open_gap(SRC, GapCause.CABLE, at=NOW)
    after = GapTracker.resume(before.open_gaps())

    assert after.open_gap(SRC, GapCause.CABLE, at=LATER) == []
