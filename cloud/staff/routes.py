"""Practitioners, teams, duty and accounts over HTTP (docs/live-api.md)."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from cloud.identity.access import (
    CHANGES_ONE_ACCOUNT,
    GIVES_SIGHT_BY_PLACE,
    MANAGES_ONE_ACCOUNT,
    MANAGES_ONE_PLACE,
    READS_ONE_PATIENT,
    READS_ONE_PLACE,
    Access,
)
from cloud.identity.model import Role, Subject
from cloud.staff.model import (
    Duty,
    Licence,
    LicenceKind,
    OnDuty,
    Practitioner,
    PractitionerKind,
    PractitionerRecord,
    PractitionerRole,
    Qualification,
    Shift,
    SigningRefusal,
    StaffAccount,
    StaffInvalid,
    StaffTaken,
    StaffUnknown,
    Team,
    TeamPlace,
)
from cloud.staff.service import DutyPattern, StaffService
from vitals.wire.batch import to_ms

_WITHOUT_NUL = r"\A[^\x00]*\z"  # the database has no text with NUL
_LONGEST_ID = 64
_LATEST_MS = 32_503_680_000_000  # the year 3000
AskedId = Annotated[str, Path(max_length=_LONGEST_ID, pattern=_WITHOUT_NUL)]
AskedNumber = Annotated[int, Path(ge=1, lt=2**63)]
NamedId = Annotated[str, Field(max_length=_LONGEST_ID, pattern=_WITHOUT_NUL)]
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=_WITHOUT_NUL)]
Moment = Annotated[int, Field(ge=0, le=_LATEST_MS)]
AskedMoment = Annotated[int, Query(ge=0, le=_LATEST_MS)]


class Question(BaseModel):
    """A body that says nothing but what is asked for."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class PractitionerQuestion(Question):
    """Somebody new, and as what."""

    display_zh: Name
    display_en: Name
    role: PractitionerKind


class RoleQuestion(Question):
    """Where and as what somebody begins to work."""

    organisation: NamedId
    role: PractitionerKind


class QualificationQuestion(Question):
    """A licence; `valid_until` is the first day on which it no longer holds."""

    kind: LicenceKind
    number: SecretStr = Field(min_length=1, max_length=64)
    issuer: Name
    valid_from: date
    valid_until: date | None = None


class AccountQuestion(Question):
    """A login name and what it may do."""

    name: str = Field(max_length=40, pattern=_WITHOUT_NUL)
    role: Role


class TeamQuestion(Question):
    """A new team."""

    name_zh: Name
    name_en: Name


class PlaceQuestion(Question):
    """A site, or one location of it."""

    site: NamedId
    location: NamedId | None = None

    @property
    def place(self) -> TeamPlace:
        """The same for the service."""
        return TeamPlace(site_id=self.site, location_id=self.location)


class DutyQuestion(Question):
    """Who is on duty from when to when; without an end it is a standing duty."""

    person: NamedId
    begins_at: Moment
    ends_at: Moment | None = None


class ShiftQuestion(Question):
    """One turn of a week (Monday is 0) in wall time of the site; an end not after the begin is next day."""

    weekday: int = Field(ge=0, le=6)
    begins: time
    ends: time


class PatternQuestion(Question):
    """Turns that repeat every week from one day to another."""

    person: NamedId
    first: date
    last: date
    shifts: list[ShiftQuestion] = Field(min_length=1, max_length=42)


class RoleBody(BaseModel):
    """When somebody works where as what."""

    id: int
    organisation: str
    role: PractitionerKind
    begins_at: int
    ends_at: int | None


class PractitionerBody(BaseModel):
    """Somebody who works."""

    id: str
    display_zh: str
    display_en: str
    roles: list[RoleBody]


class QualificationBody(BaseModel):
    """A licence with most of its number hidden."""

    id: int
    kind: LicenceKind
    issuer: str
    number: str
    valid_from: date
    valid_until: date | None
    revoked_at: int | None


class PractitionerRecordBody(PractitionerBody):
    """Somebody with licences; `signing_refusal` null says that this person may sign now."""

    qualifications: list[QualificationBody]
    signing_refusal: SigningRefusal | None


class AccountBody(BaseModel):
    """A login name."""

    name: str
    person: str
    display_zh: str
    display_en: str
    role: Role
    created_at: int
    disabled_at: int | None


class NewAccountBody(BaseModel):
    """A new login name with its password, which is told this once."""

    account: AccountBody
    password: str


class PlaceBody(BaseModel):
    """What a team looks after."""

    site: str
    location: str | None


class TeamBody(BaseModel):
    """A team."""

    id: str
    organisation: str
    name_zh: str
    name_en: str
    closed_at: int | None
    places: list[PlaceBody]


class DutyBody(BaseModel):
    """A duty."""

    id: int
    team: str
    person: str
    begins_at: int
    ends_at: int | None


class MadeBody(BaseModel):
    """How many duties were made."""

    made: int


class OnDutyBody(BaseModel):
    """Somebody on duty; `location` null says that the team looks after the whole site."""

    person: str
    display_zh: str
    display_en: str
    team: str
    team_zh: str
    team_en: str
    location: str | None
    ends_at: int | None


class ErrorBody(BaseModel):
    """Every refusal has this body."""

    error: str


SubjectOf = Callable[[Request], Subject]
SubjectReader = Callable[[Access], SubjectOf]
_MANAGING, _GIVING = [Depends(MANAGES_ONE_PLACE)], [Depends(GIVES_SIGHT_BY_PLACE)]
_REFUSALS: dict[int | str, dict[str, object]] = {
    status: {"model": ErrorBody} for status in (401, 403, 404, 409)
}


def build_routes(staff: StaffService, *, subject_reader: SubjectReader) -> APIRouter:
    """The routes; `subject_reader` gives for an `Access` what finds the Subject, or refuses."""
    router = APIRouter(prefix="/api")
    may_read, may_manage = subject_reader(READS_ONE_PLACE), subject_reader(MANAGES_ONE_PLACE)
    _add_practitioners(router, staff, may_read=may_read, may_manage=may_manage)
    may_give = subject_reader(GIVES_SIGHT_BY_PLACE)
    _add_roles(router, staff, may_manage=may_manage, may_give=may_give)
    _add_accounts(router, staff, subject_reader(MANAGES_ONE_ACCOUNT))
    _add_teams(router, staff, may_read=may_read, may_manage=may_manage, may_give=may_give)
    _add_duties(router, staff, may_read=may_read, may_manage=may_manage, may_give=may_give)
    _add_on_duty(router, staff, may_read=may_read, may_read_patient=subject_reader(READS_ONE_PATIENT))
    return router


def _add_practitioners(
    router: APIRouter, staff: StaffService, *, may_read: SubjectOf, may_manage: SubjectOf
) -> None:
    def list_them(
        organisation_id: AskedId, subject: Annotated[Subject, Depends(may_read)]
    ) -> list[PractitionerBody]:
        return [_practitioner(one) for one in staff.list_practitioners(subject, organisation_id)]

    def create(
        organisation_id: AskedId,
        question: PractitionerQuestion,
        subject: Annotated[Subject, Depends(may_manage)],
    ) -> PractitionerRecordBody:
        display = question.display_zh, question.display_en
        return _record(
            staff.create_practitioner(subject, organisation_id, display=display, kind=question.role)
        )

    def read(
        practitioner_id: AskedId, subject: Annotated[Subject, Depends(may_manage)]
    ) -> PractitionerRecordBody:
        return _record(staff.read_practitioner(subject, practitioner_id))

    path = "/organisations/{organisation_id}/practitioners"
    router.get(path, responses=_REFUSALS, dependencies=[Depends(READS_ONE_PLACE)])(list_them)
    router.post(path, status_code=201, responses=_REFUSALS, dependencies=_MANAGING)(create)
    router.get("/practitioners/{practitioner_id}", responses=_REFUSALS, dependencies=_MANAGING)(read)


def _add_roles(router: APIRouter, staff: StaffService, *, may_manage: SubjectOf, may_give: SubjectOf) -> None:
    def begin_role(
        practitioner_id: AskedId, question: RoleQuestion, subject: Annotated[Subject, Depends(may_give)]
    ) -> PractitionerRecordBody:
        begun = staff.begin_role(
            subject, practitioner_id, organisation_id=question.organisation, kind=question.role
        )
        return _record(begun)

    def end_role(
        practitioner_id: AskedId, role_id: AskedNumber, subject: Annotated[Subject, Depends(may_manage)]
    ) -> PractitionerRecordBody:
        return _record(staff.end_role(subject, practitioner_id, role_id=role_id))

    def add_qualification(
        practitioner_id: AskedId,
        question: QualificationQuestion,
        subject: Annotated[Subject, Depends(may_give)],
    ) -> PractitionerRecordBody:
        licence = Licence(
            kind=question.kind,
            issuer=question.issuer,
            valid_from=question.valid_from,
            valid_until=question.valid_until,
        )
        number = question.number.get_secret_value()
        return _record(staff.add_qualification(subject, practitioner_id, licence=licence, number=number))

    def revoke(
        practitioner_id: AskedId,
        qualification_id: AskedNumber,
        subject: Annotated[Subject, Depends(may_manage)],
    ) -> PractitionerRecordBody:
        return _record(
            staff.revoke_qualification(subject, practitioner_id, qualification_id=qualification_id)
        )

    path = "/practitioners/{practitioner_id}"
    router.post(f"{path}/roles", status_code=201, responses=_REFUSALS, dependencies=_GIVING)(begin_role)
    router.post(f"{path}/roles/{{role_id}}/end", responses=_REFUSALS, dependencies=_MANAGING)(end_role)
    router.post(f"{path}/qualifications", status_code=201, responses=_REFUSALS, dependencies=_GIVING)(
        add_qualification
    )
    router.post(
        f"{path}/qualifications/{{qualification_id}}/revoke", responses=_REFUSALS, dependencies=_MANAGING
    )(revoke)


def _add_accounts(router: APIRouter, staff: StaffService, may_manage: SubjectOf) -> None:
    def list_them(
        organisation_id: AskedId, subject: Annotated[Subject, Depends(may_manage)]
    ) -> list[AccountBody]:
        return [_account(one) for one in staff.list_accounts(subject, organisation_id)]

    def create(
        practitioner_id: AskedId, question: AccountQuestion, subject: Annotated[Subject, Depends(may_manage)]
    ) -> NewAccountBody:
        account, password = staff.create_account(
            subject, practitioner_id, name=question.name, role=question.role
        )
        return NewAccountBody(account=_account(account), password=password)

    def disable(account_name: AskedId, subject: Annotated[Subject, Depends(may_manage)]) -> Response:
        staff.disable_account(subject, account_name)
        return Response(status_code=204)

    one = [Depends(MANAGES_ONE_ACCOUNT)]
    router.get("/organisations/{organisation_id}/accounts", responses=_REFUSALS, dependencies=one)(list_them)
    router.post(
        "/practitioners/{practitioner_id}/accounts",
        status_code=201,
        responses=_REFUSALS,
        dependencies=[Depends(CHANGES_ONE_ACCOUNT)],
    )(create)
    router.post(
        "/accounts/{account_name}/disable",
        status_code=204,
        responses=_REFUSALS,
        dependencies=[Depends(CHANGES_ONE_ACCOUNT)],
    )(disable)


def _add_teams(
    router: APIRouter,
    staff: StaffService,
    *,
    may_read: SubjectOf,
    may_manage: SubjectOf,
    may_give: SubjectOf,
) -> None:
    def list_them(organisation_id: AskedId, subject: Annotated[Subject, Depends(may_read)]) -> list[TeamBody]:
        return [_team(one) for one in staff.list_teams(subject, organisation_id)]

    def read(team_id: AskedId, subject: Annotated[Subject, Depends(may_read)]) -> TeamBody:
        return _team(staff.read_team(subject, team_id))

    def create(
        organisation_id: AskedId, question: TeamQuestion, subject: Annotated[Subject, Depends(may_manage)]
    ) -> TeamBody:
        names = question.name_zh, question.name_en
        return _team(staff.create_team(subject, organisation_id, names=names))

    def close(team_id: AskedId, subject: Annotated[Subject, Depends(may_manage)]) -> TeamBody:
        return _team(staff.close_team(subject, team_id))

    def add_place(
        team_id: AskedId, question: PlaceQuestion, subject: Annotated[Subject, Depends(may_give)]
    ) -> TeamBody:
        return _team(staff.add_place(subject, team_id, question.place))

    def remove_place(
        team_id: AskedId, question: PlaceQuestion, subject: Annotated[Subject, Depends(may_manage)]
    ) -> TeamBody:
        return _team(staff.remove_place(subject, team_id, question.place))

    path, reading = "/organisations/{organisation_id}/teams", [Depends(READS_ONE_PLACE)]
    router.get(path, responses=_REFUSALS, dependencies=reading)(list_them)
    router.post(path, status_code=201, responses=_REFUSALS, dependencies=_MANAGING)(create)
    router.get("/teams/{team_id}", responses=_REFUSALS, dependencies=reading)(read)
    router.post("/teams/{team_id}/close", responses=_REFUSALS, dependencies=_MANAGING)(close)
    router.post("/teams/{team_id}/places", responses=_REFUSALS, dependencies=_GIVING)(add_place)
    router.post("/teams/{team_id}/places/remove", responses=_REFUSALS, dependencies=_MANAGING)(remove_place)


def _add_duties(
    router: APIRouter,
    staff: StaffService,
    *,
    may_read: SubjectOf,
    may_manage: SubjectOf,
    may_give: SubjectOf,
) -> None:
    def list_them(
        team_id: AskedId,
        from_at: AskedMoment,
        to_at: AskedMoment,
        subject: Annotated[Subject, Depends(may_read)],
    ) -> list[DutyBody]:
        span = _moment(from_at), _moment(to_at)
        return [_duty(one) for one in staff.list_duties(subject, team_id, span=span)]

    def add(
        team_id: AskedId, question: DutyQuestion, subject: Annotated[Subject, Depends(may_give)]
    ) -> DutyBody:
        end = None if question.ends_at is None else _moment(question.ends_at)
        during = _moment(question.begins_at), end
        return _duty(staff.add_duty(subject, team_id, person_id=question.person, during=during))

    def add_pattern(
        team_id: AskedId, question: PatternQuestion, subject: Annotated[Subject, Depends(may_give)]
    ) -> MadeBody:
        shifts = tuple(
            Shift(
                weekday=one.weekday,
                begins=one.begins.replace(tzinfo=None),
                ends=one.ends.replace(tzinfo=None),
            )
            for one in question.shifts
        )
        pattern = DutyPattern(
            person_id=question.person, shifts=shifts, first=question.first, last=question.last
        )
        return MadeBody(made=staff.add_pattern(subject, team_id, pattern))

    def end(duty_id: AskedNumber, subject: Annotated[Subject, Depends(may_manage)]) -> Response:
        staff.end_duty(subject, duty_id)
        return Response(status_code=204)

    path = "/teams/{team_id}"
    router.get(f"{path}/duties", responses=_REFUSALS, dependencies=[Depends(READS_ONE_PLACE)])(list_them)
    router.post(f"{path}/duties", status_code=201, responses=_REFUSALS, dependencies=_GIVING)(add)
    router.post(f"{path}/duty-pattern", status_code=201, responses=_REFUSALS, dependencies=_GIVING)(
        add_pattern
    )
    router.post("/duties/{duty_id}/end", status_code=204, responses=_REFUSALS, dependencies=_MANAGING)(end)


def _add_on_duty(
    router: APIRouter, staff: StaffService, *, may_read: SubjectOf, may_read_patient: SubjectOf
) -> None:
    def at_location(location_id: AskedId, subject: Annotated[Subject, Depends(may_read)]) -> list[OnDutyBody]:
        return [_on_duty(one) for one in staff.on_duty_at(subject, location_id)]

    def for_patient(
        patient_id: AskedId, subject: Annotated[Subject, Depends(may_read_patient)]
    ) -> list[OnDutyBody]:
        return [_on_duty(one) for one in staff.on_duty_for(subject, patient_id)]

    router.get(
        "/locations/{location_id}/on-duty", responses=_REFUSALS, dependencies=[Depends(READS_ONE_PLACE)]
    )(at_location)
    router.get(
        "/patients/{patient_id}/on-duty", responses=_REFUSALS, dependencies=[Depends(READS_ONE_PATIENT)]
    )(for_patient)


def answer_refusal(_request: Request, error: Exception) -> Response:
    """How the errors of this room look over HTTP."""
    statuses = {StaffUnknown: 404, StaffTaken: 409, StaffInvalid: 422}
    return JSONResponse({"error": str(error)}, status_code=statuses[type(error)])


REFUSALS = (StaffUnknown, StaffTaken, StaffInvalid)


def _moment(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def _ms(at: datetime | None) -> int | None:
    return None if at is None else to_ms(at)


def _role(role: PractitionerRole) -> RoleBody:
    return RoleBody(
        id=role.role_id,
        organisation=role.organisation_id,
        role=role.kind,
        begins_at=to_ms(role.begins_at),
        ends_at=_ms(role.ends_at),
    )


def _practitioner(one: Practitioner) -> PractitionerBody:
    return PractitionerBody(
        id=one.person_id,
        display_zh=one.display_zh,
        display_en=one.display_en,
        roles=[_role(role) for role in one.roles],
    )


def _qualification(one: Qualification, number: str) -> QualificationBody:
    return QualificationBody(
        id=one.qualification_id,
        kind=one.licence.kind,
        issuer=one.licence.issuer,
        number=number,
        valid_from=one.licence.valid_from,
        valid_until=one.licence.valid_until,
        revoked_at=_ms(one.revoked_at),
    )


def _record(record: PractitionerRecord) -> PractitionerRecordBody:
    pairs = zip(record.qualifications, record.numbers, strict=True)
    return PractitionerRecordBody(
        **_practitioner(record.practitioner).model_dump(),
        qualifications=[_qualification(one, number) for one, number in pairs],
        signing_refusal=record.may_sign.refusal,
    )


def _account(one: StaffAccount) -> AccountBody:
    return AccountBody(
        name=one.name,
        person=one.person_id,
        display_zh=one.display_zh,
        display_en=one.display_en,
        role=one.role,
        created_at=to_ms(one.created_at),
        disabled_at=_ms(one.disabled_at),
    )


def _team(team: Team) -> TeamBody:
    return TeamBody(
        id=team.team_id,
        organisation=team.organisation_id,
        name_zh=team.name_zh,
        name_en=team.name_en,
        closed_at=_ms(team.closed_at),
        places=[PlaceBody(site=place.site_id, location=place.location_id) for place in team.places],
    )


def _duty(duty: Duty) -> DutyBody:
    return DutyBody(
        id=duty.duty_id,
        team=duty.team_id,
        person=duty.person_id,
        begins_at=to_ms(duty.begins_at),
        ends_at=_ms(duty.ends_at),
    )


def _on_duty(one: OnDuty) -> OnDutyBody:
    return OnDutyBody(
        person=one.person_id,
        display_zh=one.display_zh,
        display_en=one.display_en,
        team=one.team_id,
        team_zh=one.team_zh,
        team_en=one.team_en,
        location=one.location_id,
        ends_at=_ms(one.ends_at),
    )
