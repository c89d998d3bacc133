"""What an identifier is, and what reading one from text can give."""

from dataclasses import dataclass
from enum import StrEnum


class IdentifierKind(StrEnum):
    """Which register a number belongs to."""

    RESIDENT_ID = "resident_id"
    PASSPORT = "passport"
    HEALTH_CARD = "health_card"
    INSURANCE = "insurance"
    HOSPITAL_RECORD = "hospital_record"
    TEMPORARY = "temporary"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Identifier:
    """A number in its one canonical form. `issuer` is the country, organisation or site that gave it, or "".

    Neither `repr` nor `str` shows the number, so that it cannot slip into a log.
    """

    kind: IdentifierKind
    value: str
    issuer: str = ""

    @property
    def masked(self) -> str:
        """The number with its middle hidden."""
        return mask_number(self.value)

    @property
    def display(self) -> str:
        """What a page may show: the number of an unknown person tells nothing about one and stays whole."""
        return self.value if self.kind is IdentifierKind.TEMPORARY else self.masked

    def __repr__(self) -> str:
        return f"Identifier({self.kind.value}, {self.masked})"

    __str__ = __repr__


class InvalidReason(StrEnum):
    """Why a text is no identifier. Never holds the text itself."""

    EMPTY = "empty"
    TOO_LONG = "too_long"
    CHARACTERS = "characters"
    LENGTH = "length"
    SHAPE = "shape"
    CHECK_CHARACTER = "check_character"
    REGION = "region"
    BIRTH_DATE = "birth_date"
    BORN_IN_FUTURE = "born_in_future"
    LEGACY_CENTURY = "legacy_century"
    DATE_IN_FUTURE = "date_in_future"
    ISSUER_MISSING = "issuer_missing"
    ISSUER_SHAPE = "issuer_shape"


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentifierInvalid:
    """The text cannot be an identifier (of the kind that it looks like or was said to be)."""

    reason: InvalidReason
    kind: IdentifierKind | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentifierAmbiguous:
    """The text can be read in several ways; somebody who sees the card must say which."""

    readings: tuple[Identifier, ...]


Reading = Identifier | IdentifierInvalid
Parsed = Identifier | IdentifierAmbiguous | IdentifierInvalid


def mask_number(number: str) -> str:
    """Hide the middle: `3301**********1234`. At least half of any number stays hidden."""
    shown = 4 if len(number) >= 16 else 2 if len(number) >= 8 else 0
    if shown == 0:
        return "*" * len(number)
    return number[:shown] + "*" * (len(number) - 2 * shown) + number[-shown:]
