"""Loopback ports."""

import argparse
import socket


def port_is_free(port: int) -> bool:
    """Could a server bind this loopback port?"""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
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
