"""Export and deletion of a person's record (docs/live-api.md)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from cloud.identity.access import (
    EDITS_ONE_OF_OURS,
    REVIEWS_ACCESS,
    REVIEWS_ONE_ACCESS,
    TAKES_WHOLE_RECORD,
    Access,
)
from cloud.identity.model import Subject
from cloud.retention.model import Deletion, DeletionRefused, ExportsBusy, RecordUnknown
from cloud.retention.service import RetentionService
from vitals.wire.batch import to_ms

SubjectOf = Callable[[Request], Subject]
REFUSALS = (RecordUnknown, DeletionRefused, ExportsBusy)


class DeletionQuestion(BaseModel):
    """Body of a request."""

    model_config = ConfigDict(extra="forbid")
    reason: str = Field(min_length=1, max_length=1000, pattern=r"\A[^\x00]*\S[^\x00]*\z")


class Decision(BaseModel):
    """Body of a decision."""

    model_config = ConfigDict(extra="forbid")
    approved: bool


class DeletionBody(BaseModel):
    """A request and what became of it."""

    id: int
    patient: str
    requested_at: int
    requested_by: str
    reason: str
    decided_at: int | None
    decided_by: str | None
    approved: bool | None


class ErasedBody(BaseModel):
    """The answer to a decision: rows by table and their hash, or nothing if it was rejected."""

    counts: dict[str, int]
    hash: str | None


class ErrorBody(BaseModel):
    """Every refusal has this body."""

    error: str


_REFUSED: dict[int | str, dict[str, object]] = {
    status: {"model": ErrorBody} for status in (401, 403, 404, 409)
}


def build_routes(
    retention: RetentionService, *, may_take: SubjectOf, may_edit: SubjectOf, may_review: SubjectOf
) -> APIRouter:
    """The routes; each reader gives the Subject, or refuses."""
    router = APIRouter(prefix="/api")

    def export(patient_id: str, subject: Annotated[Subject, Depends(may_take)]) -> Response:
        return StreamingResponse(
            retention.export(subject, patient_id),
            media_type="application/zip",
            headers={"Content-Disposition": 'attachment; filename="record.zip"', "Cache-Control": "no-store"},
        )

    def request_deletion(
        patient_id: str, question: DeletionQuestion, subject: Annotated[Subject, Depends(may_edit)]
    ) -> DeletionBody:
        return _body(retention.request_deletion(subject, patient_id, reason=question.reason))

    def list_deletions(subject: Annotated[Subject, Depends(may_review)]) -> list[DeletionBody]:
        return [_body(deletion) for deletion in retention.list_deletions(subject)]

    def decide(
        deletion_id: Annotated[int, Field(ge=1, lt=2**63)],
        decision: Decision,
        subject: Annotated[Subject, Depends(may_review)],
    ) -> ErasedBody:
        tombstone = retention.decide(subject, deletion_id, approved=decision.approved)
        if tombstone is None:
            return ErasedBody(counts={}, hash=None)
        return ErasedBody(counts=tombstone.counts, hash=tombstone.hash.hex())

    _add(router, "/people/{patient_id}/export", export, access=TAKES_WHOLE_RECORD, shape=_ZIP)
    _add(
        router,
        "/people/{patient_id}/deletion",
        request_deletion,
        access=EDITS_ONE_OF_OURS,
        shape=_Shape(method="POST", status=201, model=DeletionBody),
    )
    _add(router, "/deletions", list_deletions, access=REVIEWS_ACCESS, shape=_Shape(model=list[DeletionBody]))
    _add(
        router,
        "/deletions/{deletion_id}",
        decide,
        access=REVIEWS_ONE_ACCESS,
        shape=_Shape(method="POST", model=ErasedBody),
    )
    return router


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """How a route is asked and what it answers."""

    method: str = "GET"
    status: int = 200
    model: object = None
    responses: Mapping[int | str, dict[str, object]] = field(default_factory=dict)


_ZIP = _Shape(responses={200: {"content": {"application/zip": {}}}, 503: {"model": ErrorBody}})


def _add(
    router: APIRouter, path: str, answer: Callable[..., object], *, access: Access, shape: _Shape
) -> None:
    router.add_api_route(
        path,
        answer,
        methods=[shape.method],
        status_code=shape.status,
        response_model=shape.model,
        responses={**shape.responses, **_REFUSED},
        dependencies=[Depends(access)],
    )


def answer_refusal(_request: Request, error: Exception) -> Response:
    """How the errors of this room look over HTTP."""
    if isinstance(error, ExportsBusy):
        return JSONResponse({"error": str(error)}, status_code=503, headers={"Retry-After": "60"})
    return JSONResponse({"error": str(error)}, status_code=404 if isinstance(error, RecordUnknown) else 409)


def _body(deletion: Deletion) -> DeletionBody:
    return DeletionBody(
        id=deletion.deletion_id,
        patient=deletion.patient_id,
        requested_at=to_ms(deletion.requested_at),
        requested_by=deletion.requested_by,
        reason=deletion.reason,
        decided_at=None if deletion.decided_at is None else to_ms(deletion.decided_at),
        decided_by=deletion.decided_by,
        approved=deletion.approved,
    )
