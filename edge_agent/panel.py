"""The agent's own page on loopback: what it reads, what waits, and (in a demo) switches for faults."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Protocol

import msgspec
import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from edge_agent.agent import Agent
from edge_agent.people_context import OfflineRegistration, new_registration_name
from vitals.errors import QianliError

log = structlog.get_logger()

LOOPBACK = "127.0.0.1"
REJECTED_SHOWN = 20


class FaultSwitch(Protocol):
    """Faults of simulated devices; only a demo has one."""

    def list_devices(self) -> list[dict[str, object]]:
        """Every device: `name`, titles, `faults` that exist, `active` ones, and `position` in its record."""

    async def set_fault(self, device: str, fault: str, *, on: bool) -> None:
        """Switch one.

        Raises:
            QianliError: no such device or fault.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """The panel's pages; `build` makes them an ASGI application."""

    agent: Agent
    faults: FaultSwitch | None = None

    def build(self) -> Starlette:
        """Routes, answered to loopback host names only (a foreign name is DNS rebinding)."""
        return Starlette(
            routes=[
                Route("/", self.show_page),
                Route("/panel.js", self.show_script),
                Route("/api/state", self.show_state),
                Route("/api/faults", self.switch_fault, methods=["POST"]),
                Route("/api/link", self.switch_link, methods=["POST"]),
                Route("/api/adopt", self.adopt, methods=["POST"]),
                Route("/api/enrol", self.enrol, methods=["POST"]),
                Route("/api/registrations", self.register, methods=["POST"]),
                Route("/api/registrations/remove", self.remove_registration, methods=["POST"]),
            ],
            middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=[LOOPBACK, "localhost"])],
        )

    async def show_page(self, _request: Request) -> Response:
        """The page itself."""
        return HTMLResponse(files("edge_agent").joinpath("panel.html").read_text("utf-8"))

    async def show_script(self, _request: Request) -> Response:
        """The page's script."""
        return Response(
            files("edge_agent").joinpath("panel.js").read_text("utf-8"), media_type="text/javascript"
        )

    async def show_state(self, _request: Request) -> Response:
        """Everything that the page shows."""
        return JSONResponse(describe(self.agent, self.faults))

    async def switch_fault(self, request: Request) -> Response:
        """Switch a fault of a simulated device."""
        if self.faults is None:
            return _refuse(404, "this agent has no simulated devices")
        body = await _read_body(request)
        if body is None or not isinstance(body.get("on"), bool):
            return _refuse(400, 'expected JSON {"device": text, "fault": text, "on": true or false}')
        try:
            await self.faults.set_fault(
                str(body.get("device")), str(body.get("fault")), on=body["on"] is True
            )
        except QianliError as error:
            return _refuse(404, str(error))
        return await self.show_state(request)

    async def switch_link(self, request: Request) -> Response:
        """Cut the link to the broker, or let it come back."""
        body = await _read_body(request)
        if body is None or not isinstance(body.get("on"), bool):
            return _refuse(400, 'expected JSON {"on": true or false}')
        if body["on"]:
            self.agent.uplink.cut.clear()
        else:
            self.agent.uplink.cut.set()
        return await self.show_state(request)

    async def adopt(self, request: Request) -> Response:
        """Take a device that was heard for this agent."""
        body = await _read_body(request)
        if body is None or not self.agent.adopt(str(body.get("address"))):
            return _refuse(404, "no such device has been heard")
        return await self.show_state(request)

    async def enrol(self, request: Request) -> Response:
        """Use a code that was typed or scanned."""
        body = await _read_body(request)
        if body is None or not isinstance(body.get("invitation"), str):
            return _refuse(400, 'expected JSON {"invitation": "CODE@HOST:PORT"}')
        try:
            await asyncio.to_thread(self.agent.membership.enrol, str(body["invitation"]))
        except QianliError as error:
            return _refuse(422, str(error))
        return await self.show_state(request)

    async def register(self, request: Request) -> Response:
        """Register a person while the cloud is away; it is told as soon as it is back."""
        body = await _read_body(request)
        name = new_registration_name()
        try:
            told = msgspec.convert({**(body or {}), "registration": name}, type=OfflineRegistration)
            if body is None or not (told.name_zh or told.name_en or told.unknown):
                return _refuse(400, "expected JSON with name_zh, name_en, or unknown")
            await asyncio.to_thread(self.agent.people.add, told)
        except msgspec.ValidationError:
            return _refuse(400, "a field has the wrong shape")  # its text could repeat what was typed
        except QianliError as error:
            return _refuse(507, str(error))
        return JSONResponse({"registration": name}, status_code=202)

    async def remove_registration(self, request: Request) -> Response:
        """Give up a registration that the cloud refuses; only such a one."""
        body = await _read_body(request)
        name = str((body or {}).get("registration"))
        if name not in self.agent.membership.refused:
            return _refuse(404, "no such registration was refused")
        await asyncio.to_thread(self.agent.people.settle, name)
        del self.agent.membership.refused[name]
        return await self.show_state(request)


class _PanelServer(uvicorn.Server):
    """Leaves the signals to the process that it is part of."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve_panel(application: Starlette, *, port: int) -> None:
    """Serve on loopback until cancelled; a port that is taken is said, and the agent goes on without."""
    config = uvicorn.Config(
        application,
        host=LOOPBACK,
        port=port,
        log_level="warning",
        access_log=False,
        lifespan="off",
        proxy_headers=False,
    )
    try:
        await _PanelServer(config).serve()
    except SystemExit:
        log.warning("panel_port_taken", port=port)


def describe(agent: Agent, faults: FaultSwitch | None) -> dict[str, object]:
    """Everything that the panel shows."""
    depth = agent.spool.depth()
    return {
        "agent": agent.name,
        "clock": asdict(agent.clock.state()),
        "radio_error": agent.radio_error,
        "identity": describe_identity(agent),
        "uplink": {"connected": agent.uplink.is_connected, "cut": agent.uplink.cut.is_set()},
        "spool": {
            "messages": depth.messages,
            "oldest_ms": depth.oldest_ms,
            "used_bytes": depth.used_bytes,
            "limit_bytes": agent.settings.spool_bytes,
            "dropped": agent.raw.dropped,
        },
        "sessions": [asdict(state) for state in agent.sessions.values()],
        "found": [asdict(heard) for heard in agent.found.values()],
        "gaps": [
            {"src": gap.src, "keys": gap.keys, "cause": gap.cause, "since": gap.started_at.isoformat()}
            for gap in agent.open_gaps()
        ],
        "rejected": [
            {"src": frame.src, "channel": frame.channel, "reason": reason}
            for frame, reason in agent.spool.rejected(limit=REJECTED_SHOWN)
        ],
        "simulators": None if faults is None else faults.list_devices(),
    }


def describe_identity(agent: Agent) -> dict[str, object]:
    """Whether the cloud has let the agent in, until when, and how many people it does not know of yet."""
    identity = agent.membership.identity()
    return {
        "enrolled": identity is not None,
        "ends_at": None if identity is None else identity.ends_at.isoformat(),
        "problem": agent.membership.problem,
        "registrations": [
            {
                "registration": one.registration,
                "name": one.name_zh or one.name_en,
                "refused": agent.membership.refused.get(one.registration),
            }
            for one in agent.people.waiting()
        ],
    }


async def _read_body(request: Request) -> dict[str, object] | None:
    """The JSON object of a request from this page, else None.

    A page elsewhere cannot send `application/json` without a pre-flight that we never answer.
    """
    if request.headers.get("content-type", "").split(";")[0] != "application/json":
        return None
    try:
        body = await request.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _refuse(status: int, reason: str) -> JSONResponse:
    return JSONResponse({"error": reason}, status_code=status)
