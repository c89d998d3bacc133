"""The rules by which records are kept and may be deleted. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256

import msgspec

from cloud.errors import CloudError
from cloud.identity.sight import DataClass


class CareClass(StrEnum):
    """What decides how long a record is kept."""

    OUTPATIENT = "outpatient"
    INPATIENT = "inpatient"


class Kind(StrEnum):
    """What is kept for a time of its own, counted from its writing, besides the record of a person."""

    WAVEFORMS = "waveforms"
    SIGN_INS = "sign_ins"
    REFUSED_MESSAGES = "refused_messages"


# 医疗机构病历管理规定(2013 年版) art. 29: outpatient records not less than 15 years from the last
# visit, inpatient records not less than 30 years from the last discharge. It makes no difference by class:
# what is highly sensitive is in the record too. 个人信息保护法 art. 47: while a period that the
# law asks for runs, nothing is deleted and only storage and protection go on; afterwards personal information
# is deleted. A site may keep longer, never shorter.
LEAST_YEARS = {CareClass.OUTPATIENT: 15, CareClass.INPATIENT: 30}
# No rule that we know names a time for the unfiltered waves of a monitor; as process records of remote care
# (chat, sound, pictures) they are read here under the 3 years of 互联网诊疗监管细则(试行). What a report
# quotes of them belongs to the report and stays as long as the record.
LEAST_WAVEFORM_YEARS = 3
# 网络安全法 art. 21 (3): logs of the network not less than six months; 184 days are the longest six months.
LEAST_LOG_DAYS = 184
LONGEST = 1000  # years or days: more is a typing error
# The audit is kept for ever: it is a chain, and whoever cuts it takes away its proof.


class RecordUnknown(CloudError):
    """There is no such person for this subject: the answer is the same for both."""

    def __str__(self) -> str:
        return "no such person"


class PolicyInvalid(CloudError):
    """A policy keeps less than the law asks for, or cannot be understood."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(what, reason)
        self.what = what
        self.reason = reason

    def __str__(self) -> str:
        return f"the policy of keeping is refused: {self.what}: {self.reason}"


class DeletionRefused(CloudError):
    """A record cannot be deleted now."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"it is not deleted: {self.reason}"


class ExportsBusy(CloudError):
    """As many records as may be given away at once are being given away."""

    def __str__(self) -> str:
        return "two records are being exported already; try again in a minute"


@dataclass(frozen=True, slots=True, kw_only=True)
class Years:
    """Years after the last contact."""

    outpatient: int = LEAST_YEARS[CareClass.OUTPATIENT]
    inpatient: int = LEAST_YEARS[CareClass.INPATIENT]

    def of(self, care: CareClass) -> int:
        """The years of a class of care."""
        return self.inpatient if care is CareClass.INPATIENT else self.outpatient


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How long what is kept; what is not said is kept as long as the law asks, waves as long as numbers.

    Raises:
        PolicyInvalid: shorter than the law asks, or the person would be gone before what is of the person.
    """

    general: Years = field(default_factory=Years)
    sensitive: Years = field(default_factory=Years)
    highly_sensitive: Years = field(default_factory=Years)
    waveform_years: int | None = None
    sign_in_days: int = LEAST_LOG_DAYS
    refused_message_days: int = LEAST_LOG_DAYS

    def __post_init__(self) -> None:
        for each in DataClass:
            for care in CareClass:
                years, what = self._years(each).of(care), f"{each.value}.{care.value}"
                _require(what, years, LEAST_YEARS[care], "years (医疗机构病历管理规定 art. 29)")
        for each in DataClass:
            for care in CareClass:
                if self._years(each).of(care) > self.sensitive.of(care):
                    what = f"{each.value}.{care.value}"
                    raise PolicyInvalid(what, "it would outlive the person's name, which is sensitive")
        if self.waveform_years is not None:
            least = "years (互联网诊疗监管细则(试行), process records)"
            _require("waveform_years", self.waveform_years, LEAST_WAVEFORM_YEARS, least)
        for name in ("sign_in_days", "refused_message_days"):
            _require(name, getattr(self, name), LEAST_LOG_DAYS, "days (网络安全法 art. 21)")

    def kept_until(self, contact: "LastContact", of: DataClass = DataClass.SENSITIVE) -> datetime:
        """The moment from which on a class may be deleted; the last one is that of the whole record."""
        return _years_later(contact.at, self._years(of).of(contact.care))

    def limit_of(self, kind: Kind, now: datetime) -> datetime | None:
        """What was written before this moment may go; None where it goes with the record."""
        if kind is Kind.WAVEFORMS:
            return None if self.waveform_years is None else _years_later(now, -self.waveform_years)
        days = self.sign_in_days if kind is Kind.SIGN_INS else self.refused_message_days
        return now - timedelta(days=days)

    def earliest_limit(self, now: datetime) -> datetime:
        """Whoever was seen after this moment is kept whole, whatever the class."""
        return _years_later(now, -min(self._years(each).of(care) for each in DataClass for care in CareClass))

    @property
    def sha256(self) -> bytes:
        """What stands beside each removal: by which policy it was done."""
        return sha256(msgspec.json.encode(self)).digest()

    def _years(self, of: DataClass) -> Years:
        by_class = (self.general, self.sensitive, self.highly_sensitive)
        return dict(zip(DataClass, by_class, strict=True))[of]


def parse_policy(said: Mapping[str, object]) -> Policy:
    """A policy as a file says it; an unknown word is refused, for it would silently mean nothing.

    Raises:
        PolicyInvalid: as its name says.
    """
    said = dict(said)
    if said.pop("audit", "forever") != "forever":
        raise PolicyInvalid("audit", 'it is kept "forever": a chain that is cut proves nothing')
    _refuse_unknown(said, Policy, "")
    for name in (one.value for one in DataClass):
        inner = said.get(name, {})
        if isinstance(inner, Mapping):
            _refuse_unknown(inner, Years, f"{name}.")
    try:
        return msgspec.convert(said, Policy)
    except msgspec.ValidationError as error:
        raise PolicyInvalid("the file", str(error)) from error


def _refuse_unknown(said: Mapping[str, object], known: type, above: str) -> None:
    names = {one.name for one in fields(known)}
    for name in said:
        if name not in names:
            raise PolicyInvalid(f"{above}{name}", f"no such word; known are {', '.join(sorted(names))}")


def _require(what: str, said: int, least: int, unit: str) -> None:
    if not least <= said <= LONGEST:
        raise PolicyInvalid(what, f"{said} is not between {least} and {LONGEST} {unit}")


def _years_later(at: datetime, years: int) -> datetime:
    """The same day of another year; a leap day becomes 28 February."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What the policy removed in one step."""

    removal_id: int = 0
    removed_at: datetime
    kind: str
    table: str
    patient_id: str = ""
    before: datetime
    rows: int
    hash: bytes
    policy_sha256: bytes


# The class of every table about people; a test holds it against the schema, so that a new table is classed.
CLASS_BY_TABLE = {
    **dict.fromkeys(("observation", "gap", "wave_block"), DataClass.GENERAL),
    **dict.fromkeys(
        (
            *("patient", "person_identifier", "patient_merge", "patient_registration", "binding"),
            *("binding_correction", "stay", "household_member"),
            *("care_relation", "consent", "family_link", "break_glass", "patient_notice", "signature"),
        ),
        DataClass.SENSITIVE,
    ),
}
