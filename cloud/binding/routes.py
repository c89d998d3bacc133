"""Bindings and the tray over HTTP."""

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, model_validator

from cloud.binding.model import (
    Binding,
    BindingOrigin,
    BindingRefused,
    BindingUnknown,
    Correction,
    Device,
    EndReason,
    Span,
    Unclaimed,
    UnclaimedCause,
)
from cloud.binding.service import BindingService, Record
from cloud.identity.access import (
    EDITS_ONE_DEVICE,
    EDITS_ONE_OF_OURS,
    FINDS_DEVICES,
    FINDS_PATIENTS,
    READS_ONE_OF_OURS,
)
from cloud.identity.model import Subject
from vitals.observation import SourceId
from vitals.wire.batch import from_ms, to_ms

_WITHOUT_NUL = r"\A[^\x00]*\z"  # the database has no text with NUL
_ID = Field(min_length=1, max_length=200, pattern=_WITHOUT_NUL)
_REASON = Field(min_length=1, max_length=500, pattern=r"\A[^\x00]*\S[^\x00]*\z")
_LAST_MS = 4_102_444_800_000  # the year 2100
_MOMENT = Field(ge=0, le=_LAST_MS)
_MINUTES_OF_A_DAY = 24 * 60
_LONGEST_TRAY_H = 31 * 24
_LARGEST_ID = 2**63 - 1

_Id = Annotated[str, _ID]


class Question(BaseModel):
    """A body that says nothing but what is asked for."""

    model_config = ConfigDict(extra="forbid")


class BindQuestion(Question):
    """A scanned device and a patient or a household; or a bed and a patient."""

    code: _Id | None = None
    patient: _Id | None = None
    bed: _Id | None = None
    household: Annotated[list[_Id], Field(min_length=1, max_length=20)] | None = None
    once: bool = False
    minutes: Annotated[int, Field(ge=1, le=_MINUTES_OF_A_DAY)] | None = None

    @model_validator(mode="after")
    def _is_one_of_three(self) -> "BindQuestion":
        given = {name for name in ("code", "patient", "bed", "household") if getattr(self, name) is not None}
        if given not in ({"code", "patient"}, {"bed", "patient"}, {"code", "household"}):
            raise ValueError("give code and patient, bed and patient, or code and household")
        if given != {"code", "patient"} and (self.once or self.minutes is not None):
            raise ValueError("only what was scanned for one patient is limited in time")
        return self


class EndQuestion(Question):
    """Why a binding ends."""

    reason: EndReason


class SpanQuestion(Question):
    """Values of a source by their first and last measured time, and why."""

    src: _Id
    from_at: int = _MOMENT
    to_at: int = _MOMENT
    reason: str = _REASON

    @property
    def span(self) -> Span:
        """The same for the service."""
        return Span(src=SourceId(self.src), begins_at=from_ms(self.from_at), ends_at=from_ms(self.to_at))


class ClaimQuestion(SpanQuestion):
    """Whose the values are."""

    patient: _Id


class CorrectQuestion(Question):
    """From whom to whom; without `to_at` for ever, without `patient` into the tray."""

    src: _Id
    from_at: int = _MOMENT
    to_at: Annotated[int, _MOMENT] | None = None
    from_patient: _Id
    patient: _Id | None = None
    reason: str = _REASON


class BindingBody(BaseModel):
    """A binding; without `ends_at` it holds until somebody ends it. The titles are the device's own names."""

    id: int
    src: str
    title_zh: str
    title_en: str
    patient: str
    begins_at: int
    ends_at: int | None
    origin: BindingOrigin
    origin_id: str
    once: bool
    begun_by: str
    ended_by: str | None
    end_reason: EndReason | None


class CorrectionBody(BaseModel):
    """What was put right."""

    src: str
    begins_at: int
    ends_at: int | None
    from_patient: str | None
    to_patient: str | None
    reason: str
    corrected_at: int
    corrected_by: str


class RecordBody(BaseModel):
    """Everything that was bound to a patient."""

    bindings: list[BindingBody]
    corrections: list[CorrectionBody]


class DeviceBody(BaseModel):
    """A device, without anything about people."""

    src: str
    agent: str
    site: str
    driver: str
    title_zh: str
    title_en: str
    location: str | None
    bed: str
    online: bool
    bound: bool


class LooseValueBody(BaseModel):
    """The last value of a key."""

    key: str
    value: float | None
    unit: str


class UnclaimedBody(BaseModel):
    """An entry of the tray."""

    src: str
    title_zh: str
    title_en: str
    from_at: int
    to_at: int
    cause: UnclaimedCause
    values: list[LooseValueBody]
    count: int


class ErrorBody(BaseModel):
    """Every refusal has this body."""

    error: str


SubjectOf = Callable[[Request], Subject]
_REFUSALS: dict[int | str, dict[str, object]] = {
    status: {"model": ErrorBody} for status in (401, 403, 404, 409)
}


def build_routes(
    bindings: BindingService, *, may_read: SubjectOf, may_edit: SubjectOf, may_find_devices: SubjectOf
) -> APIRouter:
    """The routes; the readers give the Subject, or refuse."""
    router = APIRouter(prefix="/api")
    _add_changing(router, bindings, may_edit)
    _add_reading(router, bindings, may_read, may_find_devices)
    _add_tray(router, bindings, may_edit)
    return router


def _add_changing(router: APIRouter, bindings: BindingService, may_edit: SubjectOf) -> None:
    def bind(question: BindQuestion, subject: Annotated[Subject, Depends(may_edit)]) -> list[BindingBody]:
        return [_binding(one) for one in _bind(bindings, subject, question)]

    def end(
        binding_id: int, question: EndQuestion, subject: Annotated[Subject, Depends(may_edit)]
    ) -> BindingBody:
        if not 0 < binding_id <= _LARGEST_ID:
            raise BindingUnknown
        return _binding(bindings.end(subject, binding_id, reason=question.reason))

    def discharge(patient_id: str, subject: Annotated[Subject, Depends(may_edit)]) -> list[BindingBody]:
        return [_binding(one) for one in bindings.discharge(subject, patient_id)]

    def correct(question: CorrectQuestion, subject: Annotated[Subject, Depends(may_edit)]) -> RecordBody:
        ends_at = None if question.to_at is None else from_ms(question.to_at)
        span = Span(src=SourceId(question.src), begins_at=from_ms(question.from_at), ends_at=ends_at)
        record = bindings.correct(
            subject,
            span,
            from_patient=question.from_patient,
            to_patient=question.patient,
            reason=question.reason,
        )
        return _record(record)

    several, record = list[BindingBody], RecordBody
    _post(router, "/bindings", bind, answer=several, access=EDITS_ONE_OF_OURS, status=201)
    _post(router, "/bindings/correct", correct, answer=record, access=EDITS_ONE_OF_OURS)
    _post(router, "/bindings/{binding_id}/end", end, answer=BindingBody, access=EDITS_ONE_OF_OURS)
    _post(router, "/people/{patient_id}/discharge", discharge, answer=several, access=EDITS_ONE_OF_OURS)


def _bind(bindings: BindingService, subject: Subject, question: BindQuestion) -> list[Binding]:
    lasts = None if question.minutes is None else timedelta(minutes=question.minutes)
    if question.household is not None:
        members = question.household
        return [bindings.begin_for_household(subject, question.code or "", members=members)]
    patient = question.patient or ""
    if question.bed is not None:
        return bindings.begin_in_bed(subject, question.bed, patient_id=patient)
    made = bindings.begin_scanned(
        subject, question.code or "", patient_id=patient, is_once=question.once, lasts=lasts
    )
    return [made]


def _add_reading(
    router: APIRouter, bindings: BindingService, may_read: SubjectOf, may_find_devices: SubjectOf
) -> None:
    def read(patient_id: str, subject: Annotated[Subject, Depends(may_read)]) -> RecordBody:
        return _record(bindings.read(subject, patient_id))

    def devices(subject: Annotated[Subject, Depends(may_find_devices)]) -> list[DeviceBody]:
        return [_device(one) for one in bindings.find_devices(subject)]

    def unclaimed(
        subject: Annotated[Subject, Depends(may_read)],
        hours: Annotated[int, Query(ge=1, le=_LONGEST_TRAY_H)] = 7 * 24,
    ) -> list[UnclaimedBody]:
        return [_unclaimed(one) for one in bindings.find_unclaimed(subject, hours=hours)]

    for path, endpoint, answer, access in (
        ("/people/{patient_id}/bindings", read, RecordBody, READS_ONE_OF_OURS),
        ("/devices", devices, list[DeviceBody], FINDS_DEVICES),
        ("/unclaimed", unclaimed, list[UnclaimedBody], FINDS_PATIENTS),
    ):
        router.add_api_route(
            path,
            endpoint,
            methods=["GET"],
            response_model=answer,
            responses=_REFUSALS,
            dependencies=[Depends(access)],
        )


def _add_tray(router: APIRouter, bindings: BindingService, may_edit: SubjectOf) -> None:
    def claim(question: ClaimQuestion, subject: Annotated[Subject, Depends(may_edit)]) -> RecordBody:
        record = bindings.claim(subject, question.span, patient_id=question.patient, reason=question.reason)
        return _record(record)

    def dismiss(question: SpanQuestion, subject: Annotated[Subject, Depends(may_edit)]) -> Response:
        bindings.dismiss(subject, question.span, reason=question.reason)
        return Response(status_code=204)

    _post(router, "/unclaimed/claim", claim, answer=RecordBody, access=EDITS_ONE_OF_OURS)
    _post(router, "/unclaimed/dismiss", dismiss, answer=None, access=EDITS_ONE_DEVICE, status=204)


def _post(  # noqa: PLR0913 - a route is what these say
    router: APIRouter,
    path: str,
    endpoint: Callable[..., object],
    *,
    answer: object,
    access: Callable[..., object],
    status: int = 200,
) -> None:
    router.add_api_route(
        path,
        endpoint,
        methods=["POST"],
        response_model=answer,
        responses=_REFUSALS,
        status_code=status,
        dependencies=[Depends(access)],
    )


def answer_refusal(_request: Request, error: Exception) -> Response:
    """How the errors of this room look over HTTP."""
    statuses = {BindingUnknown: 404, BindingRefused: 409}
    return JSONResponse({"error": str(error)}, status_code=statuses[type(error)])


REFUSALS = (BindingUnknown, BindingRefused)


def _binding(one: Binding) -> BindingBody:
    return BindingBody(
        id=one.binding_id,
        src=one.src,
        title_zh=one.title_zh,
        title_en=one.title_en,
        patient=one.patient_id,
        begins_at=to_ms(one.begins_at),
        ends_at=None if one.ends_at is None else to_ms(one.ends_at),
        origin=one.origin,
        origin_id=one.origin_id,
        once=one.is_once,
        begun_by=one.begun_by,
        ended_by=one.ended_by,
        end_reason=one.end_reason,
    )


def _correction(one: Correction) -> CorrectionBody:
    return CorrectionBody(
        src=one.src,
        begins_at=to_ms(one.begins_at),
        ends_at=None if one.ends_at is None else to_ms(one.ends_at),
        from_patient=one.from_patient,
        to_patient=one.to_patient,
        reason=one.reason,
        corrected_at=to_ms(one.corrected_at),
        corrected_by=one.corrected_by,
    )


def _record(record: Record) -> RecordBody:
    return RecordBody(
        bindings=[_binding(one) for one in record.bindings],
        corrections=[_correction(one) for one in record.corrections],
    )


def _device(one: Device) -> DeviceBody:
    return DeviceBody(
        src=one.src,
        agent=one.agent,
        site=one.site_id,
        driver=one.driver,
        title_zh=one.title_zh,
        title_en=one.title_en,
        location=one.location_id,
        bed=one.bed,
        online=one.is_online,
        bound=one.is_bound,
    )


def _unclaimed(one: Unclaimed) -> UnclaimedBody:
    return UnclaimedBody(
        src=one.src,
        title_zh=one.title_zh,
        title_en=one.title_en,
        from_at=to_ms(one.from_at),
        to_at=to_ms(one.to_at),
        cause=one.cause,
        values=[LooseValueBody(key=value.key, value=value.value, unit=value.unit) for value in one.values],
        count=one.count,
    )
