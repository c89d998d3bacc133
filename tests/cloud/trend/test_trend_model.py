from cloud.trend.model import Bucket, ToldGap, clip_gaps, merge_buckets
from tests.fixtures.wire_messages import HEART_RATE, SOURCE, seconds, utc_now
from vitals.gap import Gap, GapCause
from vitals.observation import SourceId

START = utc_now().replace(second=0, microsecond=0)


def minute(number):
    return START + seconds(60 * number)


def bucket(number, low, high, last, *, src=SOURCE, last_at=30):
    return Bucket(
        src=src,
        key=HEART_RATE,
        unit="/min",
        starts_at=minute(number),
        lowest=low,
        highest=high,
        last=last,
        last_at=minute(number) + seconds(last_at),
    )


def gap(cause, start, end):
    ended_at = None if end is None else minute(end)
    return Gap(src=SOURCE, keys=(), cause=cause, started_at=minute(start), ended_at=ended_at)


def clipped(gaps, buckets=(), *, by_edge=False):
    told = [ToldGap(gap=item, by_edge=by_edge) for item in gaps]
    return minutes(clip_gaps(told, buckets, from_at=minute(0), to_at=minute(60)))


def minutes(found):
    return [
        (
            (piece.started_at - START).total_seconds() / 60,
            None if piece.ended_at is None else (piece.ended_at - START).total_seconds() / 60,
        )
        for piece in found
    ]


def test_empty_minute_stays_absent():
    series = merge_buckets([bucket(3, 1, 2, 2), bucket(1, 1, 2, 2)])[HEART_RATE]

    assert series.starts_at == [minute(1), minute(3)]


def test_two_sources_of_one_key_join_their_ranges():
    other = SourceId("s-2")
    series = merge_buckets([bucket(1, 60, 70, 65), bucket(1, 50, 66, 52, src=other, last_at=40)])[HEART_RATE]

    assert (series.lowest, series.highest, series.last) == ([50], [70], [52])


def test_gap_is_clipped_to_the_range_and_open_when_it_lasts_beyond():
    assert clipped([gap(GapCause.SENSOR_OFF, -5, 5)]) == [(0, 5)]
    assert clipped([gap(GapCause.SENSOR_OFF, 50, None)]) == [(50, None)]
    assert clipped([gap(GapCause.SENSOR_OFF, 50, 70)]) == [(50, None)]


def test_outage_that_was_filled_later_is_no_gap():
    values = [bucket(number, 1, 2, 2) for number in range(10, 20)]

    assert clipped([gap(GapCause.UPLINK_OFF, 10, 20)], values) == []
    assert clipped([gap(GapCause.UPLINK_OFF, 8, 25)], values) == [(8, 10), (20, 25)]


def test_sensor_that_was_off_stays_a_gap():
    assert clipped([gap(GapCause.SENSOR_OFF, 10, 12)], [bucket(10, 1, 2, 2)]) == [(10, 12)]


def test_values_of_another_source_fill_nothing():
    values = [bucket(10, 1, 2, 2, src=SourceId("s-2"))]

    assert clipped([gap(GapCause.BROKER_OFF, 10, 11)], values) == [(10, 11)]


def test_gap_that_the_agent_tells_of_stays_within_a_minute_that_holds_values():
    values = [bucket(10, 1, 2, 2)]

    assert clipped([gap(GapCause.DEVICE_SILENT, 10.2, 10.5)], values, by_edge=True) == [(10.2, 10.5)]


def test_gap_that_both_tell_of_is_shown_once():
    edge = ToldGap(gap=gap(GapCause.OUT_OF_RANGE, 10, 12), by_edge=True)
    cloud = ToldGap(gap=gap(GapCause.DEVICE_SILENT, 10.1, 12.5), by_edge=False)

    assert minutes(clip_gaps([edge, cloud], (), from_at=minute(0), to_at=minute(60))) == [
        (10, 12),
        (12, 12.5),
    ]
