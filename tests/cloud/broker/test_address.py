import socket
import threading

import pytest

from cloud.broker.address import parse_mqtt_url, speaks_mqtt5
from cloud.errors import SettingInvalid


def test_whole_address_is_read():
    address = parse_mqtt_url("mqtt://u%40x:p%2Fw@broker.example:1999?version=3")

    assert (address.user, address.password) == ("u@x", "p/w")
    assert (address.host, address.port, address.version) == ("broker.example", 1999, 3)


def test_short_address_has_a_user_name_all_the_same():
    address = parse_mqtt_url("mqtt://localhost")

    assert (address.port, address.user, address.version) == (1883, "qianli-cloud", None)


@pytest.mark.parametrize(
    "url",
    ["http://h", "mqtt://", "mqtt://h:99999", "mqtt://h?version=4"],
    ids=["scheme", "host", "port", "version"],
)
def test_address_that_cannot_be_names_its_setting(url):
    with pytest.raises(SettingInvalid, match="QIANLI_MQTT_URL"):
        parse_mqtt_url(url)


@pytest.mark.enable_socket
@pytest.mark.parametrize(
    ("answer", "modern"),
    [
        (bytes.fromhex("2003000000"), True),
        (bytes.fromhex("2003008700"), True),
        (bytes.fromhex("20020001"), False),
        (b"", False),
    ],
    ids=["accepted", "not authorised", "unacceptable version", "hangs up"],
)
def test_version_is_known_by_the_shape_of_the_answer(answer, modern):
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            connection, _ = server.accept()
            with connection:
                asked.append(connection.recv(256))
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        address = parse_mqtt_url(f"mqtt://127.0.0.1:{server.getsockname()[1]}")
        assert speaks_mqtt5(address) is modern
        thread.join()
    assert asked[0][:9] == bytes.fromhex("102900044d51545405")


@pytest.mark.enable_socket
@pytest.mark.system
def test_embedded_broker_speaks_the_older_version(mqtt_url):
    assert speaks_mqtt5(parse_mqtt_url(mqtt_url)) is False
