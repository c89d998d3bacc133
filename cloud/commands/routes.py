"""`/api/agents/{agent}/commands` for administrators (docs/live-api.md)."""

from collections.abc import Callable
from typing import Annotated, Self

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, model_validator

from cloud.commands.model import (
    AgentClock,
    AgentUnknown,
    CommandState,
    IssuedCommand,
    LaneRange,
    Order,
    SpoolUnknown,
)
from cloud.commands.service import CommandService
from cloud.identity.access import MANAGES_ONE_DEVICE
from cloud.identity.model import Subject
from vitals.wire.batch import to_ms
from vitals.wire.command import CommandName
from vitals.wire.topics import Lane

_LARGEST = 2**53


class CommandQuestion(BaseModel):
    """What an agent is to do; a range of a lane belongs to `resend` only."""

    model_config = ConfigDict(extra="forbid")

    name: CommandName
    lane: Lane | None = None
    first: int | None = Field(default=None, ge=1, le=_LARGEST)
    last: int | None = Field(default=None, ge=1, le=_LARGEST)

    @model_validator(mode="after")
    def _check_range(self) -> Self:
        given = [part is not None for part in (self.lane, self.first, self.last)]
        if self.name is not CommandName.RESEND and any(given):
            raise ValueError("lane, first and last belong to resend")
        if self.name is CommandName.RESEND and not (all(given) and (self.first or 0) <= (self.last or 0)):
            raise ValueError("resend needs lane, first and last, and last not before first")
        return self

    def order(self) -> Order:
        """As the service takes it."""
        if self.lane is None or self.first is None or self.last is None:
            return Order(name=self.name)
        return Order(name=self.name, resend=LaneRange(lane=self.lane, first=self.first, last=self.last))


class CommandAnswer(BaseModel):
    """A command and how far it came."""

    id: str
    name: CommandName
    args: dict[str, int | str | None]
    state: CommandState
    issued_by: str
    issued_at: int
    expires_at: int
    received_at: int | None
    ended_at: int | None
    result: dict[str, int | str | None]
    reason: str


class ClockAnswer(BaseModel):
    """How an agent's clock stands; `offset_ms` is to be added to its time."""

    offset_ms: float
    delay_ms: float
    quality: str
    since_at: int
    measured_at: int


class ErrorText(BaseModel):
    """Every refusal has this body."""

    error: str


def build_routes(service: CommandService, *, may_manage: Callable[[Request], Subject]) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/agents/{agent}")

    def list_commands(agent: str, subject: Annotated[Subject, Depends(may_manage)]) -> list[CommandAnswer]:
        return [_answer(command) for command in service.list_commands(subject, agent)]

    def issue(
        agent: str, question: CommandQuestion, subject: Annotated[Subject, Depends(may_manage)]
    ) -> CommandAnswer:
        return _answer(service.issue(subject, agent, question.order()))

    def read_clock(agent: str, subject: Annotated[Subject, Depends(may_manage)]) -> ClockAnswer | None:
        return _answer_clock(service.clock_of(subject, agent))

    _add(router, "/commands", list_commands, method="GET")
    _add(router, "/commands", issue, method="POST", status=201)
    _add(router, "/clock", read_clock, method="GET")
    return router


def _add(
    router: APIRouter, path: str, answer: Callable[..., object], *, method: str, status: int = 200
) -> None:
    router.add_api_route(
        path,
        answer,
        methods=[method],
        status_code=status,
        responses={code: {"model": ErrorText} for code in (401, 403, 404, 409, 422)},
        dependencies=[Depends(MANAGES_ONE_DEVICE)],
    )


def _answer(command: IssuedCommand) -> CommandAnswer:
    return CommandAnswer(
        id=command.command_id,
        name=command.name,
        args=dict(command.args),
        state=command.state,
        issued_by=command.issued_by,
        issued_at=to_ms(command.issued_at),
        expires_at=to_ms(command.expires_at),
        received_at=None if command.received_at is None else to_ms(command.received_at),
        ended_at=None if command.ended_at is None else to_ms(command.ended_at),
        result=dict(command.result),
        reason=command.reason,
    )


def _answer_clock(clock: AgentClock | None) -> ClockAnswer | None:
    if clock is None:
        return None
    return ClockAnswer(
        offset_ms=clock.offset_ms,
        delay_ms=clock.delay_ms,
        quality=clock.quality,
        since_at=to_ms(clock.since),
        measured_at=to_ms(clock.measured_at),
    )


_STATUS: dict[type[Exception], int] = {AgentUnknown: 404, SpoolUnknown: 409}
REFUSALS = tuple(_STATUS)


def answer_refusal(_request: Request, error: Exception) -> Response:
    """How the errors of this room look over HTTP."""
    return JSONResponse({"error": str(error)}, status_code=_STATUS[type(error)])
