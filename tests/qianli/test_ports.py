import argparse

import pytest

from qianli.ports import parse_port


@pytest.mark.parametrize("text", ["", "x", "0", "65536", "-1", "80.5"])
def test_what_is_no_port_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="1 to 65535"):
        parse_port(text)


def test_port_is_a_number():
    assert parse_port("8000") == 8000
