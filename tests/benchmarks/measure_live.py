"""Measure the way of a value from its creation to a browser, and to the pixels of a wall.

`python -m tests.benchmarks.measure_live [SECONDS]` prints one JSON object for `docs/benchmarks.md`. Twenty
sensors of one agent tell a value each second, one after the other. Mosquitto, ingest, database, service and
Chromium are processes of their own on this machine; the page says itself when it painted what
(`src/live/paint-probe.ts`).
"""

import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import paho.mqtt.client as mqtt
import structlog
from playwright.sync_api import Page, sync_playwright

from cloud.broker.address import parse_mqtt_url
from cloud.identity.model import Role, subject_of
from cloud.identity.service import utc_now
from cloud.seed import ORGANISATION, SITE, seed_ward
from cloud.store.connection import connect
from cloud.ward.model import WardFile
from tests.benchmarks.measure_bindings import percentiles
from tests.benchmarks.measure_county import serving
from tests.benchmarks.measure_demo import commit
from tests.benchmarks.measure_ingest import shared_parts
from tests.fixtures.certificates import agent_client
from tests.fixtures.duty import hire, put_on_duty
from tests.fixtures.hand_over import furnish
from tests.fixtures.ingest_processes import IngestProcesses
from tests.fixtures.wire_messages import WireAgent
from tests.fixtures.wire_messages import utc_now as now_in_ms
from tests.web.conftest import QUIET
from vitals.observation import SourceId

SOURCES = [SourceId(f"clip-{number}") for number in range(20)]
DOCTOR = subject_of(person="doctor", role=Role.CLINICIAN, organisation=ORGANISATION)
WARM_S = 10
# When each value came into the page, beside when it was measured: before anything of ours has seen it.
HEAR = """
window.__heard = [];
const Original = window.WebSocket;
window.WebSocket = class extends Original {
  constructor(...words) {
    super(...words);
    this.addEventListener("message", (event) => {
      const now = performance.timeOrigin + performance.now();
      if (typeof event.data !== "string") return;
      const told = JSON.parse(event.data);
      if (told.type === "values") for (const one of told.values) window.__heard.push(now - one.measured_at);
    });
  }
};
"""


def main(seconds: int) -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    folder = Path(tempfile.mkdtemp(prefix="qlv-", dir="/tmp"))
    folder.chmod(0o711)
    try:
        with shared_parts(folder) as bench, bench.database(is_peer=False) as url:
            with connect(url) as connection:
                accounts = seed_ward(connection, WardFile(agent="hut-1"), now=utc_now())
                furnish(connection, SOURCES, organisation=ORGANISATION, site=SITE)
                hire(connection, DOCTOR.person, ORGANISATION)
                put_on_duty(connection, DOCTOR.person, site=SITE)
            password = next(one["password"] for one in accounts if one["name"] == "doctor")
            home = bench.folder / "home"
            ingest = IngestProcesses(database_url=url, mqtt_url=bench.broker.url, home=home)
            ingest.start()
            with serving(home, url, bench.broker.url) as (_, address), sending(bench.broker.url):
                figures = watch(address, password, for_s=seconds)
            ingest.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps({"commit": commit(), "load": os.getloadavg()[0], **figures}, indent=1))


@contextmanager
def sending(mqtt_url: str) -> Iterator[None]:
    """Each sensor tells a value a second."""
    client = agent_client(mqtt_url, WireAgent().agent, protocol=mqtt.MQTTv311)
    address = parse_mqtt_url(mqtt_url)
    client.connect(address.host, address.port)
    client.loop_start()
    stopping = threading.Event()

    def send() -> None:
        number = 0
        while not stopping.wait(1 / len(SOURCES)):
            number += 1
            sensor = WireAgent(src=SOURCES[number % len(SOURCES)])
            message = sensor.vitals(number, 60 + number % 40, at=now_in_ms())
            client.publish(message.topic, message.payload, qos=1)

    thread = threading.Thread(target=send)
    thread.start()
    yield
    stopping.set()
    thread.join()
    client.loop_stop()


def watch(address: str, password: str, *, for_s: int) -> dict[str, object]:
    with httpx.Client(base_url=address, timeout=30, trust_env=False) as client:
        client.post("/api/login", json={"name": "doctor", "password": password}).raise_for_status()
        for number, src in enumerate(SOURCES):
            question = {"code": src, "patient": f"p-{number}"}
            client.post("/api/bindings", json=question).raise_for_status()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=QUIET)
        page = browser.new_page(viewport={"width": 1280, "height": 1600})
        page.add_init_script(HEAR)
        page.goto(address)
        page.get_by_test_id("login-name").fill("doctor")
        page.get_by_test_id("login-password").fill(password)
        page.get_by_test_id("login-submit").click()
        page.wait_for_timeout(WARM_S * 1000)
        taken(page)
        heard: list[float] = []
        painted: list[float] = []
        ends_mono_s = time.monotonic() + for_s
        while time.monotonic() < ends_mono_s:
            page.wait_for_timeout(1000)
            came, drawn = taken(page)
            heard += came
            painted += drawn
        browser.close()
    return {
        "values": len(heard),
        "creation_to_browser_ms": percentiles([ms / 1000 for ms in heard]),
        "painted": len(painted),
        "creation_to_pixels_ms": percentiles([ms / 1000 for ms in painted]),
    }


def taken(page: Page) -> tuple[list[float], list[float]]:
    """What came and what was painted since the last time."""
    heard = page.evaluate("window.__heard.splice(0)")
    return heard, [one["latencyMs"] for one in page.evaluate("window.__qianli.paints.splice(0)")]


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 60)
