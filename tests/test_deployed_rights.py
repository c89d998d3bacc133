"""The brokers' files name every part of the cloud that connects."""

import re
from pathlib import Path

from cloud.broker.address import CHECK, CLOUD, COMMANDS
from cloud.shards.model import MOST_GROUPS, part_of

ACL = Path(__file__).parents[1] / "deploy" / "mosquitto" / "acl"


def test_mosquitto_knows_every_part_that_may_connect():
    parts = {CLOUD, COMMANDS, CHECK, *(part_of(group) for group in range(MOST_GROUPS))}

    assert set(re.findall(r"^user qianli\.(\S+)$", ACL.read_text(), re.MULTILINE)) == parts
