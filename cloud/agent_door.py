"""The door of the agents: HTTPS of its own, where a certificate of our authority says who comes.

Without a certificate one gets the authority's certificate, the list of the revoked, and a try with a code.
Everything else needs a certificate that the register still knows as good; it is asked at every request, so
that a revoked agent is out at once, also on a connection that was open before. A certificate that is shown
and does not verify (foreign authority, expired, a server's) ends the handshake already.
"""

import ssl
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from cryptography import x509
from fastapi import Depends, FastAPI, Header, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import Receive, Scope, Send

from cloud.act import AuditUnavailable
from cloud.connection import HttpConnection
from cloud.enrolment import routes as enrolment_routes
from cloud.enrolment.authority.certificates import Authority, pem
from cloud.enrolment.model import CertificateRefused, EnrolledAgent
from cloud.enrolment.service import EnrolmentService, subject_of_agent
from cloud.guard import Guard, Hosts
from cloud.identity.errors import NotAllowed
from cloud.intake import KIB, Intake
from cloud.listener import BesideServer, http_config
from cloud.pace import Pace, source_of
from cloud.people import routes as people_routes
from cloud.people.service import PeopleService
from cloud.refusal import add_plain_answers
from cloud.tls import Certificate
from vitals.wire.invitation import InvitationInvalid, parse_code

PEER = "qianli.peer_certificate"
LONGEST_BODY_BYTES = 64 * KIB
_LONGEST_REQUEST = 4096


class EnrolQuestion(BaseModel):
    """A code and the agent's certificate request (PEM)."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    code: str = Field(max_length=64)
    request: str = Field(max_length=_LONGEST_REQUEST)


class RenewQuestion(BaseModel):
    """A certificate request (PEM) with a new key."""

    model_config = ConfigDict(extra="forbid")

    request: str = Field(max_length=_LONGEST_REQUEST)


class IssuedAnswer(BaseModel):
    """The agent's name and its certificate (PEM)."""

    agent: str
    certificate: str


class BoundPersonAnswer(BaseModel):
    """Whom a sensor is on, without a name."""

    binding: str
    src: str
    age_years: int | None
    spo2_scale: int


class OfflineRegistration(people_routes.PersonQuestion):
    """A person registered while the cloud was away; the name of the registration makes repeats harmless."""

    registration: str = Field(pattern=r"^[A-Za-z0-9-]{8,64}$")


class RegisteredAnswer(BaseModel):
    """What became of it; the agent learns no more."""

    registration: str
    outcome: str


class PeerConnection(HttpConnection):
    """An HTTP connection that tells the application which certificate the connection showed."""

    def connection_made(self, transport: Any) -> None:
        """Remember the certificate; uvicorn itself has no place for it."""
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        self.app = _with_peer(self.app, None if tls is None else tls.getpeercert(binary_form=True))


def _with_peer(app: Any, der: bytes | None) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        scope[PEER] = der
        await app(scope, receive, send)

    return call


class DoorCertificate(Certificate):
    """What the door shows, for TLS 1.3 only; who shows one in return must show one of ours for clients."""

    file = "agent-door"

    def set_rules(self, context: ssl.SSLContext, authority: Authority) -> None:
        """Whom the door speaks with."""
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_verify_locations(cadata=pem(authority.certificate).decode())
        context.verify_mode = ssl.CERT_OPTIONAL
        context.num_tickets = 0


def build_door(
    enrolment: EnrolmentService, people: PeopleService, *, hosts: Hosts, pace: Pace | None = None
) -> FastAPI:
    """The application behind the door, which answers to `hosts` only and keeps count as the pages do."""
    app = FastAPI(title="Qianli, door of the agents", openapi_url=None, docs_url=None, redoc_url=None)
    app.add_middleware(
        Guard,
        hosts=hosts,
        plain_hosts=frozenset,
        pace=pace,
        intake=Intake(most_bytes=LONGEST_BODY_BYTES),
    )
    _add_open_routes(app, enrolment)
    _add_closed_routes(app, enrolment, people)
    for refusal in enrolment_routes.REFUSALS:
        app.add_exception_handler(refusal, enrolment_routes.answer_refusal)
    for refused in people_routes.REFUSALS:
        app.add_exception_handler(refused, people_routes.answer_refusal)
    app.add_exception_handler(InvitationInvalid, _answer(422))
    app.add_exception_handler(NotAllowed, _answer(403))
    app.add_exception_handler(AuditUnavailable, _answer(503))
    app.add_exception_handler(RequestValidationError, _answer(422, "this request has the wrong shape"))
    add_plain_answers(app)
    return app


def _add_open_routes(app: FastAPI, enrolment: EnrolmentService) -> None:
    """What one gets without a certificate."""

    def read_authority() -> Response:
        return PlainTextResponse(pem(enrolment.authority.certificate))

    def read_revoked() -> Response:
        return PlainTextResponse(enrolment.revocation_list())

    def enrol(question: EnrolQuestion, request: Request) -> IssuedAnswer:
        code = parse_code(question.code)
        caller = source_of(request.scope)
        agent, certificate = enrolment.enrol(code, question.request.encode(), caller=caller)
        return _issued(agent, certificate)

    app.add_api_route("/agent/v1/authority", read_authority, methods=["GET"])
    app.add_api_route("/agent/v1/revoked", read_revoked, methods=["GET"])
    app.add_api_route("/agent/v1/enrol", enrol, methods=["POST"], status_code=201)


def _add_closed_routes(app: FastAPI, enrolment: EnrolmentService, people: PeopleService) -> None:
    """What needs a good certificate."""

    def read_shown(request: Request) -> bytes:
        der: bytes | None = request.scope.get(PEER)
        if der is None:
            raise CertificateRefused
        return der

    Shown = Annotated[bytes, Depends(read_shown)]  # noqa: N806 # a type

    def read_holder(shown: Shown) -> EnrolledAgent:
        return enrolment.holder_of(shown)

    Holder = Annotated[EnrolledAgent, Depends(read_holder)]  # noqa: N806 # a type

    def renew(question: RenewQuestion, shown: Shown) -> IssuedAnswer:
        return _issued(*enrolment.renew(shown, question.request.encode()))

    def read_people(
        holder: Holder, response: Response, if_none_match: Annotated[str | None, Header()] = None
    ) -> Any:
        mark, found = enrolment.people_of(holder, known=(if_none_match or "").strip('"'))
        response.headers["ETag"] = f'"{mark}"'
        if found is None:
            return Response(status_code=304, headers={"ETag": f'"{mark}"'})
        return [
            BoundPersonAnswer(
                binding=one.binding, src=one.src, age_years=one.age_years, spo2_scale=one.spo2_scale
            )
            for one in found
        ]

    def register(question: OfflineRegistration, holder: Holder) -> RegisteredAnswer:
        at_own_site = question.model_copy(update={"site": holder.site_id})
        registered = people.register(subject_of_agent(holder), people_routes.new_person(at_own_site))
        return RegisteredAnswer(registration=question.registration, outcome=registered.outcome.value)

    app.add_api_route("/agent/v1/renew", renew, methods=["POST"], dependencies=[Depends(read_holder)])
    app.add_api_route("/agent/v1/people-context", read_people, methods=["GET"])
    app.add_api_route("/agent/v1/registrations", register, methods=["POST"])


def _issued(agent: str, certificate: x509.Certificate) -> IssuedAnswer:
    return IssuedAnswer(agent=agent, certificate=pem(certificate).decode())


def _answer(status: int, text: str | None = None) -> Callable[[Request, Exception], Response]:
    def answer(_request: Request, error: Exception) -> Response:
        return JSONResponse({"error": text or str(error)}, status_code=status)

    return answer


def door_server(app: FastAPI, certificate: DoorCertificate) -> BesideServer:
    """The server of the door; it keeps its certificate fresh while it runs."""
    config = http_config(app, certificate=certificate, lifespan=False, connection=PeerConnection)
    config.ws = "none"
    return BesideServer(config)
