"""Measure the running demo: start, memory, CPU, and the way from a device's notification to pixels.

`python -m tests.benchmarks.measure_demo` prints one JSON object; `docs/benchmarks.md` keeps the figures.
"""

import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import psutil
from playwright.sync_api import sync_playwright

from tests.fixtures.running_demo import RunningDemo
from tests.web.conftest import QUIET

WATCH_S = 60


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="qlb-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        demo = RunningDemo(home=Path(folder) / "home")
        figures = {"first_start_s": round(demo.start(), 2)}
        figures["first_stored_sample_s"] = round(seconds_to_first_sample(demo), 2)
        demo.stop()
        figures["second_start_s"] = round(demo.start(), 2)
        time.sleep(15)
        figures |= cost(demo)
        figures |= latency(demo)
        figures["cpu_pct_of_one_core_with_viewer"] = figures.pop("_cpu_viewer")
        demo.stop()
    print(
        json.dumps(
            {"commit": commit(), "cores": os.cpu_count(), "machine": platform.machine(), **figures}, indent=1
        )
    )


def commit() -> str:
    return subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()


def seconds_to_first_sample(demo: RunningDemo) -> float:
    """From the command to the first row of the database, by the database's own clock."""
    started = psutil.Process(demo.process.pid).create_time()
    with demo.database() as database:
        while True:
            first = database.execute(
                "SELECT least((SELECT extract(epoch FROM min(stored_at)) FROM observation), "
                "(SELECT min(stored_us) / 1000000.0 FROM series_batch))::float"
            ).fetchone()[0]
            if first is not None:
                return first - started
            time.sleep(0.1)


def processes(demo: RunningDemo) -> list[psutil.Process]:
    root = psutil.Process(demo.process.pid)
    return [root, *root.children(recursive=True)]


def cpu_s(demo: RunningDemo) -> float:
    total = 0.0
    for process in processes(demo):
        times = process.cpu_times()
        total += times.user + times.system
    return total


def cost(demo: RunningDemo) -> dict[str, float]:
    """Memory as the sum of proportional set sizes (pages shared between processes count once) and of RSS."""
    before, started = cpu_s(demo), time.monotonic()
    time.sleep(WATCH_S)
    used = cpu_s(demo) - before
    memory = [process.memory_full_info() for process in processes(demo)]
    return {
        "idle_cpu_pct_of_one_core": round(100 * used / (time.monotonic() - started), 1),
        "memory_pss_mb": round(sum(item.pss for item in memory) / 1e6, 1),
        "memory_rss_sum_mb": round(sum(item.rss for item in memory) / 1e6, 1),
    }


def latency(demo: RunningDemo) -> dict[str, float]:
    """First-paint latencies that the page records, in its clock disciplined by the server's ticks."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=QUIET)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(demo.address)
        page.get_by_test_id("login-name").fill("doctor")
        page.get_by_test_id("login-password").fill(demo.passwords["doctor"])
        page.get_by_test_id("login-submit").click()
        page.wait_for_timeout(10_000)
        before, started = cpu_s(demo), time.monotonic()
        samples: dict[str, list[float]] = {"numbers": [], "waves": []}
        while time.monotonic() - started < WATCH_S:
            for name, milliseconds in page.evaluate("window.__qianli.lastPaintLatencyMs").items():
                samples["waves" if "/wave/" in name else "numbers"].append(milliseconds)
            page.wait_for_timeout(500)
        used = cpu_s(demo) - before
        browser.close()
    return {
        **{f"{kind}_p50_ms": round(statistics.median(values)) for kind, values in samples.items()},
        **{
            f"{kind}_p95_ms": round(statistics.quantiles(values, n=20)[18])
            for kind, values in samples.items()
        },
        "_cpu_viewer": round(100 * used / (time.monotonic() - started), 1),
    }


if __name__ == "__main__":
    main()
