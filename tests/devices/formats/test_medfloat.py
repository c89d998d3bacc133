import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.formats.medfloat import (
    NotANumber,
    decode_float32,
    decode_sfloat,
    encode_float32,
    encode_sfloat,
)

VECTORS = json.loads((Path(__file__).parents[2] / "recordings/number_formats/vectors.json").read_text())
DECODE = {"sfloat": decode_sfloat, "float32": decode_float32}
FLOAT_VECTORS = [vector for vector in VECTORS if vector["decoder"] in DECODE]


@pytest.mark.parametrize("vector", FLOAT_VECTORS, ids=lambda vector: vector["id"])
def test_float_vector(vector):
    code = int.from_bytes(bytes.fromhex(vector["hex"]), "little")
    number = DECODE[vector["decoder"]](code)
    expected = vector["expected"]["value"]
    assert (number if isinstance(number, NotANumber) else float(number)) == expected


def test_tenths_are_exact_decimals():
    assert str(decode_sfloat(0xF072)) == "11.4"


def test_reserved_code_of_float32():
    assert decode_float32(0x00800001) is NotANumber.RESERVED


@given(code=st.integers(0, 0xFFFF))
def test_every_sfloat_code_survives_a_round_trip(code):
    number = decode_sfloat(code)
    exponent = 0 if isinstance(number, NotANumber) else number.as_tuple().exponent
    assert encode_sfloat(number, exponent) == code.to_bytes(2, "little")


@given(code=st.integers(0, 0xFFFFFFFF))
def test_every_float32_code_survives_a_round_trip(code):
    number = decode_float32(code)
    exponent = 0 if isinstance(number, NotANumber) else number.as_tuple().exponent
    assert encode_float32(number, exponent) == code.to_bytes(4, "little")


def test_encoding_rounds_to_the_exponent():
    assert encode_sfloat(36.65, -1) == encode_sfloat(Decimal("36.6"), -1)


@pytest.mark.parametrize(
    ("value", "exponent"),
    [(2048, 0), (-2049, 0), (1, 8), (1, -9)],
    ids=["mantissa too large", "mantissa too small", "exponent too large", "exponent too small"],
)
def test_number_that_does_not_fit_is_refused(value, exponent):
    with pytest.raises(ValueError, match="does not fit"):
        encode_sfloat(value, exponent)


@pytest.mark.parametrize("mantissa", [2046, 2047, -2048, -2047, -2046])
def test_number_that_would_read_as_special_is_refused(mantissa):
    with pytest.raises(ValueError, match="is the code of"):
        encode_sfloat(mantissa)


@pytest.mark.parametrize("special", list(NotANumber))
def test_special_numbers_survive_a_round_trip(special):
    assert decode_sfloat(int.from_bytes(encode_sfloat(special), "little")) is special
    assert decode_float32(int.from_bytes(encode_float32(special), "little")) is special
