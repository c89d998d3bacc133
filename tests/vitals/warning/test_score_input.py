from decimal import Decimal

import pytest

from vitals.warning.errors import ScoreInputInvalid
from vitals.warning.score_input import ChoiceInput, NumberInput, refuse_unknown_inputs

TEMP = NumberInput(name="temp", unit="Cel", low=0, high=60, resolution=Decimal("0.1"))
PULSE = NumberInput(name="pulse", unit="/min", low=0, high=500, resolution=Decimal(1))
SCALE = ChoiceInput(name="spo2_scale", choices=(1, 2))


@pytest.mark.parametrize(
    ("value", "charted"),
    [
        (38.05, "38.1"), (38.04, "38.0"), (35.05, "35.1"), (36.949999, "36.9"), (37, "37.0"), (0.05, "0.1"),
        (-0.0, "0.0"), (5e-324, "0.0"), (60, "60.0"),
    ],
)  # fmt: skip
def test_tenths_round_half_up_from_the_decimal_text(value: float, charted: str) -> None:
    assert TEMP.read_value(value) == Decimal(charted)


@pytest.mark.parametrize(
    ("value", "charted"), [(40.5, 41), (41.5, 42), (130.49999, 130), (0.5, 1), (500, 500)]
)
def test_whole_numbers_round_half_up_and_not_to_even(value: float, charted: int) -> None:
    assert PULSE.read_value(value) == charted


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


def test_unknown_name_is_refused_and_the_known_ones_are_told() -> None:
    with pytest.raises(
        ScoreInputInvalid, match="input 'puls' is not known to this score; known: temp, pulse"
    ):
        refuse_unknown_inputs({"temp": 37.0, "puls": 70}, declared=(TEMP, PULSE))


def test_first_unknown_name_is_the_one_told() -> None:
    with pytest.raises(ScoreInputInvalid) as caught:
        refuse_unknown_inputs({"pulse": None, "b": 1, "a": 2}, declared=(TEMP, PULSE))
    assert caught.value.field == "b"
