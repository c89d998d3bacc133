"""Nothing calls out of this machine: the whole demo does its job in a network that leads nowhere."""

import json
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.fixtures.closed_network import isolated
from tests.system.offline_day import CONTROL, CONTROL_6, PATIENTS

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def offline_day():
    done = subprocess.run(
        isolated("tests.system.offline_day"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=220,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_values_flow_without_any_other_machine(offline_day):
    assert set(offline_day["values"]) == set(PATIENTS)
    assert all(30 < value < 200 for value in offline_day["values"].values())


def test_no_packet_is_sent_to_any_other_machine(offline_day):
    assert offline_day["foreign"] == []
    assert set(offline_day["control"]) == {CONTROL, CONTROL_6}


def test_page_asks_no_other_server(offline_day):
    asked = {
        urlsplit(url).netloc for url in offline_day["requests"] if not url.startswith(("data:", "blob:"))
    }

    assert asked == {urlsplit(offline_day["address"]).netloc}
    assert any(url.startswith("ws:") for url in offline_day["requests"])
