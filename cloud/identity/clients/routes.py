"""Clients of an organisation, and the token and revocation endpoints (RFC 6749, RFC 7009)."""

import base64
import binascii
from collections.abc import Callable
from typing import Annotated
from urllib.parse import parse_qsl, unquote_plus

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from cloud.identity import cookies
from cloud.identity.access import ADDS_CLIENTS, CHANGES_ONE_ACCOUNT, PUBLIC, READS_ACCOUNTS
from cloud.identity.clients.queries import Client
from cloud.identity.clients.service import TOKEN_LASTS, Clients
from cloud.identity.errors import ClientRefused, ScopeRefused
from cloud.identity.model import Scope, Subject
from cloud.identity.routes import ErrorText, PathId, refusals, subject_reader
from cloud.identity.service import IdentityService
from vitals.wire.batch import to_ms

_LONGEST_FORM = 8 * 1024
_FORM_SCHEMA: dict[str, object] = {
    "requestBody": {
        "required": True,
        "content": {"application/x-www-form-urlencoded": {"schema": {"type": "object"}}},
    },
}


class NewClientBody(BaseModel):
    """What an administrator says of a system."""

    title: str = Field(min_length=1, max_length=100, pattern=r"\A[^\x00-\x1f]*\z")
    scopes: list[Scope] = Field(min_length=1, max_length=20)


class ClientBody(BaseModel):
    """A system that may ask for tokens."""

    id: str
    title: str
    scopes: list[Scope]
    created_at: int
    created_by: str
    used_at: int | None
    revoked_at: int | None


class CreatedClientBody(ClientBody):
    """With the secret, which is shown this once."""

    secret: str


class TokenBody(BaseModel):
    """RFC 6749, section 5.1."""

    access_token: str
    token_type: str
    expires_in: int
    scope: str


class FormRefused(Exception):
    """The request has a shape that the RFC does not know."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def build_routes(identity: IdentityService) -> APIRouter:
    """`/api/clients…` and `/api/oauth/…`."""
    router = APIRouter(prefix="/api")
    _add_clients(router, identity)
    _add_oauth(router, identity.clients)
    return router


def _add_clients(router: APIRouter, identity: IdentityService) -> None:
    clients = identity.clients
    may_read = subject_reader(identity, READS_ACCOUNTS)
    may_add = subject_reader(identity, ADDS_CLIENTS)
    may_change = subject_reader(identity, CHANGES_ONE_ACCOUNT)

    def list_clients(subject: Annotated[Subject, Depends(may_read)]) -> list[ClientBody]:
        return [_client(one) for one in clients.all_for(subject)]

    def create(body: NewClientBody, subject: Annotated[Subject, Depends(may_add)]) -> CreatedClientBody:
        made = clients.create(subject, title=body.title, scopes=body.scopes)
        return CreatedClientBody(**_client(made.client).model_dump(), secret=made.secret)

    def revoke(client_id: PathId, subject: Annotated[Subject, Depends(may_change)]) -> Response:
        clients.revoke(subject, client_id)
        return Response(status_code=204)

    router.add_api_route(
        "/clients",
        list_clients,
        methods=["GET"],
        response_model=list[ClientBody],
        responses=refusals(401, 403),
        dependencies=[Depends(READS_ACCOUNTS)],
    )
    router.add_api_route(
        "/clients",
        create,
        methods=["POST"],
        status_code=201,
        response_model=CreatedClientBody,
        responses=refusals(401, 403),
        dependencies=[Depends(ADDS_CLIENTS)],
    )
    router.add_api_route(
        "/clients/{client_id}",
        revoke,
        methods=["DELETE"],
        status_code=204,
        responses=refusals(401, 403, 404),
        dependencies=[Depends(CHANGES_ONE_ACCOUNT)],
    )


def _add_oauth(router: APIRouter, clients: Clients) -> None:
    async def token(request: Request) -> Response:
        return await _answer(request, lambda form: _grant(clients, request, form))

    async def revoke(request: Request) -> Response:
        return await _answer(request, lambda form: _revoke(clients, request, form))

    for path, endpoint, model in (("/oauth/token", token, TokenBody), ("/oauth/revoke", revoke, None)):
        router.add_api_route(
            path,
            endpoint,
            methods=["POST"],
            response_model=model,
            responses={400: {"model": ErrorText}, **refusals(401, 429)},
            dependencies=[Depends(PUBLIC)],
            openapi_extra=_FORM_SCHEMA,
        )


async def _answer(request: Request, answer: Callable[[dict[str, str]], Response]) -> Response:
    try:
        form = _read_form(await _read_body(request))
        return await run_in_threadpool(answer, form)
    except FormRefused as error:
        return JSONResponse({"error": error.code}, status_code=400)


async def _read_body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LONGEST_FORM:
            raise FormRefused("invalid_request")
    return body


def _read_form(body: bytes) -> dict[str, str]:
    """Each name once (RFC 6749, section 3.2)."""
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=20)
    except ValueError as error:
        raise FormRefused("invalid_request") from error
    form = dict(pairs)
    if len(form) != len(pairs) or any("\x00" in value for value in form.values()):
        raise FormRefused("invalid_request")
    return form


def _grant(clients: Clients, request: Request, form: dict[str, str]) -> Response:
    client_id, secret = _basic_credentials(request)
    if "grant_type" not in form:
        raise FormRefused("invalid_request")
    if form["grant_type"] != "client_credentials":
        raise FormRefused("unsupported_grant_type")
    granted = clients.grant(
        client_id, secret, scopes=_scopes(form.get("scope")), visitor=cookies.visitor_of(request)
    )
    body = TokenBody(
        access_token=granted.token,
        token_type="Bearer",  # noqa: S106 # the RFC's word
        expires_in=int(TOKEN_LASTS.total_seconds()),
        scope=" ".join(granted.scopes),
    )
    return JSONResponse(body.model_dump(), headers={"Pragma": "no-cache"})


def _revoke(clients: Clients, request: Request, form: dict[str, str]) -> Response:
    client_id, secret = _basic_credentials(request)
    if not form.get("token"):
        raise FormRefused("invalid_request")
    clients.revoke_token(client_id, secret, token=form["token"], visitor=cookies.visitor_of(request))
    return Response(status_code=200)


def _scopes(text: str | None) -> frozenset[Scope] | None:
    if text is None:
        return None
    try:
        return frozenset(map(Scope, text.split()))
    except ValueError as error:
        raise ScopeRefused from error


def _basic_credentials(request: Request) -> tuple[str, str]:
    """Id and secret, each form-encoded inside (RFC 6749, section 2.3.1).

    Raises:
        ClientRefused: the header is missing or cannot be read.
    """
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise ClientRefused from error
    client_id, colon, secret = text.partition(":")
    if scheme.lower() != "basic" or not colon or "\x00" in unquote_plus(client_id) or len(text) > 1000:
        raise ClientRefused
    return unquote_plus(client_id), unquote_plus(secret)


def _client(client: Client) -> ClientBody:
    return ClientBody(
        id=client.client_id,
        title=client.title,
        scopes=sorted(client.scopes),
        created_at=to_ms(client.created_at),
        created_by=client.created_by,
        used_at=None if client.used_at is None else to_ms(client.used_at),
        revoked_at=None if client.revoked_at is None else to_ms(client.revoked_at),
    )
