import logging
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitals.identifiers.identifier import Identifier, IdentifierAmbiguous, IdentifierKind, mask_number

numbers = st.from_regex(r"[A-Z0-9]{1,64}", fullmatch=True)


@pytest.mark.parametrize(
    ("number", "masked"),
    [
        ("330102199001011234", "3301**********1234"),
        ("E12345678", "E1*****78"),
        ("1234567", "*******"),
    ],
)
def test_middle_is_hidden(number, masked):
    assert mask_number(number) == masked


@given(numbers)
def test_at_least_half_of_a_number_stays_hidden(number):
    masked = mask_number(number)

    assert len(masked) == len(number)
    assert masked.count("*") * 2 >= len(number)


@given(st.sampled_from(list(IdentifierKind)), st.from_regex(r"[A-Z0-9]{4,64}", fullmatch=True))
def test_no_way_of_printing_shows_the_number(kind, number):
    identifier = Identifier(kind=kind, value=number, issuer="x")
    holder = IdentifierAmbiguous(readings=(identifier,))
    record = logging.LogRecord("x", logging.INFO, "x", 1, "%s %r", (identifier, holder), None)

    for printed in (str(identifier), repr(identifier), f"{identifier}", repr(holder), record.getMessage()):
        assert number not in printed


def test_identifier_survives_a_copy():
    identifier = Identifier(kind=IdentifierKind.INSURANCE, value="123456789")

    assert pickle.loads(pickle.dumps(identifier)) == identifier  # noqa: S301 our own bytes
