"""Minutes of normal running: no hole, no growth, no backlog. `QIANLI_SOAK_S` sets how long."""

import os
import time

import psutil
import pytest

from tests.fixtures.running_demo import source_named, wait_until
from tests.system.faults.test_demo_faults import (
    WATCHED,
    every_heart_is_fresh,
    everything_lives,
    rows,
    untold_holes,
)

pytestmark = [pytest.mark.soak, pytest.mark.timeout(7200)]

SOAK_S = float(os.environ.get("QIANLI_SOAK_S", "60"))
MEMORY_MB = 700
GROWTH_MB_PER_HOUR = 60


def memory_mb(demo):
    root = psutil.Process(demo.process.pid)
    return sum(one.memory_full_info().pss for one in [root, *root.children(recursive=True)]) / 1e6


def test_demo_runs_steadily(running_demo, viewer):
    wait_until(lambda: everything_lives(viewer), within_s=60, what="a healthy start")
    time.sleep(10)
    since, first_mb = time.time(), memory_mb(running_demo)
    longest_silence_s = 0.0
    while time.time() - since < SOAK_S:
        time.sleep(0.5)
        longest_silence_s = max(longest_silence_s, time.monotonic() - viewer.last_tick_mono_s)
    last_mb = memory_mb(running_demo)
    hours = (time.time() - since) / 3600
    print(
        f"{SOAK_S:.0f} s: {first_mb:.0f} -> {last_mb:.0f} MB, "
        f"longest wait for a tick {longest_silence_s:.1f} s"
    )

    assert every_heart_is_fresh(viewer)
    # The recordings hold up to seven seconds in which an oximeter finds no pulse, and says so.
    wait_until(lambda: everything_lives(viewer), within_s=20, what="everything live after the run")
    assert longest_silence_s < 3
    assert last_mb < MEMORY_MB
    assert last_mb - first_mb < 25 + GROWTH_MB_PER_HOUR * hours
    assert {name: untold_holes(running_demo, source_named(name), since) for name in WATCHED} == {
        name: [] for name in WATCHED
    }
    assert rows(running_demo, "SELECT * FROM dead_letter") == []
