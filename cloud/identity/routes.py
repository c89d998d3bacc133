"""Login over HTTP, and the dependencies that put a Subject into every other route."""

import math
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from cloud.identity.access import LOGGED_IN, PUBLIC, Access
from cloud.identity.errors import LoginRefused, LoginThrottled, NotAllowed, NotLoggedIn
from cloud.identity.model import SESSION_LASTS, Account, Subject
from cloud.identity.service import IdentityService

COOKIE = "qianli_session"
_WITHOUT_NUL = r"\A[^\x00]*\z"  # the database has no text with NUL


class Credentials(BaseModel):
    """Body of a login."""

    name: str = Field(max_length=200, pattern=_WITHOUT_NUL)
    password: str = Field(max_length=1000)


class Me(BaseModel):
    """Who is logged in."""

    name: str
    display_zh: str
    display_en: str
    role: str


class ErrorText(BaseModel):
    """Every refusal has this body."""

    error: str


SubjectOf = Callable[[Request], Subject]


def subject_reader(identity: IdentityService, access: Access) -> SubjectOf:
    """A dependency that gives the Subject of the cookie, if it has the rights that the route declares."""

    def read_subject(request: Request) -> Subject:
        subject = identity.subject_of(request.cookies.get(COOKIE))
        request.state.subject = subject
        if not subject.scopes >= access.scopes:
            raise NotAllowed
        return subject

    return read_subject


def _me(account: Account) -> Me:
    return Me(
        name=account.name,
        display_zh=account.display_zh,
        display_en=account.display_en,
        role=account.role.value,
    )


def build_routes(identity: IdentityService) -> APIRouter:
    """`/api/login`, `/api/logout` and `/api/me`."""
    router = APIRouter(prefix="/api")

    def log_in(credentials: Credentials, response: Response) -> Me:
        account, token = identity.log_in(credentials.name, credentials.password)
        response.set_cookie(
            COOKIE,
            token,
            max_age=int(SESSION_LASTS.total_seconds()),
            path="/",
            httponly=True,
            samesite="strict",
        )
        return _me(account)

    def log_out(request: Request) -> Response:
        identity.log_out(request.cookies.get(COOKIE))
        response = Response(status_code=204)
        response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
        return response

    def read_account(request: Request) -> Account:
        return identity.account_of(request.cookies.get(COOKIE))

    def me(account: Annotated[Account, Depends(read_account)]) -> Me:
        return _me(account)

    refusals: dict[int | str, dict[str, object]] = {401: {"model": ErrorText}, 429: {"model": ErrorText}}
    anyone, logged_in = [Depends(PUBLIC)], [Depends(LOGGED_IN)]
    router.add_api_route(
        "/login", log_in, methods=["POST"], response_model=Me, responses=refusals, dependencies=anyone
    )
    router.add_api_route("/logout", log_out, methods=["POST"], status_code=204, dependencies=anyone)
    router.add_api_route(
        "/me",
        me,
        methods=["GET"],
        response_model=Me,
        responses={401: {"model": ErrorText}},
        dependencies=logged_in,
    )
    return router


def answer_refusal(_request: Request, error: Exception) -> Response:
    """How the errors of this package look over HTTP."""
    headers: dict[str, str] = {}
    status = 403 if isinstance(error, NotAllowed) else 401
    if isinstance(error, LoginThrottled):
        status = 429
        headers["Retry-After"] = str(math.ceil(error.retry_after.total_seconds()))
    return JSONResponse({"error": str(error)}, status_code=status, headers=headers)


REFUSALS = (LoginRefused, LoginThrottled, NotAllowed, NotLoggedIn)
