"""The HTTP application of the cloud: its routes, its refusals, and what runs while it serves."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path

import structlog
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from cloud import pages
from cloud.assembly import Assembly
from cloud.audit import routes as audit_routes
from cloud.binding import routes as binding_routes
from cloud.commands import routes as command_routes
from cloud.enrolment import routes as enrolment_routes
from cloud.events import Part, PartState
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
    REVIEWS_ACCESS,
    TAKES_WHOLE_RECORD,
    VIEWS_ONE_PATIENT,
)
from cloud.identity.clients import routes as client_routes
from cloud.identity.cookies import session_token
from cloud.identity.joining import routes as joining_routes
from cloud.identity.model import Subject
from cloud.identity.oidc import routes as oidc_routes
from cloud.identity.passwords import routes as password_routes
from cloud.identity.proofs import routes as proof_routes
from cloud.identity.queries import find_sights
from cloud.identity.sight import Sight
from cloud.live import routes as live_routes
from cloud.pace import Pace
from cloud.people import routes as people_routes
from cloud.pipeline import routes as pipeline_routes
from cloud.places import routes as place_routes
from cloud.refusal import add_plain_answers, add_refusals
from cloud.retention import routes as retention_routes
from cloud.rights import routes as rights_routes
from cloud.schema import install_schema
from cloud.staff import routes as staff_routes
from cloud.store.connection import Pool
from cloud.traced_requests import TracedRequests
from cloud.tracing.port import NO_TRACES
from cloud.trend import routes as trend_routes

_log = structlog.get_logger()
STATIC = Path(__file__).parent / "static"


class Health(BaseModel):
    """Whether the parts work; nothing about people."""

    version: str
    database: bool
    broker: bool
    ingest: bool


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
    if built.tracer is not NO_TRACES:
        app.add_middleware(TracedRequests, tracer=built.tracer)
    app.add_middleware(Guard, hosts=hosts, pace=pace)
    install_schema(app)
    for router in (*_sign_in_routes(built), *_care_routes(built), *_upkeep_routes(built)):
        app.include_router(router)
    app.include_router(_schema_routes(app))
    app.include_router(pages.build_routes(static))
    add_refusals(app, built.audit)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    add_plain_answers(app)
    return app


def _sign_in_routes(built: Assembly) -> list[APIRouter]:
    identity = built.identity
    return [
        identity_routes.build_routes(identity, end_of_issuer=built.oidc.end_of),
        proof_routes.build_routes(identity),
        account_routes.build_routes(identity, built.accounts),
        password_routes.build_routes(identity, built.passwords),
        joining_routes.build_routes(identity, built.joining),
        client_routes.build_routes(identity),
        oidc_routes.build_routes(identity, built.oidc),
    ]


def _care_routes(built: Assembly) -> list[APIRouter]:
    reader_of = partial(identity_routes.subject_reader, built.identity)
    may_read, may_edit = reader_of(READS_ONE_PATIENT), reader_of(EDITS_ONE_PATIENT)
    door = live_routes.Door(
        token_of=session_token,
        find_subject=built.identity.subject_of,
        find_sights=_sights_from(built.pool),
    )
    return [
        live_routes.build_routes(
            built.watching.hub, door=door, logged_in=reader_of(LOGGED_IN), recorder=built.audit
        ),
        trend_routes.build_routes(built.trends, may_read=reader_of(VIEWS_ONE_PATIENT)),
        people_routes.build_routes(built.people, may_read=may_read, may_edit=may_edit),
        rights_routes.build_routes(built.rights, reader_of=reader_of),
        binding_routes.build_routes(
            built.watching.bindings,
            may_read=may_read,
            may_edit=may_edit,
            may_find_devices=reader_of(FINDS_DEVICES),
        ),
        retention_routes.build_routes(
            built.retention,
            may_take=reader_of(TAKES_WHOLE_RECORD),
            may_edit=may_edit,
            may_review=reader_of(REVIEWS_ACCESS),
        ),
    ]


def _upkeep_routes(built: Assembly) -> list[APIRouter]:
    reader_of = partial(identity_routes.subject_reader, built.identity)
    return [
        _health_routes(built.watching.parts),
        pipeline_routes.build_routes(
            built.pipeline, may_manage=reader_of(MANAGES_DEVICES), clock=built.clock
        ),
        place_routes.build_routes(built.places, subject_reader=reader_of),
        staff_routes.build_routes(built.staff, subject_reader=reader_of),
        enrolment_routes.build_routes(
            built.enrolment,
            may_manage=reader_of(MANAGES_DEVICES),
            address=built.agent_address,
            clock=built.clock,
        ),
        command_routes.build_routes(built.commands, may_manage=reader_of(MANAGES_DEVICES)),
        audit_routes.build_routes(built.audit_reader, may_read=reader_of(READS_AUDIT)),
    ]


@asynccontextmanager
async def _running(built: Assembly) -> AsyncIterator[None]:
    built.watching.mailbox.open(asyncio.get_running_loop())
    built.pool.open(wait=False)
    built.audit.start()
    built.watching.pulse.start()
    built.watching.ear.start()
    timers = asyncio.create_task(built.watching.live.run(), name="live")
    timers.add_done_callback(_end_without_timers)
    trust = [asyncio.create_task(built.trust.run(), name="trust")]
    if built.eviction is not None:
        trust.append(asyncio.create_task(built.eviction.run(), name="eviction"))
    trust.append(asyncio.create_task(built.commanding.run(), name="commands"))
    built.watching.settling.ask(set(built.watching.bindings.once_sources))
    settling = asyncio.create_task(built.watching.settling.run(), name="bindings")
    settling.add_done_callback(_end_without_timers)
    keeping = asyncio.create_task(built.timers.keeping.run(), name="retention")
    keeping.add_done_callback(_end_without_timers)
    compaction = asyncio.create_task(built.timers.compaction.run(), name="compaction")
    compaction.add_done_callback(_end_without_timers)
    waves = asyncio.create_task(built.timers.waves.run(), name="waves")
    waves.add_done_callback(_end_without_timers)
    try:
        yield
    finally:
        built.watching.mailbox.close()
        timers.cancel()
        settling.cancel()
        keeping.cancel()
        compaction.cancel()
        waves.cancel()
        for task in trust:
            task.cancel()
        await asyncio.gather(timers, *trust, settling, keeping, compaction, waves, return_exceptions=True)
        await asyncio.to_thread(built.watching.ear.stop)
        await asyncio.to_thread(built.watching.pulse.stop)
        await asyncio.to_thread(built.audit.stop)
        built.oidc.close()
        await asyncio.to_thread(built.pool.close, 1.0)
        await asyncio.to_thread(built.tracer.close)


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


def _health_routes(parts: Callable[[], tuple[PartState, ...]]) -> APIRouter:
    router = APIRouter(prefix="/api")

    def health() -> Health:
        is_ok = {state.part: state.ok for state in parts()}
        return Health(
            version=version("qianli"),
            database=is_ok[Part.DATABASE],
            broker=is_ok[Part.BROKER],
            ingest=is_ok[Part.INGEST],
        )

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
