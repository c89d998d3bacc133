"""Measure what a county takes at 1:20: processor time of every part while its agents send, and what is lost.

`python -m tests.benchmarks.measure_county` prints one JSON object; `docs/benchmarks.md` keeps the figures.
The fleet (`qianli fleet county`: 5,250 agents) is not counted: in a county it is not there. What is measured
once all agents are connected is multiplied by 20.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import msgspec
import psutil
import structlog

from cloud.store.connection import connect
from qianli.fleet.ledger import SourceSums
from tests.benchmarks.measure_demo import commit
from tests.benchmarks.measure_ingest import Bench, seconds, shared_parts
from tests.fixtures.ingest_processes import IngestProcesses
from tests.fixtures.running_demo import free_port
from tests.fixtures.stored_samples import stored_samples

SCALE = 20
CONNECTED_AFTER_S = 40
DRAIN_S = 300


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60, help="how long is measured")
    arguments = parser.parse_args()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    folder = Path(tempfile.mkdtemp(prefix="qlc-", dir="/tmp"))
    folder.chmod(0o711)
    try:
        with shared_parts(folder) as bench:
            figures = measure(bench, for_s=arguments.seconds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(figures, indent=1))


def measure(bench: Bench, *, for_s: float) -> dict[str, object]:
    said: dict[str, object] = {
        "commit": commit(),
        "at": datetime.now(UTC).isoformat(timespec="minutes"),
        "load_at_start": os.getloadavg()[0],
    }
    home = bench.folder / "home"
    with bench.database(is_peer=False) as url:
        ingest = IngestProcesses(database_url=url, mqtt_url=bench.broker.url, home=home)
        ingest.start()
        with serving(home, url, bench.broker.url) as (service, _):
            parts = {
                "worker": ingest.running(),
                "service": [psutil.Process(service.pid)],
                "broker": [psutil.Process(bench.broker.process.pid)],
                "database": [psutil.Process(bench.postgres.process.pid)],
            }
            said |= drive(bench, parts, for_s=for_s)
            with connect(url) as reader:
                said |= compare(bench, reader)
        ingest.stop()
    return said


@contextmanager
def serving(home: Path, database_url: str, mqtt_url: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The service, which hears every message for the live view, and its address."""
    port = free_port()
    environment = {
        **os.environ,
        "QIANLI_HOME": str(home),
        "QIANLI_DATABASE_URL": database_url,
        "QIANLI_MQTT_URL": mqtt_url,
        "QIANLI_HTTP_PORT": str(port),
        "QIANLI_AGENT_PORT": str(free_port()),
    }
    with (home / "service.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "cloud", "serve"], env=environment, stdout=log, stderr=log
        )
    deadline = time.monotonic() + 60
    while not is_up(port):
        assert process.poll() is None, (home / "service.log").read_text()
        assert time.monotonic() < deadline, (home / "service.log").read_text()
        time.sleep(0.2)
    yield process, f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(20)


def is_up(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/", trust_env=False).status_code < 500
    except httpx.HTTPError:
        return False


def drive(bench: Bench, parts: dict[str, list[psutil.Process]], *, for_s: float) -> dict[str, object]:
    """Let the county send; the measured time begins when all are connected."""
    words = [sys.executable, "-m", "qianli", "fleet", "county", "--broker", bench.broker.url]
    words += ["--duration", str(CONNECTED_AFTER_S + for_s + 5), "--drain", str(DRAIN_S)]
    words += ["--ledger", str(bench.folder / "ledger.json")]
    fleet = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    lines: list[dict] = []
    spent: dict[str, float] = {}
    began: dict[str, object] = {}
    measured: dict[str, object] = {}
    for text in fleet.stdout:
        line = json.loads(text)
        lines.append(line)
        if not began and line["at_s"] >= CONNECTED_AFTER_S:
            began, spent = line, used(parts)
        elif began and not measured and line["at_s"] >= began["at_s"] + for_s:
            measured = figures_between(began, line, spent, used(parts))
    assert fleet.wait() == 0, lines[-1]
    return {**measured, "whole_run": lines[-1], "load_at_end": os.getloadavg()[0]}


def used(parts: dict[str, list[psutil.Process]]) -> dict[str, float]:
    """Processor seconds of every part; PostgreSQL's children come and go."""
    return {
        name: sum(
            seconds(one) + sum(seconds(child) for child in one.children(recursive=True))
            if name == "database"
            else seconds(one)
            for one in processes
        )
        for name, processes in parts.items()
    }


def figures_between(
    first: dict, last: dict, before: dict[str, float], after: dict[str, float]
) -> dict[str, object]:
    took_s = last["at_s"] - first["at_s"]
    cores = {name: (after[name] - before[name]) / took_s for name in after}
    return {
        "measured_s": round(took_s, 1),
        "agents": last["connections"],
        "messages_per_s": round((last["made"] - first["made"]) / took_s),
        "stored_messages_per_s": round((last["acknowledged"] - first["acknowledged"]) / took_s),
        "ack_ms": last["ack_ms"],
        "cores": {name: round(share, 3) for name, share in cores.items()},
        "cores_of_a_county": {name: round(share * SCALE, 1) for name, share in cores.items()},
        "cores_of_a_county_together": round(sum(cores.values()) * SCALE, 1),
    }


def compare(bench: Bench, reader: object) -> dict[str, object]:
    """What was measured against what is stored, source by source."""
    measured = msgspec.json.decode((bench.folder / "ledger.json").read_bytes(), type=dict[str, SourceSums])
    stored = stored_samples(reader)
    made = {(src, key): one for src, sums in measured.items() for key, one in sums.vitals.items()}
    waves = {(src, key): one for src, sums in measured.items() for key, one in sums.waves.items()}
    return {
        "vital_samples": sum(one.samples for one in made.values()),
        "wave_samples": sum(one.samples for one in waves.values()),
        "series_that_differ": differing(made, stored.vitals) + differing(waves, stored.waves),
    }


def differing(made: dict, stored: object) -> int:
    return sum(
        tuple(getattr(one, name) for name in one.__struct_fields__) != tuple(stored.get(place, ()))
        for place, one in made.items()
    )


if __name__ == "__main__":
    main()
