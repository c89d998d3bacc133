"""What somebody is told who is turned away, and the entry about it."""

from collections.abc import Callable
from functools import partial

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
from cloud.asked_patient import asked_patient
from cloud.binding import routes as binding_routes
from cloud.commands import routes as command_routes
from cloud.enrolment import routes as enrolment_routes
from cloud.identity.access import access_of
from cloud.identity.model import Subject
from cloud.identity.routes import REFUSALS, answer_refusal
from cloud.objects.errors import ObjectError
from cloud.pace import Strangers, source_of
from cloud.people import routes as people_routes
from cloud.pipeline import routes as pipeline_routes
from cloud.places import routes as place_routes
from cloud.retention import routes as retention_routes
from cloud.rights import routes as rights_routes
from cloud.staff import routes as staff_routes
from cloud.trend.service import PatientUnknown

_log = structlog.get_logger()


def add_refusals(app: FastAPI, recorder: Recorder) -> None:
    """Answer the errors of the rooms; who asked for a person and was refused is written down.

    A refusal shows nothing, so it does not wait for its entry.
    """
    note = partial(_note, recorder, strangers=Strangers())

    def answer(request: Request, error: Exception) -> Response:
        access = access_of(request.scope.get("route"))
        if access is not None and access.scopes:
            note(request)
        return answer_refusal(request, error)

    def answer_unknown(request: Request, error: Exception) -> Response:
        note(request)
        return JSONResponse({"error": str(error)}, status_code=404)

    def answer_of(room: Callable[[Request, Exception], Response]) -> Callable[[Request, Exception], Response]:
        def answer_about(request: Request, error: Exception) -> Response:
            note(request)
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
        pipeline_routes,
        command_routes,
        retention_routes,
        rights_routes,
    ):
        for refused in room.REFUSALS:
            app.add_exception_handler(refused, answer_of(room.answer_refusal))
    app.add_exception_handler(PatientUnknown, answer_unknown)
    app.add_exception_handler(AuditUnavailable, _answer_no_audit)
    app.add_exception_handler(ObjectError, _answer_no_objects)


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


def _note(recorder: Recorder, request: Request, *, strangers: Strangers) -> None:
    """Who has not shown who they are leaves no mark at a patient, and few at all."""
    subject: Subject | None = getattr(request.state, "subject", None)
    if subject is not None:
        on = _target(request)
        recorder.note(subject.act(Action.ASK, on, origin=Origin.HTTP, outcome=Outcome.REFUSED))
    elif strangers.is_news(source_of(request.scope)):
        on = _asked_route(request)
        recorder.note(act_of_nobody(Action.ASK, on, outcome=Outcome.REFUSED, origin=Origin.HTTP))


def _target(request: Request) -> Target:
    patient_id = request.path_params.get("patient_id")
    return _asked_route(request) if patient_id is None else asked_patient(str(patient_id))


def _asked_route(request: Request) -> Target:
    """As we wrote it, without what stood in its places."""
    return target(TargetKind.ROUTE, getattr(request.scope.get("route"), "path", "unknown"))


def _answer_no_objects(_request: Request, error: Exception) -> Response:
    _log.warning("object_store_failed", error=str(error))
    return JSONResponse({"error": "the object store does not give what lies there"}, status_code=503)


def _answer_no_audit(_request: Request, error: Exception) -> Response:
    _log.warning("refused_without_audit")
    return JSONResponse({"error": str(error)}, status_code=503)
