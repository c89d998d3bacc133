"""The agent's calls at the cloud's door (HTTPS)."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

import httpx
import msgspec

from edge_agent.errors import AuthorityForeign, DoorRefused, DoorUnreachable
from edge_agent.identity import (
    DoorAddress,
    Identity,
    IdentityFiles,
    new_request,
    read_door,
    store_identity,
    write_file,
)
from vitals.wire.invitation import EnrolmentCode, Invitation

_TIMEOUT_S = 10.0
_LONGEST_CERTIFICATE = 16_384


class Issued(msgspec.Struct, frozen=True, kw_only=True):
    """The cloud's answer to a request."""

    agent: str
    certificate: str


class BoundPerson(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a sensor is on, without a name."""

    binding: str
    src: str
    age_years: int | None
    spo2_scale: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """One request."""

    method: str
    path: str
    body: Mapping[str, object] | None = None
    headers: Mapping[str, str] | None = None


def enrol(files: IdentityFiles, invitation: Invitation) -> Identity:
    """Use a code: believe the authority that it names, make a key, and fetch its certificate.

    Raises:
        AuthorityForeign: somebody else answers there; the code was not sent.
        DoorUnreachable, DoorRefused, IdentityUnusable.
    """
    address = DoorAddress(host=invitation.host, port=invitation.port)
    authority = _fetch_authority(address, invitation.code)
    request = new_request()
    context = _context_for(authority)
    question = {"code": str(invitation.code), "request": request.pem}
    answer = _call(address, context, _Asked(method="POST", path="/agent/v1/enrol", body=question))
    identity = store_identity(files, request, certificate=_issued(answer).certificate, authority=authority)
    write_file(files.door, msgspec.json.encode(address))
    return identity


def renew(files: IdentityFiles) -> Identity:
    """Fetch a certificate for a new key with the one that still holds.

    Raises:
        DoorUnreachable, DoorRefused, IdentityUnusable.
    """
    request = new_request()
    answer = _call_as_agent(
        files, _Asked(method="POST", path="/agent/v1/renew", body={"request": request.pem})
    )
    authority = files.authority.read_bytes()
    return store_identity(files, request, certificate=_issued(answer).certificate, authority=authority)


def fetch_people(files: IdentityFiles, *, known: str) -> tuple[str, list[BoundPerson] | None]:
    """Who wears our sensors, and a mark of that; None instead of the list when it is still the `known` one.

    Raises:
        DoorUnreachable, DoorRefused, IdentityUnusable.
    """
    headers = {"If-None-Match": f'"{known}"'} if known else {}
    answer = _call_as_agent(files, _Asked(method="GET", path="/agent/v1/people-context", headers=headers))
    mark = answer.headers.get("etag", "").strip('"')
    if answer.status_code == httpx.codes.NOT_MODIFIED:
        return known, None
    try:
        return mark, msgspec.json.decode(answer.content, type=list[BoundPerson])
    except msgspec.MsgspecError as error:
        raise DoorRefused(answer.status_code, "its answer cannot be read") from error


def send_registration(files: IdentityFiles, registration: Mapping[str, object]) -> None:
    """Tell of a person who was registered here; telling it twice registers once.

    Raises:
        DoorUnreachable, DoorRefused, IdentityUnusable.
    """
    _call_as_agent(files, _Asked(method="POST", path="/agent/v1/registrations", body=registration))


def _fetch_authority(address: DoorAddress, code: EnrolmentCode) -> bytes:
    """The authority's certificate from a server that nobody vouches for yet: the code's fingerprint does."""
    blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    blind.minimum_version = ssl.TLSVersion.TLSv1_3
    blind.check_hostname = False
    blind.verify_mode = ssl.CERT_NONE
    text = _call(address, blind, _Asked(method="GET", path="/agent/v1/authority")).content[
        :_LONGEST_CERTIFICATE
    ]
    try:
        der = ssl.PEM_cert_to_DER_cert(text.decode())
    except ValueError as error:
        raise AuthorityForeign(address.host) from error
    if not code.names(sha256(der).digest()):
        raise AuthorityForeign(address.host)
    return ssl.DER_cert_to_PEM_cert(der).encode()


def _context_for(authority: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=authority.decode())
    return context


def _call_as_agent(files: IdentityFiles, asked: _Asked) -> httpx.Response:
    address = read_door(files)
    if address is None:
        raise DoorUnreachable("", "this agent was never enrolled")
    try:
        context = files.context()
    except OSError as error:
        raise DoorUnreachable(address.host, "our own certificate cannot be read") from error
    return _call(address, context, asked)


def _call(address: DoorAddress, context: ssl.SSLContext, asked: _Asked) -> httpx.Response:
    host = f"[{address.host}]" if ":" in address.host else address.host
    url = f"https://{host}:{address.port}{asked.path}"
    try:
        with httpx.Client(verify=context, timeout=_TIMEOUT_S, trust_env=False) as client:
            answer = client.request(asked.method, url, json=asked.body, headers=asked.headers)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise DoorUnreachable(address.host, str(error) or type(error).__name__) from error
    if answer.status_code >= httpx.codes.BAD_REQUEST:
        raise DoorRefused(answer.status_code, _reason_in(answer))
    return answer


def _issued(answer: httpx.Response) -> Issued:
    try:
        return msgspec.json.decode(answer.content, type=Issued)
    except msgspec.MsgspecError as error:
        raise DoorRefused(answer.status_code, "its answer cannot be read") from error


def _reason_in(answer: httpx.Response) -> str:
    try:
        said = msgspec.json.decode(answer.content, type=dict[str, str]).get("error", "")
    except (msgspec.MsgspecError, UnicodeDecodeError):
        said = ""
    return said or answer.reason_phrase
