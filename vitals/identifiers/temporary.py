"""The number of somebody whom nobody knows yet (无名氏): site, day, running number of that site and day."""

import re
from datetime import date

from vitals.identifiers.identifier import (
    Identifier,
    IdentifierInvalid,
    IdentifierKind,
    InvalidReason,
    Reading,
)

PREFIX_ZH = "无名氏"
_PREFIX = "UNK"
_SHAPE = re.compile(rf"(?:{_PREFIX}|{PREFIX_ZH})-([A-Z0-9][A-Z0-9_-]{{0,31}})-([0-9]{{8}})-([0-9]{{3,6}})")
_SITE = re.compile(r"[A-Z0-9][A-Z0-9_-]{0,31}")


def is_temporary_shape(text: str) -> bool:
    """Whether a text begins as these numbers do."""
    return text.startswith((f"{_PREFIX}-", f"{PREFIX_ZH}-"))


def temporary_identifier(*, site: str, on: date, number: int) -> Identifier:
    """The number of the next unknown person of a site.

    Raises:
        ValueError: the site's code or the number does not fit.
    """
    if not _SITE.fullmatch(site.upper()) or not 1 <= number <= 999_999:
        raise ValueError("a temporary number needs a site code and a running number from 1 to 999999")
    value = f"{_PREFIX}-{site.upper()}-{on:%Y%m%d}-{number:03}"
    return Identifier(kind=IdentifierKind.TEMPORARY, value=value, issuer=site.upper())


def parse_temporary(text: str, *, today: date) -> Reading:
    """Read such a number; the Chinese prefix means the same as the Latin one."""
    match = _SHAPE.fullmatch(text)
    if match is None or int(match[3]) == 0:
        return _invalid(InvalidReason.SHAPE)
    try:
        on = date(int(match[2][:4]), int(match[2][4:6]), int(match[2][6:]))
    except ValueError:
        return _invalid(InvalidReason.SHAPE)
    if on > today:
        return _invalid(InvalidReason.DATE_IN_FUTURE)
    return temporary_identifier(site=match[1], on=on, number=int(match[3]))


def _invalid(reason: InvalidReason) -> IdentifierInvalid:
    return IdentifierInvalid(reason=reason, kind=IdentifierKind.TEMPORARY)
