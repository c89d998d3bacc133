import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx
import pytest

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]


@contextmanager
def run_cloud(*words, **settings):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("QIANLI_")}
    with subprocess.Popen(
        [sys.executable, "-m", "cloud", *words],
        env=environment | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def settings(database_url, mqtt_url, tmp_path):
    return {
        "QIANLI_DATABASE_URL": database_url,
        "QIANLI_MQTT_URL": mqtt_url,
        "QIANLI_HTTP_PORT": "0",
        "QIANLI_AGENT_PORT": "0",
        "QIANLI_HOME": str(tmp_path / "home"),
    }


def test_service_says_where_it_is_and_stops_within_three_seconds(settings):
    with run_cloud(**settings) as process:
        line = process.stdout.readline()
        address = line.removeprefix("cloud ready at ").strip()
        assert httpx.get(f"{address}api/health").json()["database"] is True
        stopping = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=10)

    assert time.monotonic() - stopping < 3


def test_seeding_prints_each_password_once(settings, tmp_path):
    ward = tmp_path / "ward.json"
    ward.write_text('{"agent": "a", "patients": []}')
    words = ("seed", "--ward", str(ward))
    printed = []
    for _ in range(2):
        with run_cloud(*words, **settings) as process:
            printed.append(process.communicate(timeout=30)[0])

    first, second = printed
    names = [account["name"] for account in json.loads(first)["accounts"]]
    assert names == ["doctor", "admin", "nurse", "auditor"]
    assert second == ""


def test_missing_setting_is_told_in_one_sentence():
    with run_cloud() as process:
        errors = process.communicate(timeout=30)[1]

    assert process.returncode == 1
    assert errors.startswith("setting QIANLI_DATABASE_URL cannot be used")
    assert errors.count("\n") == 1


def test_taken_port_ends_the_service(settings):
    with run_cloud(**settings) as first:
        port = first.stdout.readline().strip().rstrip("/").rsplit(":", 1)[1]
        with run_cloud(**settings | {"QIANLI_HTTP_PORT": port}) as second:
            assert second.wait(timeout=30) == 1
            assert "is not free" in second.communicate()[1]
