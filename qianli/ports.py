"""Loopback ports."""

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
