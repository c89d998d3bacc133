"""`/api/people` (docs/live-api.md). A number travels in a body, never in an address, and returns masked."""

from collections.abc import Callable
from datetime import date
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from cloud.identity.access import EDITS_ONE_PATIENT, FINDS_PATIENTS, READS_ONE_PATIENT, REGISTERS_PATIENTS
from cloud.identity.model import Subject
from cloud.identity.sight import Basis, DataClass
from cloud.people.model import (
    Candidate,
    CandidateRule,
    Found,
    Merge,
    MergeRefused,
    MergeRule,
    NewPerson,
    Outcome,
    Person,
    PersonIdentifier,
    PersonInvalid,
    PersonRecord,
    PersonUnknown,
    Registered,
    Resolution,
    Sex,
    Standing,
    TypedIdentifier,
)
from cloud.people.service import PeopleService
from vitals.identifiers.identifier import Identifier, IdentifierKind, InvalidReason
from vitals.identifiers.parse import LONGEST_TEXT
from vitals.wire.batch import to_ms

_WITHOUT_NUL = r"\A[^\x00]*\z"  # the database has no text with NUL
_NAME = Field(default="", max_length=100, pattern=_WITHOUT_NUL)
_ISSUER = Field(default="", max_length=64, pattern=_WITHOUT_NUL)
_REASON = Field(min_length=1, max_length=500, pattern=_WITHOUT_NUL)


class Question(BaseModel):
    """A body that says nothing but what is asked for."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class ResolveQuestion(Question):
    """A typed or scanned number; without a kind it may have several readings."""

    text: SecretStr = Field(max_length=LONGEST_TEXT)
    kind: IdentifierKind | None = None
    issuer: str = _ISSUER


class IdentifierQuestion(Question):
    """A number of a known kind."""

    kind: IdentifierKind
    text: SecretStr = Field(max_length=LONGEST_TEXT)
    issuer: str = _ISSUER

    @property
    def typed(self) -> TypedIdentifier:
        """The same for the service."""
        return TypedIdentifier(kind=self.kind, text=self.text.get_secret_value(), issuer=self.issuer)


class PersonQuestion(Question):
    """A person to register; `registration` makes sending it twice harmless."""

    name_zh: str = _NAME
    name_en: str = _NAME
    pinyin: str = _NAME
    birth_date: date | None = None
    sex: Sex = Sex.UNKNOWN
    site: str | None = Field(default=None, max_length=64, pattern=_WITHOUT_NUL)
    identifiers: list[IdentifierQuestion] = Field(default=[], max_length=12)
    unknown: bool = False
    registration: str | None = Field(default=None, pattern=r"^[A-Za-z0-9-]{8,64}$")


class MergeQuestion(Question):
    """Into whom, and why."""

    into: str = Field(max_length=64)
    reason: str = _REASON


class UnmergeQuestion(Question):
    """Why the merge was wrong."""

    reason: str = _REASON


class PersonBody(BaseModel):
    """Who it is, without any number."""

    id: str
    site: str
    bed: str
    name_zh: str
    name_en: str
    birth_date: date | None
    sex: Sex


class IdentifierBody(BaseModel):
    """A number with its middle hidden, and the patient for whom it was registered."""

    kind: IdentifierKind
    issuer: str
    display: str
    standing: Standing
    patient: str
    added_at: int
    added_by: str


class MergeBody(BaseModel):
    """One entry of the history."""

    merged: str
    survivor: str
    merged_at: int
    merged_by: str
    reason: str
    rule: MergeRule | None
    unmerged_at: int | None
    unmerged_by: str | None
    unmerge_reason: str | None


class RecordBody(PersonBody):
    """A person with everything that was merged into it; `basis` is the right by which it is seen."""

    basis: Basis
    up_to: DataClass
    merged: list[str]
    identifiers: list[IdentifierBody]
    merges: list[MergeBody]


class CandidateBody(BaseModel):
    """Somebody who may be the same person."""

    person: PersonBody
    rules: list[CandidateRule]


class ReadingBody(BaseModel):
    """As what a number was read."""

    kind: IdentifierKind
    issuer: str
    display: str


class FoundBody(BaseModel):
    """A person whom a number names."""

    person: PersonBody
    reading: ReadingBody
    claimed_too: bool


class ResolutionBody(BaseModel):
    """The answer to a number."""

    outcome: Outcome
    reason: InvalidReason | None
    readings: list[ReadingBody]
    found: list[FoundBody]
    near: list[PersonBody]


class RegistrationBody(BaseModel):
    """What became of a registration."""

    outcome: Registered
    person: RecordBody
    candidates: list[CandidateBody]


class AddedBody(BaseModel):
    """How the new identifier stands."""

    standing: Standing
    person: RecordBody


class ErrorBody(BaseModel):
    """Every refusal has this body."""

    error: str


SubjectOf = Callable[[Request], Subject]
_REFUSALS: dict[int | str, dict[str, object]] = {
    status: {"model": ErrorBody} for status in (401, 403, 404, 409)
}


def build_routes(people: PeopleService, *, may_read: SubjectOf, may_edit: SubjectOf) -> APIRouter:
    """The routes; `may_read` and `may_edit` give the Subject, or refuse."""
    router = APIRouter(prefix="/api/people")
    _add_reading(router, people, may_read)
    _add_registering(router, people, may_edit)
    _add_joining(router, people, may_edit)
    return router


def _add_reading(router: APIRouter, people: PeopleService, may_read: SubjectOf) -> None:
    def resolve(question: ResolveQuestion, subject: Annotated[Subject, Depends(may_read)]) -> ResolutionBody:
        text = question.text.get_secret_value()
        return _resolution(people.resolve(subject, text, kind=question.kind, issuer=question.issuer))

    def read(patient_id: str, subject: Annotated[Subject, Depends(may_read)]) -> RecordBody:
        return _record(people.read(subject, patient_id))

    def candidates(patient_id: str, subject: Annotated[Subject, Depends(may_read)]) -> list[CandidateBody]:
        return [_candidate(one) for one in people.find_candidates(subject, patient_id)]

    router.add_api_route(
        "/resolve",
        resolve,
        methods=["POST"],
        response_model=ResolutionBody,
        responses=_REFUSALS,
        dependencies=[Depends(FINDS_PATIENTS)],
    )
    router.add_api_route(
        "/{patient_id}",
        read,
        methods=["GET"],
        response_model=RecordBody,
        responses=_REFUSALS,
        dependencies=[Depends(READS_ONE_PATIENT)],
    )
    router.add_api_route(
        "/{patient_id}/candidates",
        candidates,
        methods=["GET"],
        response_model=list[CandidateBody],
        responses=_REFUSALS,
        dependencies=[Depends(READS_ONE_PATIENT)],
    )


def _add_registering(router: APIRouter, people: PeopleService, may_edit: SubjectOf) -> None:
    def register(
        question: PersonQuestion, subject: Annotated[Subject, Depends(may_edit)], response: Response
    ) -> RegistrationBody:
        made = people.register(subject, new_person(question))
        response.status_code = 200 if made.outcome is Registered.ALREADY_THERE else 201
        return RegistrationBody(
            outcome=made.outcome,
            person=_record(made.record),
            candidates=[_candidate(one) for one in made.candidates],
        )

    def add_identifier(
        patient_id: str, question: IdentifierQuestion, subject: Annotated[Subject, Depends(may_edit)]
    ) -> AddedBody:
        record, standing = people.add_identifier(subject, patient_id, question.typed)
        return AddedBody(standing=standing, person=_record(record))

    router.add_api_route(
        "",
        register,
        methods=["POST"],
        response_model=RegistrationBody,
        responses={**_REFUSALS, 200: {"model": RegistrationBody, "description": "It was there already"}},
        status_code=201,
        dependencies=[Depends(REGISTERS_PATIENTS)],
    )
    router.add_api_route(
        "/{patient_id}/identifiers",
        add_identifier,
        methods=["POST"],
        response_model=AddedBody,
        responses=_REFUSALS,
        dependencies=[Depends(EDITS_ONE_PATIENT)],
    )


def _add_joining(router: APIRouter, people: PeopleService, may_edit: SubjectOf) -> None:
    def merge(
        patient_id: str, question: MergeQuestion, subject: Annotated[Subject, Depends(may_edit)]
    ) -> RecordBody:
        return _record(people.merge(subject, patient_id, into=question.into, reason=question.reason))

    def unmerge(
        patient_id: str, question: UnmergeQuestion, subject: Annotated[Subject, Depends(may_edit)]
    ) -> RecordBody:
        return _record(people.unmerge(subject, patient_id, reason=question.reason))

    for name, endpoint in (("merge", merge), ("unmerge", unmerge)):
        router.add_api_route(
            f"/{{patient_id}}/{name}",
            endpoint,
            methods=["POST"],
            response_model=RecordBody,
            responses=_REFUSALS,
            dependencies=[Depends(EDITS_ONE_PATIENT)],
        )


def answer_refusal(_request: Request, error: Exception) -> Response:
    """How the errors of this room look over HTTP."""
    statuses = {PersonUnknown: 404, MergeRefused: 409, PersonInvalid: 422}
    return JSONResponse({"error": str(error)}, status_code=statuses[type(error)])


REFUSALS = (PersonUnknown, MergeRefused, PersonInvalid)


def new_person(question: PersonQuestion) -> NewPerson:
    """What a body tells of a person, as the service takes it."""
    return NewPerson(
        name_zh=question.name_zh,
        name_en=question.name_en,
        pinyin=question.pinyin,
        birth_date=question.birth_date,
        sex=question.sex,
        site_id=question.site,
        registration=question.registration,
        identifiers=tuple(one.typed for one in question.identifiers),
        is_unknown=question.unknown,
    )


def _person(person: Person) -> PersonBody:
    return PersonBody(
        id=person.patient_id,
        site=person.site_id,
        bed=person.bed,
        name_zh=person.name_zh,
        name_en=person.name_en,
        birth_date=person.birth_date,
        sex=person.sex,
    )


def _record(record: PersonRecord) -> RecordBody:
    return RecordBody(
        **_person(record.person.masked_for(record.sight)).model_dump(),
        basis=record.sight.basis,
        up_to=record.sight.up_to,
        merged=list(record.merged_ids),
        identifiers=[_identifier(one) for one in record.identifiers],
        merges=[_merge(one) for one in record.merges],
    )


def _identifier(one: PersonIdentifier) -> IdentifierBody:
    return IdentifierBody(
        kind=one.kind,
        issuer=one.issuer,
        display=one.display,
        standing=one.standing,
        patient=one.patient_id,
        added_at=to_ms(one.added_at),
        added_by=one.added_by,
    )


def _merge(merge: Merge) -> MergeBody:
    return MergeBody(
        merged=merge.merged_id,
        survivor=merge.survivor_id,
        merged_at=to_ms(merge.merged_at),
        merged_by=merge.merged_by,
        reason=merge.reason,
        rule=merge.rule,
        unmerged_at=None if merge.unmerged_at is None else to_ms(merge.unmerged_at),
        unmerged_by=merge.unmerged_by,
        unmerge_reason=merge.unmerge_reason,
    )


def _candidate(candidate: Candidate) -> CandidateBody:
    return CandidateBody(person=_person(candidate.person), rules=list(candidate.rules))


def _reading(reading: Identifier) -> ReadingBody:
    return ReadingBody(kind=reading.kind, issuer=reading.issuer, display=reading.display)


def _found(found: Found) -> FoundBody:
    return FoundBody(
        person=_person(found.person), reading=_reading(found.reading), claimed_too=found.claimed_too
    )


def _resolution(resolution: Resolution) -> ResolutionBody:
    return ResolutionBody(
        outcome=resolution.outcome,
        reason=resolution.reason,
        readings=[_reading(one) for one in resolution.readings],
        found=[_found(one) for one in resolution.found],
        near=[_person(one) for one in resolution.near],
    )
