"""Who may talk to us from where, how much, and what every answer says to the browser.

A foreign page in the same browser can reach a server on this machine or in this house: by another name that
resolves to it (DNS rebinding: refused by the Host header), or across origins (refused by the Origin header
and the fetch metadata for everything that changes something, for WebSockets and for reading the API).

The guard is the outermost thing that answers: refusals, failures and files all get its headers.
"""

import secrets
import traceback
from collections.abc import Callable, MutableMapping
from ipaddress import ip_address
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cloud.intake import Intake
from cloud.pace import Pace

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
LONGEST_ADDRESS_BYTES = 4096
LONGEST_HEADERS_BYTES = 16 * 1024
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_SITE = ("none", "same-origin")
_NEVER_IN_A_HOST = frozenset(" @/?#\\;,'\"")
_FOREIGN = "this request comes from a foreign page"
_STATIC_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": (
        "camera=(self), autoplay=(self), fullscreen=(self), screen-wake-lock=(self), "
        "publickey-credentials-create=(self), publickey-credentials-get=(self), "
        "microphone=(), geolocation=(), display-capture=(), payment=(), usb=(), serial=(), hid=(), midi=(), "
        "bluetooth=(), accelerometer=(), gyroscope=(), magnetometer=(), browsing-topics=()"
    ),
}
_log = structlog.get_logger()

Hosts = Callable[[], frozenset[str]]


def content_security_policy(host: str, *, is_secure: bool = False) -> str:
    """Everything from ourselves and nothing written into the page; nobody may frame us.

    The socket's address is spelt out for browsers in which 'self' does not cover it.
    """
    socket = f"{'wss' if is_secure else 'ws'}://{host}"
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; "
        f"connect-src 'self' {socket}; "
        "img-src 'self' data: blob:; media-src 'self' blob:; worker-src 'self'; manifest-src 'self'; "
        "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )


def security_headers(scope: MutableMapping[str, object], *, host: str) -> dict[str, str]:
    """What every answer carries."""
    is_secure = scope.get("scheme") in ("https", "wss")
    headers = {
        "Content-Security-Policy": content_security_policy(host, is_secure=is_secure),
        **_STATIC_HEADERS,
    }
    if is_secure and _is_lasting_name(host):
        headers["Strict-Transport-Security"] = "max-age=31536000"
    if _is_api(scope):
        headers["Cache-Control"] = "no-store"
    return headers


def why_refused(
    scope: MutableMapping[str, object],
    headers: Headers,
    *,
    hosts: frozenset[str] = LOOPBACK_HOSTS,
    plain_hosts: frozenset[str] = LOOPBACK_HOSTS,
) -> str | None:
    """Why a request from there is refused, or None; `hosts` are our names by HTTPS, the others by HTTP."""
    host = headers.get("host", "")
    is_secure = scope.get("scheme") in ("https", "wss")
    if _host_name(host) not in (hosts if is_secure else plain_hosts):
        return (
            "this server answers to its own names only: 127.0.0.1, localhost, and by HTTPS what it was told"
        )
    site = headers.get("sec-fetch-site", "none")
    if scope["type"] != "websocket" and scope["method"] in _SAFE_METHODS:
        reads_api = _is_api(scope) and headers.get("sec-fetch-mode") != "navigate"
        return _FOREIGN if reads_api and site not in _OWN_SITE else None
    origin = headers.get("origin")
    if origin is not None and origin != f"{'https' if is_secure else 'http'}://{host}":
        return _FOREIGN
    if origin is None and site not in _OWN_SITE:
        return _FOREIGN
    return None


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: Hosts = lambda: LOOPBACK_HOSTS,
        plain_hosts: Hosts = lambda: LOOPBACK_HOSTS,
        pace: Pace | None = None,
        intake: Intake | None = None,
    ) -> None:
        self._app = app
        self._hosts = hosts
        self._plain_hosts = plain_hosts
        self._pace = pace or Pace()
        self._intake = intake or Intake()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on and add the headers to the answer."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        is_ours = _host_name(host) in self._hosts() | self._plain_hosts()  # a foreign name is not repeated
        answer = _Answer(send, security_headers(scope, host=host if is_ours else "localhost"))
        refusal = self._refusal(scope, headers)
        if refusal is None:
            await self._pass_on(scope, self._intake.watch(receive, scope), answer)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 4403, "reason": "refused"})
        else:
            await refusal(scope, receive, answer.send)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        if len(scope.get("raw_path", b"")) + len(scope["query_string"]) > LONGEST_ADDRESS_BYTES:
            return _refuse(414, "this address is too long")
        if sum(len(name) + len(value) for name, value in scope["headers"]) > LONGEST_HEADERS_BYTES:
            return _refuse(431, "these headers are too long")
        reason = why_refused(scope, headers, hosts=self._hosts(), plain_hosts=self._plain_hosts())
        if reason is not None:
            return _refuse(403, reason)
        wait_s = self._pace.take(scope, headers)
        if wait_s is not None:
            return _refuse(429, "too many requests; wait a moment", retry_after_s=wait_s)
        if self._intake.is_too_large(scope, headers):
            return _refuse(413, "this is more than the route takes")
        return None

    async def _pass_on(self, scope: Scope, receive: Receive, answer: "_Answer") -> None:
        """The root of every request's task: a failure is told by a number that is in the log."""
        try:
            await self._app(scope, receive, answer.send)
        except Exception as error:
            incident = secrets.token_hex(6)
            _log.error("request_failed", incident=incident, error=type(error).__name__, where=_where(error))
            if scope["type"] == "http" and not answer.has_begun:
                failure = _refuse(500, f"something went wrong here; in the log it is {incident}")
                await failure(scope, receive, answer.send)
            elif scope["type"] == "websocket" and not answer.has_ended:
                await answer.send({"type": "websocket.close", "code": 1011, "reason": incident})


class _Answer:
    """Puts the headers onto an answer and knows how far it has come."""

    def __init__(self, send: Send, headers: dict[str, str]) -> None:
        self._send = send
        self._headers = headers
        self.has_begun = False
        self.has_ended = False

    async def send(self, message: Message) -> None:
        """Pass on, with headers."""
        if message["type"] in ("http.response.start", "websocket.accept"):
            self.has_begun = True
            headers = MutableHeaders(scope=message)
            for name, value in self._headers.items():
                headers[name] = value
        self.has_ended = self.has_ended or message["type"] == "websocket.close"
        await self._send(message)


def _refuse(status: int, reason: str, *, retry_after_s: int | None = None) -> Response:
    headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    if status == 413:  # the body is not read, so the next request could not be found behind it
        headers["Connection"] = "close"
    return JSONResponse({"error": reason}, status_code=status, headers=headers)


def _where(error: Exception) -> list[str]:
    """The places in the code, without the error's text: it may hold what somebody typed."""
    return [
        f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)
    ]


def _is_api(scope: MutableMapping[str, object]) -> bool:
    return str(scope["path"]).startswith(("/api/", "/agent/"))


def _is_lasting_name(host: str) -> bool:
    """A name that has HTTPS only: browsers keep nothing of an address, and localhost has HTTP too."""
    name = _host_name(host)
    if name is None or name in LOOPBACK_HOSTS:
        return False
    try:
        ip_address(name)
    except ValueError:
        return True
    return False


def _host_name(host: str) -> str | None:
    """The name in a Host header; None for half an IPv6 address, or what is no host and port."""
    if set(host) & _NEVER_IN_A_HOST:
        return None
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    return parts.hostname
