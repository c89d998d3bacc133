"""The rules by which records are kept and may be deleted. Pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cloud.errors import CloudError


class CareClass(StrEnum):
    """What decides how long a record is kept."""

    OUTPATIENT = "outpatient"
    INPATIENT = "inpatient"


# 医疗机构病历管理规定(2013 年版) art. 29: outpatient records not less than 15 years from the last
# visit, inpatient records not less than 30 years from the last discharge. 个人信息保护法 art. 47: while
# a period that the law asks for runs, nothing is deleted and only storage and protection go on; afterwards
# personal information is deleted. 数据安全法 art. 27 and 网络安全法 art. 21 ask for protection and logs,
# which is why the audit's chain outlives the record. A site may keep longer, never shorter.
LEAST_YEARS = {CareClass.OUTPATIENT: 15, CareClass.INPATIENT: 30}


class RecordUnknown(CloudError):
    """There is no such person for this subject: the answer is the same for both."""

    def __str__(self) -> str:
        return "no such person"


class PolicyInvalid(CloudError):
    """A policy keeps less than the law asks for."""

    def __init__(self, care: CareClass, years: int) -> None:
        super().__init__(care, years)
        self.care = care
        self.years = years

    def __str__(self) -> str:
        return f"{self.care.value} records are kept {LEAST_YEARS[self.care]} years at least, not {self.years}"


class DeletionRefused(CloudError):
    """A record cannot be deleted now."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"it is not deleted: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Years after the last contact."""

    outpatient_years: int = LEAST_YEARS[CareClass.OUTPATIENT]
    inpatient_years: int = LEAST_YEARS[CareClass.INPATIENT]

    def __post_init__(self) -> None:
        for care, years in (
            (CareClass.OUTPATIENT, self.outpatient_years),
            (CareClass.INPATIENT, self.inpatient_years),
        ):
            if years < LEAST_YEARS[care]:
                raise PolicyInvalid(care, years)

    def kept_until(self, contact: "LastContact") -> datetime:
        """The moment from which on the record may be deleted; a leap day ends on 28 February."""
        years = self.inpatient_years if contact.care is CareClass.INPATIENT else self.outpatient_years
        at = contact.at
        try:
            return at.replace(year=at.year + years)
        except ValueError:
            return at.replace(year=at.year + years, day=28)


@dataclass(frozen=True, slots=True, kw_only=True)
class LastContact:
    """When something last happened in the care of a person, and in which class."""

    at: datetime
    care: CareClass


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """A request and its decision."""

    deletion_id: int
    patient_id: str
    organisation_id: str
    requested_at: datetime
    requested_by: str
    reason: str
    decided_at: datetime | None = None
    decided_by: str | None = None
    approved: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone:
    """What a deletion removed: rows by table, and the hash of every one of them."""

    deletion_id: int
    patient_id: str
    erased_at: datetime
    counts: dict[str, int]
    hash: bytes
