import json

import pytest
import structlog

from cloud.__main__ import _set_up_logs as set_up_logs_of_the_cloud
from edge_agent.__main__ import set_up_logs as set_up_logs_of_the_agent


@pytest.fixture(autouse=True)
def logs_as_before():
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize(
    "set_up", [set_up_logs_of_the_agent, set_up_logs_of_the_cloud], ids=["edge", "cloud"]
)
def test_flaw_is_logged_with_its_place_and_without_values(capsys, set_up):
    set_up()
    payload = "a name that no log may hold"
    try:
        {}[len(payload)]
    except KeyError:
        structlog.get_logger().exception("uplink_failed")

    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["level"]) == ("uplink_failed", "error")
    assert "test_logs.py" in line["exception"]
    assert payload not in line["exception"]
