"""The resident identity number of GB 11643-1999.

Eighteen characters: six of a region (GB/T 2260), eight of a birth date, three of a sequence whose last digit
is odd for men and even for women, and one check character after ISO 7064 MOD 11-2, in which X stands for ten.
The check finds every single wrong character and every swap of two neighbours. The fifteen-digit form before
1999 has neither century nor check character: the century was 19, but 996 to 999 as sequence were kept for
people born in the 1800s; such a number is refused. Since 2023 the permanent resident card of foreigners has a
number of the same structure: 9, two digits of the province, three of the country, and the same after them.
"""

import re
from datetime import date
from enum import StrEnum

from vitals.identifiers.identifier import (
    Identifier,
    IdentifierInvalid,
    IdentifierKind,
    InvalidReason,
    Reading,
)

_SHAPE = re.compile(r"[0-9]{17}[0-9X]")
_LEGACY_SHAPE = re.compile(r"[0-9]{15}")
# GB/T 2260, and 83 for the permits of residents from Taiwan.
PROVINCES = frozenset(
    str(code)
    for code in (
        *range(11, 16),
        *range(21, 24),
        *range(31, 38),
        *range(41, 47),
        *range(50, 55),
        *range(61, 66),
        71,
        81,
        82,
        83,
    )
)
_WEIGHTS = tuple(2 ** (17 - idx) % 11 for idx in range(17))
_CHECK_CHARACTERS = "10X98765432"
_BORN_BEFORE_1900 = frozenset({"996", "997", "998", "999"})


class Sex(StrEnum):
    """Sex as the number tells it."""

    MALE = "male"
    FEMALE = "female"


def is_resident_shape(text: str) -> bool:
    """Whether a text has the length and the characters of a resident number, old or new."""
    return _SHAPE.fullmatch(text) is not None or _LEGACY_SHAPE.fullmatch(text) is not None


def check_character(first_17: str) -> str:
    """The eighteenth character (ISO 7064 MOD 11-2)."""
    total = sum(int(digit) * weight for digit, weight in zip(first_17, _WEIGHTS, strict=True))
    return _CHECK_CHARACTERS[total % 11]


def parse_resident_id(text: str, *, today: date) -> Reading:
    """Check a normalised number; the fifteen-digit form becomes the eighteen-character one."""
    if _LEGACY_SHAPE.fullmatch(text):
        if text[12:] in _BORN_BEFORE_1900:
            return _invalid(InvalidReason.LEGACY_CENTURY)
        first_17 = text[:6] + "19" + text[6:]
        text = first_17 + check_character(first_17)
    if len(text) != 18:
        return _invalid(InvalidReason.LENGTH)
    if not _SHAPE.fullmatch(text):
        return _invalid(InvalidReason.CHARACTERS)
    reason = _why_wrong(text, today=today)
    return Identifier(kind=IdentifierKind.RESIDENT_ID, value=text) if reason is None else _invalid(reason)


def birth_date_of(number: str) -> date:
    """The birth date in a checked number."""
    return date(int(number[6:10]), int(number[10:12]), int(number[12:14]))


def sex_of(number: str) -> Sex:
    """The sex in a checked number."""
    return Sex.MALE if int(number[16]) % 2 else Sex.FEMALE


def _why_wrong(text: str, *, today: date) -> InvalidReason | None:
    if check_character(text[:17]) != text[17]:
        return InvalidReason.CHECK_CHARACTER
    province = text[1:3] if text[0] == "9" else text[:2]
    if province not in PROVINCES:
        return InvalidReason.REGION
    try:
        born = birth_date_of(text)
    except ValueError:
        return InvalidReason.BIRTH_DATE
    return InvalidReason.BORN_IN_FUTURE if born > today else None


def _invalid(reason: InvalidReason) -> IdentifierInvalid:
    return IdentifierInvalid(reason=reason, kind=IdentifierKind.RESIDENT_ID)
