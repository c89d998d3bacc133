import argparse

import pytest

from qianli.ports import parse_host, parse_port


@pytest.mark.parametrize("text", ["", "x", "0", "65536", "-1", "80.5"])
def test_what_is_no_port_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="1 to 65535"):
        parse_port(text)


def test_port_is_a_number():
    assert parse_port("8000") == 8000


@pytest.mark.enable_socket
@pytest.mark.parametrize(
    ("text", "host"),
    [("", ""), ("0.0.0.0", ""), ("::", ""), ("127.0.0.2", "127.0.0.2")],  # noqa: S104 # as somebody types it
    ids=["none", "all-4", "all-6", "one"],
)
def test_address_for_other_machines_is_one_of_ours_or_all(text, host):
    assert parse_host(text) == host


@pytest.mark.enable_socket
@pytest.mark.parametrize("text", ["203.0.113.9", "hut.example", "127.0.0.1:80"])
def test_address_of_another_machine_and_a_name_are_refused(text):
    with pytest.raises(argparse.ArgumentTypeError):
        parse_host(text)
