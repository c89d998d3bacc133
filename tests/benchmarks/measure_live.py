"""Measure the way of a value from its creation to the pixels of a wall.

`python -m tests.benchmarks.measure_live [SECONDS]` prints one JSON object for `docs/benchmarks.md`. Twenty
sensors of one agent tell a value each second; broker, ingest, database, service, pages and Chromium are real
and on this machine, and the page itself says when it painted what (`src/live/paint-probe.ts`).
"""

import json
import os
import sys
import time
from pathlib import Path

import httpx
from playwright.sync_api import sync_playwright

from tests.benchmarks.measure_bindings import SOURCES, percentiles, running_cloud
from tests.benchmarks.measure_demo import commit
from tests.fixtures.hand_over import Sender
from tests.web.conftest import QUIET

STATIC = Path(__file__).resolve().parents[2] / "cloud" / "static"
WARM_S = 10


def main(seconds: int) -> None:
    with running_cloud(static=STATIC) as cloud, sync_playwright() as playwright:
        with httpx.Client(base_url=cloud.address, timeout=30) as client:
            client.post("/api/login", json={"name": "doctor", "password": cloud.password}).raise_for_status()
            for number, src in enumerate(SOURCES):
                question = {"code": src, "patient": f"p-{number}"}
                client.post("/api/bindings", json=question).raise_for_status()
        sender = Sender(mqtt_url=cloud.mqtt_url, sources=SOURCES, every_s=1.0)
        sender.worn_by = {src: number for number, src in enumerate(SOURCES)}
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=QUIET)
        page = browser.new_page(viewport={"width": 1280, "height": 1600})
        page.goto(cloud.address)
        page.get_by_test_id("login-name").fill("doctor")
        page.get_by_test_id("login-password").fill(cloud.password)
        page.get_by_test_id("login-submit").click()
        page.wait_for_timeout(WARM_S * 1000)
        painted: list[float] = []
        ends_mono_s = time.monotonic() + seconds
        page.evaluate("window.__qianli.paints.splice(0)")
        while time.monotonic() < ends_mono_s:
            page.wait_for_timeout(1000)
            painted += [one["latencyMs"] for one in page.evaluate("window.__qianli.paints.splice(0)")]
        browser.close()
        sender.stop()
    found = {"commit": commit(), "load": os.getloadavg()[0], "painted": len(painted)}
    print(json.dumps(found | {"creation_to_pixels_ms": percentiles([ms / 1000 for ms in painted])}, indent=1))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 60)
