import math
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitals.warning.bands import chart_bands
from vitals.warning.score_input import NumberInput
from vitals.warning.vital_inputs import AGE, PULSE, TEMP

ROWS = (("35.0", 3), ("36.0", 1), ("38.0", 0), ("39.0", 1), (None, 2))
BANDS = chart_bands(TEMP, *ROWS)
LIMITS = chart_bands(
    NumberInput(name="x", unit="1", low=-100, high=100, resolution=Decimal(1)), ("-1", 3), (None, 0)
)


def points_by_decimal(value: float) -> int:
    """As a person would: write the number down, round half up, look the chart up."""
    charted = Decimal(str(value)).quantize(Decimal("0.1"), rounding=ROUND_HALF_UP)
    return next(points for end, points in ROWS if end is None or charted <= Decimal(end))


@pytest.mark.parametrize(
    ("value", "points"), [(35.0, 3), (35.04999, 3), (35.05, 1), (38.049, 0), (38.05, 1), (39.05, 2), (1e9, 2)]
)
def test_number_is_charted_half_up_before_its_band_is_looked_up(value: float, points: int) -> None:
    assert BANDS.find_points(value) == points


@pytest.mark.parametrize("edge", BANDS.edges)
@pytest.mark.parametrize("steps", range(-3, 4))
def test_floats_beside_an_edge_fall_as_their_decimal_text_does(edge: float, steps: int) -> None:
    value = edge
    for _ in range(abs(steps)):
        value = math.nextafter(value, math.copysign(math.inf, steps))
    assert BANDS.find_points(value) == points_by_decimal(value)


@settings(deadline=None)
@given(
    st.floats(0, 60)
    | st.sampled_from(BANDS.edges).flatmap(lambda edge: st.floats(edge - 1e-12, edge + 1e-12))
)
def test_comparing_floats_gives_the_band_of_the_rounded_decimal_text(value: float) -> None:
    assert BANDS.find_points(value) == points_by_decimal(value)


@settings(deadline=None)
@given(st.floats(0, 130))
def test_age_counts_completed_years(age: float) -> None:
    bands = chart_bands(AGE, ("44", 0), ("64", 1), (None, 2))
    years = int(Decimal(str(age)).to_integral_value(ROUND_FLOOR))
    assert bands.find_points(age) == (0 if years < 45 else 1 if years < 65 else 2)


def test_half_below_zero_is_charted_upwards_too() -> None:
    assert [LIMITS.find_points(value) for value in (-0.4, -0.5, -0.51, -1.0)] == [0, 0, 3, 3]


def test_whole_number_needs_no_float() -> None:
    assert [chart_bands(PULSE, ("90", 0), (None, 1)).find_points(value) for value in (90, 91)] == [0, 1]


@pytest.mark.parametrize(
    "rows",
    [(("40", 1), ("50", 2)), ((None, 1), ("50", 2)), ((None, 1), (None, 2))],
    ids=["no open end", "open end first", "two open ends"],
)
def test_table_that_leaves_numbers_without_a_band_is_refused(
    rows: tuple[tuple[str | None, int], ...],
) -> None:
    with pytest.raises(ValueError, match="pulse: the last band, and no other, must be without an end"):
        chart_bands(PULSE, *rows)


@pytest.mark.parametrize("second", ["40", "39"])
def test_table_that_does_not_rise_is_refused(second: str) -> None:
    with pytest.raises(ValueError, match="pulse: bands must rise"):
        chart_bands(PULSE, ("40", 1), (second, 2), (None, 3))
