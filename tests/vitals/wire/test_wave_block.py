from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vitals.observation import SourceId, VitalKey
from vitals.wave import WaveBlock
from vitals.wire.batch import LOST, SYNCHRONISED, ClockState, Envelope, Timing
from vitals.wire.errors import WireError, WireInvalid, WireVersionUnknown
from vitals.wire.topics import Lane
from vitals.wire.wave_block import (
    CODEC_ZLIB,
    CODEC_ZSTD,
    compress_samples,
    decode_wave,
    decompress_samples,
    encode_packed_wave,
    encode_wave,
    stamp_wave,
)

ENVELOPE = Envelope(ln="00112233aabbccdd", boot="0102030405060708", lane=Lane.BACKLOG, s=2**40)
ECG = VitalKey("ecg")
WAVES = Path(__file__).parents[2] / "recordings" / "waves"
T0_US = 1_790_000_000_123_456
int32_arrays = hnp.arrays(np.int32, st.integers(1, 300), elements=st.integers(-(2**31), 2**31 - 1))


def make_block(samples=(1, -2, 300_000)):
    return WaveBlock(
        stream=ECG,
        t0_us=T0_US,
        rate_hz=Fraction(130),
        first_sample=2**33,
        samples=np.array(samples, np.int32),
    )


def encode(block=None, **options):
    return encode_wave(block or make_block(), src=SourceId("s-ward-1"), envelope=ENVELOPE, **options)


@pytest.mark.parametrize("codec", [CODEC_ZLIB, CODEC_ZSTD])
@given(samples=int32_arrays)
def test_samples_round_trip(codec, samples):
    assert np.array_equal(
        decompress_samples(compress_samples(samples, codec=codec), n=len(samples), codec=codec), samples
    )


def test_message_keeps_every_field():
    got = decode_wave(encode(), stream=ECG)

    assert (got.envelope, got.src, got.block.first_sample) == (ENVELOPE, "s-ward-1", 2**33)
    assert (got.block.t0_us, got.block.rate_hz, got.block.samples.tolist()) == (T0_US, 130, [1, -2, 300_000])


@pytest.mark.parametrize(("age_s", "historical"), [(1, False), (31, True)])
def test_stamp_marks_what_is_older_than_thirty_seconds(age_s, historical):
    got = decode_wave(
        stamp_wave(encode(), lane=Lane.LIVE, s=3, sent_ms=T0_US // 1000 + age_s * 1000), stream=ECG
    )

    assert (got.historical, got.sent) == (historical, T0_US // 1000 + age_s * 1000)
    assert (got.envelope.lane, got.envelope.s) == (Lane.LIVE, 3)


@pytest.mark.parametrize(
    ("timing", "moved_us", "clock", "historical"),
    [
        (Timing(moved_ms=-5000), -5_000_000, ClockState(), False),
        (Timing(moved_ms=-40_000), -40_000_000, ClockState(), True),
        (Timing(moved_ms=7000, src=SYNCHRONISED), 7_000_000, ClockState(src=SYNCHRONISED), False),
        (Timing(src=LOST), 0, ClockState(src=LOST), True),
    ],
    ids=["set", "set far", "known", "lost"],
)
def test_wave_of_a_clock_that_is_gone_is_put_right_or_says_that_nobody_can(
    timing, moved_us, clock, historical
):
    stamped = stamp_wave(encode(), lane=Lane.LIVE, s=3, sent_ms=T0_US // 1000, timing=timing)
    got = decode_wave(stamped, stream=ECG)

    assert (got.block.t0_us - T0_US, got.clock, got.historical) == (moved_us, clock, historical)


@pytest.mark.parametrize("position", [0, 5, 24, 40, 70, -5, -1])
def test_one_flipped_bit_is_noticed(position):
    payload = bytearray(encode())
    payload[position] ^= 4

    with pytest.raises(WireInvalid):
        decode_wave(bytes(payload), stream=ECG)


def test_unknown_version_is_told_apart():
    payload = bytearray(encode())
    payload[4] = 2

    with pytest.raises(WireVersionUnknown):
        decode_wave(bytes(payload), stream=ECG)


def test_samples_that_were_packed_before_make_the_same_message():
    block = make_block([5, 7, 6])
    packed = compress_samples(block.samples, codec=CODEC_ZLIB)
    places = {"src": SourceId("s-1"), "envelope": ENVELOPE, "codec": CODEC_ZLIB}

    assert encode_packed_wave(block, packed, **places) == encode_wave(block, **places)


def test_unknown_codec_is_told_apart():
    with pytest.raises(WireVersionUnknown):
        decompress_samples(b"", n=1, codec=9)


@pytest.mark.parametrize("n", [2, 4])
def test_wrong_count_is_invalid(n):
    packed = compress_samples(np.array([1, 2, 3], np.int32), codec=CODEC_ZLIB)

    with pytest.raises(WireInvalid):
        decompress_samples(packed, n=n, codec=CODEC_ZLIB)


def test_an_empty_block_is_invalid():
    with pytest.raises(WireInvalid, match="cannot be"):
        decode_wave(encode(make_block([])), stream=ECG)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_wire_error(payload):
    with pytest.raises(WireError):
        decode_wave(payload, stream=ECG)


@given(st.binary(max_size=60), st.integers(1, 50), st.sampled_from([CODEC_ZLIB, CODEC_ZSTD]))
def test_any_packed_bytes_give_samples_or_a_wire_error(packed, n, codec):
    with suppress(WireError):
        assert len(decompress_samples(packed, n=n, codec=codec)) == n


def test_half_a_minute_of_an_ecg_costs_little():
    """A103l at a monitor's resolution, three channels at 250 Hz (tests/recordings/README.md)."""
    recorded = np.load(WAVES / "a103l_60s.npz")
    sizes = [
        len(encode(make_block(samples[first : first + 7500])))
        for samples in recorded.values()
        for first in range(0, 15_000, 7500)
    ]

    assert sum(sizes) / (3 * 15_000) <= 0.55


def test_frame_that_would_unpack_to_more_than_it_says_is_invalid():
    packed = zstandard.ZstdCompressor().compress(bytes(10**6))

    with pytest.raises(WireInvalid, match="more than they say"):
        decompress_samples(packed, n=10, codec=CODEC_ZSTD)
