"""`WS /api/live` and `GET /api/vocabulary` (docs/live-api.md)."""

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec
import psycopg
from fastapi import APIRouter, Depends, Request, WebSocket, WebSocketDisconnect
from pydantic import BaseModel
from starlette.requests import HTTPConnection

from cloud.act import (
    Act,
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
from cloud.identity.access import LOGGED_IN, WATCHES_PATIENTS
from cloud.identity.errors import IdentityError
from cloud.identity.model import Subject
from cloud.identity.sight import Sight
from cloud.live.model import Mark
from cloud.live.service import Hub, Viewer
from cloud.pace import Strangers, source_of
from vitals.vocabulary import vocabulary

LOOK_AGAIN_EVERY_S = 10.0
NOT_LOGGED_IN = 4401
TOO_SLOW = 4008
NOT_UNDERSTOOD = 1003
TRY_AGAIN = 1013
MOST_AT_ONCE = 5
_LONGEST_REQUEST = 64 * 1024
_NUMBER = re.compile(r"[0-9]{1,15}")

FindSubject = Callable[[str | None], Subject]
FindSights = Callable[[Subject, Sequence[str]], Mapping[str, Sight]]
StillThere = Callable[[], Awaitable[Subject | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Who comes in: `find_subject` turns the token of `token_of` into a Subject or raises IdentityError.

    `find_sights` tells whom of a list somebody may see.
    """

    token_of: Callable[[HTTPConnection], str | None]
    find_subject: FindSubject
    find_sights: FindSights


class VocabularyEntry(BaseModel):
    """How to name and print a vital sign."""

    zh: str
    en: str
    unit: str
    decimals: int


class _Watch(msgspec.Struct, tag="watch", tag_field="type"):
    patients: list[str]


_request_decoder = msgspec.json.Decoder(_Watch)


class _Sockets:
    """How many walls each session has open: every one writes an entry for each patient when it opens.

    The newest is refused, not the oldest closed: two browser windows would close each other without end. A
    browser that vanished counts until it misses a ping, 40 s at most.
    """

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    @contextmanager
    def one_more(self, token: str) -> Iterator[bool]:
        """Whether there is room for it; it counts until the block ends."""
        has_room = self._open[token] < MOST_AT_ONCE
        self._open[token] += 1
        try:
            yield has_room
        finally:
            self._open[token] -= 1
            if not self._open[token]:
                del self._open[token]


class _Walls:
    """Opens walls, and lets nobody open too many."""

    def __init__(self, hub: Hub, *, door: Door, recorder: Recorder) -> None:
        self._hub = hub
        self._door = door
        self._recorder = recorder
        self._sockets = _Sockets()
        self._strangers = Strangers()

    async def open(self, websocket: WebSocket) -> None:
        """Accept, and show until somebody ends it."""
        await websocket.accept()
        token = self._door.token_of(websocket)
        with self._sockets.one_more(token or "") as has_room:
            if token and not has_room:
                await websocket.close(TRY_AGAIN, "this session has too many walls open")
                return
            await self._show(websocket, token)

    async def _show(self, websocket: WebSocket, token: str | None) -> None:
        try:
            subject = await _current_subject(self._door.find_subject, token)
            sights = await _current_sights(self._door.find_sights, subject, self._hub.patient_ids())
        except psycopg.Error:
            await websocket.close(TRY_AGAIN, "the database is away")
            return
        if subject is None:
            if self._strangers.is_news(source_of(websocket.scope)):
                on = target(TargetKind.ROUTE, websocket.scope["route"].path)
                self._recorder.note(
                    act_of_nobody(Action.ASK, on, outcome=Outcome.REFUSED, origin=Origin.WEBSOCKET)
                )
            await websocket.close(NOT_LOGGED_IN, "log in first")
            return
        try:
            await asyncio.to_thread(self._recorder.begin(*_watching(subject, sights)))
        except AuditUnavailable:
            await websocket.close(TRY_AGAIN, "the audit cannot be written")
            return

        def note_new(new: Mapping[str, Sight]) -> None:
            self._recorder.note(*_watching(subject, new))

        viewer = Viewer(subject, sights=sights, already_told=sights, tell_shown=note_new)
        self._hub.add_viewer(viewer, away_since=_mark_of(websocket))
        try:
            await _serve(
                websocket, viewer, still_there=lambda: _current_subject(self._door.find_subject, token)
            )
        finally:
            self._hub.remove_viewer(viewer)


def build_routes(
    hub: Hub,
    *,
    door: Door,
    logged_in: Callable[[Request], Subject],
    recorder: Recorder,
) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api")
    walls = _Walls(hub, door=door, recorder=recorder)

    def read_vocabulary() -> dict[str, VocabularyEntry]:
        return {
            key: VocabularyEntry(zh=code.name_zh, en=code.name_en, unit=code.ucum, decimals=code.decimals)
            for key, code in vocabulary().items()
        }

    router.add_api_route(
        "/vocabulary",
        read_vocabulary,
        methods=["GET"],
        response_model=dict[str, VocabularyEntry],
        dependencies=[Depends(LOGGED_IN), Depends(logged_in)],
    )
    router.add_api_websocket_route("/live", walls.open, dependencies=[Depends(WATCHES_PATIENTS)])
    return router


def _mark_of(websocket: WebSocket) -> Mark | None:
    """How far a viewer has heard that says it was here before; what is no mark is none."""
    journal, after = (websocket.query_params.get(name, "") for name in ("journal", "after"))
    return Mark(journal=journal, upto=int(after)) if _NUMBER.fullmatch(after) else None


def _watching(subject: Subject, sights: Mapping[str, Sight]) -> list[Act]:
    """One act per patient, so that each can be told who looked; one for the ward when it shows nobody."""
    if not sights:
        ward = Target(kind=TargetKind.WARD, id=subject.organisation or "")
        return [subject.act(Action.WATCH, ward, origin=Origin.WEBSOCKET)]
    return [
        subject.act(
            Action.WATCH,
            target(TargetKind.PATIENT, patient_id),
            origin=Origin.WEBSOCKET,
            basis=sight.basis.value,
        )
        for patient_id, sight in sights.items()
    ]


async def _current_subject(find_subject: FindSubject, token: str | None) -> Subject | None:
    try:
        return await asyncio.to_thread(find_subject, token)
    except IdentityError:
        return None


async def _current_sights(
    find_sights: FindSights, subject: Subject | None, patient_ids: Sequence[str]
) -> Mapping[str, Sight]:
    return {} if subject is None else await asyncio.to_thread(find_sights, subject, patient_ids)


async def _serve(websocket: WebSocket, viewer: Viewer, *, still_there: StillThere) -> None:
    """Send, listen and look at the session again; the first that ends, ends all."""
    tasks = [
        asyncio.create_task(_send(websocket, viewer), name="viewer-send"),
        asyncio.create_task(_listen(websocket, viewer), name="viewer-listen"),
        asyncio.create_task(_look_again(viewer, still_there), name="viewer-session"),
        asyncio.create_task(_await_overrun(viewer), name="viewer-overrun"),
    ]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        code = next((code for task in done if (code := _outcome(task)) is not None), None)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if code is not None:
        with contextlib.suppress(RuntimeError, WebSocketDisconnect, TimeoutError):
            await asyncio.wait_for(websocket.close(code), timeout=2)


def _outcome(task: "asyncio.Task[int | None]") -> int | None:
    """The close code that a task asks for; a connection that is gone asks for none."""
    try:
        return task.result()
    except (WebSocketDisconnect, RuntimeError):
        return None


async def _send(websocket: WebSocket, viewer: Viewer) -> int | None:
    while True:
        frame = await viewer.next_frame()
        if isinstance(frame, str):
            await websocket.send_text(frame)
        else:
            await websocket.send_bytes(frame)


async def _listen(websocket: WebSocket, viewer: Viewer) -> int | None:
    while True:
        try:
            text = await websocket.receive_text()
        except KeyError:  # a binary frame
            return NOT_UNDERSTOOD
        if len(text) > _LONGEST_REQUEST:
            return NOT_UNDERSTOOD
        try:
            request = _request_decoder.decode(text)
        except msgspec.MsgspecError:
            return NOT_UNDERSTOOD
        viewer.watch(frozenset(request.patients))


async def _look_again(viewer: Viewer, still_there: StillThere) -> int | None:
    """A session that ended closes the connection; a database that is away does not."""
    while True:
        await asyncio.sleep(LOOK_AGAIN_EVERY_S)
        try:
            if await still_there() != viewer.subject:
                return NOT_LOGGED_IN
        except psycopg.Error:
            continue


async def _await_overrun(viewer: Viewer) -> int | None:
    await viewer.overrun.wait()
    return TOO_SLOW
