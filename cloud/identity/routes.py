"""Login over HTTP, and the dependencies that put a Subject into every other route."""

import math
from collections.abc import Callable
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from cloud.identity import cookies
from cloud.identity.access import LOGGED_IN, PUBLIC, Access, access_of
from cloud.identity.errors import (
    ChoiceRefused,
    ClientRefused,
    CodeRefused,
    Conflict,
    EnrolmentNeeded,
    LoginRefused,
    LoginThrottled,
    NotAllowed,
    NotLoggedIn,
    NotThere,
    OidcRefused,
    OidcUnreachable,
    ProofRefused,
    ScopeRefused,
    StepUpNeeded,
)
from cloud.identity.model import Account, Session, Subject, Visitor
from cloud.identity.proofs.model import ProofKind
from cloud.identity.service import IdentityService, LoggedIn, SecondFactorAwaited

COOKIE = cookies.SESSION
WITHOUT_NUL = r"\A[^\x00]*\z"  # the database has no text with NUL
PathId = Annotated[str, Path(max_length=200, pattern=WITHOUT_NUL)]


class Credentials(BaseModel):
    """Body of a login."""

    name: str = Field(max_length=200, pattern=WITHOUT_NUL)
    password: str = Field(max_length=1000)


class Me(BaseModel):
    """Who is logged in."""

    name: str
    display_zh: str
    display_en: str
    role: str


class NextStep(BaseModel):
    """The password was right, but not enough."""

    needs: Literal["second_factor", "enrolment"]
    methods: list[ProofKind]


class ErrorText(BaseModel):
    """Every refusal has this body."""

    error: str


class NeedsText(ErrorText):
    """A refusal that ends when something is done first."""

    needs: Literal["step_up", "enrolment"]


class GoTo(BaseModel):
    """Where the browser must go to end the session at the hospital's provider too."""

    go_to: str


EndOfIssuer = Callable[[str, Visitor], str | None]
Refusals = dict[int | str, dict[str, object]]
SubjectOf = Callable[[Request], Subject]
SessionOf = Callable[[Request], Session]


def refusals(*statuses: int) -> Refusals:
    """What the schema says of these answers."""
    return {status: {"model": ErrorText | NeedsText if status == 403 else ErrorText} for status in statuses}


def subject_reader(identity: IdentityService, access: Access) -> SubjectOf:
    """A dependency that gives the Subject of the cookie or of the bearer token.

    It must have the rights, and the fresh proof, that `access` and the route itself declare.
    """
    read_session = session_reader(identity, access)

    def read_subject(request: Request) -> Subject:
        bearer = cookies.bearer_token(request)
        if bearer is None:
            return read_session(request).account.subject
        subject = identity.clients.subject_of(bearer)
        _check(request, subject, access=access, is_stepped_up=False)
        return subject

    return read_subject


def session_reader(identity: IdentityService, access: Access) -> SessionOf:
    """A dependency that gives the session of the cookie: for what only a person does."""

    def read_session(request: Request) -> Session:
        session = identity.session_of(
            cookies.session_token(request), is_for_enrolment=access.is_for_enrolment
        )
        stepped_up = identity.is_stepped_up(session, is_for_enrolment=access.is_for_enrolment)
        _check(request, session.account.subject, access=access, is_stepped_up=stepped_up)
        return session

    return read_session


def _check(request: Request, subject: Subject, *, access: Access, is_stepped_up: bool) -> None:
    request.state.subject = subject
    for declared in (access, access_of(request.scope.get("route")) or access):
        if not declared.allows(subject.scopes):
            raise NotAllowed
        if declared.needs_step_up and not is_stepped_up:
            raise StepUpNeeded


def me_of(account: Account) -> Me:
    """How an account shows itself."""
    return Me(
        name=account.name,
        display_zh=account.display_zh,
        display_en=account.display_en,
        role=account.role.value,
    )


def let_in(
    identity: IdentityService, request: Request, response: Response, *, logged_in: LoggedIn
) -> Me | NextStep:
    """Give the session to the browser; the one it had before ends."""
    identity.log_out(cookies.session_token(request))
    cookies.put_cookie(response, request, name=cookies.SESSION, token=logged_in.token)
    if cookies.read_cookie(request, cookies.PENDING_LOGIN) is not None:
        cookies.drop_cookie(response, request, name=cookies.PENDING_LOGIN)
    if logged_in.needs_enrolment:
        return NextStep(needs="enrolment", methods=[ProofKind.TOTP, ProofKind.PASSKEY])
    return me_of(logged_in.account)


def build_routes(identity: IdentityService, *, end_of_issuer: EndOfIssuer) -> APIRouter:
    """`/api/login`, `/api/logout` and `/api/me`; `end_of_issuer` says where a provider ends its session."""
    router = APIRouter(prefix="/api")
    read_session = session_reader(identity, LOGGED_IN)

    def log_in(credentials: Credentials, request: Request, response: Response) -> Me | NextStep:
        visitor = cookies.visitor_of(request)
        outcome = identity.log_in(credentials.name, credentials.password, visitor=visitor)
        if isinstance(outcome, SecondFactorAwaited):
            cookies.put_cookie(response, request, name=cookies.PENDING_LOGIN, token=outcome.token)
            return NextStep(needs="second_factor", methods=list(outcome.kinds))
        return let_in(identity, request, response, logged_in=outcome)

    def log_out(request: Request) -> Response:
        session = identity.log_out(cookies.session_token(request))
        further = None
        if session is not None and session.issuer is not None:
            further = end_of_issuer(session.issuer, cookies.visitor_of(request))
        response = (
            Response(status_code=204) if further is None else JSONResponse(GoTo(go_to=further).model_dump())
        )
        cookies.drop_cookie(response, request, name=cookies.SESSION)
        return response

    def me(session: Annotated[Session, Depends(read_session)]) -> Me:
        return me_of(session.account)

    anyone, logged_in = [Depends(PUBLIC)], [Depends(LOGGED_IN)]
    router.add_api_route(
        "/login",
        log_in,
        methods=["POST"],
        response_model=Me | NextStep,
        responses=refusals(401, 429),
        dependencies=anyone,
    )
    router.add_api_route(
        "/logout",
        log_out,
        methods=["POST"],
        status_code=204,
        responses={200: {"model": GoTo}},
        dependencies=anyone,
    )
    router.add_api_route(
        "/me",
        me,
        methods=["GET"],
        response_model=Me,
        responses=refusals(401, 403),
        dependencies=logged_in,
    )
    return router


_STATUSES: dict[type[Exception], int] = {
    NotAllowed: 403,
    StepUpNeeded: 403,
    EnrolmentNeeded: 403,
    OidcRefused: 403,
    NotThere: 404,
    Conflict: 409,
    ChoiceRefused: 422,
    LoginThrottled: 429,
    OidcUnreachable: 502,
    ScopeRefused: 400,
}


def answer_refusal(_request: Request, error: Exception) -> Response:
    """How the errors of this package look over HTTP."""
    headers: dict[str, str] = {}
    body = {"error": str(error)}
    if isinstance(error, LoginThrottled):
        headers["Retry-After"] = str(math.ceil(error.retry_after.total_seconds()))
    if isinstance(error, ClientRefused):
        headers["WWW-Authenticate"] = 'Basic realm="qianli"'
    if isinstance(error, StepUpNeeded | EnrolmentNeeded):
        body["needs"] = error.needs
    return JSONResponse(body, status_code=_STATUSES.get(type(error), 401), headers=headers)


REFUSALS = (*_STATUSES, LoginRefused, ProofRefused, CodeRefused, NotLoggedIn, ClientRefused)
