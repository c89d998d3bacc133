"""Numbers of passports, cards and hospitals. Only the shape can be checked: none has a public check digit."""

import re

from vitals.identifiers.identifier import (
    Identifier,
    IdentifierInvalid,
    IdentifierKind,
    InvalidReason,
    Reading,
)

CHINA = "CHN"
# ICAO Doc 9303 part 4: at most nine letters and digits; part 3 section 5: a state is one to three letters.
_PASSPORT = re.compile(r"(?=.*[0-9])[A-Z0-9]{5,9}")
_STATE = re.compile(r"[A-Z]{1,3}")
# Ordinary E and G (14 and 15 before 1997), diplomatic D and DE, service SE, public affairs P and PE.
_CHINESE_PASSPORT = re.compile(
    r"[EG][0-9]{8}|E[A-HJ-NP-Z][0-9]{7}|[DP][0-9]{7,8}|(?:DE|SE|PE)[0-9]{7}|1[45][0-9]{7}"
)
# The code of an electronic health card: 64 hexadecimal digits; what a dynamic code adds changes each time.
_HEALTH_CARD = re.compile(r"([0-9A-F]{64})(?::[\x21-\x7e]*)?")
_INSURANCE = re.compile(r"(?=.*[0-9])[A-Z0-9]{6,32}")
_RECORD = re.compile(r"(?=.*[0-9])[A-Z0-9][A-Z0-9./_-]{0,31}")


def is_chinese_passport_shape(text: str) -> bool:
    """Whether a text looks like a passport of China."""
    return _CHINESE_PASSPORT.fullmatch(text) is not None


def is_health_card_shape(text: str) -> bool:
    """Whether a text looks like the code of an electronic health card."""
    return _HEALTH_CARD.fullmatch(text) is not None


def parse_passport(text: str, *, issuer: str) -> Reading:
    """A passport number of an issuing state (ICAO code, CHN for China)."""
    state = issuer.upper()
    if not state:
        return _invalid(IdentifierKind.PASSPORT, InvalidReason.ISSUER_MISSING)
    if not _STATE.fullmatch(state):
        return _invalid(IdentifierKind.PASSPORT, InvalidReason.ISSUER_SHAPE)
    shape = _CHINESE_PASSPORT if state == CHINA else _PASSPORT
    return _shaped(IdentifierKind.PASSPORT, text, shape=shape, issuer=state)


def parse_health_card(text: str) -> Reading:
    """The code of an electronic health card, kept opaque; a scanned suffix is no part of it."""
    match = _HEALTH_CARD.fullmatch(text)
    if match is None:
        return _invalid(IdentifierKind.HEALTH_CARD, InvalidReason.SHAPE)
    return Identifier(kind=IdentifierKind.HEALTH_CARD, value=match[1])


def parse_insurance(text: str) -> Reading:
    """The number of a social security card or insurance voucher: opaque, 6 to 32 letters and digits."""
    return _shaped(IdentifierKind.INSURANCE, text, shape=_INSURANCE)


def parse_hospital_record(text: str, *, issuer: str) -> Reading:
    """A record number of one organisation."""
    if not issuer:
        return _invalid(IdentifierKind.HOSPITAL_RECORD, InvalidReason.ISSUER_MISSING)
    return _shaped(IdentifierKind.HOSPITAL_RECORD, text, shape=_RECORD, issuer=issuer)


def _shaped(kind: IdentifierKind, text: str, *, shape: re.Pattern[str], issuer: str = "") -> Reading:
    if not shape.fullmatch(text):
        return _invalid(kind, InvalidReason.SHAPE)
    return Identifier(kind=kind, value=text, issuer=issuer)


def _invalid(kind: IdentifierKind, reason: InvalidReason) -> IdentifierInvalid:
    return IdentifierInvalid(reason=reason, kind=kind)
