"""Blocks for the tests of waves, and what is to be stored of them."""

from dataclasses import asdict
from datetime import timedelta

import numpy as np

from cloud.series.model import Held, from_us
from cloud.waves.model import StoredBlock
from vitals.observation import SourceId
from vitals.wire.wave_block import compress_samples

T0 = 1_764_115_200_000_000
SECOND = 1_000_000
WINDOW = 600 * SECOND


def block(at_s, samples=None, *, rate=(50, 1), **fields):
    """A block that begins so many seconds after T0; a second of 50 Hz unless told."""
    numbers = np.array(range(50) if samples is None else samples, np.int32)
    t0_us = T0 + round(at_s * SECOND)
    told = {
        "t0_us": t0_us,
        "rate_numerator": rate[0],
        "rate_denominator": rate[1],
        "n": len(numbers),
        "first_sample": round(at_s * 50),
        "codec": 1,
        "unpacked": numbers,
        "sent_us": t0_us + SECOND + 17_000,
        "stored_us": t0_us + SECOND + 31_234,
        "late": False,
        "lane": "live",
        "s": 1 + round(at_s),
        "shift_us": 0,
    }
    return StoredBlock(**{**told, **fields})


def plain(one):
    """Everything of a block that must come back, to the bit."""
    told = {name: value for name, value in asdict(one).items() if name not in ("packed", "unpacked")}
    return {**told, "samples": one.samples.tolist(), "kind": one.samples.dtype.str}


def insert(database, src, *blocks, stream="ecg"):
    """As ingest stores them."""
    database.execute("INSERT INTO source (src) VALUES (%s) ON CONFLICT DO NOTHING", (src,))
    for one in blocks:
        database.execute(
            "INSERT INTO wave_block (src, stream, t0_us, rate_numerator, rate_denominator, n, first_sample, "
            "codec, samples, sent_at, stored_at, late, lane, s, clock_shift) VALUES (%s, %s, %s, %s, %s, %s, "
            "%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
                *(src, stream, one.t0_us, one.rate_numerator, one.rate_denominator, one.n, one.first_sample),
                *(one.codec, compress_samples(one.samples, codec=one.codec), from_us(one.sent_us)),
                *(from_us(one.stored_us), one.late, one.lane, one.s, timedelta(microseconds=one.shift_us)),
            ),
        )


def held(src="s", since_s=-(10**6), until_s=10**6):
    return Held(
        src=SourceId(src), src_no=0, from_us=T0 + int(since_s * SECOND), to_us=T0 + int(until_s * SECOND)
    )
