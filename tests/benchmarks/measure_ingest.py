"""Measure ingest beside its peers, in one run: the same messages, broker and database for all.

`python -m tests.benchmarks.measure_ingest` prints one JSON object; `docs/benchmarks.md` keeps the figures.
Wall rates swing with the machine: ratios within a run and processor time per message may be compared. Peers:
the worker of the tutorials (`peers/tutorial_worker.py`) and Node-RED (`peers/node_red.py`, fetched by npm).
"""

import argparse
import json
import os
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import psutil
import psycopg
import structlog
from psycopg.conninfo import conninfo_to_dict

from cloud.store.connection import connect
from cloud.store.migrate import migrate
from qianli.embedded.postgres import find_programs, make_cluster
from qianli.fleet.ledger import SourceSums
from qianli.home import Home, prepare_home
from tests.benchmarks.measure_demo import commit
from tests.benchmarks.mqtt_flood import AGENTS, declare
from tests.benchmarks.peers import node_red
from tests.fixtures.brokers import PlainBroker, mosquitto
from tests.fixtures.ingest_processes import IngestProcesses
from tests.fixtures.running_demo import free_port
from tests.fixtures.services import PostgresServer
from tests.fixtures.stored_samples import Committed, committed, count_samples, stored_samples

STEADY_PER_S = 1000
BATCHED_PER_S = 300_000
STALLED_AFTER_S = 30
SAMPLE = (
    "CREATE TABLE sample (src text, key text, measured_at timestamptz, value float8, "
    "PRIMARY KEY (src, key, measured_at))"
)
SAMPLE_COMMITS = (
    "SELECT extract(epoch FROM at)::float8, extract(epoch FROM at - measured_at)::float8 * 1000 "
    "FROM (SELECT pg_xact_commit_timestamp(xmin) AS at, measured_at FROM sample) AS s "
    "WHERE at >= to_timestamp(%s)"
)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Messages of a flood."""

    name: str
    messages: int
    per_s: float
    rows: int = 1
    columns: int = 1

    @property
    def samples(self) -> int:
        return self.messages * self.rows * self.columns


@dataclass(frozen=True, kw_only=True)
class Worker:
    """One candidate: how it is run against a database, and how its rows are read."""

    run: Callable[[str], object]
    count: Callable[[psycopg.Connection], int]
    read: Callable[..., Committed]
    is_peer: bool = True


@dataclass(frozen=True, kw_only=True)
class Bench:
    """The parts that all candidates share."""

    folder: Path
    postgres: PostgresServer
    broker: PlainBroker

    @contextmanager
    def database(self, *, is_peer: bool) -> Iterator[str]:
        name = f"b{secrets.token_hex(4)}"
        self.postgres.execute(f"CREATE DATABASE {name}")
        url = self.postgres.url(name)
        with connect(url) as connection:
            if is_peer:
                connection.execute(SAMPLE)
            else:
                migrate(connection)
        yield url
        self.postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")

    @contextmanager
    def ours(self, url: str) -> Iterator[list[psutil.Process]]:
        home = Home(path=self.folder / f"ours-{secrets.token_hex(4)}")
        prepare_home(home)
        ingest = IngestProcesses(database_url=url, mqtt_url=self.broker.url, home=home.path)
        ingest.start()
        yield ingest.running()
        ingest.stop()

    @contextmanager
    def tutorial(self, url: str) -> Iterator[list[psutil.Process]]:
        words = [sys.executable, "-m", "tests.benchmarks.peers.tutorial_worker", url, str(self.broker.port)]
        with self._peer(words, ready="ready") as processes:
            yield processes

    @contextmanager
    def node_red(self, url: str) -> Iterator[list[psutil.Process]]:
        said = conninfo_to_dict(url)
        database = {"host": said["host"], "database": said["dbname"], "user": said["user"]}
        user_folder = self.folder / f"red-{secrets.token_hex(4)}"
        words = node_red.command(
            user_folder, mqtt_port=self.broker.port, http_port=free_port(), database=database
        )
        with self._peer(words, ready="Connected to broker") as processes:
            time.sleep(1)
            yield processes

    @contextmanager
    def _peer(self, words: list[str], *, ready: str) -> Iterator[list[psutil.Process]]:
        log = self.folder / f"peer-{secrets.token_hex(4)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(words, stdout=output, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 60
        while ready not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield [psutil.Process(process.pid)]
        process.terminate()
        process.wait(20)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--size", type=float, default=1.0, help="how many messages, as a multiple of the usual"
    )
    parser.add_argument("--without-peers", action="store_true")
    parser.add_argument(
        "--overload", type=float, default=0, metavar="S", help="ten times too much for so long"
    )
    parser.add_argument("--repeat", type=int, default=3, help="rounds in turn; the medians are told")
    arguments = parser.parse_args()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    folder = Path(tempfile.mkdtemp(prefix="qli-", dir="/tmp"))
    folder.chmod(0o711)
    figures: dict[str, object] = {
        "commit": commit(),
        "at": datetime.now(UTC).isoformat(timespec="minutes"),
        "cores": os.cpu_count(),
        "load_at_start": os.getloadavg()[0],
    }
    try:
        with shared_parts(folder) as bench:
            rounds = [
                compare(bench, size=arguments.size, without_peers=arguments.without_peers)
                for _ in range(arguments.repeat)
            ]
            figures |= medians(rounds)
            figures |= derived(figures)
            if arguments.overload:
                capacity = figures["ours"]["batches"]["messages_per_s"]
                figures["overload"] = overload(bench, per_s=10 * capacity, for_s=arguments.overload)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    figures["load_at_end"] = os.getloadavg()[0]
    print(json.dumps(figures, indent=1))


@contextmanager
def shared_parts(folder: Path) -> Iterator[Bench]:
    home = Home(path=folder / "home")
    prepare_home(home)
    home.path.chmod(0o711)
    programs = find_programs(home)
    make_cluster(programs, home.postgres)
    with (home.postgres / "postgresql.conf").open("a") as settings:
        settings.write("track_commit_timestamp = on\n")
    server = PostgresServer(home=home, programs=programs)
    server.start()
    broker = mosquitto(folder)
    broker.start()
    try:
        yield Bench(folder=folder, postgres=server, broker=broker)
    finally:
        broker.stop()
        server.stop()


def compare(bench: Bench, *, size: float, without_peers: bool) -> dict[str, object]:
    ours = Worker(run=bench.ours, count=count_samples, read=committed, is_peer=False)
    peers: dict[str, tuple[Worker, int]] = {}
    said: dict[str, object] = {}
    if not without_peers:
        peers["tutorial"] = (Worker(run=bench.tutorial, count=count_peer, read=committed_of_peer), 4_000)
        try:
            said["node_red_version"] = node_red.version()
            peers["node_red"] = (Worker(run=bench.node_red, count=count_peer, read=committed_of_peer), 12_000)
        except node_red.NodeRedMissing as missing:
            said["node_red_missing"] = str(missing)
    steady = Shape(name="steady", messages=int(5 * STEADY_PER_S * size), per_s=STEADY_PER_S)
    full = Shape(name="full", messages=int(12_000 * size), per_s=30_000)
    batches = Shape(name="batches", messages=int(3_000 * size), per_s=6_000, rows=10, columns=8)
    said["ours"] = measure(bench, ours, [steady, full, batches])
    if said["ours"]["batches"]["samples_per_s"] > 1.2 * BATCHED_PER_S:
        many = Shape(
            name="steady_batches", messages=int(11_250 * size), per_s=BATCHED_PER_S / 80, rows=10, columns=8
        )
        said["ours"] |= measure(bench, ours, [many])
    for name, (peer, messages) in peers.items():
        own_full = Shape(name="full", messages=int(messages * size), per_s=30_000)
        said[name] = measure(bench, peer, [steady, own_full])
    return said


def medians(rounds: list[dict]) -> dict:
    """Of each figure; the rounds went in turns, so that a busy moment of the machine hits all candidates."""
    first = rounds[0]
    return {
        name: medians([one[name] for one in rounds if name in one])
        if isinstance(value, dict)
        else statistics.median(one[name] for one in rounds)
        if isinstance(value, int | float)
        else value
        for name, value in first.items()
    }


def count_peer(connection: psycopg.Connection) -> int:
    return connection.execute("SELECT count(*) FROM sample").fetchone()[0]


def committed_of_peer(connection: psycopg.Connection, *, since_s: float) -> Committed:
    rows = connection.execute(SAMPLE_COMMITS, (since_s,)).fetchall()
    return Committed(len(rows), max((at for at, _ in rows), default=0.0), [delay for _, delay in rows])


def measure(bench: Bench, worker: Worker, shapes: list[Shape]) -> dict[str, object]:
    """Each shape through one candidate; births and a short one first, which are not counted.

    The broker begins anew, so that it keeps nothing for the sessions of those who were measured before.
    """
    figures = {}
    bench.broker.stop()
    bench.broker.start()
    with bench.database(is_peer=worker.is_peer) as url, worker.run(url) as processes, connect(url) as reader:
        declare(bench.broker.port, agents=AGENTS)
        warm = Shape(name="warm", messages=1000, per_s=500)
        for shape in [warm, *shapes]:
            figures[shape.name] = send(bench, worker, shape, processes, reader)
    del figures["warm"]
    return figures


def send(
    bench: Bench, worker: Worker, shape: Shape, processes: list[psutil.Process], reader: psycopg.Connection
) -> dict[str, float]:
    before = worker.count(reader)
    flood = {
        "port": bench.broker.port,
        "messages": shape.messages,
        "per_s": shape.per_s,
        "rows": shape.rows,
        "columns": shape.columns,
        "lineage": secrets.token_hex(8),
    }
    spent_s = spent(bench, processes)
    words = [sys.executable, "-m", "tests.benchmarks.mqtt_flood", json.dumps(flood)]
    sender = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    stored = await_all(lambda: worker.count(reader) - before, shape.samples)
    spent_s = {name: now - spent_s[name] for name, now in spent(bench, processes).items()}
    known = worker.read(reader, since_s=sender["started_s"])
    took_s = known.last_s - sender["started_s"]
    delays = sorted(known.delays_ms)
    cpu = {f"{name}_us_per_message": round(s / shape.messages * 1e6, 1) for name, s in spent_s.items()}
    return {
        "messages": shape.messages,
        "lost": shape.samples - stored,
        "messages_per_s": round(shape.messages / took_s),
        "samples_per_s": round(stored / took_s),
        "p50_ms": round(statistics.median(delays), 1),
        "p99_ms": round(delays[int(len(delays) * 0.99)], 1),
        "bytes_per_message": round(sender["bytes_per_message"]),
        **cpu,
    }


def await_all(count: Callable[[], int], wanted: int) -> int:
    """Wait until all is there or nothing more comes."""
    found, moved_mono_s = count(), time.monotonic()
    while found < wanted and time.monotonic() - moved_mono_s < STALLED_AFTER_S:
        time.sleep(0.3)
        now = count()
        if now > found:
            moved_mono_s = time.monotonic()
        found = now
    return found


def spent(bench: Bench, worker: list[psutil.Process]) -> dict[str, float]:
    """Processor seconds so far."""
    database = psutil.Process(bench.postgres.process.pid)
    gone = database.cpu_times()
    return {
        "worker": sum(seconds(one) for one in worker),
        "database": sum(seconds(one) for one in (database, *database.children(recursive=True)))
        + gone.children_user
        + gone.children_system,
        "broker": seconds(psutil.Process(bench.broker.process.pid)),
    }


def seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return times.user + times.system


def overload(bench: Bench, *, per_s: float, for_s: float) -> dict[str, object]:
    """Simulated agents make ten times what is stored in a second, and then wait until all of it is stored."""
    agents = max(1, round(per_s / 5))
    scenario = f"[[group]]\nname = 'over'\nkind = 'home'\nnumber = {agents}\npace = 50\n"
    (bench.folder / "over.toml").write_text(scenario)
    ledger = bench.folder / "over.json"
    with bench.database(is_peer=False) as url, bench.ours(url) as processes:
        words = [sys.executable, "-m", "qianli", "fleet", bench.folder / "over.toml", "--ledger", ledger]
        words += ["--broker", bench.broker.url, "--duration", str(for_s), "--drain", str(30 * for_s + 120)]
        fleet = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        memory_mb: list[float] = []
        summary: dict[str, object] = {}
        for line in fleet.stdout:
            memory_mb.append(sum(one.memory_info().rss for one in processes) / 1e6)
            summary = json.loads(line)
        fleet.wait()
        with connect(url) as reader:
            stored = stored_samples(reader)
    measured = msgspec.json.decode(ledger.read_bytes(), type=dict[str, SourceSums])
    made = sum(one.samples for sums in measured.values() for one in sums.vitals.values())
    half = len(memory_mb) // 2
    return {
        "agents": agents,
        "made_per_s": round(summary["made"] / for_s),
        "made_messages": summary["made"],
        "lost_samples": made - sum(one.samples for one in stored.vitals.values()),
        "sources_that_differ": sum(
            tuple(getattr(one, name) for name in one.__struct_fields__) != tuple(stored.vitals[src, key])
            for src, sums in measured.items()
            for key, one in sums.vitals.items()
        ),
        "recovery_s": round(summary["at_s"] - for_s, 1),
        "ack_ms": summary["ack_ms"],
        "memory_mb_at_start": round(memory_mb[0]),
        "memory_mb_first_half_max": round(max(memory_mb[:half])),
        "memory_mb_second_half_max": round(max(memory_mb[half:])),
    }


def derived(said: dict) -> dict[str, object]:
    """Ratios of this run, and what a message and a sample cost the worker."""
    ours = said["ours"]
    figures = {}
    for name in ("tutorial", "node_red"):
        if name in said:
            peer = said[name]["full"]["samples_per_s"]
            figures[f"one_sample_times_{name}"] = round(ours["full"]["samples_per_s"] / peer, 2)
            figures[f"batched_samples_times_{name}"] = round(ours["batches"]["samples_per_s"] / peer, 1)
    one, many = (ours[name]["worker_us_per_message"] for name in ("full", "batches"))
    per_sample = (many - one) / 79
    return figures | {
        "worker_us_per_sample": round(per_sample, 2),
        "worker_us_per_message_beside": round(one - per_sample, 1),
    }


if __name__ == "__main__":
    main()
