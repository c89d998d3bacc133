"""Who this agent is: a key that never leaves it, and the certificate that the cloud gave for it.

edge/identity.pem    key and certificate   0600
edge/authority.crt   the certificate of the authority that is believed
edge/door.json       where the cloud's door for agents is
edge/invitation      a code that waits to be used; gone as soon as it was   0600
"""

import os
import secrets
import ssl
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from edge_agent.errors import IdentityUnusable

_RENEW_AT = 2 / 3


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityFiles:
    """Where the identity lies."""

    folder: Path

    @property
    def pair(self) -> Path:
        """Key and certificate."""
        return self.folder / "identity.pem"

    @property
    def authority(self) -> Path:
        """The authority's certificate."""
        return self.folder / "authority.crt"

    @property
    def door(self) -> Path:
        """Address of the cloud's door."""
        return self.folder / "door.json"

    @property
    def invitation(self) -> Path:
        """A code that waits."""
        return self.folder / "invitation"

    def context(self, *, with_pair: bool = True) -> ssl.SSLContext:
        """TLS 1.3 towards a server that our authority vouches for. The files are read each time anew.

        Raises:
            OSError: they are not there yet, or hold something else (`ssl.SSLError`).
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_verify_locations(self.authority)
        if with_pair:
            context.load_cert_chain(self.pair)
        return context


class DoorAddress(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the cloud's door for agents is."""

    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What the certificate says."""

    agent: str
    begins_at: datetime
    ends_at: datetime

    def is_due(self, now: datetime) -> bool:
        """Whether it is time to renew: two thirds of its time are over."""
        return now >= self.begins_at + (self.ends_at - self.begins_at) * _RENEW_AT

    def is_over(self, now: datetime) -> bool:
        """Whether only a new code helps."""
        return now >= self.ends_at

    def left(self, now: datetime) -> timedelta:
        """How long it still holds."""
        return self.ends_at - now


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRequest:
    """A fresh key, and the request that proves that we have it."""

    key: ec.EllipticCurvePrivateKey
    pem: str


def new_request() -> KeyRequest:
    """A fresh P-256 key and its request. Whose certificate it becomes, the cloud says."""
    key = ec.generate_private_key(ec.SECP256R1())
    title = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "agent")])
    request = x509.CertificateSigningRequestBuilder().subject_name(title).sign(key, hashes.SHA256())
    return KeyRequest(key=key, pem=request.public_bytes(serialization.Encoding.PEM).decode())


def read_identity(files: IdentityFiles) -> Identity | None:
    """The identity of this agent, or None when it was never let in.

    Raises:
        IdentityUnusable: the file holds something else, or others may read it.
    """
    try:
        mode, content = files.pair.stat().st_mode, files.pair.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise IdentityUnusable(files.pair, error.strerror or "it cannot be read") from error
    if mode & 0o077:
        raise IdentityUnusable(files.pair, "other users may read it; run chmod 600 on it")
    try:
        certificate = x509.load_pem_x509_certificates(content)[0]
        agent = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    except (ValueError, IndexError) as error:
        raise IdentityUnusable(files.pair, "it holds no certificate; enrol again") from error
    return Identity(
        agent=str(agent),
        begins_at=certificate.not_valid_before_utc,
        ends_at=certificate.not_valid_after_utc,
    )


def store_identity(
    files: IdentityFiles, request: KeyRequest, *, certificate: str, authority: bytes
) -> Identity:
    """Keep the certificate with its key, after a look whether they belong together.

    Raises:
        IdentityUnusable: it is for another key, or not of this authority; or it cannot be written.
    """
    try:
        issued = x509.load_pem_x509_certificate(certificate.encode())
        issued.verify_directly_issued_by(x509.load_pem_x509_certificate(authority))
    except (ValueError, TypeError, InvalidSignature) as error:
        raise IdentityUnusable(files.pair, "the cloud's answer is no certificate of its authority") from error
    if issued.public_key() != request.key.public_key():
        raise IdentityUnusable(files.pair, "the cloud's answer is a certificate for another key")
    key = request.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_file(files.authority, authority)
    write_file(files.pair, key + issued.public_bytes(serialization.Encoding.PEM))
    found = read_identity(files)
    assert found is not None  # noqa: S101 # it was written above
    return found


def read_door(files: IdentityFiles) -> DoorAddress | None:
    """Where the door is, if we ever went through it."""
    try:
        return msgspec.json.decode(files.door.read_bytes(), type=DoorAddress)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise IdentityUnusable(files.door, "it cannot be read; enrol again") from error


def write_file(path: Path, content: bytes) -> None:
    """Write a file for its owner only, whole and durable, over what was there.

    Raises:
        IdentityUnusable: the disk refuses.
    """
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise IdentityUnusable(path, error.strerror or "it cannot be written") from error
