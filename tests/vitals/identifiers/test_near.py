from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitals.identifiers.identifier import Identifier, IdentifierKind
from vitals.identifiers.near import correct_resident_id, near_identifiers
from vitals.identifiers.parse import parse_as
from vitals.identifiers.resident_id import check_character

TODAY = date(2026, 11, 25)
FIRST_17 = "33010219900101123"
NUMBER = FIRST_17 + check_character(FIRST_17)


def values(identifiers):
    return {identifier.value for identifier in identifiers}


@given(st.integers(0, 17), st.sampled_from("0123456789"))
def test_one_mistyped_digit_of_a_resident_number_can_be_found_again(place, digit):
    typed = NUMBER[:place] + digit + NUMBER[place + 1 :]
    found = correct_resident_id(typed, today=TODAY)

    assert (NUMBER in values(found)) == (typed != NUMBER)
    assert len(found) <= 18


@pytest.mark.parametrize(
    "text", ["", "1234", "无" * 18, "A" * 18], ids=["empty", "short", "words", "letters"]
)
def test_text_that_is_no_resident_number_has_no_corrections(text):
    assert correct_resident_id(text, today=TODAY) == ()


def test_mistyped_old_number_is_near_the_right_one():
    old = parse_as(IdentifierKind.RESIDENT_ID, "330102900101133", today=TODAY)
    right = parse_as(IdentifierKind.RESIDENT_ID, "330102900101123", today=TODAY)

    assert right in near_identifiers(old, today=TODAY)


@given(st.sampled_from(["E12345678", "A7", "12-34"]))
def test_near_numbers_differ_in_one_character_of_the_same_sort(number):
    identifier = Identifier(kind=IdentifierKind.HOSPITAL_RECORD, value=number, issuer="h")

    for near in near_identifiers(identifier, today=TODAY):
        changed = [(old, new) for old, new in zip(number, near.value, strict=True) if old != new]
        assert len(changed) == 1
        assert changed[0][0].isdigit() == changed[0][1].isdigit()
        assert (near.kind, near.issuer) == (identifier.kind, identifier.issuer)


@pytest.mark.parametrize("kind", [IdentifierKind.HEALTH_CARD, IdentifierKind.TEMPORARY])
def test_number_that_nobody_types_has_no_neighbours(kind):
    assert near_identifiers(Identifier(kind=kind, value="123"), today=TODAY) == ()
