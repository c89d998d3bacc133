"""The page from which a phone takes the authority's certificate, by plain HTTP: it trusts nothing of us yet.

What comes this way can be changed on its way, the page as well as any words on it. What counts is the
fingerprint that the phone itself shows of what it was given, beside the one on the machine's console.
"""

import plistlib
import uuid
from html import escape
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from cloud.guard import Guard
from cloud.tls import Certificate

CERTIFICATE = "qianli-ca.crt"
PROFILE = "qianli-ca.mobileconfig"
_KEPT_BY_NOBODY = {"Cache-Control": "no-store"}


def build_trust_page(certificate: Certificate, *, https_port: int) -> Starlette:
    """The application; it has four files and knows nobody."""
    here = Path(__file__)
    page, style = here.with_suffix(".html").read_text(), here.with_suffix(".css").read_text()

    def read_page(request: Request) -> Response:
        host = request.url.hostname or ""
        shown = f"[{host}]" if ":" in host else host
        text = page.format(
            profile=PROFILE,
            certificate=CERTIFICATE,
            fingerprint=certificate.authority_fingerprint,
            open_at=escape(f"https://{shown}:{https_port}/"),
        )
        return HTMLResponse(text, headers=_KEPT_BY_NOBODY)

    def read_style(_request: Request) -> Response:
        return Response(style, media_type="text/css")

    def read_certificate(_request: Request) -> Response:
        return _file(certificate.authority_der, CERTIFICATE, kind="application/x-x509-ca-cert")

    def read_profile(_request: Request) -> Response:
        return _file(
            build_profile(certificate.authority_der), PROFILE, kind="application/x-apple-aspen-config"
        )

    def answer_unknown(_request: Request, _error: Exception) -> Response:
        return JSONResponse({"error": "no such file"}, status_code=404)

    app = Starlette(
        routes=[
            Route("/", read_page),
            Route("/style.css", read_style),
            Route(f"/{CERTIFICATE}", read_certificate),
            Route(f"/{PROFILE}", read_profile),
        ],
        exception_handlers={404: answer_unknown},
    )
    app.add_middleware(Guard, plain_hosts=certificate.hosts)
    return app


def build_profile(authority_der: bytes) -> bytes:
    """An iOS profile that holds the certificate; made of the same authority it is the same profile."""
    name = "千里 Qianli"
    identity = uuid.uuid5(uuid.NAMESPACE_OID, authority_der.hex())
    content = {
        "PayloadType": "com.apple.security.root",
        "PayloadVersion": 1,
        "PayloadIdentifier": f"qianli.authority.{identity}",
        "PayloadUUID": str(identity).upper(),
        "PayloadDisplayName": name,
        "PayloadCertificateFileName": CERTIFICATE,
        "PayloadContent": authority_der,
    }
    profile = {
        "PayloadType": "Configuration",
        "PayloadVersion": 1,
        "PayloadIdentifier": f"qianli.{identity}",
        "PayloadUUID": str(uuid.uuid5(identity, "profile")).upper(),
        "PayloadDisplayName": name,
        "PayloadDescription": "信任本机构的千里服务器 · Trust this site's Qianli server",
        "PayloadContent": [content],
    }
    return plistlib.dumps(profile)


def _file(content: bytes, name: str, *, kind: str) -> Response:
    told = {**_KEPT_BY_NOBODY, "Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=kind, headers=told)
