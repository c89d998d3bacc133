import ssl
from datetime import UTC, datetime

import pytest

from cloud.enrolment.authority.files import open_authority
from qianli.__main__ import main
from qianli.commands.fleet import certifier, parse_shard
from qianli.fleet.errors import OptionInvalid
from qianli.fleet.link import parse_broker
from qianli.fleet.scenario import find_scenario, members, read_scenario


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "a/b", "1/0", "-1/2"])
def test_shard_that_cannot_be_is_refused(text):
    with pytest.raises(OptionInvalid, match="--shard"):
        parse_shard(text)


def test_shard_is_read():
    assert parse_shard("2/4") == (2, 4)


@pytest.mark.parametrize("url", ["http://127.0.0.1", "mqtt://", "mqtts://127.0.0.1:8883"])
def test_broker_that_cannot_be_is_refused(url):
    with pytest.raises(OptionInvalid, match="--broker"):
        parse_broker(url)


def test_broker_is_read():
    address = parse_broker("mqtt://load:p%40ss@10.0.0.1?version=5")

    assert (address.host, address.port, address.user, address.password) == ("10.0.0.1", 1883, "load", "p@ss")
    assert parse_broker("mqtt://h:1").user is None


def test_agents_of_the_fleet_get_their_certificates_from_the_authority(tmp_path):
    with pytest.raises(OptionInvalid, match="--authority"):
        certifier(tmp_path)
    open_authority(tmp_path, now=datetime.now(UTC))
    identify = certifier(tmp_path)
    address = parse_broker("mqtts://127.0.0.1", context_of=identify)

    assert address.port == 8883
    assert identify("town-00001").minimum_version is ssl.TLSVersion.TLSv1_3


def test_county_comes_along():
    assert len(members(read_scenario(find_scenario("county")))) == 5250


def test_mistake_is_one_line_and_exit_code_1(tmp_path, capsys):
    code = main(["fleet", str(tmp_path / "none.toml"), "--broker", "mqtt://127.0.0.1:1"])

    assert code == 1
    assert "none.toml" in capsys.readouterr().err
