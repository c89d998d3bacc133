"""Where the broker is, and which MQTT it speaks."""

import socket
import ssl
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from cloud.errors import SettingInvalid

_DEFAULT_USER = "qianli-cloud"
_CONNECT_TIMEOUT_S = 3.0
AUTHORITY_FILE = "authority.crt"
CLOUD = "cloud"
"""The part of the service that serves people; the others have names of their own at the broker."""
CHECK = "check"
"""The connection that asks what the broker does; whoever took another's name would end that one's session."""
COMMANDS = "commands"
"""The connection on which it sends commands."""


def client_file(name: str) -> str:
    """The file with key and certificate of a part of the service, below `keys/`."""
    return f"{name}-client.pem"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """The authority's certificate, and our own key and certificate in one file (PEM)."""

    authority: Path
    pair: Path

    def context(self) -> ssl.SSLContext:
        """TLS 1.3 towards a broker that our authority vouches for. The files are read each time anew.

        Raises:
            OSError: they are not there, or hold something else (`ssl.SSLError`).
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_verify_locations(self.authority)
        context.load_cert_chain(self.pair)
        return context


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerAddress:
    """Parsed QIANLI_MQTT_URL. A user name is always there: some brokers keep no session without one."""

    host: str
    port: int
    user: str
    password: str
    version: int | None
    tls: TlsFiles | None = None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def as_part(self, name: str) -> "BrokerAddress":
        """The same broker for another part of the service: a broker may let each name in only once."""
        if self.tls is None:
            return self
        return replace(self, tls=replace(self.tls, pair=self.tls.pair.with_name(client_file(name))))


def parse_mqtt_url(url: str, *, keys: Path | None = None) -> BrokerAddress:
    """Read `mqtts://host:port?version=3`, or `mqtt://user:password@host:port` for a broker without TLS.

    With `mqtts` the certificates lie in `keys`, or in the folder that `?keys=` names.

    Raises:
        SettingInvalid: another scheme, no host, or a port or version that cannot be.
    """
    parts = urlsplit(url)
    asked = parse_qs(parts.query)
    version = asked.get("version", [None])[0]
    is_secret = parts.scheme == "mqtts"
    try:
        port = parts.port or (8883 if is_secret else 1883)
    except ValueError as error:
        raise SettingInvalid("QIANLI_MQTT_URL", "its port is not a number up to 65535") from error
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
        reason = "it must look like mqtts://host:port or mqtt://user:password@host:port"
        raise SettingInvalid("QIANLI_MQTT_URL", reason)
    if version not in (None, "3", "5"):
        raise SettingInvalid("QIANLI_MQTT_URL", "version must be 3 or 5")
    folder = Path(asked["keys"][0]) if "keys" in asked else keys
    if is_secret and folder is None:
        raise SettingInvalid("QIANLI_MQTT_URL", "mqtts needs certificates, and no folder of keys is known")
    return BrokerAddress(
        host=parts.hostname,
        port=port,
        user=unquote(parts.username or _DEFAULT_USER),
        password=unquote(parts.password or ""),
        version=None if version is None else int(version),
        tls=_tls_files(folder) if is_secret and folder is not None else None,
    )


def _tls_files(keys: Path) -> TlsFiles:
    return TlsFiles(authority=keys / AUTHORITY_FILE, pair=keys / client_file(CLOUD))


def speaks_mqtt5(address: BrokerAddress) -> bool:
    """Ask with an MQTT 5 CONNECT: any CONNACK with MQTT 5's property length means yes, whatever it says.

    A broker of 3.1.1 answers with two bytes or hangs up (MQTT 5.0, sections 3.1.2.2 and 3.2.2).

    Raises:
        OSError: nobody listens there.
    """
    with _connection_to(address) as connection:
        try:
            connection.sendall(_connect_packet())
            answer = connection.recv(64)
        except OSError:
            return False
    return len(answer) > 4 and answer[0] == 0x20 and answer[1] >= 3


def _connection_to(address: BrokerAddress) -> socket.socket:
    connection = socket.create_connection((address.host, address.port), _CONNECT_TIMEOUT_S)
    if address.tls is None:
        return connection
    try:
        return address.tls.context().wrap_socket(connection, server_hostname=address.host)
    except OSError:
        connection.close()
        raise


def _connect_packet() -> bytes:
    # No clean start, and a session expiry of an hour: a broker that takes the name in our certificate for the
    # client id would else forget the session that we have there.
    protocol = struct.pack(">H4sBBH", 4, b"MQTT", 5, 0x00, 5)  # keep-alive 5 s
    expiry = struct.pack(">BBI", 5, 0x11, 3600)
    client_id = b"qianli-version-question"
    body = protocol + expiry + struct.pack(">H", len(client_id)) + client_id
    return bytes((0x10, len(body))) + body
