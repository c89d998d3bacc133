"""Rules for every test: a strict run admits no skipped test, but of TimescaleDB, which no index has."""

import os
from collections.abc import Iterator

import pytest

pytest_plugins = ["tests.fixtures.running_demo", "tests.fixtures.services"]

STRICT = os.environ.get("QIANLI_STRICT") == "1"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    is_admitted = hasattr(report, "wasxfail") or item.get_closest_marker("timescale") is not None
    if STRICT and report.skipped and not is_admitted:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped in a strict run: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    report = yield
    if STRICT and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} was skipped in a strict run: {report.longrepr}"
    return report
