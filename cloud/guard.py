"""Who may talk to us from where, and what every answer says to the browser.

The server listens on the loopback interface, but a foreign page in the same browser can reach it too: by
another name that resolves to 127.0.0.1 (DNS rebinding: refused by the Host header), or across origins
(refused by the Origin header for everything that changes something and for WebSockets).
"""

from collections.abc import MutableMapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def content_security_policy(host: str, *, is_secure: bool = False) -> str:
    """Everything from ourselves; inline styles because charts set them; nobody may frame us."""
    live = f"{'wss' if is_secure else 'ws'}://{host}"
    return (
        f"default-src 'self'; connect-src 'self' {live}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    )


def why_refused(scope: MutableMapping[str, object], headers: Headers) -> str | None:
    """Why a request from there is refused, or None."""
    host = headers.get("host", "")
    if _host_name(host) not in LOOPBACK_HOSTS:
        return "this server answers to 127.0.0.1 and localhost only"
    changes = scope["type"] == "websocket" or scope["method"] not in _SAFE_METHODS
    if not changes:
        return None
    origin = headers.get("origin")
    scheme = "https" if _is_secure(scope) else "http"
    if origin is not None and origin != f"{scheme}://{host}":
        return "this request comes from a foreign page"
    if origin is None and headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return "this request comes from a foreign page"
    return None


def _is_secure(scope: MutableMapping[str, object]) -> bool:
    return scope.get("scheme") in ("https", "wss")


def _host_name(host: str) -> str | None:
    """The name in a Host header; None for half an IPv6 address, or a port that is no number."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    return parts.hostname


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on and add the headers to the answer."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        reason = why_refused(scope, headers)
        if reason is None:
            await self._app(scope, receive, _with_headers(send, scope, host=headers.get("host", "")))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 4403, "reason": reason})
        else:
            refusal: Response = JSONResponse({"error": reason}, status_code=403)
            await refusal(scope, receive, send)


def _with_headers(send: Send, scope: Scope, *, host: str) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            policy = content_security_policy(host, is_secure=_is_secure(scope))
            headers["Content-Security-Policy"] = policy
            headers["X-Content-Type-Options"] = "nosniff"
            headers["X-Frame-Options"] = "DENY"
            headers["Referrer-Policy"] = "no-referrer"
            headers["Cross-Origin-Opener-Policy"] = "same-origin"
            if scope["path"].startswith("/api/"):
                headers["Cache-Control"] = "no-store"
        await send(message)

    return send_with_headers
