"""Numbers that differ from a given one by one wrongly typed character."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from string import ascii_uppercase, digits

from vitals.identifiers.identifier import Identifier, IdentifierKind
from vitals.identifiers.parse import normalise
from vitals.identifiers.resident_id import check_character, parse_resident_id

# A scanned code and a number that we gave ourselves are not mistyped.
_TYPED = frozenset({IdentifierKind.PASSPORT, IdentifierKind.INSURANCE, IdentifierKind.HOSPITAL_RECORD})


def correct_resident_id(text: str, *, today: date) -> tuple[Identifier, ...]:
    """Every valid number that one other character would make of a refused text: at most 18."""
    clean = normalise(text)
    if len(clean) != 18 or not clean.isascii():
        return ()
    candidates = (
        clean[:place] + character + clean[place + 1 :]
        for place in range(18)
        for character in (digits if place < 17 else digits + "X")
        if character != clean[place]
    )
    parsed = (parse_resident_id(candidate, today=today) for candidate in candidates)
    return tuple(reading for reading in parsed if isinstance(reading, Identifier))


def near_identifiers(identifier: Identifier, *, today: date) -> tuple[Identifier, ...]:
    """Every identifier of the same kind and issuer whose written number differs in one character.

    In a resident number the check character follows the change: whoever mistypes the old fifteen digits gets
    one that fits.
    """
    if identifier.kind is IdentifierKind.RESIDENT_ID:
        first_17 = (_swap(identifier.value[:17], place) for place in range(17))
        numbers = (changed + check_character(changed) for changes in first_17 for changed in changes)
        parsed = (parse_resident_id(number, today=today) for number in numbers)
        return tuple(reading for reading in parsed if isinstance(reading, Identifier))
    if identifier.kind not in _TYPED:
        return ()
    return tuple(
        replace(identifier, value=changed)
        for place in range(len(identifier.value))
        for changed in _swap(identifier.value, place)
    )


def _swap(number: str, place: int) -> Iterator[str]:
    """The number with each other character of the same sort at one place."""
    old = number[place]
    sort = digits if old in digits else ascii_uppercase if old in ascii_uppercase else ""
    return (number[:place] + new + number[place + 1 :] for new in sort if new != old)
