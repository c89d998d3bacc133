import json
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.formats.date_time import DeviceDateTime, OutOfRange, decode_date_time, encode_date_time

VECTORS = json.loads((Path(__file__).parents[2] / "recordings/number_formats/vectors.json").read_text())
TIME_VECTORS = [vector for vector in VECTORS if vector["decoder"] == "date_time"]


def as_expected(moment):
    complete = moment.complete()
    if complete is not None:
        return complete.isoformat()
    time = f"{moment.hour:02}:{moment.minute:02}:{moment.second:02}"
    return {"year": moment.year, "month": moment.month, "day": moment.day, "time": time}


@pytest.mark.parametrize("vector", TIME_VECTORS, ids=lambda vector: vector["id"])
def test_date_time_vector(vector):
    moment = decode_date_time(bytes.fromhex(vector["hex"]))
    assert as_expected(moment) == vector["expected"]["value"]


@given(moment=st.datetimes(min_value=datetime(1582, 1, 1)))
def test_round_trip_to_the_second(moment):
    decoded = decode_date_time(encode_date_time(moment))
    assert decoded.complete() == moment.replace(microsecond=0)


def test_clock_never_set_has_no_time():
    assert decode_date_time(encode_date_time(None)).complete() is None


def test_day_that_the_calendar_lacks_has_no_time():
    assert decode_date_time(bytes.fromhex("ea07021e081e00")).complete() is None


@pytest.mark.parametrize(
    ("payload", "part", "offset"),
    [
        ("2d060101000000", "year", 0),
        ("10270101000000", "year", 0),
        ("ea070d01000000", "month", 2),
        ("ea070120000000", "day", 3),
        ("ea070101180000", "hour", 4),
        ("ea070101003c00", "minute", 5),
        ("ea07010100003c", "second", 6),
    ],
)
def test_part_out_of_range_is_named(payload, part, offset):
    assert decode_date_time(bytes.fromhex(payload)) == OutOfRange(part=part, offset=offset)


@given(payload=st.binary(min_size=7, max_size=7))
def test_any_seven_bytes_are_a_date_time_or_out_of_range(payload):
    assert isinstance(decode_date_time(payload), DeviceDateTime | OutOfRange)
