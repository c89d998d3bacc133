from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitals.identifiers.identifier import (
    Identifier,
    IdentifierAmbiguous,
    IdentifierInvalid,
    IdentifierKind,
    InvalidReason,
)
from vitals.identifiers.parse import LONGEST_TEXT, normalise, parse_as, parse_identifier
from vitals.identifiers.temporary import temporary_identifier

TODAY = date(2026, 11, 25)
CARD = "0123456789ABCDEF" * 4
KINDS = st.sampled_from(list(IdentifierKind))


def kinds(parsed):
    assert isinstance(parsed, IdentifierAmbiguous)
    return [reading.kind.value for reading in parsed.readings]


@given(st.text(max_size=80))
def test_any_text_gives_an_answer_that_reads_the_same_again(text):
    parsed = parse_identifier(text, today=TODAY, organisation="h")

    assert parse_identifier(normalise(text), today=TODAY, organisation="h") == parsed
    readings = parsed.readings if isinstance(parsed, IdentifierAmbiguous) else [parsed]
    for reading in readings:
        if isinstance(reading, Identifier):
            again = parse_as(reading.kind, reading.value, today=TODAY, issuer=reading.issuer)
            assert again == reading


@given(KINDS, st.text(max_size=80), st.text(max_size=5))
def test_any_text_of_any_kind_is_an_identifier_of_that_kind_or_says_why(kind, text, issuer):
    assert parse_as(kind, text, today=TODAY, issuer=issuer).kind is kind


def test_number_that_fits_several_registers_gives_all_of_them():
    parsed = parse_identifier("e12345678", today=TODAY, organisation="h")

    assert kinds(parsed) == ["passport", "insurance", "hospital_record"]


def test_number_that_fits_one_register_is_read():
    parsed = parse_identifier("12345", today=TODAY, organisation="h")

    assert parsed == Identifier(kind=IdentifierKind.HOSPITAL_RECORD, value="12345", issuer="h")


def test_mistyped_resident_number_is_not_taken_for_another_register():
    parsed = parse_identifier("110105194912310021", today=TODAY, organisation="h")

    assert parsed == IdentifierInvalid(reason=InvalidReason.CHECK_CHARACTER, kind=IdentifierKind.RESIDENT_ID)


@pytest.mark.parametrize("suffix", ["", ":1", ":0:20261125:3502A0001:"])
def test_health_card_code_is_its_64_digits_whatever_the_showing_adds(suffix):
    parsed = parse_identifier(CARD.lower() + suffix, today=TODAY)

    assert parsed == Identifier(kind=IdentifierKind.HEALTH_CARD, value=CARD)


@pytest.mark.parametrize("text", [CARD[:-1], CARD + "0", CARD[:-1] + "G"])
def test_other_length_is_no_health_card(text):
    read = parse_as(IdentifierKind.HEALTH_CARD, text, today=TODAY)

    assert read == IdentifierInvalid(reason=InvalidReason.SHAPE, kind=IdentifierKind.HEALTH_CARD)


@pytest.mark.parametrize("number", ["E12345678", "EA1234567", "G12345678", "D1234567", "SE1234567"])
def test_chinese_passports_have_their_shapes(number):
    read = parse_as(IdentifierKind.PASSPORT, number.lower(), today=TODAY, issuer="chn")

    assert read == Identifier(kind=IdentifierKind.PASSPORT, value=number, issuer="CHN")


@pytest.mark.parametrize(
    ("number", "issuer", "reason"),
    [
        ("X12345678", "CHN", InvalidReason.SHAPE),
        ("1234567890", "GBR", InvalidReason.SHAPE),
        ("ABCDEFGH", "GBR", InvalidReason.SHAPE),
        ("123456789", "", InvalidReason.ISSUER_MISSING),
        ("123456789", "GREAT", InvalidReason.ISSUER_SHAPE),
    ],
)
def test_passport_that_cannot_be_says_why(number, issuer, reason):
    read = parse_as(IdentifierKind.PASSPORT, number, today=TODAY, issuer=issuer)

    assert read == IdentifierInvalid(reason=reason, kind=IdentifierKind.PASSPORT)


def test_same_number_of_two_states_is_two_passports():
    british, german = (
        parse_as(IdentifierKind.PASSPORT, "123456789", today=TODAY, issuer=state) for state in ("GBR", "D")
    )

    assert isinstance(british, Identifier)
    assert british != german


@given(
    st.from_regex(r"[A-Z0-9][A-Z0-9-]{0,20}", fullmatch=True),
    st.dates(date(2020, 1, 1), TODAY),
    st.integers(1, 999_999),
)
def test_temporary_number_round_trips_with_either_prefix(site, on, number):
    made = temporary_identifier(site=site, on=on, number=number)

    assert parse_identifier(made.value.lower(), today=TODAY) == made
    assert parse_identifier(made.value.replace("UNK", "无名氏", 1), today=TODAY) == made
    assert made.display == made.value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("UNK-HUT-20261126-001", InvalidReason.DATE_IN_FUTURE),
        ("UNK-HUT-20261325-001", InvalidReason.SHAPE),
        ("UNK-HUT-20261125-000", InvalidReason.SHAPE),
        ("无名氏-HUT-1", InvalidReason.SHAPE),
    ],
)
def test_wrong_temporary_number_says_why(text, reason):
    read = parse_identifier(text, today=TODAY)

    assert read == IdentifierInvalid(reason=reason, kind=IdentifierKind.TEMPORARY)


@pytest.mark.parametrize(("site", "number"), [("", 1), ("a b", 1), ("hut", 0), ("hut", 1_000_000)])
def test_temporary_number_without_site_or_running_number_is_refused(site, number):
    with pytest.raises(ValueError, match="site code"):
        temporary_identifier(site=site, on=TODAY, number=number)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (" \u3000", InvalidReason.EMPTY),
        ("1" * (LONGEST_TEXT + 1), InvalidReason.TOO_LONG),
        ("hello", InvalidReason.SHAPE),
    ],
    ids=["blank", "long", "word"],
)
def test_text_that_is_no_number_says_why(text, reason):
    assert parse_identifier(text, today=TODAY, organisation="h") == IdentifierInvalid(reason=reason)
    assert isinstance(parse_as(IdentifierKind.INSURANCE, text, today=TODAY), IdentifierInvalid)


def test_record_number_belongs_to_an_organisation():
    read = parse_as(IdentifierKind.HOSPITAL_RECORD, "12345", today=TODAY)

    assert read == IdentifierInvalid(reason=InvalidReason.ISSUER_MISSING, kind=IdentifierKind.HOSPITAL_RECORD)
