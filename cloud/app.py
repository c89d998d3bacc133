"""The one place that builds the parts of the cloud and puts them together."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import psycopg
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from psycopg_pool import PoolTimeout
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from cloud import pages
from cloud.audit import routes as audit_routes
from cloud.audit.service import AuditReader, load_signing_key
from cloud.audit.stream import AuditStream
from cloud.binding import routes as binding_routes
from cloud.binding.queries import find_once_sources
from cloud.binding.service import BindingService
from cloud.binding.stream import BindingStream
from cloud.broker.address import parse_mqtt_url
from cloud.enrolment import routes as enrolment_routes
from cloud.enrolment.authority.files import cloud_pair, open_authority
from cloud.enrolment.service import EnrolmentService, write_list
from cloud.enrolment.stream import TrustStream
from cloud.events import BindingsChanged, Clock, Event, PartState
from cloud.guard import LOOPBACK_HOSTS, Guard, Hosts
from cloud.identity import account_routes
from cloud.identity import routes as identity_routes
from cloud.identity.access import (
    EDITS_ONE_PATIENT,
    FINDS_DEVICES,
    LOGGED_IN,
    MANAGES_DEVICES,
    PUBLIC,
    READS_AUDIT,
    READS_ONE_PATIENT,
    VIEWS_ONE_PATIENT,
    Access,
)
from cloud.identity.accounts import Accounts
from cloud.identity.clients import routes as client_routes
from cloud.identity.cookies import session_token
from cloud.identity.model import SYSTEM, Subject
from cloud.identity.oidc import routes as oidc_routes
from cloud.identity.oidc.model import read_providers
from cloud.identity.oidc.service import OidcSignIn
from cloud.identity.proofs import routes as proof_routes
from cloud.identity.queries import find_sights
from cloud.identity.service import IdentityService, SignInRules, utc_now
from cloud.identity.sight import Sight
from cloud.ingest.stream import IngestStream
from cloud.live import routes as live_routes
from cloud.live.service import Hub
from cloud.live.stream import LiveStream, load_hub
from cloud.pace import Pace
from cloud.people import routes as people_routes
from cloud.people.model import TypedIdentifier
from cloud.people.service import PeopleService, open_sealer
from cloud.places import routes as place_routes
from cloud.places.service import PlaceService
from cloud.refusal import add_refusals
from cloud.retention import routes as retention_routes
from cloud.retention.model import Policy
from cloud.retention.service import Ports, RetentionService, Signed
from cloud.rights import routes as rights_routes
from cloud.rights.service import EncounterBook, RightsService, TypedNumber
from cloud.schema import install_schema
from cloud.settings import CloudSettings
from cloud.signing.service import SigningService, may_sign_by_register
from cloud.silence.service import SilenceService
from cloud.staff import routes as staff_routes
from cloud.staff.service import StaffService
from cloud.store.connection import Database, Pool, build_pool
from cloud.trend import routes as trend_routes
from cloud.trend.service import TrendService
from cloud.warning.model import score_patient
from vitals.identifiers.identifier import IdentifierKind
from vitals.observation import SourceId

_log = structlog.get_logger()
STATIC = Path(__file__).parent / "static"


class Health(BaseModel):
    """Whether the parts work; nothing about people."""

    version: str
    database: bool
    broker: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """What the application is made of."""

    pool: Pool
    identity: IdentityService
    accounts: Accounts
    oidc: OidcSignIn
    silence: SilenceService
    hub: Hub
    ingest: IngestStream
    live: LiveStream
    trends: TrendService
    audit: AuditStream
    people: PeopleService
    places: PlaceService
    staff: StaffService
    signing: SigningService
    retention: RetentionService
    enrolment: EnrolmentService
    trust: TrustStream
    agent_address: tuple[str, int]
    clock: Clock
    bindings: BindingService
    binding_stream: BindingStream
    rights: RightsService
    audit_reader: AuditReader
    mailbox: "Mailbox"


class Mailbox:
    """Carries events from the threads of ingest into the event loop."""

    def __init__(self, take: Callable[[Event], None]) -> None:
        self._take = take
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """From now on events are carried."""
        self._loop = loop

    def close(self) -> None:
        """Events that come later have no reader."""
        self._loop = None

    def deliver(self, events: Sequence[Event]) -> None:
        """Hand over from any thread; returns at once."""
        loop = self._loop
        if loop is not None and events:
            loop.call_soon_threadsafe(self._take_all, tuple(events))

    def _take_all(self, events: Sequence[Event]) -> None:
        for event in events:
            self._take(event)


class LiveWall:
    """The wall as those see it who change bindings, from any thread."""

    def __init__(self, hub: Hub, mailbox: Mailbox) -> None:
        self._hub = hub
        self._mailbox = mailbox

    def hold(self, sources: Collection[SourceId]) -> None:
        """Show nothing of these until they are settled."""
        self._hub.hold(sources)

    def settle(self, sources: Collection[SourceId]) -> None:
        """Look at the bindings again, then show what waited as it belongs."""
        self._mailbox.deliver([BindingsChanged(sources=tuple(sources))])


def assemble(settings: CloudSettings, connection: Database, *, clock: Clock = utc_now) -> Assembly:
    """Build everything; `connection` is a migrated database to read the beginning from."""
    pool = build_pool(settings.database_url)
    signing_key = load_signing_key(settings.home / "keys", may_make=True)
    audit = AuditStream(settings.database_url, signing_key, clock=clock)
    sealer = open_sealer(connection, home=settings.home, suite=settings.signatures)
    identity = IdentityService(
        pool,
        sealer=sealer,
        recorder=audit,
        clock=clock,
        rules=SignInRules(second_factor=settings.second_factor),
    )
    silence = SilenceService(pool, clock=clock)
    hub = Hub(judge=score_patient, clock=clock, display_delay_ms=settings.display_delay_ms)
    silence.load(connection)
    load_hub(hub, connection, clock=clock)

    def take(event: Event) -> None:
        binding_stream.take(event)
        silence.watch.take(event)
        hub.take(event)

    keys = settings.home / "keys"
    authority = open_authority(keys, now=clock())
    write_list(connection, authority, keys, now=clock())
    cloud_pair(keys, authority, now=clock())
    enrolment = EnrolmentService(pool, authority=authority, keys=keys, recorder=audit, clock=clock)

    def renew_cloud_pair() -> None:
        cloud_pair(keys, authority, now=clock())

    mailbox = Mailbox(take)
    wall = LiveWall(hub, mailbox)
    bindings = BindingService(pool, recorder=audit, wall=wall, clock=clock)
    bindings.once_sources |= find_once_sources(connection, SYSTEM)
    binding_stream = BindingStream(bindings, wall)
    ingest = IngestStream(
        settings.database_url,
        parse_mqtt_url(settings.mqtt_url, keys=keys),
        deliver=mailbox.deliver,
        clock=clock,
    )
    people = PeopleService(
        pool,
        sealer=sealer,
        encounters=EncounterBook(),
        recorder=audit,
        clock=clock,
    )

    def find_by_number(held: Database, subject: Subject, number: TypedNumber) -> Sequence[str]:
        kind = IdentifierKind(number.kind)
        typed = TypedIdentifier(kind=kind, text=number.text, issuer=number.issuer)
        return people.find_everywhere(held, subject, typed)

    reader = AuditReader(pool, recorder=audit)
    return Assembly(
        pool=pool,
        identity=identity,
        accounts=Accounts(pool, recorder=audit, clock=clock, lock_out=identity.lock_out),
        oidc=OidcSignIn(
            identity,
            providers=read_providers(settings.oidc_file),
            sealer=sealer,
            recorder=audit,
            clock=clock,
        ),
        silence=silence,
        hub=hub,
        ingest=ingest,
        live=LiveStream(hub, pool, parts=ingest.part_states, books=silence, clock=clock),
        trends=TrendService(pool, recorder=audit, clock=clock),
        people=people,
        places=PlaceService(pool, recorder=audit, clock=clock),
        staff=StaffService(pool, sealer=sealer, recorder=audit, clock=clock),
        retention=RetentionService(
            pool,
            recorder=audit,
            clock=clock,
            ports=Ports(numbers=people.list_numbers, signed=_signer(signing_key)),
            policy=Policy(
                outpatient_years=settings.retention_outpatient_years,
                inpatient_years=settings.retention_inpatient_years,
            ),
        ),
        signing=SigningService(
            sealer=sealer,
            recorder=audit,
            clock=clock,
            suite=settings.signatures,
            may_sign=may_sign_by_register,
        ),
        enrolment=enrolment,
        trust=TrustStream(enrolment.publish_list, renew_cloud_pair),
        agent_address=(settings.agent_names[0], settings.agent_port),
        clock=clock,
        rights=RightsService(pool, recorder=audit, memory=reader, find_by_number=find_by_number),
        audit_reader=reader,
        audit=audit,
        bindings=bindings,
        binding_stream=binding_stream,
        mailbox=mailbox,
    )


def build_app(
    built: Assembly, *, static: Path = STATIC, hosts: Hosts = lambda: LOOPBACK_HOSTS, pace: Pace | None = None
) -> FastAPI:
    """The HTTP application; its lifespan runs the threads and timers.

    `hosts` are the names under which it answers by HTTPS; `pace` is for those who measure how fast it is.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with _running(built):
            yield

    app = FastAPI(
        title="Qianli",
        version=version("qianli"),
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.add_middleware(Guard, hosts=hosts, pace=pace)
    install_schema(app)
    identity = built.identity
    app.include_router(identity_routes.build_routes(identity, end_of_issuer=built.oidc.end_of))
    app.include_router(proof_routes.build_routes(identity))
    app.include_router(account_routes.build_routes(identity, built.accounts))
    app.include_router(client_routes.build_routes(identity))
    app.include_router(oidc_routes.build_routes(identity, built.oidc))
    app.include_router(_health_routes(built.ingest.part_states))
    app.include_router(
        live_routes.build_routes(
            built.hub,
            door=live_routes.Door(
                token_of=session_token,
                find_subject=identity.subject_of,
                find_sights=_sights_from(built.pool),
            ),
            logged_in=identity_routes.subject_reader(identity, LOGGED_IN),
            recorder=built.audit,
        )
    )

    def reader_of(access: Access) -> identity_routes.SubjectOf:
        return identity_routes.subject_reader(identity, access)

    app.include_router(trend_routes.build_routes(built.trends, may_read=reader_of(VIEWS_ONE_PATIENT)))
    may_read, may_edit = reader_of(READS_ONE_PATIENT), reader_of(EDITS_ONE_PATIENT)
    app.include_router(people_routes.build_routes(built.people, may_read=may_read, may_edit=may_edit))
    app.include_router(place_routes.build_routes(built.places, subject_reader=reader_of))
    app.include_router(staff_routes.build_routes(built.staff, subject_reader=reader_of))
    may_review = identity_routes.subject_reader(identity, retention_routes.REVIEWS)
    app.include_router(
        retention_routes.build_routes(
            built.retention, may_read=may_read, may_edit=may_edit, may_review=may_review
        )
    )
    app.include_router(
        enrolment_routes.build_routes(
            built.enrolment,
            may_manage=identity_routes.subject_reader(identity, MANAGES_DEVICES),
            address=built.agent_address,
            clock=built.clock,
        )
    )
    may_find_devices = identity_routes.subject_reader(identity, FINDS_DEVICES)
    app.include_router(
        binding_routes.build_routes(
            built.bindings, may_read=may_read, may_edit=may_edit, may_find_devices=may_find_devices
        )
    )
    app.include_router(rights_routes.build_routes(built.rights, reader_of=reader_of))
    app.include_router(audit_routes.build_routes(built.audit_reader, may_read=reader_of(READS_AUDIT)))
    app.include_router(_schema_routes(app))
    app.include_router(pages.build_routes(static))
    add_refusals(app, built.audit)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_plainly)
    for outage in (psycopg.OperationalError, PoolTimeout):
        app.add_exception_handler(outage, _answer_outage)
    return app


@asynccontextmanager
async def _running(built: Assembly) -> AsyncIterator[None]:
    built.mailbox.open(asyncio.get_running_loop())
    built.pool.open(wait=False)
    built.audit.start()
    built.ingest.start()
    timers = asyncio.create_task(built.live.run(), name="live")
    timers.add_done_callback(_end_without_timers)
    trust = asyncio.create_task(built.trust.run(), name="trust")
    built.binding_stream.ask(set(built.bindings.once_sources))
    settling = asyncio.create_task(built.binding_stream.run(), name="bindings")
    settling.add_done_callback(_end_without_timers)
    try:
        yield
    finally:
        built.mailbox.close()
        timers.cancel()
        trust.cancel()
        settling.cancel()
        await asyncio.gather(timers, trust, settling, return_exceptions=True)
        await asyncio.to_thread(built.ingest.stop)
        await asyncio.to_thread(built.audit.stop)
        built.oidc.close()
        await asyncio.to_thread(built.pool.close, 1.0)


def _signer(key: Ed25519PrivateKey) -> Signed:
    """Exports are signed with the key of the audit, whose fingerprint is noted outside already."""
    public = key.public_key().public_bytes_raw().hex()
    return lambda content: (public, key.sign(content).hex())


def _end_without_timers(timers: asyncio.Task[None]) -> None:
    """A server whose timers died would look alive and tell nothing: better that it ends and is restarted."""
    if not timers.cancelled() and timers.exception() is not None:
        _log.error("timers_failed", error=repr(timers.exception()))
        signal.raise_signal(signal.SIGTERM)


def _sights_from(pool: Pool) -> Callable[[Subject, Sequence[str]], Mapping[str, Sight]]:
    def find(subject: Subject, patient_ids: Sequence[str]) -> Mapping[str, Sight]:
        with pool.connection() as connection:
            return find_sights(connection, subject, patient_ids)

    return find


def _health_routes(part_states: Callable[[], tuple[PartState, PartState]]) -> APIRouter:
    router = APIRouter(prefix="/api")

    def health() -> Health:
        database, broker = part_states()
        return Health(version=version("qianli"), database=database.ok, broker=broker.ok)

    router.add_api_route(
        "/health", health, methods=["GET"], response_model=Health, dependencies=[Depends(PUBLIC)]
    )
    return router


def _schema_routes(app: FastAPI) -> APIRouter:
    router = APIRouter(prefix="/api", include_in_schema=False)

    def read_schema() -> Response:
        return JSONResponse(app.openapi())

    router.add_api_route("/openapi.json", read_schema, methods=["GET"], dependencies=[Depends(PUBLIC)])
    return router


def _answer_invalid(_request: Request, error: Exception) -> Response:
    """Which fields are wrong, never what stood in them: it may be a password, or no text at all."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 # registered for no other
    fields = [".".join(str(part) for part in each["loc"]) + ": " + each["msg"] for each in error.errors()]
    return JSONResponse({"error": "; ".join(fields)}, status_code=422)


def _answer_plainly(_request: Request, error: Exception) -> Response:
    """What the framework refuses looks like every other refusal."""
    assert isinstance(error, HTTPException)  # noqa: S101 # registered for no other
    return JSONResponse({"error": error.detail}, status_code=error.status_code, headers=error.headers)


def _answer_outage(_request: Request, error: Exception) -> Response:
    _log.warning("database_away", error=type(error).__name__)
    return JSONResponse({"error": "the database is away; try again in a moment"}, status_code=503)
