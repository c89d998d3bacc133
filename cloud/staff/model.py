"""Who works as what, which licence that needs, who may sign, and duties that repeat every week."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from itertools import pairwise
from zoneinfo import ZoneInfo

from cloud.errors import CloudError
from cloud.identity.errors import ChoiceRefused
from cloud.identity.model import Role
from cloud.identity.passwords import model as passwords
from cloud.store.sealing import SealedColumn

LONGEST_PATTERN_DAYS = 366


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

# As what somebody has to work to get an account of a role. Nobody gets the others here.
KINDS_BY_ACCOUNT_ROLE: dict[Role, frozenset[PractitionerKind]] = {
    Role.CLINICIAN: frozenset(
        {
            PractitionerKind.PHYSICIAN,
            PractitionerKind.SPECIALIST,
            PractitionerKind.FAMILY_DOCTOR,
            PractitionerKind.VILLAGE_DOCTOR,
        }
    ),
    Role.NURSE: frozenset(
        {PractitionerKind.NURSE, PractitionerKind.TECHNICIAN, PractitionerKind.AMBULANCE_CREW}
    ),
    Role.ADMINISTRATOR: frozenset({PractitionerKind.ADMINISTRATOR}),
    Role.AUDITOR: frozenset({PractitionerKind.AUDITOR}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Licence:
    """A licence without its number. `valid_until` is the first day on which it no longer holds."""

    kind: LicenceKind
    issuer: str
    valid_from: date
    valid_until: date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Qualification:
    """A stored licence; its number lies sealed."""

    qualification_id: int
    licence: Licence
    sealed_number: bytes
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PractitionerRole:
    """When somebody works where as what. An open end is None; `zone` is that of the organisation's clocks."""

    role_id: int
    organisation_id: str
    kind: PractitionerKind
    begins_at: datetime
    ends_at: datetime | None
    zone: str = "Asia/Shanghai"

    def holds_at(self, at: datetime) -> bool:
        """Whether somebody works so at a moment."""
        return self.begins_at <= at and (self.ends_at is None or at < self.ends_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Practitioner:
    """Somebody who works, with the roles within the subject's reach."""

    person_id: str
    display_zh: str
    display_en: str
    roles: tuple[PractitionerRole, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PractitionerRecord:
    """The same with licences and account names; `numbers` are masked, in the order of the qualifications."""

    practitioner: Practitioner
    qualifications: tuple[Qualification, ...]
    numbers: tuple[str, ...]
    may_sign: "Signing"


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffAccount:
    """A login name without its secrets."""

    name: str
    person_id: str
    display_zh: str
    display_en: str
    role: Role
    created_at: datetime
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamPlace:
    """A site, or one location of it with everything in it, that a team looks after."""

    site_id: str
    location_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """People who look after places together."""

    team_id: str
    organisation_id: str
    name_zh: str
    name_en: str
    closed_at: datetime | None = None
    places: tuple[TeamPlace, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """When somebody is on duty in a team. An open end is None."""

    duty_id: int
    team_id: str
    person_id: str
    begins_at: datetime
    ends_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OnDuty:
    """Somebody on duty for a place; `location_id` None says that the team looks after the whole site."""

    person_id: str
    display_zh: str
    display_en: str
    team_id: str
    team_zh: str
    team_en: str
    location_id: str | None
    ends_at: datetime | None


class SigningRefusal(StrEnum):
    """Why somebody cannot sign."""

    NO_ROLE = "no_role"
    ROLE_ENDED = "role_ended"
    ROLE_NOT_BEGUN = "role_not_begun"
    ROLE_SIGNS_NOTHING = "role_signs_nothing"
    NO_LICENCE = "no_licence"
    LICENCE_NOT_YET_VALID = "licence_not_yet_valid"
    LICENCE_EXPIRED = "licence_expired"
    LICENCE_REVOKED = "licence_revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """Whether somebody may sign: in which role and by which licence, or why not."""

    role: PractitionerRole | None = None
    qualification_id: int | None = None
    refusal: SigningRefusal | None = None

    @property
    def is_allowed(self) -> bool:
        """Whether a signature may be made."""
        return self.refusal is None and self.role is not None


def decide_signing(
    roles: Sequence[PractitionerRole], qualifications: Sequence[Qualification], *, at: datetime
) -> Signing:
    """Whether somebody with these roles and licences may sign at a moment.

    A licence holds by days of the organisation's zone; once revoked it holds no longer. What was signed
    before stays signed.
    """
    if not roles:
        return Signing(refusal=SigningRefusal.NO_ROLE)
    present = [role for role in roles if role.holds_at(at)]
    if not present:
        is_past = any(role.begins_at <= at for role in roles)
        return Signing(refusal=SigningRefusal.ROLE_ENDED if is_past else SigningRefusal.ROLE_NOT_BEGUN)
    signing = [role for role in present if LICENCES_BY_KIND[role.kind]]
    if not signing:
        return Signing(refusal=SigningRefusal.ROLE_SIGNS_NOTHING)
    refusals: list[SigningRefusal] = []
    for role in signing:
        for one in qualifications:
            if one.licence.kind not in LICENCES_BY_KIND[role.kind]:
                continue
            refusal = _why_void(one, at=at, day=at.astimezone(ZoneInfo(role.zone)).date())
            if refusal is None:
                return Signing(role=role, qualification_id=one.qualification_id)
            refusals.append(refusal)
    nearest = min(refusals, key=_NEAREST_FIRST.index, default=SigningRefusal.NO_LICENCE)
    return Signing(refusal=nearest)


_NEAREST_FIRST = (
    SigningRefusal.LICENCE_EXPIRED,
    SigningRefusal.LICENCE_NOT_YET_VALID,
    SigningRefusal.LICENCE_REVOKED,
)


def _why_void(one: Qualification, *, at: datetime, day: date) -> SigningRefusal | None:
    if one.revoked_at is not None and one.revoked_at <= at:
        return SigningRefusal.LICENCE_REVOKED
    if day < one.licence.valid_from:
        return SigningRefusal.LICENCE_NOT_YET_VALID
    if one.licence.valid_until is not None and day >= one.licence.valid_until:
        return SigningRefusal.LICENCE_EXPIRED
    return None


def licence_context(person_id: str, kind: LicenceKind) -> str:
    """What a sealed licence number belongs to: it opens with nothing else."""
    return f"qualification\0{person_id}\0{kind.value}"


def _licence_context(person_id: str, kind: str) -> str:
    return licence_context(person_id, LicenceKind(kind))


SEALED_LICENCES = SealedColumn(
    table="qualification",
    column="sealed_number",
    key="qualification_id",
    named_by=("person_id", "kind"),
    context=_licence_context,
)


def mask_number(number: str) -> str:
    """A licence number as a page may show it: its last four signs, if it has more than eight."""
    shown = number[-4:] if len(number) > 8 else ""
    return "*" * (len(number) - len(shown)) + shown


def check_login_name(name: str) -> str:
    """A login name as it is stored.

    Raises:
        StaffInvalid: it cannot be one.
    """
    try:
        return passwords.check_login_name(name)
    except ChoiceRefused as error:
        raise StaffInvalid(error.field, error.reason) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """One turn of a week: Monday is 0; an end that is not after the beginning lies on the next day."""

    weekday: int
    begins: time
    ends: time


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """When a duty is, in UTC."""

    begins_at: datetime
    ends_at: datetime


def turns_of(shifts: Sequence[Shift], *, first: date, last: date, zone: ZoneInfo) -> list[Turn]:
    """Every turn that begins on a day from `first` to `last`, in order; the last may end the day after.

    Wall times are those of the zone: where a clock jumps, a turn is shorter or longer, as it is for people.

    Raises:
        StaffInvalid: the days are in the wrong order or too many, or two turns overlap.
    """
    if last < first:
        raise StaffInvalid("last", "it lies before the first day")
    if (last - first).days >= LONGEST_PATTERN_DAYS:
        raise StaffInvalid("last", f"more than {LONGEST_PATTERN_DAYS} days")
    turns = sorted(_turns(shifts, first=first, last=last, zone=zone), key=lambda turn: turn.begins_at)
    for one, following in pairwise(turns):
        if following.begins_at < one.ends_at:
            raise StaffInvalid("shifts", f"two overlap on {following.begins_at.astimezone(zone):%Y-%m-%d}")
    return turns


def _turns(shifts: Sequence[Shift], *, first: date, last: date, zone: ZoneInfo) -> Iterator[Turn]:
    for offset in range((last - first).days + 1):
        day = first + timedelta(days=offset)
        for shift in shifts:
            if shift.weekday != day.weekday():
                continue
            end_day = day if shift.ends > shift.begins else day + timedelta(days=1)
            turn = Turn(
                begins_at=datetime.combine(day, shift.begins, tzinfo=zone).astimezone(UTC),
                ends_at=datetime.combine(end_day, shift.ends, tzinfo=zone).astimezone(UTC),
            )
            if turn.begins_at < turn.ends_at:  # a clock that jumps may swallow a short one
                yield turn
