"""`/api/agents` for administrators (docs/live-api.md)."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from cloud.enrolment.authority.certificates import RequestInvalid, fingerprint
from cloud.enrolment.model import (
    FAILURE_WINDOW,
    Admission,
    AgentNameInvalid,
    AgentNameTaken,
    AgentUnknown,
    CertificateRefused,
    CertificateState,
    CodeRefused,
    EnrolmentThrottled,
    ListedAgent,
    Occasion,
    SiteUnknown,
)
from cloud.enrolment.service import EnrolmentService
from cloud.events import Clock
from cloud.identity.access import MANAGES_DEVICES, MANAGES_ONE_DEVICE, Access
from cloud.identity.model import Subject
from vitals.wire.batch import to_ms
from vitals.wire.invitation import Invitation

_TEXT = r"\A[^\x00]*\z"  # the database has no text with NUL


class InvitationQuestion(BaseModel):
    """Which agent of which site is to be let in."""

    model_config = ConfigDict(extra="forbid")

    agent: str = Field(max_length=41, pattern=_TEXT)
    site: str | None = Field(default=None, max_length=100, pattern=_TEXT)


class RevocationQuestion(BaseModel):
    """Why an agent is put out."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(min_length=1, max_length=500, pattern=_TEXT)


class InvitationAnswer(BaseModel):
    """A code, shown once: typed as `typed`, scanned as `qr`."""

    agent: str
    typed: str
    qr: str
    expires_at: int


class CertificateAnswer(BaseModel):
    """An agent's newest certificate."""

    serial: str
    state: CertificateState
    occasion: Occasion
    issued_at: int
    expires_at: int
    revoked_at: int | None


class AgentAnswer(BaseModel):
    """An agent and what its certificate is worth."""

    agent: str
    site: str
    online: bool
    last_seen_at: int | None
    certificate: CertificateAnswer | None


class ErrorText(BaseModel):
    """Every refusal has this body."""

    error: str


def build_routes(
    service: EnrolmentService,
    *,
    may_manage: Callable[[Request], Subject],
    address: tuple[str, int],
    clock: Clock,
) -> APIRouter:
    """The routes; `address` is where agents find their door."""
    router = APIRouter(prefix="/api/agents")

    def list_agents(subject: Annotated[Subject, Depends(may_manage)]) -> list[AgentAnswer]:
        return [_answer(agent, clock) for agent in service.list_agents(subject)]

    def invite(
        question: InvitationQuestion, subject: Annotated[Subject, Depends(may_manage)]
    ) -> InvitationAnswer:
        made = service.invite(subject, Admission(agent=question.agent, site_id=question.site))
        invitation = Invitation(code=made.code, host=address[0], port=address[1])
        return InvitationAnswer(
            agent=made.agent,
            typed=str(invitation),
            qr=invitation.as_qr(fingerprint(service.authority.certificate)),
            expires_at=to_ms(made.expires_at),
        )

    def revoke(
        agent: str, question: RevocationQuestion, subject: Annotated[Subject, Depends(may_manage)]
    ) -> Response:
        service.revoke(subject, agent, reason=question.reason)
        return Response(status_code=204)

    _add(router, "", list_agents, method="GET")
    _add(router, "/invitations", invite, method="POST", status=201)
    _add(router, "/{agent}/revoke", revoke, method="POST", status=204, access=MANAGES_ONE_DEVICE)
    return router


def _add(  # noqa: PLR0913 # one route has so many parts
    router: APIRouter,
    path: str,
    answer: Callable[..., object],
    *,
    method: str,
    status: int = 200,
    access: Access = MANAGES_DEVICES,
) -> None:
    router.add_api_route(
        path,
        answer,
        methods=[method],
        status_code=status,
        responses={code: {"model": ErrorText} for code in (401, 403, 404, 409, 422)},
        dependencies=[Depends(access)],
    )


def _answer(listed: ListedAgent, clock: Clock) -> AgentAnswer:
    newest = listed.certificate
    return AgentAnswer(
        agent=listed.agent,
        site=listed.site_id,
        online=listed.is_online,
        last_seen_at=None if listed.last_seen_at is None else to_ms(listed.last_seen_at),
        certificate=None
        if newest is None
        else CertificateAnswer(
            serial=newest.serial,
            state=newest.state(clock()),
            occasion=newest.occasion,
            issued_at=to_ms(newest.issued_at),
            expires_at=to_ms(newest.expires_at),
            revoked_at=None if newest.revoked_at is None else to_ms(newest.revoked_at),
        ),
    )


_STATUS = {
    AgentNameInvalid: 422,
    AgentNameTaken: 409,
    AgentUnknown: 404,
    CertificateRefused: 401,
    CodeRefused: 403,
    EnrolmentThrottled: 429,
    RequestInvalid: 422,
    SiteUnknown: 404,
}
REFUSALS = tuple(_STATUS)


def answer_refusal(_request: Request, error: Exception) -> Response:
    """How the errors of this room look over HTTP."""
    headers = {}
    if isinstance(error, EnrolmentThrottled):
        headers["Retry-After"] = str(int(FAILURE_WINDOW.total_seconds()))
    return JSONResponse({"error": str(error)}, status_code=_STATUS[type(error)], headers=headers)
