from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.spool import OutboxEntry, Spool
from edge_agent.spool_limit import SpoolLimit, Trimmer
from vitals.gap import GapCause
from vitals.observation import Observation, SourceId, VitalKey
from vitals.wave import WaveBlock
from vitals.wire.batch import ClockState, Envelope, build_batch, decode_batch, encode_batch, read_batch, to_ms
from vitals.wire.event import decode_event
from vitals.wire.topics import Lane
from vitals.wire.wave_block import decode_wave, encode_wave

NOW = datetime(2026, 9, 21, 12, tzinfo=UTC)
BOOT = "00" * 8
HEART_RATE = VitalKey("heart_rate")
ECG = VitalKey("ecg")
SRC = SourceId("s-1")
ROOMY = SpoolLimit(size_bytes=10**9, age=timedelta(days=60))


@dataclass
class FilledSpool:
    """A spool that holds waves and vitals of one sensor, oldest `age` old."""

    spool: Spool
    src: SourceId = SRC

    def envelope(self):
        return Envelope(ln=self.spool.lineage, boot=BOOT, lane=Lane.LIVE, s=1)

    def add_waves(self, seconds, *, oldest_s):
        noise = np.random.default_rng(7).integers(-2000, 2000, (seconds, 130)).astype(np.int32)
        entries = []
        for idx, samples in enumerate(noise):
            at = to_ms(NOW) - (oldest_s - idx) * 1000
            block = WaveBlock(
                stream=ECG, t0_us=at * 1000, rate_hz=Fraction(130), first_sample=idx * 130, samples=samples
            )
            payload = encode_wave(block, src=self.src, envelope=self.envelope())
            entries.append(OutboxEntry(topic="wave/ecg", payload=payload, created_ms=at + 1000))
        self.spool.commit_parsed(entries, parsed_up_to=0)

    def add_vitals(self, offsets_s, *, per_batch=10):
        rows = [_heart_rate(NOW - timedelta(seconds=back)) for back in sorted(offsets_s, reverse=True)]
        entries = []
        for first in range(0, len(rows), per_batch):
            part = rows[first : first + per_batch]
            batch = build_batch(part, src=self.src, envelope=self.envelope(), clock=ClockState())
            newest = to_ms(part[-1].measured_at)
            entries.append(OutboxEntry(topic="vitals", payload=encode_batch(batch), created_ms=newest))
        self.spool.commit_parsed(entries, parsed_up_to=0)

    def add_event(self):
        entry = OutboxEntry(topic="event", payload=b"{}", created_ms=0, is_event=True)
        self.spool.commit_parsed([entry], parsed_up_to=0)

    def trim(self, limit):
        Trimmer(self.spool, limit, boot=BOOT, clock=lambda: NOW).run_once()

    def payloads(self, topic):
        rows = self.spool._database.execute(
            "SELECT payload FROM outbox WHERE topic = ? ORDER BY id", (topic,)
        )
        return [row[0] for row in rows]

    def times(self):
        return [
            to_ms(item.measured_at)
            for payload in self.payloads("vitals")
            for item in read_batch(decode_batch(payload))
        ]

    def gaps(self):
        return [decode_event(payload) for payload in self.payloads("event") if payload != b"{}"]


@dataclass
class RunningTime:
    """A clock that only counts; `days` is what it says."""

    days: float = 0

    def __call__(self):
        return self.days * 86_400


def _heart_rate(at):
    return Observation(key=HEART_RATE, value=70.0, unit="/min", measured_at=at, received_at=at)


@pytest.fixture
def filled(tmp_path):
    opened = Spool(tmp_path / "spool.sqlite3")
    yield FilledSpool(opened)
    opened.close()


def test_nothing_goes_while_there_is_room(filled):
    filled.add_waves(20, oldest_s=3600)
    filled.add_vitals(range(100))

    filled.trim(ROOMY)

    assert (len(filled.payloads("wave/ecg")), len(filled.times()), filled.gaps()) == (20, 100, [])


def test_full_spool_lets_go_of_the_oldest_waves_only(filled):
    filled.add_waves(3000, oldest_s=7200)
    filled.add_vitals(range(600))
    before = filled.spool.used_bytes()

    filled.trim(SpoolLimit(size_bytes=before - 1, age=timedelta(days=60)))

    kept = [decode_wave(payload, stream=ECG).block for payload in filled.payloads("wave/ecg")]
    (gap,) = filled.gaps()
    assert 0 < len(kept) < 3000
    assert (gap.cause, gap.keys, gap.from_ms) == (
        GapCause.DROPPED_BY_POLICY,
        [ECG],
        to_ms(NOW) - 7200_000,
    )
    assert gap.to_ms == kept[0].t0_us // 1000
    assert len(filled.times()) == 600
    assert filled.spool.used_bytes() < before


def test_without_waves_vitals_are_thinned_to_one_a_minute(filled):
    filled.add_vitals(range(20_000))

    filled.trim(SpoolLimit(size_bytes=filled.spool.used_bytes() - 1, age=timedelta(days=60)))

    times = filled.times()
    thinned = [at for at in times if at < filled.gaps()[0].to_ms]
    assert 0 < len(thinned) < len(times)
    assert len({at // 60_000 for at in thinned}) in (len(thinned), len(thinned) - 1)


def test_events_stay_however_full_it_is(filled):
    filled.add_event()
    filled.add_vitals(range(3000))
    filled.add_waves(500, oldest_s=600)

    filled.trim(SpoolLimit(size_bytes=1, age=timedelta(days=60)))

    assert filled.payloads("event")[0] == b"{}"
    assert (filled.payloads("wave/ecg"), filled.times()) == ([], [])


def test_what_waited_too_long_goes_and_is_told(filled):
    ran = RunningTime()
    trimmer = Trimmer(
        filled.spool,
        SpoolLimit(size_bytes=10**9, age=timedelta(days=2)),
        boot=BOOT,
        clock=lambda: NOW,
        monotonic_s=ran,
    )
    filled.add_vitals([90_002, 90_003])
    for _ in range(2):
        trimmer.run_once()
        filled.add_vitals([10 + ran.days])
        ran.days += 1

    trimmer.run_once()

    (gap,) = filled.gaps()
    assert len(filled.times()) == 2
    assert gap.from_ms == to_ms(NOW) - 90_003_000


def test_time_that_the_agent_ran_is_kept_over_a_restart(filled):
    filled.add_vitals([1])
    limit = SpoolLimit(size_bytes=10**9, age=timedelta(days=2))
    for _ in range(4):
        ran = RunningTime()
        trimmer = Trimmer(filled.spool, limit, boot=BOOT, clock=lambda: NOW, monotonic_s=ran)
        trimmer.run_once()
        ran.days = 0.9
        trimmer.run_once()

    assert filled.times() == []


def test_reading_that_a_device_dates_years_back_is_not_old(filled):
    filled.add_vitals([5 * 365 * 86_400])

    filled.trim(SpoolLimit(size_bytes=10**9, age=timedelta(days=1)))

    assert len(filled.times()) == 1


def test_what_has_a_sequence_stays(filled):
    filled.add_waves(40, oldest_s=3600)
    sent = filled.spool.assign(Lane.BACKLOG, now_ms=to_ms(NOW), limit=8)

    filled.trim(SpoolLimit(size_bytes=1, age=timedelta(days=60)))

    assert filled.spool.unacknowledged(Lane.BACKLOG) == sent


@given(
    backs=st.sets(st.integers(0, 50_000), min_size=1, max_size=300),
    per_batch=st.integers(1, 30),
    tightness=st.floats(0.3, 1.0),
)
@settings(deadline=None, max_examples=50)
def test_every_value_is_there_or_in_a_gap(backs, per_batch, tightness):
    spool = Spool(Path(":memory:"))
    filled = FilledSpool(spool)
    filled.add_vitals(backs, per_batch=per_batch)
    size = int(spool.used_bytes() * tightness)

    filled.trim(SpoolLimit(size_bytes=size, age=timedelta(days=60)))

    kept, gaps = set(filled.times()), filled.gaps()
    for back in backs:
        at = to_ms(NOW - timedelta(seconds=back))
        assert at in kept or any(gap.from_ms <= at < gap.to_ms for gap in gaps)
    spool.close()
