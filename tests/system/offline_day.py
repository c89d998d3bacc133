"""The demo and its main job in a network that leads nowhere; prints what happened as one JSON line.

Run by test_no_calls_out.py.
"""

import json
import shutil
import socket
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.fixtures.closed_network import Witness, close_network
from tests.fixtures.running_demo import RunningDemo, Viewer, wait_until

CONTROL = "203.0.113.9"
CONTROL_6 = "2001:db8::9"
PATIENTS = ("p-demo-1", "p-demo-2", "p-demo-3", "p-demo-4")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def main() -> None:
    close_network()
    witness = Witness()
    with tempfile.TemporaryDirectory(prefix="ql-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        demo = RunningDemo(home=Path(folder) / "home")
        demo.start()
        try:
            values = follow_values(demo)
            foreign = witness.foreign()
            requests = open_wall(demo)
        finally:
            demo.stop()
    call_out()
    found = {"values": values, "foreign": foreign, "requests": requests, "address": demo.address}
    print(json.dumps({**found, "control": [one for one in witness.foreign() if one in (CONTROL, CONTROL_6)]}))


def follow_values(demo: RunningDemo) -> dict[str, float]:
    """Every patient's heart rate through agent, broker, database and socket; a trend besides."""
    client = demo.log_in()
    viewer = Viewer(demo, client)
    wait_until(
        lambda: all(viewer.value(patient, "heart_rate") for patient in PATIENTS), within_s=60, what="values"
    )
    client.get("/api/patients/p-demo-1/trend?hours=1").raise_for_status()
    time.sleep(10)
    viewer.close()
    return {patient: viewer.value(patient, "heart_rate")["value"] for patient in PATIENTS}


def open_wall(demo: RunningDemo) -> list[str]:
    """What the page asks for until the wall has shown for a while; not what the browser asks by itself."""
    asked = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=QUIET)
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("websocket", lambda opened: asked.append(opened.url))
        page.goto(demo.address)
        page.get_by_test_id("login-name").fill("doctor")
        page.get_by_test_id("login-password").fill(demo.passwords["doctor"])
        page.get_by_test_id("login-submit").click()
        page.get_by_test_id("wall").wait_for()
        time.sleep(3)
        browser.close()
    return asked


def call_out() -> None:
    """The witness must see this, or it sees nothing."""
    for family, address in ((socket.AF_INET, CONTROL), (socket.AF_INET6, CONTROL_6)):
        with socket.socket(family, socket.SOCK_DGRAM) as caller, suppress(OSError):
            caller.sendto(b"?", (address, 53))
    time.sleep(0.5)


if __name__ == "__main__":
    main()
