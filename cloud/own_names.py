"""By which names and addresses other machines reach this one."""

import contextlib
import fcntl
import socket
import struct
from collections.abc import Iterator
from ipaddress import IPv6Address, ip_address
from pathlib import Path

_SIOCGIFADDR = 0x8915
_IF_INET6 = Path("/proc/net/if_inet6")
EVERY_ADDRESS = ("", "0.0.0.0", "::")  # noqa: S104 # what one writes to mean all of them


def own_names(listen_on: str, *, further: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Addresses first, the one that others most likely reach foremost; then names; each once.

    `listen_on` is one address of this machine, or an empty one for all.
    """
    addresses = list(_addresses()) if listen_on in EVERY_ADDRESS else [listen_on]
    host = socket.gethostname().lower()
    names = [name for name in (host, f"{host.split('.')[0]}.local", *further) if name and _is_a_name(name)]
    return tuple(dict.fromkeys([*sorted(addresses, key=_rank), *names, "127.0.0.1", "localhost"]))


def _addresses() -> Iterator[str]:
    yield from _routed()
    for _, interface in socket.if_nameindex():
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            asked = struct.pack("256s", interface[:15].encode())
            yield socket.inet_ntoa(fcntl.ioctl(control, _SIOCGIFADDR, asked)[20:24])
    if _IF_INET6.exists():
        for line in _IF_INET6.read_text().splitlines():
            address = IPv6Address(bytes.fromhex(line.split()[0]))
            if not address.is_link_local:  # it would need a zone, which no certificate can hold
                yield str(address)


def _routed() -> Iterator[str]:
    """The address from which this machine would go out, found without sending anything."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as socket_:
        socket_.connect(("192.0.2.1", 9))
        yield socket_.getsockname()[0]


def _rank(address: str) -> tuple[bool, bool]:
    parsed = ip_address(address)
    return parsed.is_loopback, isinstance(parsed, IPv6Address)


def _is_a_name(name: str) -> bool:
    """What a certificate takes as a DNS name."""
    labels = name.rstrip(".").split(".")
    return len(name) <= 253 and all(
        0 < len(label) <= 63 and label.isascii() and label.replace("-", "").isalnum() for label in labels
    )
