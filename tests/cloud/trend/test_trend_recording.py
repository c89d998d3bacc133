"""The answer of a real server that the tests of the pages read, in both forms, is what the server says today.

`python -m tests.cloud.trend.test_trend_recording` writes the columns anew from the JSON.
"""

import json
from pathlib import Path

import numpy as np

from cloud.series.rollup import Steps
from cloud.trend.frames import encode_trend
from cloud.trend.model import Series
from cloud.trend.service import Trend
from tests.fixtures.trend_frames import read_columns
from vitals.gap import Gap, GapCause
from vitals.wire.batch import from_ms

RECORDED = Path(__file__).resolve().parents[3] / "cloud" / "web" / "src" / "trend" / "recorded"
COLUMNS = RECORDED / "trend.msgpack"


def recorded():
    return json.loads((RECORDED / "trend.json").read_text())


def trend_of(said):
    """What the server had in hand when it said this."""
    since_ms = said["measured_since_at"]
    return Trend(
        from_at=from_ms(said["from_at"]),
        to_at=from_ms(said["to_at"]),
        step_ms=said["step_ms"],
        measured_since_at=None if since_ms is None else from_ms(since_ms),
        series={key: series_of(one) for key, one in said["series"].items()},
        gaps=[gap_of(one) for one in said["gaps"]],
    )


def series_of(said):
    starts = np.array(said["t"], np.int64)
    lowest, highest, first, last = (np.array(said[name], float) for name in ("min", "max", "first", "last"))
    steps = Steps(starts, starts, lowest, highest, lowest, first, starts, last, starts)
    return Series(unit=said["unit"], steps=steps)


def gap_of(said):
    return Gap(
        src=said["src"],
        keys=tuple(said["keys"]),
        cause=GapCause(said["cause"]),
        started_at=from_ms(said["from_at"]),
        ended_at=None if said["to_at"] is None else from_ms(said["to_at"]),
    )


def test_recorded_columns_are_what_the_server_makes_of_the_recorded_answer():
    assert COLUMNS.read_bytes() == encode_trend(trend_of(recorded()))


def test_recorded_columns_say_what_the_recorded_json_says():
    assert read_columns(COLUMNS.read_bytes()) == recorded()


if __name__ == "__main__":
    COLUMNS.write_bytes(encode_trend(trend_of(recorded())))
