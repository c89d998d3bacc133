"""What the authority issues, as pure functions (X.509 v3 after RFC 5280; P-256 everywhere).

    root (20 years, path length 0) ── server certificate (397 days, serverAuth, names and addresses)
                                   └─ client certificate (90 days, clientAuth, one identity)

A client's common name is its identity: an agent's own name, which is also the level of its topics, or
`CLOUD_IDENTITY` or one below it, which no agent can be called. Client and server certificates never stand in
for each other (extended key usage), so a stolen agent key opens no broker to its neighbours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cloud.errors import CloudError

ROOT_LASTS = timedelta(days=365 * 20)
SERVER_LASTS = timedelta(days=397)
"""What browsers accept."""
CLIENT_LASTS = timedelta(days=90)
STAND_IN_LASTS = timedelta(days=1)
CRL_LASTS = timedelta(days=30)
CLOCK_SLACK = timedelta(hours=1)
"""Certificates hold from an hour ago: a hut's clock may be slow."""
CLOUD_IDENTITY = "qianli.cloud"
COMMANDS_IDENTITY = "qianli.cloud.commands"
AGENT_URI = "urn:qianli:agent:"


class RequestInvalid(CloudError):
    """A certificate signing request that the authority does not sign."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"the certificate request cannot be used: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """The root's key and certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoked:
    """One certificate that is refused before it ends."""

    serial: int
    at: datetime


def new_key() -> ec.EllipticCurvePrivateKey:
    """A fresh P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def make_authority(now: datetime, *, name: str = "Qianli 千里") -> Authority:
    """A new root; its name carries random digits, so that two installations never share one."""
    key = new_key()
    title = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, name),
            x509.NameAttribute(NameOID.COMMON_NAME, f"{name} {x509.random_serial_number() % 16**8:08x}"),
        ]
    )
    builder = _begin(title, title, key.public_key(), now=now, lasts=ROOT_LASTS)
    certificate = (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(key=key, certificate=certificate)


def issue_server(
    authority: Authority, public_key: ec.EllipticCurvePublicKey, *, names: Sequence[str], now: datetime
) -> x509.Certificate:
    """A certificate for a server that is reached by these host names and IP addresses."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Qianli server")])
    return _issue(
        authority,
        _begin(subject, authority.certificate.subject, public_key, now=now, lasts=SERVER_LASTS),
        public_key,
        names=[_general_name(name) for name in names],
        usage=ExtendedKeyUsageOID.SERVER_AUTH,
    )


def issue_agent(authority: Authority, request: bytes, *, agent: str, now: datetime) -> x509.Certificate:
    """A certificate for an agent from its request (PEM or DER); nothing but the key is taken from there.

    Raises:
        RequestInvalid: it is no request, is not signed by its own key, or the key is not on P-256.
    """
    return _issue_client(authority, requested_key(request), identity=agent, now=now, lasts=CLIENT_LASTS)


def issue_stand_in(
    authority: Authority, public_key: ec.EllipticCurvePublicKey, *, agent: str, now: datetime
) -> x509.Certificate:
    """A short one with which the cloud itself takes an agent's place at the broker; no register knows it."""
    return _issue_client(authority, public_key, identity=agent, now=now, lasts=STAND_IN_LASTS)


def issue_cloud(
    authority: Authority,
    public_key: ec.EllipticCurvePublicKey,
    *,
    now: datetime,
    identity: str = CLOUD_IDENTITY,
) -> x509.Certificate:
    """The certificate with which the service itself comes to the broker, or a part of it by its own name."""
    return _issue_client(authority, public_key, identity=identity, now=now, lasts=CLIENT_LASTS)


def requested_key(request: bytes) -> ec.EllipticCurvePublicKey:
    """The key of a request, whose holder has proved to have the other half.

    Raises:
        RequestInvalid: as for `issue_agent`.
    """
    try:
        is_pem = request.lstrip().startswith(b"-----BEGIN")
        asked = x509.load_pem_x509_csr(request) if is_pem else x509.load_der_x509_csr(request)
        key = asked.public_key()
        is_signed = asked.is_signature_valid
    except (ValueError, TypeError, InvalidSignature) as error:
        raise RequestInvalid("it is not a PKCS#10 request") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise RequestInvalid("its key is not on the curve P-256")
    if not is_signed:
        raise RequestInvalid("it is not signed with its own key")
    return key


def build_crl(
    authority: Authority, revoked: Sequence[Revoked], *, number: int, now: datetime
) -> x509.CertificateRevocationList:
    """The list of what is refused before its end."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(now - CLOCK_SLACK)
        .next_update(now + CRL_LASTS)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(_authority_key(authority), critical=False)
    )
    for one in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(one.serial).revocation_date(one.at)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(authority.key, hashes.SHA256())


def identity_of(certificate: x509.Certificate) -> str | None:
    """Whose certificate it is: an agent's name or `CLOUD_IDENTITY`."""
    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if len(found) == 1 else None


def fingerprint(certificate: x509.Certificate) -> bytes:
    """SHA-256 of the whole certificate: what a person compares, and what a code carries the beginning of."""
    return certificate.fingerprint(hashes.SHA256())


def pem(certificate: x509.Certificate | x509.CertificateRevocationList) -> bytes:
    """As text for files and answers."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """As text for a file that only its owner reads."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _issue_client(
    authority: Authority,
    public_key: ec.EllipticCurvePublicKey,
    *,
    identity: str,
    now: datetime,
    lasts: timedelta,
) -> x509.Certificate:
    is_cloud = identity == CLOUD_IDENTITY or identity.startswith(f"{CLOUD_IDENTITY}.")
    uri = "urn:qianli:cloud" if is_cloud else AGENT_URI + identity
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, identity)])
    return _issue(
        authority,
        _begin(subject, authority.certificate.subject, public_key, now=now, lasts=lasts),
        public_key,
        names=[x509.UniformResourceIdentifier(uri)],
        usage=ExtendedKeyUsageOID.CLIENT_AUTH,
    )


def _issue(
    authority: Authority,
    builder: x509.CertificateBuilder,
    public_key: ec.EllipticCurvePublicKey,
    *,
    names: Sequence[x509.GeneralName],
    usage: x509.ObjectIdentifier,
) -> x509.Certificate:
    return (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(_authority_key(authority), critical=False)
        .sign(authority.key, hashes.SHA256())
    )


def _begin(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    *,
    now: datetime,
    lasts: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SLACK)
        .not_valid_after(now + lasts)
    )


def _authority_key(authority: Authority) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())


def _key_usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
