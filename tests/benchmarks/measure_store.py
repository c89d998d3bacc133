"""The store of measurements alone: writing, size at rest, ranges, latest values, a minute of a wave.

    python -m tests.benchmarks.measure_store [--timescale FOLDER]

FOLDER (or QIANLI_TEST_TIMESCALE_ROOT) holds the programs of a server with TimescaleDB: the same is then
measured there too, right afterwards.

The embedded PostgreSQL with its usual settings, one writer, no broker. Processor time is that of the writer
and of the server process behind it. Values are random walks that are rounded as monitors round.
"""

import argparse
import gc
import logging
import os
import statistics
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psutil
import structlog

from cloud.identity.model import SYSTEM
from cloud.ingest.model import Arrived
from cloud.live.queries import find_latest
from cloud.objects.port import Place
from cloud.objects.stores.filesystem import open_store
from cloud.series.model import HOUR_MS, Held, from_us
from cloud.series.stores.choice import choose_series
from cloud.series.stores.timescale import TIMESCALE
from cloud.store.connection import connect
from cloud.store.migrate import migrate
from cloud.store.sealing import Sealer
from cloud.waves.model import WINDOW_US
from cloud.waves.postgres import find_blocks, find_chunks, find_ripe
from cloud.waves.service import ObjectPlace, Waves, _wanted_of
from qianli.embedded.postgres import find_programs
from tests.fixtures.s3 import s3_place
from tests.fixtures.services import (
    TIMESCALE_SETTINGS,
    make_server,
    short_home,
    timescale_programs,
)
from tests.fixtures.stored import bring_together, bring_waves_together
from tests.fixtures.wire_messages import BOOT, LINEAGE, open_writer
from vitals.observation import SourceId
from vitals.wire.batch import ClockState, VitalsBatch, encode_batch, from_ms
from vitals.wire.topics import AgentTopic, Lane
from vitals.wire.wave_block import compress_samples

KEYS = ("heart_rate", "spo2", "pulse_rate", "resp_rate", "nibp_sys", "nibp_dia", "nibp_map", "temp")
SPREAD = (
    (70, 1, 0),
    (97, 0.3, 0),
    (70, 1, 0),
    (16, 0.5, 0),
    (120, 1, 0),
    (75, 1, 0),
    (90, 1, 0),
    (36.8, 0.05, 1),
)
START_MS = 1_764_115_200_000
SOURCES = 200
RECORDING = Path(__file__).parents[1] / "recordings" / "waves" / "a103l_60s.npz"
WAVE_SRC = "s-0123456789abcdef"
IN_ONE_TRANSACTION = 500
DAYS = 6


class Server:
    """A database of its own, and the processes whose time counts."""

    def __init__(self, home, *, timescale):
        if timescale is None:
            self._server = make_server(home, find_programs(home))
        else:
            self._server = make_server(home, timescale_programs(timescale), settings=TIMESCALE_SETTINGS)
        self._server.execute("CREATE DATABASE store")
        self.connection = connect(self._server.url("store"))
        migrate(self.connection)
        self.connection.execute("SET statement_timeout = 0")
        (pid,) = self.connection.execute("SELECT pg_backend_pid()").fetchone()
        self._backend = psutil.Process(pid)

    def cpu_s(self):
        """Of the writer, and of the server process behind it."""
        times = self._backend.cpu_times()
        return time.process_time(), times.user + times.system

    def size(self, table):
        self.connection.execute(f"VACUUM {table}".encode())
        is_cut = choose_series(self.connection) is TIMESCALE
        measure = "hypertable_size" if is_cut else "pg_total_relation_size"
        return self.connection.execute(f"SELECT {measure}(%s)".encode(), (table,)).fetchone()[0]

    def stop(self):
        self.connection.close()
        self._server.stop()


def declare(connection, names):
    cadence = "{" + ", ".join(f'"{key}": 1' for key in KEYS) + "}"
    connection.execute("INSERT INTO agent (agent) VALUES ('hut-1') ON CONFLICT DO NOTHING")
    connection.execute(
        "INSERT INTO source (src, agent, cadence) SELECT unnest(%s::text[]), 'hut-1', %s::jsonb",
        (names, cadence),
    )


def walks(seed, rows):
    """A column of each key, one value a second."""
    chance = np.random.default_rng(seed)
    return {
        key: np.round(
            middle + np.clip(np.cumsum(chance.normal(0, step, rows)), -middle / 4, middle / 4), decimals
        )
        for key, (middle, step, decimals) in zip(KEYS, SPREAD, strict=True)
    }


def message(src, s, *, first_s, columns, row, rows):
    """`rows` seconds of some columns from a row on."""
    t0 = START_MS + first_s * 1000
    batch = VitalsBatch(
        v=1,
        ln=LINEAGE,
        boot=BOOT,
        lane=Lane.LIVE,
        s=s,
        src=SourceId(src),
        t0=t0,
        dt=[second * 1000 for second in range(rows)],
        rx=[second * 1000 + 20 for second in range(rows)],
        m={key: column[row : row + rows].tolist() for key, column in columns.items()},
        u=dict.fromkeys(columns, "1"),
        clk=ClockState(src="ntp", off_ms=0),
        sent=t0 + rows * 1000,
    )
    topic = str(AgentTopic(agent="hut-1", name="vitals"))
    return Arrived(topic=topic, payload=encode_batch(batch), received_at=from_ms(batch.sent + 30))


def write_all(server, messages, *, samples):
    """Write in transactions; returns what it took per message."""
    writer = open_writer()
    before, began = server.cpu_s(), time.perf_counter()
    for first in range(0, len(messages), IN_ONE_TRANSACTION):
        writer.write(server.connection, messages[first : first + IN_ONE_TRANSACTION], now=datetime.now(UTC))
    took_s = time.perf_counter() - began
    own_s, backend_s = (after - earlier for after, earlier in zip(server.cpu_s(), before, strict=True))
    count = len(messages)
    print(
        f"  {samples * count / took_s:12,.0f} samples/s  {count / took_s:9,.0f} messages/s  "
        f"us per message: writer {own_s / count * 1e6:.1f}, server {backend_s / count * 1e6:.1f}"
    )


def measure_writing(server):
    names = [f"one-{number}" for number in range(SOURCES)]
    declare(server.connection, names)
    columns = {"heart_rate": walks(1, 200)["heart_rate"]}
    made = [
        message(src, second * SOURCES + number + 1, first_s=second, columns=columns, row=second, rows=1)
        for second in range(100)
        for number, src in enumerate(names)
    ]
    print(f"one sample per message ({len(made[0].payload)} B), {len(made)} messages of {SOURCES} sources")
    write_all(server, made, samples=1)
    count = len(made)
    print(f"  hot: {server.size('series_batch') / count:.0f} B per sample")
    server.connection.execute("TRUNCATE series_batch, lane_progress, latest")
    columns = walks(2, 1000)
    made = [
        message(src, turn * SOURCES + number + 1, first_s=turn * 10, columns=columns, row=turn * 10, rows=10)
        for turn in range(50)
        for number, src in enumerate(names)
    ]
    print(f"80 samples per message ({len(made[0].payload)} B), {len(made)} messages of {SOURCES} sources")
    write_all(server, made, samples=80)
    print(f"  hot: {server.size('series_batch') / len(made) / 80:.2f} B per sample")
    late = [
        message(
            src, 10**6 + turn * SOURCES + number, first_s=turn * 10 - 86_400, columns=columns, row=0, rows=10
        )
        for turn in range(25)
        for number, src in enumerate(names)
    ]
    print("the same, a day late (each is compared with what is stored)")
    write_all(server, late, samples=80)
    server.connection.execute("TRUNCATE series_batch, lane_progress, latest")


def speed_us():
    """How long a loop of Python takes now: what the machine has left, beside every figure of this run."""
    began = time.process_time()
    for _ in range(2000):
        sum(range(1000))
    return (time.process_time() - began) / 2000 * 1e6


def took_ms(ask, server, *, times=25):
    """What it took, and beside it the processor time of both sides, which swings less with the machine."""
    ask()
    taken, before = [], sum(server.cpu_s())
    for _ in range(times):
        began = time.perf_counter()
        ask()
        taken.append((time.perf_counter() - began) * 1000)
    cpu_ms = (sum(server.cpu_s()) - before) / times * 1000
    return f"{statistics.median(taken):.2f} ms ({min(taken):.2f} to {max(taken):.2f}; processor {cpu_ms:.1f})"


def write_day(server, number):
    """24 h of eight keys of a source."""
    src = f"day-{number}"
    declare(server.connection, [src])
    columns, writer = walks(3 + number, 86_400), open_writer()
    for first in range(0, 8640, IN_ONE_TRANSACTION):
        made = [
            message(src, number * 8640 + turn + 1, first_s=turn * 10, columns=columns, row=turn * 10, rows=10)
            for turn in range(first, min(first + IN_ONE_TRANSACTION, 8640))
        ]
        writer.write(server.connection, made, now=datetime.now(UTC))


def measure_ranges(server):
    for day in range(DAYS):
        write_day(server, day)
    (src_no,) = server.connection.execute("SELECT src_no FROM source WHERE src = 'day-0'").fetchone()
    held = Held(
        src=SourceId("day-0"), src_no=src_no, from_us=START_MS * 1000, to_us=(START_MS + 86_400_000) * 1000
    )
    samples = 86_400 * 8 * DAYS
    store = choose_series(server.connection)

    def ask(step_ms, keys=("heart_rate",)):
        return lambda: store.read_range(server.connection, [held], step_ms=step_ms, keys=keys)

    print(f"24 h at 1 Hz of one key to 1000 steps (of 86.4 s), and of eight; {DAYS} sources are stored")
    print(f"  messages: {took_ms(ask(86_400), server, times=5)}")
    print(f"  hot: {server.size('series_batch') / samples:.2f} B per sample")
    bring_together(server.connection, before_ms=START_MS + 21 * HOUR_MS)
    print(f"  the last three hours as messages, as they lie at most: {took_ms(ask(86_400), server)}")
    began, left = time.process_time(), samples * 3 / 24
    bring_together(server.connection, before_ms=START_MS + 24 * HOUR_MS)
    print(f"  compacting: {(time.process_time() - began) / left * 1e9:.0f} ns per sample of the client")
    print(f"  hours: {took_ms(ask(86_400), server)}, eight keys {took_ms(ask(86_400, None), server)}")
    print(f"  rollup, 720 steps of 2 min: {took_ms(ask(120_000), server)}")
    print(f"  … eight keys {took_ms(ask(120_000, None), server)}; a loop takes {speed_us():.1f} us")
    print(f"  cold: {server.size('series_chunk') / samples:.3f} B per sample with rollups")
    if store is TIMESCALE:
        store.tidy(server.connection, before_ms=START_MS + 48 * HOUR_MS)
        print(f"  … and {server.size('series_minute') / samples:.3f} B for the minutes in the columnstore")
    (payload,) = server.connection.execute("SELECT sum(octet_length(cells)) FROM series_chunk").fetchone()
    print(f"  cold: {payload / samples:.3f} B per sample are the cells themselves")


def bind(server, names):
    connection = server.connection
    declare(connection, names)
    connection.execute("INSERT INTO organisation VALUES ('o', '', '') ON CONFLICT DO NOTHING")
    connection.execute(
        "INSERT INTO site (site_id, organisation_id, name_zh, name_en) VALUES ('s', 'o', '', '') "
        "ON CONFLICT DO NOTHING"
    )
    connection.execute(
        "INSERT INTO patient (patient_id, organisation_id, site_id, bed, name_zh, name_en, name_sort) "
        "SELECT 'p-' || n, 'o', 's', '', '', '', '' FROM unnest(%s::text[]) AS n",
        (names,),
    )
    connection.execute(
        "INSERT INTO binding (src, patient_id, during) SELECT n, 'p-' || n, tstzrange(%s, NULL) "
        "FROM unnest(%s::text[]) AS n",
        (from_ms(START_MS - 1000), names),
    )
    columns = walks(4, 10)
    made = [
        message(src, 1000 * len(names) + number, first_s=0, columns=columns, row=0, rows=10)
        for number, src in enumerate(names)
    ]
    writer = open_writer()
    for first in range(0, len(made), IN_ONE_TRANSACTION):
        writer.write(connection, made[first : first + IN_ONE_TRANSACTION], now=datetime.now(UTC))
    for table in ("latest", "binding", "source", "patient"):
        connection.execute(f"VACUUM ANALYZE {table}".encode())


def measure_latest(server):
    now = datetime.now(UTC)
    query = (
        "SELECT s.src, l.cells FROM binding b JOIN source s USING (src) JOIN latest l USING (src_no) "
        "WHERE b.during @> %s"
    )
    print("latest values of eight keys")
    server.connection.execute("TRUNCATE series_batch, series_chunk, lane_progress, latest")
    for name, count in (("a ward of 50", 50), ("10,000 patients", 9950)):
        bind(server, [f"{count}-{number}" for number in range(count)])
        rows = took_ms(lambda: server.connection.execute(query, (now,), binary=True).fetchall(), server)
        whole = took_ms(lambda: find_latest(server.connection, SYSTEM, now=now), server, times=5)
        print(f"  {name}: rows {rows}; every value as an object of Python {whole}")


WAVE_S = 2 * 3600
WAVE_T0 = START_MS * 1000 // WINDOW_US * WINDOW_US


def store_waves(server):
    """Three waves of a monitor (a minute of a103l, repeated) in blocks of a second; returns the samples."""
    chance = np.random.default_rng(5)
    statement = (
        "COPY wave_block (src, stream, t0_us, rate_numerator, rate_denominator, n, first_sample, codec, "
        "samples, sent_at, stored_at, late, lane, s) FROM STDIN"
    )
    declare(server.connection, [WAVE_SRC])
    total = 0
    with server.connection.cursor() as cursor, cursor.copy(statement) as copy:
        for stream, samples in np.load(RECORDING).items():
            seconds = samples.astype(np.int32).reshape(60, 250)
            packed = [compress_samples(one, codec=1) for one in seconds]
            for number in range(WAVE_S):
                t0_us = WAVE_T0 + number * 10**6
                sent_us = t0_us + 1_000_000 + int(chance.integers(5, 40)) * 1000
                stored_us = sent_us + int(chance.integers(2000, 30000))
                times = (from_us(sent_us), from_us(stored_us))
                place = (t0_us, 250, 1, 250, number * 250, 1)
                copy.write_row(
                    (WAVE_SRC, stream, *place, packed[number % 60], *times, False, "live", number + 1)
                )
                total += 250
    return total


def measure_waves(server, folder):
    samples = store_waves(server)
    store = open_store(Place(url=folder.as_uri()))
    waves = Waves(lambda: ObjectPlace(store=store, sealer=Sealer(b"k" * 32)))
    print(
        f"three waves of 250 Hz for {WAVE_S // 3600} h in blocks of a second; 60 s of one of them, as samples"
    )
    show_wave_reads(server, waves, "as they came")
    print(f"  as they came: {server.size('wave_block') / samples:.2f} B per sample, table and index")
    began = time.process_time()
    bring_waves_together(server.connection, waves, before_us=2**62)
    print(f"  compacting: {(time.process_time() - began) / samples * 1e9:.0f} ns per sample of the client")
    show_wave_reads(server, waves, "windows")
    print(f"  windows: {server.size('wave_chunk') / samples:.3f} B per sample, table and indexes")
    by_stream = server.connection.execute(
        "SELECT stream, sum(octet_length(sections) + octet_length(directory)) FROM wave_chunk "
        "GROUP BY 1 ORDER BY 1"
    ).fetchall()
    print(
        "  windows: " + ", ".join(f"{stream} {size * 3 / samples:.3f}" for stream, size in by_stream) + " B"
    )
    began = time.perf_counter()
    for src, day_us in find_ripe(server.connection, before_us=2**62, after=("", 0), limit=10):
        while waves.move(server.connection, src, day_us=day_us):
            pass
    print(f"  moving into a folder: {(time.perf_counter() - began) / samples * 1e9:.0f} ns per sample")
    server.connection.execute("VACUUM FULL wave_chunk")
    stored = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    show_wave_reads(server, waves, "objects in a folder")
    with s3_place() as place:
        bucket = open_store(place)
        for name in store.iterate("waves"):
            bucket.put(name, store.get(name))
        distant = Waves(lambda: ObjectPlace(store=bucket, sealer=Sealer(b"k" * 32)))
        show_wave_reads(server, distant, "objects behind moto's S3 server, which is slow")
    print(
        f"  objects: {stored / samples:.3f} B per sample, "
        f"{server.size('wave_chunk') / samples:.4f} B per sample stay in the database"
    )


def show_wave_reads(server, waves, form):
    src = SourceId(WAVE_SRC)
    whole = Held(src=src, src_no=0, from_us=-(2**62), to_us=2**62)
    since_us = WAVE_T0 + 4321 * 10**6
    asked = whole.within(since_us, since_us + 60 * 10**6)

    def ask():
        (line,) = waves.read_range(server.connection, [asked], streams=["ecg_ii"])
        return np.concatenate([block.samples for block in line.blocks])

    for table in ("wave_block", "wave_chunk"):
        server.connection.execute(f"VACUUM ANALYZE {table}".encode())

    def fetch():
        """The bytes alone, still compressed and sealed."""
        blocks = find_blocks(server.connection, asked, streams=["ecg_ii"])
        rows = find_chunks(server.connection, asked, streams=["ecg_ii"])
        wanted = _wanted_of([(asked, row) for row in rows])
        return blocks, waves._fetch(server.connection, wanted)

    assert len(ask()) == 60 * 250
    assert any(fetch())
    print(f"  {form}: fetched {took_ms(fetch, server)}, as samples {took_ms(ask, server)}")


def measure_all(timescale):
    name = "plain PostgreSQL" if timescale is None else "with TimescaleDB"
    print(f"\n{name}; a loop over 1000 numbers takes {speed_us():.1f} us of processor time")
    with short_home() as home:
        server = Server(home, timescale=timescale)
        try:
            measure_writing(server)
            measure_ranges(server)
            if timescale is None:
                measure_latest(server)
                measure_waves(server, home.path / "objects")
            print(f"a loop over 1000 numbers takes {speed_us():.1f} us of processor time")
        finally:
            server.stop()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--timescale", default=os.environ.get("QIANLI_TEST_TIMESCALE_ROOT"))
    timescale = parser.parse_args().timescale
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
    )
    load = Path("/proc/loadavg").read_text().split()[0]
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {commit.stdout.strip()}, load {load}")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    measure_all(None)
    if timescale:
        measure_all(timescale)


if __name__ == "__main__":
    main()
