"""The second step of a login, step-up, and setting up second factors."""

import json
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field, model_validator

from cloud.identity import cookies
from cloud.identity.access import BEFORE_ENROLMENT, CHANGES_PROOFS, LOGGED_IN, PUBLIC
from cloud.identity.model import Session
from cloud.identity.proofs.model import Enrolled, Proof, ProofKind
from cloud.identity.routes import Me, NextStep, PathId, Refusals, let_in, refusals, session_reader
from cloud.identity.service import IdentityService
from vitals.wire.batch import to_ms

_LONGEST_ANSWER = 20_000
_SHORT = Field(default=None, max_length=100)
Options = dict[str, object]


class ProofBody(BaseModel):
    """Exactly one proof. `passkey` is what `PublicKeyCredential.toJSON()` gives."""

    totp: str | None = _SHORT
    recovery_code: str | None = _SHORT
    passkey: dict[str, object] | None = None

    @model_validator(mode="after")
    def _is_exactly_one(self) -> "ProofBody":
        given = [field for field in type(self).model_fields if getattr(self, field) is not None]
        if len(given) != 1:
            raise ValueError("give exactly one proof")
        if self.passkey is not None and len(json.dumps(self.passkey)) > _LONGEST_ANSWER:
            raise ValueError("this is no passkey's answer")
        return self

    def proof(self) -> Proof:
        """The one that was given."""
        kind = next(kind for kind in ProofKind if getattr(self, kind, None) is not None)
        given: object = getattr(self, kind)
        return Proof(kind=kind, text=given if isinstance(given, str) else json.dumps(given))


class StepUpBody(ProofBody):
    """A proof; the password where the account has no second factor."""

    password: str | None = Field(default=None, max_length=1000)


class PasskeyBody(BaseModel):
    """One that the account has."""

    id: str
    title: str
    created_at: int
    used_at: int | None
    suspended: bool


class ProofsBody(BaseModel):
    """What the account has, what it must have, and how it steps up."""

    policy: str
    totp: bool
    passkeys: list[PasskeyBody]
    recovery_codes_left: int
    step_up_methods: list[ProofKind]


class TotpBody(BaseModel):
    """For an authenticator app; `qr` are the rows of the code, 1 is dark."""

    secret: str
    uri: str
    qr: list[str]


class CodeBody(BaseModel):
    """A code of the app that is being set up."""

    code: str = Field(max_length=100)


class NewPasskeyBody(BaseModel):
    """What the browser made, and how the owner calls it."""

    title: str = Field(min_length=1, max_length=100, pattern=r"\A[^\x00-\x1f]*\z")
    passkey: dict[str, object]

    @model_validator(mode="after")
    def _is_short(self) -> "NewPasskeyBody":
        if len(json.dumps(self.passkey)) > _LONGEST_ANSWER:
            raise ValueError("this is no passkey's answer")
        return self


class RecoveryCodesBody(BaseModel):
    """Shown once; empty when the account has codes already."""

    recovery_codes: list[str]


class UntilBody(BaseModel):
    """Until when the fresh proof holds."""

    until_at: int


def build_routes(identity: IdentityService) -> APIRouter:
    """`/api/login/…`, `/api/step-up…` and `/api/second-factor…`."""
    router = APIRouter(prefix="/api")
    _add_login(router, identity)
    _add_step_up(router, identity)
    _add_overview(router, identity)
    _add_totp(router, identity)
    _add_passkeys(router, identity)
    return router


def _add_login(router: APIRouter, identity: IdentityService) -> None:
    def give_proof(body: ProofBody, request: Request, response: Response) -> Me | NextStep:
        token = cookies.read_cookie(request, cookies.PENDING_LOGIN)
        visitor = cookies.visitor_of(request)
        logged_in = identity.log_in_with_proof(token, body.proof(), visitor=visitor)
        return let_in(identity, request, response, logged_in=logged_in)

    def ask_passkey(request: Request) -> Options:
        token = cookies.read_cookie(request, cookies.PENDING_LOGIN)
        account = identity.awaited(token)
        return identity.proofs.ask_passkey(account, token or "", visitor=cookies.visitor_of(request))

    add = _adder(router, dependencies=[Depends(PUBLIC)])
    add("/login/second-factor", give_proof, model=Me | NextStep, responses=refusals(401, 429))
    add("/login/passkey-options", ask_passkey, model=Options, responses=refusals(401, 409))


def _add_step_up(router: APIRouter, identity: IdentityService) -> None:
    read_session = session_reader(identity, LOGGED_IN)

    def step_up(
        body: StepUpBody,
        request: Request,
        response: Response,
        _session: Annotated[Session, Depends(read_session)],
    ) -> UntilBody:
        token = cookies.session_token(request)
        stepped = identity.step_up(token, body.proof(), visitor=cookies.visitor_of(request))
        cookies.put_cookie(response, request, name=cookies.SESSION, token=stepped.token)
        return UntilBody(until_at=to_ms(stepped.until))

    def ask_passkey(request: Request, session: Annotated[Session, Depends(read_session)]) -> Options:
        token = cookies.session_token(request) or ""
        return identity.proofs.ask_passkey(session.account, token, visitor=cookies.visitor_of(request))

    add = _adder(router, dependencies=[Depends(LOGGED_IN)])
    add("/step-up", step_up, model=UntilBody, responses=refusals(401, 403, 429))
    add("/step-up/passkey-options", ask_passkey, model=Options, responses=refusals(401, 403, 409))


def _add_overview(router: APIRouter, identity: IdentityService) -> None:
    read_session = session_reader(identity, BEFORE_ENROLMENT)
    change_proofs = session_reader(identity, CHANGES_PROOFS)

    def overview(session: Annotated[Session, Depends(read_session)]) -> ProofsBody:
        enrolled = identity.proofs.enrolled(session.account)
        return ProofsBody(
            policy=identity.policy,
            totp=enrolled.has_totp,
            passkeys=[
                PasskeyBody(
                    id=one.passkey_id,
                    title=one.title,
                    created_at=to_ms(one.created_at),
                    used_at=None if one.used_at is None else to_ms(one.used_at),
                    suspended=one.is_suspended,
                )
                for one in enrolled.passkeys
            ],
            recovery_codes_left=enrolled.recovery_codes_left,
            step_up_methods=_step_up_kinds(session, enrolled),
        )

    def renew_codes(session: Annotated[Session, Depends(change_proofs)]) -> RecoveryCodesBody:
        return RecoveryCodesBody(recovery_codes=list(identity.proofs.renew_recovery_codes(session.account)))

    router.add_api_route(
        "/second-factor",
        overview,
        methods=["GET"],
        response_model=ProofsBody,
        responses=refusals(401),
        dependencies=[Depends(BEFORE_ENROLMENT)],
    )
    _adder(router, dependencies=[Depends(CHANGES_PROOFS)])(
        "/second-factor/recovery-codes",
        renew_codes,
        model=RecoveryCodesBody,
        responses=refusals(401, 403, 409),
    )


def _add_totp(router: APIRouter, identity: IdentityService) -> None:
    change_proofs = session_reader(identity, CHANGES_PROOFS)

    def begin(session: Annotated[Session, Depends(change_proofs)]) -> TotpBody:
        made = identity.proofs.begin_totp(session.account)
        return TotpBody(secret=made.secret, uri=made.uri, qr=list(made.qr))

    def confirm(
        body: CodeBody,
        request: Request,
        response: Response,
        session: Annotated[Session, Depends(change_proofs)],
    ) -> RecoveryCodesBody:
        codes = identity.proofs.confirm_totp(session.account, body.code)
        _renew(identity, request, response, session=session)
        return RecoveryCodesBody(recovery_codes=list(codes))

    def remove(session: Annotated[Session, Depends(change_proofs)]) -> Response:
        identity.proofs.remove_totp(session, policy=identity.policy)
        return Response(status_code=204)

    add = _adder(router, dependencies=[Depends(CHANGES_PROOFS)])
    add("/second-factor/totp", begin, model=TotpBody, responses=refusals(401, 403))
    add("/second-factor/totp/confirm", confirm, model=RecoveryCodesBody, responses=refusals(401, 403, 409))
    router.add_api_route(
        "/second-factor/totp",
        remove,
        methods=["DELETE"],
        status_code=204,
        responses=refusals(401, 403, 404, 409),
        dependencies=[Depends(CHANGES_PROOFS)],
    )


def _add_passkeys(router: APIRouter, identity: IdentityService) -> None:
    change_proofs = session_reader(identity, CHANGES_PROOFS)

    def begin(request: Request, session: Annotated[Session, Depends(change_proofs)]) -> Options:
        token = cookies.session_token(request) or ""
        return identity.proofs.begin_passkey(session.account, token, visitor=cookies.visitor_of(request))

    def confirm(
        body: NewPasskeyBody,
        request: Request,
        response: Response,
        session: Annotated[Session, Depends(change_proofs)],
    ) -> RecoveryCodesBody:
        codes = identity.proofs.confirm_passkey(
            session.account,
            cookies.session_token(request) or "",
            answer=json.dumps(body.passkey),
            title=body.title,
            visitor=cookies.visitor_of(request),
        )
        _renew(identity, request, response, session=session)
        return RecoveryCodesBody(recovery_codes=list(codes))

    def remove(passkey_id: PathId, session: Annotated[Session, Depends(change_proofs)]) -> Response:
        identity.proofs.remove_passkey(session, passkey_id, policy=identity.policy)
        return Response(status_code=204)

    add = _adder(router, dependencies=[Depends(CHANGES_PROOFS)])
    add("/second-factor/passkeys/options", begin, model=Options, responses=refusals(401, 403, 409))
    add("/second-factor/passkeys", confirm, model=RecoveryCodesBody, responses=refusals(401, 403, 409))
    router.add_api_route(
        "/second-factor/passkeys/{passkey_id}",
        remove,
        methods=["DELETE"],
        status_code=204,
        responses=refusals(401, 403, 404, 409),
        dependencies=[Depends(CHANGES_PROOFS)],
    )


def _step_up_kinds(session: Session, enrolled: Enrolled) -> list[ProofKind]:
    """Who came from a provider has no password here."""
    if enrolled.is_any:
        return list(enrolled.kinds)
    return [ProofKind.PASSWORD] if session.issuer is None else []


def _renew(identity: IdentityService, request: Request, response: Response, *, session: Session) -> None:
    """Who got in with less than is needed from now on is out."""
    cookies.put_cookie(response, request, name=cookies.SESSION, token=identity.renew(session))


def _adder(router: APIRouter, *, dependencies: list[object]) -> Callable[..., None]:
    """Adds POST routes with one declaration."""

    def add(path: str, endpoint: Callable[..., object], *, model: object, responses: Refusals) -> None:
        router.add_api_route(
            path,
            endpoint,
            methods=["POST"],
            response_model=model,
            responses=responses,
            dependencies=dependencies,  # type: ignore[arg-type] # what Depends() gives has no public type
        )

    return add
