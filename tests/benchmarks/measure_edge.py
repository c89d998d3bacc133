"""Measure the edge: durable puts, bytes on wire and disk, and how a backlog drains beside live values.

`python -m tests.benchmarks.measure_edge [BACKLOG_MINUTES]` prints one JSON object for `docs/benchmarks.md`.
A monitor gives eight vitals at 1 Hz and three waves at 250 Hz (a minute of a103l, repeated). Broker, database
and ingest are real.
"""

import json
import os
import random
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import numpy as np

from cloud.identity.service import utc_now
from cloud.store.connection import connect
from cloud.store.migrate import migrate
from edge_agent.spool import OutboxEntry, RawFrame, Spool
from edge_agent.spool_packing import Packer
from edge_agent.uplink import BrokerAddress, Uplink
from qianli.embedded.postgres import find_programs, make_cluster
from qianli.ports import port_is_free
from tests.benchmarks.measure_demo import commit
from tests.fixtures.certificates import agent_identity
from tests.fixtures.ingest import uncontested_ingest
from tests.fixtures.services import BrokerServer, PostgresServer, short_home
from vitals.observation import Observation, SourceId, VitalKey
from vitals.vocabulary import vital_code
from vitals.wave import WaveBlock
from vitals.wire.batch import ClockState, Envelope, build_batch, encode_batch, from_ms
from vitals.wire.topics import AgentTopic, Lane
from vitals.wire.wave_block import encode_wave

RECORDING = Path(__file__).parents[1] / "recordings" / "waves" / "a103l_60s.npz"
SRC = SourceId("s-0123456789abcdef")
AGENT = "ambulance-1"
RATE_HZ = 250
STREAMS = ("ecg_ii", "ecg_v", "pleth")
WALKS = {
    "heart_rate": (78.0, 0.7),
    "spo2": (96.0, 0.3),
    "pulse_rate": (78.0, 0.7),
    "resp_rate": (16.0, 0.4),
    "abp_sys": (122.0, 1.2),
    "abp_dia": (77.0, 0.8),
    "temp": (36.7, 0.02),
    "perfusion_index": (2.3, 0.08),
}
WEEK_H = 24 * 7


@dataclass
class Monitor:
    """What one monitor gives in each second, as the agent spools it."""

    lineage: str
    chance: random.Random = field(default_factory=lambda: random.Random(20261126))
    counted: int = 0

    def __post_init__(self) -> None:
        self.waves = {name: np.asarray(samples, np.int32) for name, samples in np.load(RECORDING).items()}
        self.values = {key: value for key, (value, _) in WALKS.items()}
        self.envelope = Envelope(ln=self.lineage, boot="0102030405060708", lane=Lane.LIVE, s=1)

    def second(self, at_ms: int) -> list[Observation]:
        """Eight values, walking at random within their decimals."""
        items = []
        for key, (_, step) in WALKS.items():
            self.values[key] += self.chance.gauss(0, step)
            code = vital_code(key)
            assert code is not None
            value = round(self.values[key], code.decimals)
            moment = from_ms(at_ms)
            items.append(
                Observation(
                    key=VitalKey(key), value=value, unit=code.ucum, measured_at=moment, received_at=moment
                )
            )
        return items

    def batch(self, items: list[Observation]) -> bytes:
        clock = ClockState(src="ntp", off_ms=0)
        return encode_batch(build_batch(items, src=SRC, envelope=self.envelope, clock=clock))

    def blocks(self, at_ms: int) -> list[OutboxEntry]:
        """A second of each wave."""
        first = self.counted
        self.counted += RATE_HZ
        start = first % (60 * RATE_HZ)
        entries = []
        for stream in STREAMS:
            block = WaveBlock(
                stream=VitalKey(stream),
                t0_us=at_ms * 1000,
                rate_hz=Fraction(RATE_HZ),
                first_sample=first,
                samples=self.waves[stream][start : start + RATE_HZ],
            )
            payload = encode_wave(block, src=SRC, envelope=self.envelope)
            entries.append(OutboxEntry(topic=f"wave/{stream}", payload=payload, created_ms=at_ms + 1000))
        return entries

    def spooled(self, at_ms: int) -> list[OutboxEntry]:
        """A second as an ambulance spools it: one batch and three blocks."""
        batch = OutboxEntry(topic="vitals", payload=self.batch(self.second(at_ms)), created_ms=at_ms)
        return [batch, *self.blocks(at_ms)]


def main(backlog_minutes: int) -> None:
    found: dict[str, object] = {"commit": commit(), "load": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory() as folder:
        found["puts_per_s"] = measure_puts(Path(folder) / "puts")
        found["wire_bytes"] = measure_wire()
        found["week"] = measure_week(Path(folder) / "week")
    print(json.dumps(found, indent=1), flush=True)
    found["drain"] = measure_drain(backlog_minutes)
    print(json.dumps(found, indent=1))


def measure_puts(path: Path) -> dict[str, int]:
    """Durable transactions a second (`FULL`): one message each, one raw frame each, 50 frames each.

    `bare` is one row in a table without any index, with the same SQLite: what the disk allows at this time.
    """
    spool = Spool(path)
    bare = sqlite3.connect(path.with_name("bare"), isolation_level=None)
    for setting in ("journal_mode=WAL", "synchronous=FULL"):
        bare.execute(f"PRAGMA {setting}")
    bare.execute("CREATE TABLE message (payload BLOB)")
    content = os.urandom(455)
    now_ms = time.time_ns() // 1_000_000
    entry = OutboxEntry(topic="vitals", payload=content, created_ms=now_ms)
    frame = RawFrame(src=SRC, channel="serial", received_us=now_ms * 1000, payload=os.urandom(40))
    found = {
        "bare": _per_s(lambda: bare.execute("INSERT INTO message VALUES (?)", (content,))),
        "message": _per_s(lambda: spool.commit_parsed([entry], parsed_up_to=0)),
        "raw_frame": _per_s(lambda: spool.append_raw([frame])),
        "raw_frames_by_50": 50 * _per_s(lambda: spool.append_raw([frame] * 50)),
    }
    spool.close()
    bare.close()
    return found


def _per_s(put: object, *, for_s: float = 3.0) -> int:
    assert callable(put)
    began, number = time.perf_counter(), 0
    while time.perf_counter() - began < for_s:
        put()
        number += 1
    return round(number / (time.perf_counter() - began))


def measure_wire() -> dict[str, float]:
    """Payload and topic of messages as they go out, per sample."""
    monitor = Monitor("00112233aabbccdd")
    topic = len(str(AgentTopic(agent=AGENT, name="vitals"))) + 6  # MQTT: fixed header, lengths, packet id
    at_ms = 1_790_000_000_000
    found = {}
    for seconds in (1, 10, 60):
        sizes = []
        for _ in range(50):
            items = [item for n in range(seconds) for item in monitor.second(at_ms + n * 1000 + n % 7)]
            sizes.append(len(monitor.batch(items)))
            at_ms += seconds * 1000
        found[f"vital_{seconds}s"] = round(statistics.mean(sizes) / seconds / 8, 2)
        found[f"vital_{seconds}s_with_topic"] = round((statistics.mean(sizes) + topic) / seconds / 8, 2)
    blocks = [len(entry.payload) for _ in range(60) for entry in monitor.blocks(at_ms)]
    found["wave_1s"] = round(statistics.mean(blocks) / RATE_HZ, 3)
    return found


def measure_week(path: Path) -> dict[str, float]:
    """An hour without a link, packed once a minute as the agent does, and what that is in a week."""
    spool = Spool(path)
    monitor = Monitor(spool.lineage)
    began_ms = time.time_ns() // 1_000_000 - 2 * 3_600_000
    clock = {"now": began_ms}
    packer = Packer(spool, clock=lambda: from_ms(clock["now"]))
    for second in range(3600):
        clock["now"] = began_ms + second * 1000
        spool.commit_parsed(monitor.spooled(clock["now"]), parsed_up_to=0)
        if second % 60 == 59:
            packer.run_once()
    clock["now"] += 120_000
    packer.run_once()
    used, rows = spool.used_bytes(), spool.depth().messages
    waves = _payload_bytes(spool, "wave/*")
    spool.close()
    return {
        "gigabytes": round(used * WEEK_H / 1e9, 3),
        "file_gigabytes": round(path.stat().st_size * WEEK_H / 1e9, 3),
        "messages_per_s": round(rows / 3600, 2),
        "wave_bytes_per_sample": round(waves / (3600 * RATE_HZ * len(STREAMS)), 3),
    }


def _payload_bytes(spool: Spool, kind: str) -> int:
    row = spool._database.execute("SELECT sum(length(payload)) FROM outbox WHERE topic GLOB ?", (kind,))
    return int(row.fetchone()[0])


@contextmanager
def running_cloud() -> Iterator[tuple[str, BrokerServer]]:
    """Database, broker and ingest."""
    with ExitStack() as stack:
        home = stack.enter_context(short_home())
        programs = find_programs(home)
        make_cluster(programs, home.postgres)
        server = PostgresServer(home=home, programs=programs)
        server.start()
        stack.callback(server.stop)
        server.execute("CREATE DATABASE edge")
        broker = BrokerServer(home=home, port=next(p for p in range(19200, 19290) if port_is_free(p)))
        broker.start()
        stack.callback(broker.kill)
        url = server.url("edge")
        with connect(url) as connection:
            migrate(connection)
        ingest = uncontested_ingest(url, broker.url)
        ingest.start()
        stack.callback(ingest.stop)
        yield url, broker


def measure_drain(minutes: int) -> dict[str, object]:
    """An outage of so many minutes is made up for while the monitor goes on."""
    with running_cloud() as (url, broker), tempfile.TemporaryDirectory() as folder:
        spool = Spool(Path(folder) / "spool")
        monitor = Monitor(spool.lineage)
        now_ms = time.time_ns() // 1_000_000
        for second in range(minutes * 60):
            spool.commit_parsed(monitor.spooled(now_ms - (minutes * 60 - second) * 1000), parsed_up_to=0)
        Packer(spool, clock=utc_now).run_once()
        waiting = spool.depth().messages
        address = BrokerAddress.parse(
            f"mqtts://127.0.0.1:{broker.port}?version=3", identity=agent_identity(broker.home.keys, AGENT)
        )
        uplink = Uplink(spool, agent=AGENT, boot="0102030405060708", broker=address, sources=list)
        stopping = threading.Event()
        live = threading.Thread(target=_go_on, args=(spool, monitor, stopping))
        live.start()
        uplink.start()
        began = time.monotonic()
        took_s = _await_drained(spool, began)
        time.sleep(3)
        stopping.set()
        live.join()
        uplink.stop()
        spool.close()
        ages = _live_ages_s(url, since=from_ms(now_ms))
    return {
        "backlog_minutes": minutes,
        "backlog_messages": waiting,
        "took_s": round(took_s, 1),
        "times_real_time": round(minutes * 60 / took_s, 1),
        "live_values": len(ages),
        "live_age_s_p50": round(statistics.median(ages), 3),
        "live_age_s_p95": round(statistics.quantiles(ages, n=20)[18], 3),
        "live_age_s_max": round(max(ages), 3),
    }


def _go_on(spool: Spool, monitor: Monitor, stopping: threading.Event) -> None:
    while not stopping.wait(1.0 - time.time() % 1.0):
        spool.commit_parsed(monitor.spooled(time.time_ns() // 1_000_000), parsed_up_to=0)


def _await_drained(spool: Spool, began: float) -> float:
    """Until nothing waits that is older than what is under way."""
    while time.monotonic() - began < 600:
        oldest_ms = spool.depth().oldest_ms
        if oldest_ms is None or time.time_ns() // 1_000_000 - oldest_ms < 10_000:
            return time.monotonic() - began
        time.sleep(0.1)
    sys.exit("the backlog does not drain")


def _live_ages_s(url: str, *, since: datetime) -> list[float]:
    """Of each value that was measured after the link came back: how old it was when it was stored."""
    assert since.tzinfo is UTC
    with connect(url) as connection:
        rows = connection.execute(
            "SELECT extract(epoch FROM stored_at - measured_at)::float FROM observation "
            "WHERE measured_at > %s AND key = 'heart_rate'",
            (since,),
        ).fetchall()
    return [row[0] for row in rows]


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
