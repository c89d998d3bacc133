from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitals.identifiers.identifier import Identifier, IdentifierInvalid, IdentifierKind, InvalidReason
from vitals.identifiers.parse import parse_as, parse_identifier
from vitals.identifiers.resident_id import Sex, birth_date_of, check_character, parse_resident_id, sex_of

TODAY = date(2026, 11, 25)
# Number of the standard's own example (GB 11643-1999, annex A).
EXAMPLE = "11010519491231002X"
regions = st.sampled_from(["110105", "330102", "440524", "659001", "830000", "911840"])
birth_dates = st.dates(date(1900, 1, 1), TODAY)
sequences = st.integers(0, 999)


@st.composite
def numbers(draw):
    first_17 = f"{draw(regions)}{draw(birth_dates):%Y%m%d}{draw(sequences):03}"
    return first_17 + check_character(first_17)


@given(regions, birth_dates, sequences)
def test_number_tells_birth_date_and_sex(region, born, sequence):
    first_17 = f"{region}{born:%Y%m%d}{sequence:03}"
    read = parse_resident_id(first_17 + check_character(first_17), today=TODAY)

    assert isinstance(read, Identifier)
    assert birth_date_of(read.value) == born
    assert sex_of(read.value) is (Sex.MALE if sequence % 2 else Sex.FEMALE)


@given(numbers(), st.integers(0, 17), st.sampled_from("0123456789X"))
def test_every_single_wrong_character_is_found(number, place, character):
    wrong = number[:place] + character + number[place + 1 :]

    assert isinstance(parse_resident_id(wrong, today=TODAY), Identifier) == (wrong == number)


@given(numbers(), st.integers(0, 16))
def test_every_swap_of_neighbours_is_found(number, place):
    swapped = number[:place] + number[place + 1] + number[place] + number[place + 2 :]

    assert isinstance(parse_resident_id(swapped, today=TODAY), Identifier) == (swapped == number)


@given(regions, st.dates(date(1900, 1, 1), date(1999, 12, 31)), st.integers(0, 995))
def test_old_fifteen_digits_become_the_same_person(region, born, sequence):
    old = f"{region}{born:%y%m%d}{sequence:03}"
    first_17 = f"{region}{born:%Y%m%d}{sequence:03}"

    assert parse_identifier(old, today=TODAY) == parse_identifier(
        first_17 + check_character(first_17), today=TODAY
    )


@pytest.mark.parametrize(
    "text",
    [
        "11010519491231002x",
        " 110105 19491231 002X ",
        "１１０１０５１９４９１２３１００２Ｘ",
        "110105\u200b19491231002X\n",
    ],
)
def test_typed_and_scanned_spellings_are_one_number(text):
    expected = Identifier(kind=IdentifierKind.RESIDENT_ID, value=EXAMPLE)

    assert parse_identifier(text, today=TODAY) == expected


def complete(first_17):
    return first_17 + check_character(first_17)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("110105194912310021", InvalidReason.CHECK_CHARACTER),
        (complete("99990519491231002"), InvalidReason.REGION),
        (complete("01010519491231002"), InvalidReason.REGION),
        (complete("11010519490230002"), InvalidReason.BIRTH_DATE),
        (complete(f"110105{TODAY + timedelta(days=1):%Y%m%d}002"), InvalidReason.BORN_IN_FUTURE),
        ("110105491231997", InvalidReason.LEGACY_CENTURY),
        ("110105491331002", InvalidReason.BIRTH_DATE),
        ("1101051949123100", InvalidReason.LENGTH),
        ("1101051949123100AX", InvalidReason.CHARACTERS),
        ("１１０１０５１９４９１２３１００٢X", InvalidReason.CHARACTERS),
    ],
)
def test_wrong_number_says_why(text, reason):
    read = parse_as(IdentifierKind.RESIDENT_ID, text, today=TODAY)

    assert read == IdentifierInvalid(reason=reason, kind=IdentifierKind.RESIDENT_ID)


def test_person_born_today_has_a_number():
    number = complete(f"110105{TODAY:%Y%m%d}002")

    assert isinstance(parse_resident_id(number, today=TODAY), Identifier)
