"""`/api/pipeline` for those who keep the system running (docs/live-api.md)."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from cloud.events import Clock
from cloud.identity.access import MANAGES_DEVICES, MANAGES_ONE_DEVICE
from cloud.identity.model import Subject
from cloud.pipeline.model import AgentFlow, GroupState, Letter, LetterUnknown, Spooled, WorkerState
from cloud.pipeline.service import PipelineService
from vitals.wire.batch import to_ms

_LARGEST_ID = 2**63 - 1


class GroupBody(BaseModel):
    """A group of shards and who stores for it; `holder` is the last that did."""

    group: int
    holder: str | None
    is_held: bool
    since_at: int


class WorkerBody(BaseModel):
    """A worker and what it has counted since its start."""

    name: str
    seen_at: int
    groups: list[int]
    tally: dict[str, float]


class MissingBody(BaseModel):
    """Messages that have not come though later ones have."""

    lane: str
    first: int
    last: int


class AgentBody(BaseModel):
    """What of an agent has come; the three times of its spool are null until it says something."""

    agent: str
    site: str
    online: bool
    last_seen_at: int | None
    depth: int | None
    oldest_at: int | None
    told_at: int | None
    missing: list[MissingBody]
    refused: int
    conflicts: int


class LetterBody(BaseModel):
    """A message that was not taken, without what it holds."""

    id: int
    agent: str
    name: str
    reason: str
    detail: str
    size: int
    received_at: int
    replay_asked_at: int | None
    replayed_at: int | None


class PipelineBody(BaseModel):
    """Everything at one moment."""

    at: int
    groups: list[GroupBody]
    workers: list[WorkerBody]
    agents: list[AgentBody]
    letters: list[LetterBody]


class ErrorText(BaseModel):
    """Every refusal has this body."""

    error: str


def build_routes(
    service: PipelineService, *, may_manage: Callable[[Request], Subject], clock: Clock
) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/pipeline")

    def read(subject: Annotated[Subject, Depends(may_manage)]) -> PipelineBody:
        found = service.read(subject)
        return PipelineBody(
            at=to_ms(clock()),
            groups=[_group(group) for group in found.groups],
            workers=[_worker(worker) for worker in found.workers],
            agents=[_agent(flow, found.spooled) for flow in found.agents],
            letters=[_letter(letter) for letter in found.letters],
        )

    def replay(
        letter: Annotated[int, Path(ge=1, le=_LARGEST_ID)], subject: Annotated[Subject, Depends(may_manage)]
    ) -> Response:
        service.ask_replay(subject, letter)
        return Response(status_code=204)

    router.add_api_route(
        "", read, methods=["GET"], response_model=PipelineBody, dependencies=[Depends(MANAGES_DEVICES)]
    )
    router.add_api_route(
        "/letters/{letter}/replay",
        replay,
        methods=["POST"],
        status_code=204,
        responses={code: {"model": ErrorText} for code in (404, 422)},
        dependencies=[Depends(MANAGES_ONE_DEVICE)],
    )
    return router


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else to_ms(moment)


def _group(group: GroupState) -> GroupBody:
    return GroupBody(
        group=group.group, holder=group.holder, is_held=group.is_held, since_at=to_ms(group.since)
    )


def _worker(worker: WorkerState) -> WorkerBody:
    return WorkerBody(
        name=worker.name, seen_at=to_ms(worker.seen_at), groups=list(worker.groups), tally=dict(worker.tally)
    )


def _agent(flow: AgentFlow, spooled: Mapping[str, Spooled]) -> AgentBody:
    said = spooled.get(flow.agent)
    return AgentBody(
        agent=flow.agent,
        site=flow.site_id,
        online=flow.is_online,
        last_seen_at=_ms(flow.last_seen_at),
        depth=None if said is None else said.depth,
        oldest_at=None if said is None else _ms(said.oldest_at),
        told_at=None if said is None else to_ms(said.told_at),
        missing=[MissingBody(lane=hole.lane, first=hole.first, last=hole.last) for hole in flow.missing],
        refused=flow.refused,
        conflicts=flow.conflicts,
    )


def _letter(letter: Letter) -> LetterBody:
    return LetterBody(
        id=letter.letter_id,
        agent=letter.agent,
        name=letter.name,
        reason=letter.reason,
        detail=letter.detail,
        size=letter.size,
        received_at=to_ms(letter.received_at),
        replay_asked_at=_ms(letter.replay_asked_at),
        replayed_at=_ms(letter.replayed_at),
    )


REFUSALS = (LetterUnknown,)


def answer_refusal(_request: Request, error: Exception) -> Response:
    """How the errors of this room look over HTTP."""
    return JSONResponse({"error": str(error)}, status_code=404)
