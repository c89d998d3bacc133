"""The cookies, and what a request tells of its sender.

Over HTTPS they bear the prefix `__Host-` and the flag `Secure`: no other host, no subdomain and no plain
HTTP can set or read them. Strict: a foreign page's link brings none of them along. Only that of a sign-in
through a provider is Lax, because the provider's page leads back here; it opens nothing by itself.
"""

from datetime import timedelta
from typing import Literal

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from cloud.identity.lock_out import source_of
from cloud.identity.model import PENDING_LOGIN_LASTS, SESSION_LASTS, Visitor
from cloud.identity.sessions import device_of

SESSION = "qianli_session"
PENDING_LOGIN = "qianli_login"
OIDC = "qianli_oidc"
_LASTS = {SESSION: SESSION_LASTS, PENDING_LOGIN: PENDING_LOGIN_LASTS, OIDC: timedelta(minutes=10)}


def is_secure(connection: HTTPConnection) -> bool:
    """Whether it came over TLS."""
    return connection.url.scheme in ("https", "wss")


def read_cookie(connection: HTTPConnection, name: str) -> str | None:
    """A cookie by its name without prefix; over HTTPS one without the prefix is not ours."""
    return connection.cookies.get(_full_name(connection, name))


def session_token(connection: HTTPConnection) -> str | None:
    """The token of the session."""
    return read_cookie(connection, SESSION)


def put_cookie(response: Response, request: Request, *, name: str, token: str) -> None:
    """Give a token to the browser."""
    response.set_cookie(
        _full_name(request, name),
        token,
        max_age=int(_LASTS[name].total_seconds()),
        path="/",
        httponly=True,
        secure=is_secure(request),
        samesite=_same_site(name),
    )


def drop_cookie(response: Response, request: Request, *, name: str) -> None:
    """Take it back."""
    response.delete_cookie(
        _full_name(request, name),
        path="/",
        httponly=True,
        secure=is_secure(request),
        samesite=_same_site(name),
    )


def visitor_of(request: Request) -> Visitor:
    """Who sent a request, as far as it tells."""
    return Visitor(
        source=source_of(request.client.host if request.client else ""),
        device=device_of(request.headers.get("user-agent", "")[:1000]),
        host=request.headers.get("host", ""),
        scheme=request.url.scheme,
    )


def bearer_token(request: Request) -> str | None:
    """The token of another system (RFC 6750, section 2.1)."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _full_name(connection: HTTPConnection, name: str) -> str:
    return f"__Host-{name}" if is_secure(connection) else name


def _same_site(name: str) -> Literal["lax", "strict"]:
    return "lax" if name == OIDC else "strict"
