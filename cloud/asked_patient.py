"""Whom an entry of the audit names when somebody wrote an id: a patient, or only what kind of number it is.

What stands in the chain stays there. An id that a browser or an auditor sends may be a resident's number, a
phone number or a name in the wrong place: none of them is kept.
"""

import re
from datetime import UTC, datetime

from cloud.act import Target, TargetKind
from vitals.identifiers.identifier import IdentifierAmbiguous, IdentifierKind
from vitals.identifiers.parse import parse_identifier

# Made by registration (cloud/people) or written in a ward file; no run of digits that could be a number.
_OWN_FORM = re.compile(r"p-(?:[0-9a-f]{32}|(?![a-z0-9-]*[0-9]{6})[a-z0-9-]{1,40})")
_PERSONAL = {IdentifierKind.RESIDENT_ID, IdentifierKind.HEALTH_CARD, IdentifierKind.PASSPORT}


def asked_patient(asked_id: str) -> Target:
    """The patient if it is the form of our ids, else an identifier of a kind."""
    if _OWN_FORM.fullmatch(asked_id):
        return Target(kind=TargetKind.PATIENT, id=asked_id)
    return Target(kind=TargetKind.IDENTIFIER, id=_kind_of_number(asked_id))


def _kind_of_number(asked_id: str) -> str:
    parsed = parse_identifier(asked_id, today=datetime.now(UTC).date())
    kinds = (
        [one.kind for one in parsed.readings] if isinstance(parsed, IdentifierAmbiguous) else [parsed.kind]
    )
    return next((kind.value for kind in kinds if kind in _PERSONAL), "unknown")
