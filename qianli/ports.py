"""Ports, and addresses of this machine."""

import argparse
import socket
from ipaddress import ip_address

from cloud.own_names import EVERY_ADDRESS


def port_is_free(port: int, *, host: str = "127.0.0.1") -> bool:
    """Could a server bind this port? An empty `host` means every address."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def parse_port(text: str) -> int:
    """A port number from the command line or the environment.

    Raises:
        argparse.ArgumentTypeError: it is not a number from 1 to 65535.
    """
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        msg = f"{text!r} is not a port (1 to 65535)"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def parse_host(text: str) -> str:
    """An address of this machine from the command line; empty for all of them.

    Raises:
        argparse.ArgumentTypeError: it is not an address, or no server could use it here.
    """
    if text in EVERY_ADDRESS:
        return ""
    try:
        address = str(ip_address(text))
    except ValueError:
        msg = f"{text!r} is not an IP address; further names go into QIANLI_HTTPS_NAMES"
        raise argparse.ArgumentTypeError(msg) from None
    if not port_is_free(0, host=address):
        msg = f"{address} is not an address of this machine"
        raise argparse.ArgumentTypeError(msg)
    return address
