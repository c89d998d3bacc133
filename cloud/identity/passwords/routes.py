"""Passwords over HTTP (docs/live-api.md)."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field, SecretStr

from cloud.identity import cookies
from cloud.identity.access import CHANGES_ONE_ACCOUNT, CHANGES_OWN_PASSWORD, PUBLIC
from cloud.identity.codes import LONGEST_CODE
from cloud.identity.model import Session, Subject
from cloud.identity.passwords.model import LONGEST_PASSWORD
from cloud.identity.passwords.service import Passwords
from cloud.identity.routes import WITHOUT_NUL, PathId, refusals, session_reader, subject_reader
from cloud.identity.service import IdentityService
from vitals.wire.batch import to_ms

_PASSWORD = Field(max_length=LONGEST_PASSWORD)


class PasswordChange(BaseModel):
    """The password of today and that of tomorrow."""

    old: SecretStr = _PASSWORD
    new: SecretStr = _PASSWORD


class PasswordChoice(BaseModel):
    """A new password by a code from an administrator."""

    name: str = Field(max_length=200, pattern=WITHOUT_NUL)
    code: SecretStr = Field(max_length=LONGEST_CODE)
    new: SecretStr = _PASSWORD


class ResetBody(BaseModel):
    """A code that is told once."""

    code: str
    code_ends_at: int


def build_routes(identity: IdentityService, passwords: Passwords) -> APIRouter:
    """`/api/password…` and the reset of somebody's password."""
    router = APIRouter(prefix="/api")
    changing = session_reader(identity, CHANGES_OWN_PASSWORD)
    may_reset = subject_reader(identity, CHANGES_ONE_ACCOUNT)

    def change(
        body: PasswordChange, request: Request, session: Annotated[Session, Depends(changing)]
    ) -> Response:
        token = passwords.change(
            session,
            old=body.old.get_secret_value(),
            new=body.new.get_secret_value(),
            visitor=cookies.visitor_of(request),
        )
        response = Response(status_code=204)
        cookies.put_cookie(response, request, name=cookies.SESSION, token=token)
        return response

    def choose(body: PasswordChoice, request: Request) -> Response:
        passwords.finish_reset(
            body.name,
            code=body.code.get_secret_value(),
            new=body.new.get_secret_value(),
            visitor=cookies.visitor_of(request),
        )
        return Response(status_code=204)

    def reset(account_name: PathId, subject: Annotated[Subject, Depends(may_reset)]) -> ResetBody:
        made = passwords.begin_reset(subject, account_name)
        return ResetBody(code=made.code, code_ends_at=to_ms(made.ends_at))

    router.post(
        "/password",
        status_code=204,
        responses=refusals(401, 403, 422, 429),
        dependencies=[Depends(CHANGES_OWN_PASSWORD)],
    )(change)
    router.post(
        "/password/reset",
        status_code=204,
        responses=refusals(401, 422, 429),
        dependencies=[Depends(PUBLIC)],
    )(choose)
    router.post(
        "/accounts/{account_name}/reset-password",
        response_model=ResetBody,
        responses=refusals(401, 403, 404, 409),
        dependencies=[Depends(CHANGES_ONE_ACCOUNT)],
    )(reset)
    return router
