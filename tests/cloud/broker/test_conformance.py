import pytest

from cloud.broker.address import parse_mqtt_url
from cloud.broker.conformance import ask_broker

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]


def test_embedded_broker_speaks_the_old_version_and_has_no_window(mqtt_url):
    found = ask_broker(parse_mqtt_url(mqtt_url), client_id="qianli-check")

    assert (found.speaks_5, found.keeps_window) == (False, None)


def test_broker_that_is_not_there_is_told_as_such():
    with pytest.raises(OSError, match="refused"):
        ask_broker(parse_mqtt_url("mqtt://127.0.0.1:1"), client_id="qianli-check")
