"""HTTPS for other machines: a certificate of our own authority that follows the machine's names."""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from cloud.enrolment.authority.certificates import Authority, fingerprint, pem
from cloud.enrolment.authority.files import server_pair
from cloud.errors import CloudError
from cloud.events import Clock

CHECK_EVERY_S = 60
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"  # of TLS 1.2; 1.3 has only good ones

_log = structlog.get_logger()


class Certificate:
    """What the HTTPS server shows; new connections see a new one at once, without a restart."""

    file = "https"

    def __init__(
        self, keys: Path, authority: Authority, *, names: Callable[[], tuple[str, ...]], clock: Clock
    ) -> None:
        self._keys = keys
        self._authority = authority
        self._names = names
        self._clock = clock
        self._shown: bytes = b""
        self.names: tuple[str, ...] = ()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.set_alpn_protocols(["http/1.1"])
        self.set_rules(self.context, authority)
        self.renew()

    def set_rules(self, context: ssl.SSLContext, _authority: Authority) -> None:
        """Whom this server speaks with: any browser of today."""
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(_CIPHERS)

    @property
    def authority_der(self) -> bytes:
        """The authority's certificate, as phones take it."""
        return self._authority.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def authority_pem(self) -> bytes:
        """The same as text."""
        return pem(self._authority.certificate)

    @property
    def authority_fingerprint(self) -> str:
        """SHA-256 of the authority's certificate, as phones show it."""
        return spell(fingerprint(self._authority.certificate))

    def hosts(self) -> frozenset[str]:
        """The names under which this machine answers now."""
        return frozenset(self.names)

    def renew(self) -> None:
        """Take what the machine is called now; load what is new.

        Raises:
            TrustUnusable: the file cannot be read or written.
        """
        names = self._names()
        path = server_pair(self._keys, self._authority, name=self.file, hosts=names, now=self._clock())
        content = path.read_bytes()
        self.names = names
        if content != self._shown:
            self.context.load_cert_chain(path)
            self._shown = content
            ends = x509.load_pem_x509_certificates(content)[0].not_valid_after_utc
            _log.info("certificate_loaded", names=list(names), ends=ends.isoformat())

    async def keep_current(self) -> None:
        """The same, every minute; a failure leaves the certificate that there is."""
        try:
            await asyncio.to_thread(self.renew)
        except (CloudError, OSError) as error:
            _log.warning("certificate_not_renewed", error=str(error))


def spell(digest: bytes) -> str:
    """A fingerprint in pairs, as phones and browsers print it."""
    return digest.hex(" ").upper()
