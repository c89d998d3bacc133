"""Joining over HTTP (docs/live-api.md)."""

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from cloud.identity import cookies
from cloud.identity.access import PUBLIC
from cloud.identity.codes import LONGEST_CODE
from cloud.identity.joining.model import Applicant
from cloud.identity.joining.service import Joining
from cloud.identity.passwords.model import LONGEST_PASSWORD
from cloud.identity.routes import WITHOUT_NUL, Me, NextStep, let_in, refusals
from cloud.identity.service import IdentityService


class ApplicantBody(BaseModel):
    """Who wants an account, and by which code."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    code: SecretStr = Field(max_length=LONGEST_CODE)
    known: SecretStr = Field(max_length=40)
    name: str = Field(max_length=200, pattern=WITHOUT_NUL)
    display: str = Field(min_length=1, max_length=100, pattern=r"\A[^\x00]*\S[^\x00]*\z")
    password: SecretStr = Field(max_length=LONGEST_PASSWORD)


def build_routes(identity: IdentityService, joining: Joining) -> APIRouter:
    """`/api/join`."""
    router = APIRouter(prefix="/api")

    def join(body: ApplicantBody, request: Request, response: Response) -> Me | NextStep:
        wish = Applicant(
            code=body.code.get_secret_value(),
            known=body.known.get_secret_value(),
            name=body.name,
            display=body.display,
            password=body.password.get_secret_value(),
        )
        logged_in = joining.join(wish, visitor=cookies.visitor_of(request))
        return let_in(identity, request, response, logged_in=logged_in)

    router.post(
        "/join",
        status_code=201,
        response_model=Me | NextStep,
        responses=refusals(401, 409, 422, 429),
        dependencies=[Depends(PUBLIC)],
    )(join)
    return router
