"""Who works as what, which licence that needs, who may sign, and duties that repeat every week."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from cloud.errors import CloudError


class StaffUnknown(CloudError):
    """There is nobody and nothing of this name, or not within the subject's reach: the answer is the same."""

    def __str__(self) -> str:
        return "no such person, team or duty"


class StaffInvalid(CloudError):
    """What was said cannot be."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}"


class StaffTaken(CloudError):
    """It collides with what is there already."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class PractitionerKind(StrEnum):
    """As what somebody works."""

    PHYSICIAN = "physician"
    SPECIALIST = "specialist"
    FAMILY_DOCTOR = "family_doctor"
    VILLAGE_DOCTOR = "village_doctor"
    NURSE = "nurse"
    TECHNICIAN = "technician"
    AMBULANCE_CREW = "ambulance_crew"
    ADMINISTRATOR = "administrator"
    AUDITOR = "auditor"


class LicenceKind(StrEnum):
    """What a licence makes of its holder."""

    PHYSICIAN = "physician"  # 执业医师
    ASSISTANT_PHYSICIAN = "assistant_physician"  # 执业助理医师
    VILLAGE_DOCTOR = "village_doctor"  # 乡村医生
    NURSE = "nurse"  # 执业护士
    TECHNICIAN = "technician"


# One of these makes a role able to sign. A role without any signs nothing. Needs legal review per province.
LICENCES_BY_KIND: dict[PractitionerKind, frozenset[LicenceKind]] = {
    PractitionerKind.PHYSICIAN: frozenset({LicenceKind.PHYSICIAN}),
    PractitionerKind.SPECIALIST: frozenset({LicenceKind.PHYSICIAN}),
    PractitionerKind.FAMILY_DOCTOR: frozenset({LicenceKind.PHYSICIAN, LicenceKind.ASSISTANT_PHYSICIAN}),
    PractitionerKind.VILLAGE_DOCTOR: frozenset(
        {LicenceKind.VILLAGE_DOCTOR, LicenceKind.ASSISTANT_PHYSICIAN, LicenceKind.PHYSICIAN}
    ),
    PractitionerKind.NURSE: frozenset({LicenceKind.NURSE}),
    PractitionerKind.TECHNICIAN: frozenset({LicenceKind.TECHNICIAN}),
    PractitionerKind.AMBULANCE_CREW: frozenset({LicenceKind.PHYSICIAN, LicenceKind.NURSE}),
    PractitionerKind.ADMINISTRATOR: frozenset(),
    PractitionerKind.AUDITOR: frozenset(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Licence:
    """A licence without its number. `valid_until` is the first day on which it no longer holds."""

    kind: LicenceKind
    issuer: str
    valid_from: date
    valid_until: date | None


def licence_context(person_id: str, kind: LicenceKind) -> str:
    """What a sealed licence number belongs to: it opens with nothing else."""
    return f"qualification\0{person_id}\0{kind.value}"
