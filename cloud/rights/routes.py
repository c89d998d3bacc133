"""Consent, family, emergencies, and who looked (docs/live-api.md)."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from cloud.act import RecordedAct
from cloud.identity.access import (
    BREAKS_GLASS,
    BREAKS_GLASS_BY_NUMBER,
    EDITS_ONE_PATIENT,
    GIVES_SIGHT_OF_ONE_PATIENT,
    LOGGED_IN,
    OWNS_ONE_PATIENT,
    READS_ONE_PATIENT,
    READS_OWN,
    REVIEWS_ACCESS,
    REVIEWS_ONE_ACCESS,
    Access,
)
from cloud.identity.model import Purpose, Subject
from cloud.identity.routes import ErrorText, SubjectOf
from cloud.identity.sight import DataClass
from cloud.rights.model import (
    AccountThere,
    BrokenGlass,
    Capacity,
    Category,
    Consent,
    Grade,
    Grantee,
    Invitation,
    Link,
    Names,
    NewConsent,
    NewLink,
    Notice,
    NoticeKind,
    PersonNotThere,
    Relation,
    RightEnded,
    RightInvalid,
    SignatureState,
    TypedNumber,
    Verdict,
)
from cloud.rights.service import RightsService
from vitals.identifiers.identifier import IdentifierKind
from vitals.identifiers.parse import LONGEST_TEXT
from vitals.wire.batch import to_ms

_WITHOUT_NUL = r"\A[^\x00]*\z"  # the database has no text with NUL
_ID = Field(max_length=64, pattern=_WITHOUT_NUL)
_REASON = Field(max_length=1000, pattern=_WITHOUT_NUL)
_LAST_DAY_MS = 4_102_444_800_000  # 2100-01-01


class Question(BaseModel):
    """A body that says nothing but what is asked for."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class ConsentQuestion(Question):
    """To whom, for what, how much, and in which words."""

    capacity: Capacity = Capacity.PATIENT
    to_person: str | None = Field(default=None, max_length=64, pattern=_WITHOUT_NUL)
    to_organisation: str | None = Field(default=None, max_length=64, pattern=_WITHOUT_NUL)
    purposes: list[Purpose] = Field(default=[Purpose.CARE], min_length=1, max_length=4)
    up_to: DataClass
    text: str = Field(max_length=64)
    version: int
    language: str = Field(max_length=8)
    ends_at: int | None = Field(default=None, ge=0, le=_LAST_DAY_MS)


class OwnConsentQuestion(ConsentQuestion):
    """The same for one of one's own patients."""

    patient: str = _ID


class InvitationQuestion(Question):
    """Staff link the patient's own account, or a minor's guardian by proof."""

    relation: Relation
    proof: str = Field(default="", max_length=500, pattern=_WITHOUT_NUL)
    ends_at: int | None = Field(default=None, ge=0, le=_LAST_DAY_MS)


class FamilyQuestion(Question):
    """The patient lets somebody of the family see."""

    patient: str = _ID
    grade: Grade
    ends_at: int | None = Field(default=None, ge=0, le=_LAST_DAY_MS)


class CodeQuestion(Question):
    """The code that somebody was given, and what is known of the patient."""

    code: SecretStr = Field(max_length=32)
    known: SecretStr = Field(max_length=40)


class GlassQuestion(Question):
    """Why somebody must look."""

    category: Category
    reason: str = _REASON


class NumberGlassQuestion(GlassQuestion):
    """The same, at whom a whole number names."""

    kind: IdentifierKind
    text: SecretStr = Field(max_length=LONGEST_TEXT)
    issuer: str = Field(default="", max_length=64, pattern=_WITHOUT_NUL)


class ReviewQuestion(Question):
    """What the review found."""

    verdict: Verdict
    note: str = _REASON


class ConsentTextBody(BaseModel):
    """Words to agree to."""

    name: str
    version: int
    language: str
    text: str
    sha256: str


class NameBody(BaseModel):
    """Somebody, or a place, by id; the names are empty where the id is unknown."""

    id: str
    zh: str
    en: str


class ToldConsentBody(BaseModel):
    """Who may see how much, as a notice tells it."""

    id: str
    to_person: NameBody | None
    to_organisation: NameBody | None
    up_to: DataClass


class ConsentBody(ToldConsentBody):
    """A consent as it stands."""

    patient: str
    capacity: Capacity
    given_by: str
    recorded_by: str
    purposes: list[Purpose]
    text: str
    version: int
    language: str
    text_sha256: str
    signature: SignatureState
    proofs: list[str]
    given_at: int
    ends_at: int | None
    withdrawn_at: int | None


class LinkBody(BaseModel):
    """Whose account may see a patient; `person` is null until the code was used."""

    id: str
    patient: str
    relation: Relation
    grade: Grade
    person: str | None
    proof: str
    made_at: int
    ends_at: int | None
    code_ends_at: int
    revoked_at: int | None


class FamilyBody(BaseModel):
    """Who may see one's own patients, and whom one may see."""

    given: list[LinkBody]
    held: list[LinkBody]


class InvitationBody(BaseModel):
    """The code is told this once."""

    id: str
    code: str
    code_ends_at: int


class GlassBody(BaseModel):
    """An emergency, and its review."""

    id: str
    patient: str
    person: NameBody
    organisation: NameBody
    role: str
    category: Category
    reason: str
    opened_at: int
    ends_at: int
    is_overdue: bool
    reviewed_at: int | None
    verdict: Verdict | None
    note: str | None


class NoticeBody(BaseModel):
    """What the patient is told: who did it, and one of `glass` and `consent` says what."""

    id: int
    patient: str
    kind: NoticeKind
    written_at: int
    by: NameBody
    glass: GlassBody | None = None
    consent: ToldConsentBody | None = None


class LookBody(BaseModel):
    """Who did what with a person's record, as who, why, and by which right."""

    sequence: int
    at: int
    patient: str
    person: NameBody
    organisation: NameBody
    role: str
    purpose: str
    basis: str
    action: str
    outcome: str


ReaderOf = Callable[[Access], SubjectOf]
After = Annotated[int, Query(ge=0, le=2**62)]
Before = Annotated[int | None, Query(ge=1, le=2**62)]
Limit = Annotated[int, Query(ge=1, le=200)]
_ANSWERS: dict[int | str, dict[str, object]] = {
    status: {"model": ErrorText} for status in (401, 403, 404, 409, 422)
}


def build_routes(rights: RightsService, *, reader_of: ReaderOf) -> APIRouter:
    """The routes; `reader_of` makes of a declaration what gives the Subject, or refuses."""
    router = APIRouter(prefix="/api")
    _add_consents(router, rights, reader_of)
    _add_own_consents(router, rights, reader_of)
    _add_family(router, rights, reader_of)
    _add_own_family(router, rights, reader_of)
    _add_glass(router, rights, reader_of)
    _add_review(router, rights, reader_of)
    _add_looks(router, rights, reader_of)
    return router


def _add(
    router: APIRouter, route: str, endpoint: Callable[..., object], *, access: Access, status: int = 200
) -> None:
    method, path = route.split(" ")
    router.add_api_route(
        path,
        endpoint,
        methods=[method],
        status_code=status,
        responses=_ANSWERS,
        dependencies=[Depends(access)],
    )


def _add_consents(router: APIRouter, rights: RightsService, reader_of: ReaderOf) -> None:
    logged_in, may_read, may_edit = map(reader_of, (LOGGED_IN, READS_ONE_PATIENT, EDITS_ONE_PATIENT))
    may_give = reader_of(GIVES_SIGHT_OF_ONE_PATIENT)

    def read_texts(_subject: Annotated[Subject, Depends(logged_in)]) -> list[ConsentTextBody]:
        return [ConsentTextBody(**asdict(one), sha256=one.sha256.hex()) for one in rights.consent_texts()]

    def read(patient_id: str, subject: Annotated[Subject, Depends(may_read)]) -> list[ConsentBody]:
        found = rights.consents_of(subject, patient_id)
        return [_consent(one, found.names) for one in found.things]

    def record(
        patient_id: str, question: ConsentQuestion, subject: Annotated[Subject, Depends(may_give)]
    ) -> ConsentBody:
        return _consent(rights.give_consent(subject, _new_consent(patient_id, question)), _NO_NAMES)

    def withdraw(
        patient_id: str, consent_id: str, subject: Annotated[Subject, Depends(may_edit)]
    ) -> Response:
        rights.withdraw_consent(subject, consent_id, of_patient=patient_id)
        return Response(status_code=204)

    _add(router, "GET /consent-texts", read_texts, access=LOGGED_IN)
    path = "/people/{patient_id}/consents"
    _add(router, f"GET {path}", read, access=READS_ONE_PATIENT)
    _add(router, f"POST {path}", record, access=GIVES_SIGHT_OF_ONE_PATIENT, status=201)
    withdrawal = f"{path}/{{consent_id}}/withdraw"
    _add(router, f"POST {withdrawal}", withdraw, access=EDITS_ONE_PATIENT, status=204)


def _add_own_consents(router: APIRouter, rights: RightsService, reader_of: ReaderOf) -> None:
    of_own = reader_of(READS_OWN)

    def read(subject: Annotated[Subject, Depends(of_own)]) -> list[ConsentBody]:
        found = rights.own_consents(subject)
        return [_consent(one, found.names) for one in found.things]

    def give(question: OwnConsentQuestion, subject: Annotated[Subject, Depends(of_own)]) -> ConsentBody:
        return _consent(rights.give_consent(subject, _new_consent(question.patient, question)), _NO_NAMES)

    def withdraw(consent_id: str, subject: Annotated[Subject, Depends(of_own)]) -> Response:
        rights.withdraw_consent(subject, consent_id)
        return Response(status_code=204)

    _add(router, "GET /me/consents", read, access=READS_OWN)
    _add(router, "POST /me/consents", give, access=OWNS_ONE_PATIENT, status=201)
    path = "/me/consents/{consent_id}/withdraw"
    _add(router, f"POST {path}", withdraw, access=OWNS_ONE_PATIENT, status=204)


def _add_family(router: APIRouter, rights: RightsService, reader_of: ReaderOf) -> None:
    may_read, may_edit = map(reader_of, (READS_ONE_PATIENT, EDITS_ONE_PATIENT))
    may_give = reader_of(GIVES_SIGHT_OF_ONE_PATIENT)

    def read(patient_id: str, subject: Annotated[Subject, Depends(may_read)]) -> list[LinkBody]:
        return [_link(link) for link in rights.family_of(subject, patient_id)]

    def invite(
        patient_id: str, question: InvitationQuestion, subject: Annotated[Subject, Depends(may_give)]
    ) -> InvitationBody:
        new = NewLink(
            relation=question.relation,
            patient_id=patient_id,
            grade=Grade.EVERYTHING,
            proof=question.proof,
            ends_at=_moment(question.ends_at),
        )
        return _invitation(rights.invite(subject, new))

    def revoke(patient_id: str, link_id: str, subject: Annotated[Subject, Depends(may_edit)]) -> Response:
        rights.revoke(subject, link_id, of_patient=patient_id)
        return Response(status_code=204)

    path = "/people/{patient_id}/family"
    _add(router, f"GET {path}", read, access=READS_ONE_PATIENT)
    _add(router, f"POST {path}", invite, access=GIVES_SIGHT_OF_ONE_PATIENT, status=201)
    _add(router, f"POST {path}/{{link_id}}/revoke", revoke, access=EDITS_ONE_PATIENT, status=204)


def _add_own_family(router: APIRouter, rights: RightsService, reader_of: ReaderOf) -> None:
    of_own = reader_of(READS_OWN)

    def read(subject: Annotated[Subject, Depends(of_own)]) -> FamilyBody:
        family = rights.own_family(subject)
        return FamilyBody(given=list(map(_link, family.given)), held=list(map(_link, family.held)))

    def invite(question: FamilyQuestion, subject: Annotated[Subject, Depends(of_own)]) -> InvitationBody:
        new = NewLink(
            relation=Relation.FAMILY,
            patient_id=question.patient,
            grade=question.grade,
            ends_at=_moment(question.ends_at),
        )
        return _invitation(rights.invite(subject, new))

    def accept(question: CodeQuestion, subject: Annotated[Subject, Depends(of_own)]) -> LinkBody:
        known = question.known.get_secret_value()
        return _link(rights.accept(subject, question.code.get_secret_value(), known=known))

    def revoke(link_id: str, subject: Annotated[Subject, Depends(of_own)]) -> Response:
        rights.revoke(subject, link_id)
        return Response(status_code=204)

    _add(router, "GET /me/family", read, access=READS_OWN)
    _add(router, "POST /me/family", invite, access=OWNS_ONE_PATIENT, status=201)
    _add(router, "POST /me/family/accept", accept, access=READS_OWN)
    path = "/me/family/{link_id}/revoke"
    _add(router, f"POST {path}", revoke, access=OWNS_ONE_PATIENT, status=204)


def _add_glass(router: APIRouter, rights: RightsService, reader_of: ReaderOf) -> None:
    of_one, of_number = map(reader_of, (BREAKS_GLASS, BREAKS_GLASS_BY_NUMBER))

    def break_glass(
        patient_id: str, question: GlassQuestion, subject: Annotated[Subject, Depends(of_one)]
    ) -> GlassBody:
        glass = rights.break_glass(subject, patient_id, category=question.category, reason=question.reason)
        return _glass(glass, _NO_NAMES)

    def break_by_number(
        question: NumberGlassQuestion, subject: Annotated[Subject, Depends(of_number)]
    ) -> list[GlassBody]:
        number = TypedNumber(
            kind=question.kind, text=question.text.get_secret_value(), issuer=question.issuer
        )
        broken = rights.break_glass_by_number(
            subject, number, category=question.category, reason=question.reason
        )
        return [_glass(one, _NO_NAMES) for one in broken]

    path = "/people/{patient_id}/break-glass"
    _add(router, f"POST {path}", break_glass, access=BREAKS_GLASS, status=201)
    _add(router, "POST /break-glass", break_by_number, access=BREAKS_GLASS_BY_NUMBER, status=201)


def _add_review(router: APIRouter, rights: RightsService, reader_of: ReaderOf) -> None:
    of_all, of_one, of_own = map(reader_of, (REVIEWS_ACCESS, REVIEWS_ONE_ACCESS, READS_OWN))

    def list_glass(
        subject: Annotated[Subject, Depends(of_all)], *, reviewed: Annotated[bool, Query()] = False
    ) -> list[GlassBody]:
        found = rights.list_broken_glass(subject, is_reviewed=reviewed)
        return [_glass(one, found.names) for one in found.things]

    def review(
        break_glass_id: str, question: ReviewQuestion, subject: Annotated[Subject, Depends(of_one)]
    ) -> GlassBody:
        glass = rights.review(subject, break_glass_id, verdict=question.verdict, note=question.note)
        return _glass(glass, _NO_NAMES)

    def read_notices(subject: Annotated[Subject, Depends(of_own)], after: After = 0) -> list[NoticeBody]:
        found = rights.notices(subject, after=after)
        return [_notice(one, found.names) for one in found.things]

    _add(router, "GET /break-glass", list_glass, access=REVIEWS_ACCESS)
    path = "/break-glass/{break_glass_id}/review"
    _add(router, f"POST {path}", review, access=REVIEWS_ONE_ACCESS)
    _add(router, "GET /me/notices", read_notices, access=READS_OWN)


def _add_looks(router: APIRouter, rights: RightsService, reader_of: ReaderOf) -> None:
    of_own, may_read = map(reader_of, (READS_OWN, READS_ONE_PATIENT))

    def own_looks(
        subject: Annotated[Subject, Depends(of_own)], before: Before = None, limit: Limit = 100
    ) -> list[LookBody]:
        found = rights.own_looks(subject, before=before, limit=limit)
        return [_look(one, found.names) for one in found.acts]

    def looks(
        patient_id: str,
        subject: Annotated[Subject, Depends(may_read)],
        before: Before = None,
        limit: Limit = 100,
    ) -> list[LookBody]:
        found = rights.looks_at(subject, patient_id, before=before, limit=limit)
        return [_look(one, found.names) for one in found.acts]

    _add(router, "GET /me/looks", own_looks, access=READS_OWN)
    _add(router, "GET /people/{patient_id}/looks", looks, access=READS_ONE_PATIENT)


def answer_refusal(_request: Request, error: Exception) -> Response:
    """How the errors of this room look over HTTP."""
    return JSONResponse({"error": str(error)}, status_code=_STATUS[type(error)])


_STATUS = {PersonNotThere: 404, RightEnded: 409, AccountThere: 409, RightInvalid: 422}
REFUSALS = tuple(_STATUS)
_NO_NAMES = Names(people={}, organisations={})


def _moment(at_ms: int | None) -> datetime | None:
    return None if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC)


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else to_ms(moment)


def _new_consent(patient_id: str, question: ConsentQuestion) -> NewConsent:
    if (question.to_person is None) == (question.to_organisation is None):
        raise RightInvalid("to", "one person, or one organisation")
    return NewConsent(
        patient_id=patient_id,
        capacity=question.capacity,
        to=Grantee(person_id=question.to_person, organisation_id=question.to_organisation),
        purposes=tuple(dict.fromkeys(question.purposes)),
        up_to=question.up_to,
        text_name=question.text,
        text_version=question.version,
        text_language=question.language,
        ends_at=_moment(question.ends_at),
    )


def _name(of: str, names: Mapping[str, tuple[str, str]]) -> NameBody:
    zh, en = names.get(of, ("", ""))
    return NameBody(id=of, zh=zh, en=en)


def _consent(one: Consent, names: Names) -> ConsentBody:
    person, organisation = one.to.person_id, one.to.organisation_id
    return ConsentBody(
        id=one.consent_id,
        patient=one.patient_id,
        capacity=one.capacity,
        given_by=one.given_by,
        recorded_by=one.recorded_by,
        to_person=None if person is None else _name(person, names.people),
        to_organisation=None if organisation is None else _name(organisation, names.organisations),
        purposes=list(one.purposes),
        up_to=one.up_to,
        text=one.text_name,
        version=one.text_version,
        language=one.text_language,
        text_sha256=one.text_sha256.hex(),
        signature=one.state,
        proofs=list(one.proofs),
        given_at=to_ms(one.given_at),
        ends_at=_ms(one.ends_at),
        withdrawn_at=_ms(one.withdrawn_at),
    )


def _link(link: Link) -> LinkBody:
    return LinkBody(
        id=link.link_id,
        patient=link.patient_id,
        relation=link.relation,
        grade=link.grade,
        person=link.person_id,
        proof=link.proof,
        made_at=to_ms(link.made_at),
        ends_at=_ms(link.ends_at),
        code_ends_at=to_ms(link.code_ends_at),
        revoked_at=_ms(link.revoked_at),
    )


def _invitation(made: Invitation) -> InvitationBody:
    return InvitationBody(id=made.link_id, code=made.code, code_ends_at=to_ms(made.code_ends_at))


def _glass(glass: BrokenGlass, names: Names) -> GlassBody:
    return GlassBody(
        id=glass.break_glass_id,
        patient=glass.patient_id,
        person=_name(glass.person_id, names.people),
        organisation=_name(glass.organisation_id, names.organisations),
        role=glass.role,
        category=glass.category,
        reason=glass.reason,
        opened_at=to_ms(glass.opened_at),
        ends_at=to_ms(glass.ends_at),
        is_overdue=glass.is_overdue(datetime.now(UTC)),
        reviewed_at=_ms(glass.reviewed_at),
        verdict=glass.verdict,
        note=glass.note,
    )


def _notice(one: Notice, names: Names) -> NoticeBody:
    told = one.about
    return NoticeBody(
        id=one.notice_id,
        patient=one.patient_id,
        kind=one.kind,
        written_at=to_ms(one.written_at),
        by=_name(one.people[0], names.people),
        glass=_glass(told, names) if isinstance(told, BrokenGlass) else None,
        consent=_consent(told, names) if isinstance(told, Consent) else None,
    )


def _look(recorded: RecordedAct, names: Names) -> LookBody:
    act = recorded.act
    return LookBody(
        sequence=recorded.sequence,
        at=to_ms(recorded.at),
        patient=act.target.id,
        person=_name(act.person, names.people),
        organisation=_name(act.organisation, names.organisations),
        role=act.role,
        purpose=act.purpose,
        basis=act.basis,
        action=act.action.value,
        outcome=act.outcome.value,
    )
