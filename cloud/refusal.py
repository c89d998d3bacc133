"""What somebody is told who is turned away, and the entry about it."""

from collections.abc import Callable
from datetime import UTC, datetime

import psycopg
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from psycopg_pool import PoolTimeout
from starlette.exceptions import HTTPException

from cloud.act import (
    Action,
    AuditUnavailable,
    Origin,
    Outcome,
    Recorder,
    Target,
    TargetKind,
    act_of_nobody,
    target,
)
from cloud.binding import routes as binding_routes
from cloud.enrolment import routes as enrolment_routes
from cloud.identity.access import access_of
from cloud.identity.model import Subject
from cloud.identity.routes import REFUSALS, answer_refusal
from cloud.people import routes as people_routes
from cloud.places import routes as place_routes
from cloud.retention import routes as retention_routes
from cloud.rights import routes as rights_routes
from cloud.staff import routes as staff_routes
from cloud.trend.service import PatientUnknown
from vitals.identifiers.identifier import IdentifierAmbiguous, IdentifierKind
from vitals.identifiers.parse import parse_identifier

_log = structlog.get_logger()
_PERSONAL = {IdentifierKind.RESIDENT_ID, IdentifierKind.HEALTH_CARD, IdentifierKind.PASSPORT}


def add_refusals(app: FastAPI, recorder: Recorder) -> None:
    """Answer the errors of the rooms; who asked for a person and was refused is written down.

    A refusal shows nothing, so it does not wait for its entry.
    """

    def answer(request: Request, error: Exception) -> Response:
        access = access_of(request.scope.get("route"))
        if access is not None and access.scopes:
            _note(recorder, request)
        return answer_refusal(request, error)

    def answer_unknown(request: Request, error: Exception) -> Response:
        _note(recorder, request)
        return JSONResponse({"error": str(error)}, status_code=404)

    def answer_of(room: Callable[[Request, Exception], Response]) -> Callable[[Request, Exception], Response]:
        def answer_about(request: Request, error: Exception) -> Response:
            _note(recorder, request)
            return room(request, error)

        return answer_about

    for refusal in REFUSALS:
        app.add_exception_handler(refusal, answer)
    for room in (
        people_routes,
        binding_routes,
        place_routes,
        staff_routes,
        enrolment_routes,
        retention_routes,
        rights_routes,
    ):
        for refused in room.REFUSALS:
            app.add_exception_handler(refused, answer_of(room.answer_refusal))
    app.add_exception_handler(PatientUnknown, answer_unknown)
    app.add_exception_handler(AuditUnavailable, _answer_no_audit)


def add_plain_answers(app: FastAPI) -> None:
    """What the framework refuses, and a database that is away, look like every other refusal."""
    app.add_exception_handler(HTTPException, _answer_plainly)
    for outage in (psycopg.OperationalError, PoolTimeout):
        app.add_exception_handler(outage, _answer_outage)


def _answer_plainly(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 # registered for no other
    return JSONResponse({"error": error.detail}, status_code=error.status_code, headers=error.headers)


def _answer_outage(_request: Request, error: Exception) -> Response:
    _log.warning("database_away", error=type(error).__name__)
    return JSONResponse({"error": "the database is away; try again in a moment"}, status_code=503)


def _note(recorder: Recorder, request: Request) -> None:
    subject: Subject | None = getattr(request.state, "subject", None)
    on = _target(request)
    if subject is None:
        recorder.note(act_of_nobody(Action.ASK, on, outcome=Outcome.REFUSED, origin=Origin.HTTP))
    else:
        recorder.note(subject.act(Action.ASK, on, origin=Origin.HTTP, outcome=Outcome.REFUSED))


def _target(request: Request) -> Target:
    patient_id = request.path_params.get("patient_id")
    if patient_id is None:
        return target(TargetKind.ROUTE, request.url.path)
    kind = _kind_of_number(str(patient_id))
    if kind is not None:
        return target(TargetKind.IDENTIFIER, kind.value)
    return target(TargetKind.PATIENT, str(patient_id))


def _kind_of_number(asked_id: str) -> IdentifierKind | None:
    """As what a personal number reads that somebody put where an id belongs: it must not enter the audit."""
    parsed = parse_identifier(asked_id, today=datetime.now(UTC).date())
    kinds = (
        [one.kind for one in parsed.readings] if isinstance(parsed, IdentifierAmbiguous) else [parsed.kind]
    )
    return next((kind for kind in kinds if kind in _PERSONAL), None)


def _answer_no_audit(_request: Request, error: Exception) -> Response:
    _log.warning("refused_without_audit")
    return JSONResponse({"error": str(error)}, status_code=503)
