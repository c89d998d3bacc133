"""`GET /api/audit` (docs/live-api.md)."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from cloud.act import Action, Outcome, RecordedAct
from cloud.audit.model import AuditQuestion
from cloud.audit.service import AuditReader
from cloud.identity.access import READS_AUDIT
from cloud.identity.model import Subject
from vitals.wire.batch import to_ms

_LAST_DAY_MS = 4_102_444_800_000  # 2100-01-01
Id = Annotated[str | None, Field(max_length=200, pattern=r"\A[^\x00]*\z")]
Moment = Annotated[int | None, Field(ge=0, le=_LAST_DAY_MS)]


class AuditFilters(BaseModel):
    """What is looked for; what is left out may be anything."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    person: Id = None
    patient: Id = None
    action: Action | None = None
    outcome: Outcome | None = None
    from_at: Moment = None
    to_at: Moment = None
    before: int | None = Field(default=None, ge=1, le=2**62)
    limit: int = Field(default=100, ge=1, le=200)


class EntryBody(BaseModel):
    """One act in the chain."""

    sequence: int
    at: int
    person: str
    role: str
    organisation: str
    purpose: str
    basis: str
    action: str
    target_kind: str
    target: str
    outcome: str
    origin: str


class FoundBody(BaseModel):
    """A page of the answer; `next_before` goes on, null where nothing follows."""

    entries: list[EntryBody]
    next_before: int | None


def build_routes(audit: AuditReader, *, may_read: Callable[[Request], Subject]) -> APIRouter:
    """The route; `may_read` gives the Subject, or refuses."""
    router = APIRouter(prefix="/api")

    def search(
        subject: Annotated[Subject, Depends(may_read)],
        asked: Annotated[AuditFilters, Query()],
    ) -> FoundBody:
        found = audit.search(subject, _question(asked))
        is_full = len(found) == asked.limit
        return FoundBody(
            entries=[_entry(one) for one in found], next_before=found[-1].sequence if is_full else None
        )

    router.add_api_route("/audit", search, methods=["GET"], dependencies=[Depends(READS_AUDIT)])
    return router


def _question(asked: AuditFilters) -> AuditQuestion:
    return AuditQuestion(
        person=asked.person,
        patient=asked.patient,
        action=asked.action,
        outcome=asked.outcome,
        from_at=_moment(asked.from_at),
        to_at=_moment(asked.to_at),
        before=asked.before,
        limit=asked.limit,
    )


def _moment(at_ms: int | None) -> datetime | None:
    return None if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC)


def _entry(recorded: RecordedAct) -> EntryBody:
    act = recorded.act
    return EntryBody(
        sequence=recorded.sequence,
        at=to_ms(recorded.at),
        person=act.person,
        role=act.role,
        organisation=act.organisation,
        purpose=act.purpose,
        basis=act.basis,
        action=act.action.value,
        target_kind=act.target.kind.value,
        target=act.target.id,
        outcome=act.outcome.value,
        origin=act.origin.value,
    )
