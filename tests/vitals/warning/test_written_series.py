import math
import re

import pytest

from vitals.warning.written_series import read_series


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", ()),
        ("95", (95.0,)),
        ("95x3 88x2", (95.0, 95.0, 95.0, 88.0, 88.0)),
        ("95 x3", (95.0, 95.0, 95.0)),
        ("-1.5x2", (-1.5, -1.5)),
        ("0x2 1", (0.0, 0.0, 1.0)),
        ("nullx2 null x1", (None, None, None)),
        ("true false x2", (True, False, False)),
        ("100..90x5", (100.0, 97.5, 95.0, 92.5, 90.0)),
        ("1.5..-2.5x2", (1.5, -2.5)),
        ("1..2x4", (1.0, 1.333333, 1.666667, 2.0)),
        ("A oxygen x2 mixedx2", ("A", "oxygen", "oxygen", "mixed", "mixed")),
        ("infx2", (math.inf, math.inf)),
    ],
)
def test_series_is_written_out(text, values):
    assert read_series(text) == values


def test_nan_is_a_number_for_the_gate_to_refuse():
    (value,) = read_series("nan")

    assert isinstance(value, float)
    assert math.isnan(value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("95x6 88;2", "cannot read '88;2'; write 95x6, null x3 or 100..90x11"),
        ("95y6", "cannot read '95y6'; write 95x6, null x3 or 100..90x11"),
        ("95x6 x3", "cannot read 'x3'; write 95x6, null x3 or 100..90x11"),
        ("1.5.5", "cannot read '1.5.5'; write 95x6, null x3 or 100..90x11"),
        ("95x1234567890", "cannot read '95x1234567890'; write 95x6, null x3 or 100..90x11"),
        ("95x0", "95x0 is no value at all"),
        ("1..2", "1..2 needs two numbers and at least x2"),
        ("1..2x1", "1..2 needs two numbers and at least x2"),
        ("A..2x2", "A..2 needs two numbers and at least x2"),
        ("1x100001", "is longer than 100000 values"),
        ("1x999999999", "is longer than 100000 values"),
        ("1..2x999999999", "is longer than 100000 values"),
        ("1x60000 2x60000", "is longer than 100000 values"),
    ],
)
def test_what_is_no_series_is_told(text, reason):
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}$"):
        read_series(text)


def test_the_longest_series_is_read():
    assert len(read_series("1x100000")) == 100_000
