import socket

import pytest

from cloud import own_names as own_names_module
from cloud.own_names import own_names


def test_one_address_is_what_was_asked_for_and_this_machine_itself():
    names = own_names("192.0.2.7", further=("hut.example",))

    assert names[0] == "192.0.2.7"
    assert set(names) >= {"hut.example", "127.0.0.1", "localhost"}
    assert len(names) == len(set(names))


def test_every_address_of_the_machine_is_found_and_loopback_is_not_offered_first(monkeypatch):
    monkeypatch.setattr(
        own_names_module, "_addresses", lambda: iter(["127.0.0.1", "::1", "2001:db8::7", "192.0.2.7"])
    )

    assert own_names("")[:4] == ("192.0.2.7", "2001:db8::7", "127.0.0.1", "::1")


@pytest.mark.enable_socket
def test_addresses_come_from_the_kernel():
    assert "127.0.0.1" in set(own_names_module._addresses())


@pytest.mark.parametrize("name", ["a b", "x_y", "", "名", "a" * 64, "-.."])
def test_host_name_that_no_certificate_can_hold_is_left_out(monkeypatch, name):
    monkeypatch.setattr(socket, "gethostname", lambda: name)

    assert own_names("192.0.2.7") == ("192.0.2.7", "127.0.0.1", "localhost")
