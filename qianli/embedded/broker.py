"""The embedded MQTT broker: amqtt on the loopback interface, over TLS 1.3, for our certificates only.

amqtt speaks MQTT 3.1.1 only, keeps everything in memory, and gives durable sessions only to clients with a
user name. Nothing depends on it for durability: the edge keeps each message until the cloud says "stored".

Who a client is, its certificate says and nothing else. Three things in amqtt would let one client act as
another, and are closed here before amqtt sees the CONNECT: it deletes or takes over the session of any
client id before it asks who is there; a session that is taken up again keeps the certificate of its first
connection; and a will is published without a question. So a connection's CONNECT is read and judged first,
and the name from its certificate is put where the topic rules look.
"""

import asyncio
import logging
import signal
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from amqtt.adapters import BufferReader, ReaderAdapter, StreamWriterAdapter, WriterAdapter
from amqtt.broker import Broker
from amqtt.contexts import Action, ListenerConfig
from amqtt.errors import MQTTError
from amqtt.mqtt.connect import ConnectPacket
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import Session
from cryptography import x509

from qianli.embedded.broker_rights import may_connect, may_publish, may_subscribe

FORGET_SESSION_AFTER_S = 3600
IDENTITY = "qianli.identity"
_CONNECT_WITHIN_S = 10.0
_LOOK_AT_LIST_EVERY_S = 1.0
_RENEW_EVERY_S = 6 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerFiles:
    """The broker's own key and certificate, the authority, and the list of the revoked."""

    pair: Path
    authority: Path
    revoked: Path

    def context(self) -> ssl.SSLContext:
        """TLS 1.3; without one of our client certificates there is no handshake."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(self.pair)
        context.load_verify_locations(self.authority)
        context.verify_mode = ssl.CERT_REQUIRED
        context.num_tickets = 0
        return context


class RevokedSerials:
    """The serial numbers of the list in a file, read again when the file is another one."""

    def __init__(self, path: Path, authority: Path) -> None:
        self._path = path
        self._authority = x509.load_pem_x509_certificate(authority.read_bytes())
        self._seen: tuple[int, int] | None = None
        self._serials: frozenset[int] = frozenset()

    def current(self) -> frozenset[int]:
        """What is refused now. A list that cannot be read, or is not the authority's, leaves the last one."""
        with suppress(OSError, ValueError):
            state = self._path.stat()
            mark = (state.st_mtime_ns, state.st_ino)
            if mark != self._seen:
                crl = x509.load_pem_x509_crl(self._path.read_bytes())
                if crl.is_signature_valid(self._authority.public_key()):  # type: ignore[arg-type] # it is P-256
                    self._serials = frozenset(entry.serial_number for entry in crl)
                    self._seen = mark
        return self._serials


class CertificatePlugin(BaseAuthPlugin):
    """Admits whom `CertificateBroker` has recognised, and nobody else."""

    @dataclass
    class Config:
        """Nothing to set."""

    async def authenticate(self, *, session: Session) -> bool:
        """A session without an identity did not come through our door."""
        return isinstance(session.attributes.get(IDENTITY), str)


class TopicPlugin(BaseTopicPlugin):
    """Ties topics to the name in the certificate."""

    @dataclass
    class Config:
        """Nothing to set."""

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool:
        """Whether the holder of this certificate may do that with this topic."""
        identity = None if session is None else session.attributes.get(IDENTITY)
        if not isinstance(identity, str) or topic is None:
            return False
        if action is Action.PUBLISH:
            return may_publish(identity, topic)
        return may_subscribe(identity, topic)


class CertificateBroker(Broker):
    """amqtt behind client certificates."""

    def __init__(self, files: BrokerFiles, *, port: int) -> None:
        plugins: dict[str, dict[str, object]] = {
            f"{plugin.__module__}.{plugin.__qualname__}": {} for plugin in (CertificatePlugin, TopicPlugin)
        }
        self._context = files.context()
        self._revoked = RevokedSerials(files.revoked, files.authority)
        self._connected: dict[asyncio.Task[object], tuple[int, WriterAdapter]] = {}
        super().__init__(
            {
                "listeners": {
                    "default": {
                        "type": "tcp",
                        "bind": f"127.0.0.1:{port}",
                        "ssl": True,
                        "certfile": str(files.pair),
                        "keyfile": str(files.pair),
                    }
                },
                "session_expiry_interval": FORGET_SESSION_AFTER_S,
                "plugins": plugins,
            }
        )

    def _create_ssl_context(self, _listener: ListenerConfig) -> ssl.SSLContext:  # type: ignore[override] # a static method there
        """Our own: amqtt would take clients without a certificate, and older TLS."""
        return self._context

    def renew(self, pair: Path) -> None:
        """Show this certificate from the next connection on."""
        self._context.load_cert_chain(pair)

    async def _client_connected(
        self, listener_name: str, reader: ReaderAdapter, writer: WriterAdapter
    ) -> None:
        task = asyncio.current_task()
        certificate = _certificate_of(writer)
        if task is None or certificate is None or certificate.serial_number in self._revoked.current():
            await writer.close()
            return
        self._connected[task] = (certificate.serial_number, writer)
        try:
            await super()._client_connected(listener_name, reader, writer)
        finally:
            del self._connected[task]
            await writer.close()

    async def _initialize_client_session(
        self, reader: ReaderAdapter, writer: WriterAdapter, remote_address: str, remote_port: int
    ) -> tuple[BrokerProtocolHandler, Session]:
        """Judge the CONNECT before amqtt touches any session for it."""
        identity = _identity_of(writer)
        try:
            async with asyncio.timeout(_CONNECT_WITHIN_S):
                connect = await ConnectPacket.from_stream(reader)
        except TimeoutError as error:
            raise MQTTError("no CONNECT in time") from error
        will = connect.will_topic if connect.will_flag else None
        if identity is None or not may_connect(identity, connect.client_id, will_topic=will):
            raise MQTTError("this certificate may not connect so")
        handler, session = await super()._initialize_client_session(
            BufferReader(connect.to_bytes()), writer, remote_address, remote_port
        )
        session.attributes[IDENTITY] = identity
        session.username = identity
        return handler, session

    def drop_revoked(self) -> None:
        """End the connections whose certificate was revoked meanwhile."""
        revoked = self._revoked.current()
        for serial, writer in list(self._connected.values()):
            if serial in revoked:
                _abort(writer)


def _abort(writer: WriterAdapter) -> None:
    """At once: a goodbye would wait 30 s for who does not answer it, and read on meanwhile."""
    assert isinstance(writer, StreamWriterAdapter)  # noqa: S101 # we open no other listener
    writer._writer.transport.abort()  # noqa: SLF001 # amqtt has no way to end a connection without goodbye


def _certificate_of(writer: WriterAdapter) -> x509.Certificate | None:
    tls = writer.get_ssl_info()
    der = None if tls is None else tls.getpeercert(binary_form=True)
    return None if der is None else x509.load_der_x509_certificate(der)


def _identity_of(writer: WriterAdapter) -> str | None:
    certificate = _certificate_of(writer)
    names = (
        [] if certificate is None else certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    )
    return str(names[0].value) if len(names) == 1 else None


async def serve_broker(files: BrokerFiles, *, port: int, renew: Callable[[], Path]) -> None:
    """Serve on 127.0.0.1 until SIGTERM or SIGINT; `renew` gives the pair to show from now on."""
    logging.getLogger("amqtt").setLevel(logging.WARNING)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    broker = CertificateBroker(files, port=port)
    await broker.start()
    renew_at = loop.time() + _RENEW_EVERY_S
    while not stop.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _LOOK_AT_LIST_EVERY_S)
        broker.drop_revoked()
        if loop.time() >= renew_at:
            renew_at += _RENEW_EVERY_S
            broker.renew(await asyncio.to_thread(renew))
    await broker.shutdown()


async def broker_answers(*, port: int, authority: Path, within_s: float = 1.0) -> bool:
    """Does a broker of our authority listen there? One comes as far as its certificate without an own."""
    try:
        context = ssl.create_default_context(cafile=authority)
        async with asyncio.timeout(within_s):
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    except (OSError, TimeoutError):
        return False
    writer.transport.abort()
    return True
