from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.series.rollup import Steps
from cloud.trend.frames import encode_trend
from cloud.trend.model import Series
from cloud.trend.routes import MEDIA_TYPE, prefers_columns
from cloud.trend.service import Trend
from tests.fixtures.trend_frames import read_columns
from vitals.gap import Gap, GapCause
from vitals.observation import SourceId, VitalKey
from vitals.wire.batch import from_ms

START = datetime(2026, 3, 4, tzinfo=UTC)
STEP_MS = 1000
ROUNDED = st.decimals(-500, 5000, places=1).map(float)
ANY = st.floats(allow_nan=False, allow_infinity=False)


def series(starts_ms, values):
    numbers = np.array(values, np.float64)
    starts = np.array(starts_ms, np.int64)
    counts = np.ones(len(starts), np.int64)
    steps = Steps(starts, counts, numbers, numbers, numbers, numbers, starts, numbers, starts)
    return Series(unit="/min", steps=steps)


def trend(*several, gaps=()):
    named = {VitalKey(f"key_{number}"): one for number, one in enumerate(several)}
    return Trend(
        from_at=START,
        to_at=START,
        step_ms=STEP_MS,
        measured_since_at=None,
        series=named,
        gaps=list(gaps),
    )


def kinds(content):
    return {
        key: (one["kind"], one["decimals"]) for key, one in msgspec.msgpack.decode(content)["series"].items()
    }


def steps_of(values):
    times = st.lists(st.integers(0, 3 * 10**9), unique=True, min_size=1, max_size=40).map(sorted)
    return times.flatmap(
        lambda numbers: st.builds(
            series,
            st.just([number * STEP_MS for number in numbers]),
            st.lists(values, min_size=len(numbers), max_size=len(numbers)),
        )
    )


@given(st.lists(st.one_of(steps_of(ROUNDED), steps_of(ANY)), max_size=3))
def test_every_number_and_every_time_comes_back_to_the_bit(several):
    read = read_columns(encode_trend(trend(*several)))["series"]

    for one, given_series in zip(read.values(), several, strict=True):
        assert one["t"] == given_series.steps.starts_ms.tolist()
        back = np.array([one["min"], one["max"], one["first"], one["last"]])
        assert back.tobytes() == np.array([given_series.steps.last] * 4).tobytes()


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([-128, 127], ("i1", 0)),
        ([60, 128], ("i2", 0)),
        ([36.6, 37.1], ("i2", 1)),
        ([0.01, 99999.99], ("i4", 2)),
        ([-0.0], ("f8", 0)),
        ([1 / 3], ("f8", 0)),
        ([1e15], ("f8", 0)),
    ],
    ids=str,
)
def test_column_takes_the_shortest_kind_that_is_exact(values, kind):
    content = encode_trend(trend(series([STEP_MS * n for n in range(len(values))], values)))

    assert kinds(content) == {"key_0": kind}


def test_column_that_is_there_already_is_written_once():
    one = series(range(0, 800_000, STEP_MS), range(800))

    assert len(encode_trend(trend(one, one))) < len(encode_trend(trend(one))) + 150


def test_gaps_keep_their_keys_cause_and_open_end():
    gap = Gap(
        src=SourceId("s-1"),
        keys=(VitalKey("spo2"),),
        cause=GapCause.SENSOR_OFF,
        started_at=from_ms(1000),
        ended_at=None,
    )

    told = {"src": "s-1", "keys": ["spo2"], "cause": "sensor_off", "from_at": 1000, "to_at": None}
    assert read_columns(encode_trend(trend(gaps=[gap])))["gaps"] == [told]


@pytest.mark.parametrize(
    ("accept", "columns"),
    [
        ("", False),
        ("*/*", False),
        (MEDIA_TYPE, True),
        (f"application/json;q=0.5, {MEDIA_TYPE.upper()}", True),
        (f"application/json, {MEDIA_TYPE} ; q=0.9", False),
        (f"{MEDIA_TYPE};q=0, */*", False),
        (f"{MEDIA_TYPE};q=much", False),
    ],
    ids=str,
)
def test_columns_are_for_those_who_prefer_them(accept, columns):
    assert prefers_columns(accept) is columns
