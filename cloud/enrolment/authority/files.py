"""The authority's files below `QIANLI_HOME/keys`: made by whoever needs them first, whole or not at all.

keys/authority.pem   the root's key and certificate   0600
keys/<name>.pem      a server's or the cloud's key and certificate chain   0600
keys/authority.crt   the root's certificate alone, for everybody
keys/revoked.pem     the list of revoked certificates
"""

import os
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cloud.broker.address import AUTHORITY_FILE, CLIENT_FILE, COMMANDS_FILE
from cloud.enrolment.authority.certificates import (
    COMMANDS_IDENTITY,
    Authority,
    issue_cloud,
    issue_server,
    key_pem,
    make_authority,
    new_key,
    pem,
)
from cloud.errors import CloudError

AUTHORITY = "authority.pem"
REVOKED = "revoked.pem"
_RENEW_AT = 2 / 3


class TrustUnusable(CloudError):
    """A file of the authority cannot be read or made; the text never holds a key."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path} cannot be used: {self.reason}"


def open_authority(folder: Path, *, now: datetime) -> Authority:
    """The authority of this installation; made at the first call, of several at once one wins.

    Raises:
        TrustUnusable: the folder cannot be written, or the file is not what it should be.
    """
    path = folder / AUTHORITY
    try:
        if not path.exists():
            made = make_authority(now)
            write_private(path, key_pem(made.key) + pem(made.certificate), replace=False)
        key, certificates = _read_pair(path)
        authority = Authority(key=key, certificate=certificates[0])
        public = folder / AUTHORITY_FILE
        if not public.exists() or public.read_bytes() != pem(authority.certificate):
            write_public(public, pem(authority.certificate))
    except OSError as error:
        raise TrustUnusable(path, error.strerror or "it cannot be read") from error
    return authority


def server_pair(
    folder: Path, authority: Authority, *, name: str, hosts: Sequence[str], now: datetime
) -> Path:
    """One PEM file with key and certificate of a server; made anew when its names or its time demand it.

    `ssl.SSLContext.load_cert_chain(path)` takes it as it is.

    Raises:
        TrustUnusable: as for `open_authority`.
    """

    def issue(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
        return issue_server(authority, key.public_key(), names=normal_hosts(hosts), now=now)

    def is_good(certificate: x509.Certificate) -> bool:
        return _names_of(certificate) >= set(normal_hosts(hosts))

    return _pair(folder / f"{name}.pem", authority, issue=issue, is_good=is_good, now=now)


def cloud_pair(folder: Path, authority: Authority, *, now: datetime) -> Path:
    """One PEM file with key and certificate of the service as a client of the broker.

    Raises:
        TrustUnusable: as for `open_authority`.
    """

    def issue(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
        return issue_cloud(authority, key.public_key(), now=now)

    return _pair(folder / CLIENT_FILE, authority, issue=issue, is_good=lambda _: True, now=now)


def commands_pair(folder: Path, authority: Authority, *, now: datetime) -> Path:
    """The same for the connection on which the service sends commands.

    Raises:
        TrustUnusable: as for `open_authority`.
    """

    def issue(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
        return issue_cloud(authority, key.public_key(), now=now, identity=COMMANDS_IDENTITY)

    return _pair(folder / COMMANDS_FILE, authority, issue=issue, is_good=lambda _: True, now=now)


def write_private(path: Path, content: bytes, *, replace: bool) -> None:
    """Write a file for its owner only, durable before it has its name; without `replace` the first one stays.

    Raises:
        OSError: the folder cannot be made or written.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(path, content, mode=0o600, replace=replace)


def write_public(path: Path, content: bytes) -> None:
    """Write a file that everybody may read, whole or not at all.

    Raises:
        OSError: the folder cannot be made or written.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(path, content, mode=0o644, replace=True)


def _write(path: Path, content: bytes, *, mode: int, replace: bool) -> None:
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            draft.replace(path)
        else:
            _link(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _link(draft: Path, path: Path) -> None:
    """A link, not a rename: whoever comes second must not replace the key of the first."""
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        return


def _pair(
    path: Path,
    authority: Authority,
    *,
    issue: Callable[[ec.EllipticCurvePrivateKey], x509.Certificate],
    is_good: Callable[[x509.Certificate], bool],
    now: datetime,
) -> Path:
    try:
        certificates = _read_pair(path)[1] if path.exists() else []
        if (
            not certificates
            or not _still_serves(certificates, authority, now)
            or not is_good(certificates[0])
        ):
            key = new_key()
            write_private(path, key_pem(key) + pem(issue(key)) + pem(authority.certificate), replace=True)
    except OSError as error:
        raise TrustUnusable(path, error.strerror or "it cannot be read") from error
    return path


def _still_serves(chain: list[x509.Certificate], authority: Authority, now: datetime) -> bool:
    own = chain[0]
    begins, ends = own.not_valid_before_utc, own.not_valid_after_utc
    return chain[-1] == authority.certificate and now < begins + (ends - begins) * _RENEW_AT


def _read_pair(path: Path) -> tuple[ec.EllipticCurvePrivateKey, list[x509.Certificate]]:
    if path.stat().st_mode & 0o077:
        raise TrustUnusable(path, "other users may read it; run chmod 600 on it")
    content = path.read_bytes()
    try:
        key = serialization.load_pem_private_key(content, password=None)
        certificates = x509.load_pem_x509_certificates(content)
    except (ValueError, TypeError) as error:
        raise TrustUnusable(path, "it does not hold a key and its certificate; restore a backup") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or certificates[0].public_key() != key.public_key():
        raise TrustUnusable(path, "its key and its certificate do not belong together; restore a backup")
    return key, certificates


def _names_of(certificate: x509.Certificate) -> set[str]:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = {str(address) for address in names.get_values_for_type(x509.IPAddress)}
    return addresses | set(names.get_values_for_type(x509.DNSName))


def normal_hosts(hosts: Sequence[str]) -> list[str]:
    """Host names and addresses as certificates write them, each once."""

    def normal(host: str) -> str:
        try:
            return str(ip_address(host))
        except ValueError:
            return host.lower()

    return list(dict.fromkeys(normal(host) for host in hosts))
