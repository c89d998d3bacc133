from decimal import Decimal

import pytest

from vitals.warning.errors import ScoreInputInvalid, ScoreItemOutOfRange
from vitals.warning.score_input import ChoiceInput, FlagInput, InputForm, ItemInput, NumberInput

TEMP = NumberInput(name="temp", unit="Cel", low=0, high=60, resolution=Decimal("0.1"))
PULSE = NumberInput(name="pulse", unit="/min", low=0, high=500, resolution=Decimal(1))
YEARS = NumberInput(name="age", unit="a", low=4, high=16, resolution=Decimal(1), completed=True)
RISE = NumberInput(name="rise", unit="/min", low=-300, high=300, resolution=Decimal(1))
SCALE = ChoiceInput(name="spo2_scale", choices=(1, 2))
EYES = ItemInput(name="e", low=1, high=4, untestable="NT")
SIGN = FlagInput(name="sign", optional=True)
FORM = InputForm(inputs=(TEMP, PULSE, SIGN))


@pytest.mark.parametrize(
    ("value", "charted"),
    [
        (38.05, "38.1"), (38.04, "38.0"), (35.05, "35.1"), (36.949999, "36.9"), (37, "37.0"), (0.05, "0.1"),
        (-0.0, "0.0"), (5e-324, "0.0"), (60, "60.0"),
    ],
)  # fmt: skip
def test_tenths_round_half_up_from_the_decimal_text(value: float, charted: str) -> None:
    assert TEMP.chart_value(value) == Decimal(charted)


@pytest.mark.parametrize(
    ("value", "charted"), [(40.5, 41), (41.5, 42), (130.49999, 130), (0.5, 1), (500, 500)]
)
def test_whole_numbers_round_half_up_and_not_to_even(value: float, charted: int) -> None:
    assert PULSE.chart_value(value) == charted


@pytest.mark.parametrize(("value", "charted"), [(-0.5, 0), (-0.51, -1), (-4.5, -4), (4.5, 5)])
def test_half_is_rounded_up_below_zero_too(value: float, charted: int) -> None:
    assert RISE.chart_value(value) == charted


def test_completed_years_are_cut_off_up_to_the_end_of_the_last() -> None:
    assert [YEARS.chart_value(age) for age in (4, 6.99, 16.5)] == [4, 6, 16]
    assert YEARS.read_value(16.99) == 16.99
    with pytest.raises(ScoreInputInvalid, match="'age' must not be above 16 a"):
        YEARS.read_value(17.0)


@pytest.mark.parametrize("value", [0, 0.0, -0.0, 70, 70.4, 500])
def test_number_is_read_as_it_was_given(value: float) -> None:
    assert PULSE.read_value(value) is value


def test_missing_number_is_none() -> None:
    assert PULSE.read_value(None) is None


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (True, "must be a number or null"),
        ("70", "must be a number or null"),
        ([70], "must be a number or null"),
        (float("nan"), "must be a finite number"),
        (float("inf"), "must be a finite number"),
        (float("-inf"), "must be a finite number"),
        (-0.1, "must not be below 0 /min"),
        (500.1, "must not be above 500 /min"),
        (10**5000, "must not be above 500 /min"),
    ],
    ids=["bool", "text", "list", "nan", "inf", "minus inf", "below", "above", "huge"],
)
def test_value_outside_the_domain_is_refused_with_its_reason(value: object, reason: str) -> None:
    with pytest.raises(ScoreInputInvalid) as caught:
        PULSE.read_value(value)
    assert (caught.value.field, caught.value.reason) == ("pulse", reason)
    assert str(caught.value) == f"input 'pulse' {reason}"


@pytest.mark.parametrize(("value", "choice"), [(1, 1), (2, 2), (2.0, 2), (None, None)])
def test_choice_is_read_as_declared(value: object, choice: int | None) -> None:
    read = SCALE.read_value(value)
    assert read == choice
    assert type(read) is type(choice)


@pytest.mark.parametrize("value", [True, 3, 0, "1", [1], {}, float("nan")], ids=repr)
def test_anything_but_a_choice_is_refused(value: object) -> None:
    with pytest.raises(ScoreInputInvalid, match="'spo2_scale' must be one of 1, 2 or null"):
        SCALE.read_value(value)


@pytest.mark.parametrize(("value", "item"), [(1, 1), (4.0, 4), ("NT", "NT"), (None, None)])
def test_item_is_its_points_or_the_word_for_untestable(value: object, item: object) -> None:
    read = EYES.read_value(value)
    assert (read, type(read)) == (item, type(item))


@pytest.mark.parametrize("value", [0, 5, -1, 2.5, 10**400])
def test_number_that_an_item_does_not_have_is_out_of_range(value: float) -> None:
    with pytest.raises(ScoreItemOutOfRange, match="'e' must be one of 1, 2, 3, 4, 'NT' or null"):
        EYES.read_value(value)


@pytest.mark.parametrize("value", [True, "4", "nt", [1], float("nan"), float("inf")], ids=repr)
def test_what_is_no_number_is_no_item_but_not_out_of_range(value: object) -> None:
    with pytest.raises(ScoreInputInvalid) as caught:
        EYES.read_value(value)
    assert not isinstance(caught.value, ScoreItemOutOfRange)


@pytest.mark.parametrize("value", [True, False, None])
def test_finding_is_there_or_not_or_unknown(value: bool | None) -> None:  # noqa: FBT001
    assert SIGN.read_value(value) is value


@pytest.mark.parametrize("value", [0, 1, "yes", [], float("nan")], ids=repr)
def test_finding_is_never_guessed(value: object) -> None:
    with pytest.raises(ScoreInputInvalid, match="'sign' must be true, false or null"):
        SIGN.read_value(value)


def test_optional_input_that_was_left_out_is_not_the_same_as_null() -> None:
    assert FORM.read({"temp": 37.0}) == {"temp": 37.0, "pulse": None}
    assert FORM.read({"temp": 37.0, "sign": None}) == {"temp": 37.0, "pulse": None, "sign": None}


def test_unknown_name_is_refused_and_the_known_ones_are_told() -> None:
    with pytest.raises(
        ScoreInputInvalid, match="input 'puls' is not known to this score; known: temp, pulse, sign"
    ):
        FORM.read({"temp": 37.0, "puls": 70})


def test_first_unknown_name_is_the_one_told() -> None:
    with pytest.raises(ScoreInputInvalid) as caught:
        FORM.read({"pulse": None, "b": 1, "a": 2})
    assert caught.value.field == "b"
