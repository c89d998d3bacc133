"""Where the broker is, and which MQTT it speaks."""

import socket
import struct
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

from cloud.errors import SettingInvalid

_DEFAULT_USER = "qianli-cloud"
_CONNECT_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerAddress:
    """Parsed QIANLI_MQTT_URL. A user name is always there: some brokers keep no session without one."""

    host: str
    port: int
    user: str
    password: str
    version: int | None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def parse_mqtt_url(url: str) -> BrokerAddress:
    """Read `mqtt://user:password@host:port?version=3`.

    Raises:
        SettingInvalid: another scheme, no host, or a port or version that cannot be.
    """
    parts = urlsplit(url)
    version = parse_qs(parts.query).get("version", [None])[0]
    try:
        port = parts.port or 1883
    except ValueError as error:
        raise SettingInvalid("QIANLI_MQTT_URL", "its port is not a number up to 65535") from error
    if parts.scheme != "mqtt" or not parts.hostname:
        raise SettingInvalid("QIANLI_MQTT_URL", "it must look like mqtt://user:password@host:port")
    if version not in (None, "3", "5"):
        raise SettingInvalid("QIANLI_MQTT_URL", "version must be 3 or 5")
    return BrokerAddress(
        host=parts.hostname,
        port=port,
        user=unquote(parts.username or _DEFAULT_USER),
        password=unquote(parts.password or ""),
        version=None if version is None else int(version),
    )


def speaks_mqtt5(address: BrokerAddress) -> bool:
    """Ask with an MQTT 5 CONNECT: any CONNACK with MQTT 5's property length means yes, whatever it says.

    A broker of 3.1.1 answers with two bytes or hangs up (MQTT 5.0, sections 3.1.2.2 and 3.2.2).

    Raises:
        OSError: nobody listens there.
    """
    with socket.create_connection((address.host, address.port), _CONNECT_TIMEOUT_S) as connection:
        try:
            connection.sendall(_connect_packet())
            answer = connection.recv(64)
        except OSError:
            return False
    return len(answer) > 4 and answer[0] == 0x20 and answer[1] >= 3


def _connect_packet() -> bytes:
    protocol = struct.pack(">H4sBBH", 4, b"MQTT", 5, 0x02, 5)  # clean start, keep-alive 5 s
    client_id = b"qianli-version-question"
    body = protocol + b"\x00" + struct.pack(">H", len(client_id)) + client_id
    return bytes((0x10, len(body))) + body
