"""What one message costs: the units of the capacity model in docs/operations.md.

    python -m tests.benchmarks.measure_units

The writer with its transactions, the server process behind it and the ear of the live view, without an MQTT
client; messages as an ambulance, a bed or a home sends them. The embedded PostgreSQL with its usual settings.
"""

import time
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import numpy as np
import structlog

from cloud.ingest.hearing import hear
from cloud.ingest.model import Arrived
from tests.benchmarks.measure_demo import commit
from tests.benchmarks.measure_edge import RECORDING
from tests.benchmarks.measure_store import (
    IN_ONE_TRANSACTION,
    START_MS,
    Server,
    declare,
    message,
    speed_us,
    walks,
)
from tests.fixtures.services import short_home
from tests.fixtures.wire_messages import BOOT, LINEAGE, open_writer
from vitals.observation import SourceId, VitalKey
from vitals.wave import WaveBlock
from vitals.wire.batch import Envelope, from_ms
from vitals.wire.topics import AgentTopic, Lane
from vitals.wire.wave_block import encode_wave, stamp_wave

SOURCES = 100
SECONDS = 120
RATE_HZ = 250


def batches(names, *, rows):
    """Eight vitals, `rows` seconds in each message."""
    columns = walks(2, SECONDS * rows)
    return [
        message(
            src, turn * SOURCES + number + 1, first_s=turn * rows, columns=columns, row=turn * rows, rows=rows
        )
        for turn in range(SECONDS)
        for number, src in enumerate(names)
    ]


def wave_blocks(names):
    """A second of one ECG channel at a monitor's resolution in each message."""
    with np.load(RECORDING) as recorded:
        samples = np.tile(next(iter(recorded.values())).reshape(-1)[: 60 * RATE_HZ], 2).astype(np.int32)
    topic = str(AgentTopic(agent="hut-1", name="wave/ecg_ii"))
    made = []
    for second in range(SECONDS):
        for number, src in enumerate(names):
            t0_ms = START_MS + second * 1000
            block = WaveBlock(
                stream=VitalKey("ecg_ii"),
                t0_us=t0_ms * 1000,
                rate_hz=Fraction(RATE_HZ),
                first_sample=second * RATE_HZ,
                samples=samples[second * RATE_HZ : (second + 1) * RATE_HZ],
            )
            s = second * SOURCES + number + 1
            envelope = Envelope(ln=LINEAGE, boot=BOOT, lane=Lane.LIVE, s=s)
            payload = encode_wave(block, src=SourceId(src), envelope=envelope)
            payload = stamp_wave(payload, lane=Lane.LIVE, s=s, sent_ms=t0_ms + 1000)
            made.append(Arrived(topic=topic, payload=payload, received_at=from_ms(t0_ms + 1030)))
    return made


def measure(server, title, messages, *, table, samples):
    """Writing, hearing, and what lies in the table afterwards."""
    writer = open_writer()
    before = server.cpu_s()
    for first in range(0, len(messages), IN_ONE_TRANSACTION):
        writer.write(server.connection, messages[first : first + IN_ONE_TRANSACTION], now=datetime.now(UTC))
    own_us, backend_us = (
        (after - earlier) / len(messages) * 1e6 for after, earlier in zip(server.cpu_s(), before, strict=True)
    )
    began = time.process_time()
    for one in messages:
        hear(one)
    heard_us = (time.process_time() - began) / len(messages) * 1e6
    payload = sum(len(one.payload) for one in messages) / len(messages)
    at_rest = server.size(table) / len(messages) / samples
    print(
        f"{title}: {payload:.0f} B payload, {payload / samples:.2f} B per sample; us per message: writer "
        f"{own_us:.0f}, server {backend_us:.0f}, ear {heard_us:.0f}; at rest {at_rest:.2f} B per sample"
    )
    server.connection.execute("TRUNCATE series_batch, wave_block, lane_progress, latest")


def main():
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {commit()}, load {Path('/proc/loadavg').read_text()[:4]}")
    print(f"a loop over 1000 numbers takes {speed_us():.1f} us of processor time")
    with short_home() as home:
        server = Server(home)
        try:
            names = [f"unit-{number}" for number in range(SOURCES)]
            declare(server.connection, names)
            for rows in (1, 10):
                title = f"8 vitals, {rows} s a message"
                measure(server, title, batches(names, rows=rows), table="series_batch", samples=8 * rows)
            measure(
                server, "1 s of a wave of 250 Hz", wave_blocks(names), table="wave_block", samples=RATE_HZ
            )
        finally:
            server.stop()


if __name__ == "__main__":
    main()
