"""A span of each HTTP request: method, route and status. What stood in its path is not told."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cloud.tracing.port import Span, Tracer


class TracedRequests:
    """Inside the guard: what that refuses is no request of ours. A wall lasts for hours and is no request."""

    def __init__(self, app: ASGIApp, *, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on, and take its time."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with self._tracer.trace(Span.REQUEST, method=scope["method"]) as note:

            async def send_noted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    note.tell(status=message["status"])
                await send(message)

            try:
                await self._app(scope, receive, send_noted)
            finally:
                note.tell(route=_route_of(scope))


def _route_of(scope: Scope) -> str:
    """The route as it is written in the code; the same for whatever has none."""
    return str(getattr(scope.get("route"), "path", "(none)"))
