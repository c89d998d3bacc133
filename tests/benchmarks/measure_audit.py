"""Measure the audit: appending, verifying a million entries, finding a change, and what a request pays.

`python -m tests.benchmarks.measure_audit` prints one JSON object; `docs/benchmarks.md` keeps the figures.
"""

import json
import random
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import httpx
import structlog
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud.act import Action, Origin, TargetKind, target
from cloud.app import build_app
from cloud.assembly import assemble
from cloud.audit.lines import verify_lines, write_lines
from cloud.audit.model import ChainBroken, Head, TimedAct, chain_acts, sign_head
from cloud.audit.stream import AuditStream
from cloud.identity.model import Role, subject_of
from cloud.identity.service import utc_now
from cloud.seed import seed_ward
from cloud.settings import CloudSettings
from cloud.store.connection import connect
from cloud.store.migrate import migrate
from cloud.ward.model import WardFile, WardPatient
from qianli.embedded.postgres import find_programs, make_cluster
from qianli.home import Home, prepare_home
from tests.benchmarks.measure_demo import commit
from tests.fixtures.services import PostgresServer

APPENDED = 100_000
THREADS = 8
OUTSTANDING = 250
VERIFIED = 1_000_000
SIGNED_EVERY = 1_000
CHANGES = 12
REQUESTS = {24: 40, 1: 200}
SEED = 20260301
WARD = WardFile(
    agent="hut-1", patients=[WardPatient(id="p-1", bed="1", name_zh="张三", name_en="Z", sources=["s-1"])]
)
DOCTOR = subject_of(person="person-0123456789ab", role=Role.CLINICIAN, organisation="first-hospital")
LOOK = DOCTOR.act(Action.READ_TREND, target(TargetKind.PATIENT, "p-1"), origin=Origin.HTTP)


def main() -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    folder = Path(tempfile.mkdtemp(prefix="qla-", dir="/tmp"))
    folder.chmod(0o711)
    try:
        figures = verify(folder / "million.jsonl")
        with postgres(folder) as url:
            figures |= append(url)
            figures |= overhead(url, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps({"commit": commit(), **figures}, indent=1))


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    home = Home(path=folder / "home")
    prepare_home(home)
    home.path.chmod(0o711)
    programs = find_programs(home)
    make_cluster(programs, home.postgres)
    server = PostgresServer(home=home, programs=programs)
    server.start()
    server.execute("CREATE DATABASE audited")
    with connect(server.url("audited")) as connection:
        migrate(connection)
    yield server.url("audited")
    server.stop(signal.SIGQUIT)


def verify(path: Path) -> dict[str, float | int]:
    """A million entries with a signature below every thousandth."""
    key = Ed25519PrivateKey.generate()
    timed = TimedAct(act=LOOK, at=datetime(2026, 3, 1, tzinfo=UTC))
    entries = chain_acts(Head(), (timed for _ in range(VERIFIED)))
    checkpoints = [
        sign_head(key, Head(sequence=entry.sequence, hash=entry.hash), at=timed.at)
        for entry in islice(entries, SIGNED_EVERY - 1, None, SIGNED_EVERY)
    ]
    with path.open("wb") as file:
        file.writelines(write_lines(entries, checkpoints))
    del entries
    size = path.stat().st_size
    started = time.perf_counter()
    with path.open("rb") as lines:
        assert verify_lines(lines).entries == VERIFIED
    took_s = time.perf_counter() - started
    found = [find_change(path, position) for position in random.Random(SEED).sample(range(size), CHANGES)]
    return {
        "verify_1e6_s": round(took_s, 2),
        "changes_tried": len(found),
        "changes_found": sum(was_found for was_found, _ in found),
        "slowest_change_found_s": round(max(after_s for _, after_s in found), 2),
    }


def find_change(path: Path, position: int) -> tuple[bool, float]:
    """Flip the lowest bit of one byte, look, and flip it back."""
    flip(path, position)
    started = time.perf_counter()
    try:
        with path.open("rb") as lines:
            verify_lines(lines)
        was_found = False
    except ChainBroken:
        was_found = True
    took_s = time.perf_counter() - started
    flip(path, position)
    return was_found, took_s


def flip(path: Path, position: int) -> None:
    with path.open("r+b") as file:
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes([byte ^ 1]))


def append(url: str) -> dict[str, float | int]:
    """Single acts from several threads: first with many outstanding, then each waiting for its commit."""
    audit = AuditStream(url, Ed25519PrivateKey.generate(), clock=utc_now)
    audit.start()
    many_s = in_threads(lambda: write_ahead(audit, APPENDED // THREADS))
    waits_s: list[float] = []
    in_threads(lambda: waits_s.extend(write_and_wait(audit) for _ in range(500)))
    audit.stop()
    with connect(url) as connection:
        stored = connection.execute("SELECT count(*), count(DISTINCT xmin::text) FROM audit_entry").fetchone()
    assert stored[0] == APPENDED // THREADS * THREADS + 500 * THREADS
    waits_s.sort()
    return {
        "append_per_s": round(APPENDED / many_s),
        "commits": stored[1],
        "wait_of_8_at_once_p50_ms": round(statistics.median(waits_s) * 1000, 2),
        "wait_of_8_at_once_p95_ms": round(waits_s[int(len(waits_s) * 0.95)] * 1000, 2),
    }


def in_threads(work) -> float:
    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - started


def write_ahead(audit: AuditStream, number: int) -> None:
    outstanding = deque()
    for _ in range(number):
        outstanding.append(audit.begin(LOOK))
        if len(outstanding) > OUTSTANDING:
            outstanding.popleft()()
    for written in outstanding:
        written()


def write_and_wait(audit: AuditStream) -> float:
    started = time.perf_counter()
    audit.begin(LOOK)()
    return time.perf_counter() - started


class Nobody:
    """Takes no note: what a request costs without audit."""

    def begin(self, *_acts):
        return lambda: None

    def note(self, *_acts):
        pass


def overhead(url: str, folder: Path) -> dict[str, float]:
    """The same requests through the real server in turns, with and without the audit."""
    settings = CloudSettings(
        database_url=url, mqtt_url="mqtt://nobody@127.0.0.1:9", home=folder / "keys-home"
    )
    with connect(url) as connection:
        accounts = seed_ward(connection, WARD, now=utc_now())
        fill(connection)
        built = assemble(settings, connection)
    server = uvicorn.Server(uvicorn.Config(build_app(built, static=folder), port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        client.post("/api/login", json=accounts[0] | {"role": None}).raise_for_status()
        figures = {}
        for hours in REQUESTS:
            figures |= compare(client, built, hours=hours)
    server.should_exit = True
    thread.join()
    return figures


def fill(connection) -> None:
    """A day of two values a second."""
    connection.execute("UPDATE binding SET during = tstzrange(now() - interval '2 days', NULL)")
    connection.execute(
        "INSERT INTO observation SELECT 's-1', key, at, 60 + random() * 30, '/min', 'good', '{}', NULL, "
        "at, at, at, false, 'live', 0 FROM unnest(ARRAY['heart_rate', 'pulse_rate']) AS key, "
        "generate_series(now() - interval '1 day', now(), interval '1 second') AS at"
    )
    connection.execute("ANALYZE observation")


def compare(client: httpx.Client, built, *, hours: int) -> dict[str, float]:
    recorders = {"with": built.audit, "without": Nobody()}
    took_ms: dict[str, list[float]] = {"with": [], "without": []}
    for number in range(2 * REQUESTS[hours] + 20):
        name = ("with", "without")[number % 2]
        built.trends._recorder = recorders[name]
        started = time.perf_counter()
        client.get("/api/patients/p-1/trend", params={"hours": hours}).raise_for_status()
        if number >= 20:
            took_ms[name].append((time.perf_counter() - started) * 1000)
    medians = {name: statistics.median(times) for name, times in took_ms.items()}
    return {
        f"trend_{hours}h_with_ms": round(medians["with"], 2),
        f"trend_{hours}h_without_ms": round(medians["without"], 2),
        f"trend_{hours}h_overhead_pct": round((medians["with"] / medians["without"] - 1) * 100, 1),
    }


if __name__ == "__main__":
    main()
