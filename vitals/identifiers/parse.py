"""From typed or scanned text to an identifier: never a guess.

A text is read as one kind where its structure proves it (check character, 64 hexadecimal digits, our own
prefix). What looks like a resident number but is wrong is refused, not taken for one of another register.
All else fits several registers and gives all its readings, unless whoever typed it says the kind.
"""

import re
from collections.abc import Callable
from datetime import date

from vitals.identifiers import card_numbers
from vitals.identifiers.identifier import (
    Identifier,
    IdentifierAmbiguous,
    IdentifierInvalid,
    IdentifierKind,
    InvalidReason,
    Parsed,
    Reading,
)
from vitals.identifiers.resident_id import is_resident_shape, parse_resident_id
from vitals.identifiers.temporary import is_temporary_shape, parse_temporary

LONGEST_TEXT = 512
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_INVISIBLE = re.compile(r"[\s\u200b-\u200f\u2060\ufeff]+")


def normalise(text: str) -> str:
    """Full-width characters narrow, white space and invisible marks gone, letters in capitals."""
    return _INVISIBLE.sub("", text.translate(_FULL_WIDTH)).upper()


def parse_identifier(text: str, *, today: date, organisation: str = "") -> Parsed:
    """Read a text of unknown kind. `organisation` is whose record number it would be, if it is one."""
    clean = _clean(text)
    if isinstance(clean, IdentifierInvalid):
        return clean
    proven = _parse_proven(clean, today=today)
    if proven is not None:
        return proven
    possible = (
        _possible_passport(clean),
        card_numbers.parse_insurance(clean),
        card_numbers.parse_hospital_record(clean, issuer=organisation),
    )
    readings = tuple(reading for reading in possible if isinstance(reading, Identifier))
    if not readings:
        return IdentifierInvalid(reason=InvalidReason.SHAPE)
    return readings[0] if len(readings) == 1 else IdentifierAmbiguous(readings=readings)


def parse_as(kind: IdentifierKind, text: str, *, today: date, issuer: str = "") -> Reading:
    """Read a text of a known kind; `issuer` is a passport's country or a record number's organisation."""
    clean = _clean(text)
    if isinstance(clean, IdentifierInvalid):
        return IdentifierInvalid(reason=clean.reason, kind=kind)
    parsers: dict[IdentifierKind, Callable[[], Reading]] = {
        IdentifierKind.RESIDENT_ID: lambda: parse_resident_id(clean, today=today),
        IdentifierKind.PASSPORT: lambda: card_numbers.parse_passport(clean, issuer=issuer),
        IdentifierKind.HEALTH_CARD: lambda: card_numbers.parse_health_card(clean),
        IdentifierKind.INSURANCE: lambda: card_numbers.parse_insurance(clean),
        IdentifierKind.HOSPITAL_RECORD: lambda: card_numbers.parse_hospital_record(clean, issuer=issuer),
        IdentifierKind.TEMPORARY: lambda: parse_temporary(clean, today=today),
    }
    return parsers[kind]()


def _clean(text: str) -> str | IdentifierInvalid:
    if len(text) > LONGEST_TEXT:
        return IdentifierInvalid(reason=InvalidReason.TOO_LONG)
    return normalise(text) or IdentifierInvalid(reason=InvalidReason.EMPTY)


def _parse_proven(clean: str, *, today: date) -> Reading | None:
    if is_temporary_shape(clean):
        return parse_temporary(clean, today=today)
    if is_resident_shape(clean):
        return parse_resident_id(clean, today=today)
    if card_numbers.is_health_card_shape(clean):
        return card_numbers.parse_health_card(clean)
    return None


def _possible_passport(clean: str) -> Reading | None:
    """Without a country only the passports of China can be told by their shape."""
    if not card_numbers.is_chinese_passport_shape(clean):
        return None
    return card_numbers.parse_passport(clean, issuer=card_numbers.CHINA)
