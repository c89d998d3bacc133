import numpy as np
import pytest

from cloud.series.port import Line
from cloud.series.rollup import Steps
from cloud.trend.model import STEP_MS, ToldGap, choose_step_ms, clip_gaps, merge_lines
from tests.fixtures.wire_messages import HEART_RATE, SOURCE, seconds, utc_now
from vitals.gap import Gap, GapCause
from vitals.observation import SourceId
from vitals.wire.batch import to_ms

START = utc_now().replace(second=0, microsecond=0)


def minute(number):
    return START + seconds(60 * number)


def line(*steps, src=SOURCE, last_at=30):
    """Steps as (minute, lowest, highest, last); the first value is the lowest."""
    starts = np.array([to_ms(minute(number)) for number, *_ in steps], np.int64)
    lowest, highest, last = (np.array(column, float) for column in list(zip(*steps, strict=True))[1:])
    return Line(
        src=src,
        key=HEART_RATE,
        unit="/min",
        steps=Steps(
            starts_ms=starts,
            counts=np.full(len(starts), 2),
            lowest=lowest,
            highest=highest,
            sums=lowest + highest,
            first=lowest,
            first_ms=starts,
            last=last,
            last_ms=starts + last_at * 1000,
        ),
    )


def gap(cause, start, end):
    ended_at = None if end is None else minute(end)
    return Gap(src=SOURCE, keys=(), cause=cause, started_at=minute(start), ended_at=ended_at)


def clipped(gaps, lines=(), *, by_edge=False):
    told = [ToldGap(gap=item, by_edge=by_edge) for item in gaps]
    return minutes(clip_gaps(told, lines, step_ms=STEP_MS, from_at=minute(0), to_at=minute(60)))


def minutes(found):
    return [
        (
            (piece.started_at - START).total_seconds() / 60,
            None if piece.ended_at is None else (piece.ended_at - START).total_seconds() / 60,
        )
        for piece in found
    ]


def test_empty_minute_stays_absent():
    series = merge_lines([line((3, 1, 2, 2)), line((1, 1, 2, 2))], step_ms=STEP_MS)[HEART_RATE]

    assert series.steps.starts_ms.tolist() == [to_ms(minute(1)), to_ms(minute(3))]


def test_two_sources_of_one_key_join_their_ranges():
    other = line((1, 50, 66, 52), src=SourceId("s-2"), last_at=40)
    steps = merge_lines([line((1, 60, 70, 65)), other], step_ms=STEP_MS)[HEART_RATE].steps

    assert (steps.lowest, steps.highest, steps.last) == ([50], [70], [52])


@pytest.mark.parametrize(
    ("hours", "pixels", "step_s"),
    [(1, 3600, 1), (24, 1440, 60), (24, 1000, 120), (24 * 365, 1000, 43_200), (24 * 36500, 10, 86_400)],
)
def test_step_is_the_shortest_that_fits_the_pixels(hours, pixels, step_s):
    assert choose_step_ms(START, START + seconds(hours * 3600), pixels=pixels) == step_s * 1000


def test_gap_is_clipped_to_the_range_and_open_when_it_lasts_beyond():
    assert clipped([gap(GapCause.SENSOR_OFF, -5, 5)]) == [(0, 5)]
    assert clipped([gap(GapCause.SENSOR_OFF, 50, None)]) == [(50, None)]
    assert clipped([gap(GapCause.SENSOR_OFF, 50, 70)]) == [(50, None)]


def test_outage_that_was_filled_later_is_no_gap():
    values = [line(*((number, 1, 2, 2) for number in range(10, 20)))]

    assert clipped([gap(GapCause.UPLINK_OFF, 10, 20)], values) == []
    assert clipped([gap(GapCause.UPLINK_OFF, 8, 25)], values) == [(8, 10), (20, 25)]


def test_sensor_that_was_off_stays_a_gap():
    assert clipped([gap(GapCause.SENSOR_OFF, 10, 12)], [line((10, 1, 2, 2))]) == [(10, 12)]


def test_values_of_another_source_fill_nothing():
    values = [line((10, 1, 2, 2), src=SourceId("s-2"))]

    assert clipped([gap(GapCause.BROKER_OFF, 10, 11)], values) == [(10, 11)]


def test_gap_that_the_agent_tells_of_stays_within_a_minute_that_holds_values():
    values = [line((10, 1, 2, 2))]

    assert clipped([gap(GapCause.DEVICE_SILENT, 10.2, 10.5)], values, by_edge=True) == [(10.2, 10.5)]


def test_gap_that_both_tell_of_is_shown_once():
    edge = ToldGap(gap=gap(GapCause.OUT_OF_RANGE, 10, 12), by_edge=True)
    cloud = ToldGap(gap=gap(GapCause.DEVICE_SILENT, 10.1, 12.5), by_edge=False)

    assert minutes(clip_gaps([edge, cloud], (), step_ms=STEP_MS, from_at=minute(0), to_at=minute(60))) == [
        (10, 12),
        (12, 12.5),
    ]
