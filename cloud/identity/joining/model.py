"""Who asks for an account, and what that one must know. Pure."""

import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

_TAIL = 4
_SHORTEST_NUMBER = 8  # a short number is printed on a bracelet and easily guessed


@dataclass(frozen=True, slots=True, kw_only=True)
class Applicant:
    """Somebody with a code: what they know of the patient, and the account that they want."""

    code: str = field(repr=False)
    known: str = field(repr=False)
    name: str
    display: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Invited:
    """What a code that waits is for."""

    link_id: str
    patient_id: str
    organisation_id: str
    births: tuple[date, ...]  # of every record of the patient
    patient_ids: tuple[str, ...]


def knows_patient(known: str, *, births: Sequence[date], numbers: Sequence[str]) -> bool:
    """Whether somebody told the birth date (1956-03-04, 19560304) or how an identity number ends.

    Where nothing is on file nobody knows it.
    """
    bare = re.sub(r"[\W_年月日]", "", known).upper()
    right = [born.strftime("%Y%m%d") for born in births]
    right += [number[-_TAIL:].upper() for number in numbers if len(number) >= _SHORTEST_NUMBER]
    return any(hmac.compare_digest(bare.encode(), one.encode()) for one in right)
