"""The binary wave message: fixed little-endian header, compressed integers, CRC-32 (docs/wire-contract.md).

Neighbouring samples are alike, so first differences are small; zigzag folds their sign into the lowest bit
and a byte shuffle puts the mostly-zero high bytes together, where zlib finds them.
"""

import struct
import zlib
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import zstandard

from vitals.observation import SourceId, VitalKey
from vitals.wave import Samples, WaveBlock
from vitals.wire.batch import (
    AS_READ,
    HISTORICAL_AFTER_MS,
    LOST,
    SYNCHRONISED,
    ClockState,
    Envelope,
    Timing,
)
from vitals.wire.errors import WireInvalid, WireVersionUnknown
from vitals.wire.topics import LANES, Lane

MAGIC = b"QWB1"
VERSION = 1
CODEC_ZLIB = 1
CODEC_ZSTD = 2
MAX_SAMPLES = 100_000
_HEADER = struct.Struct("<4sBBBB8s8sQqQIIIqB")
_SENT = struct.Struct("<q")
_SENT_OFFSET = 60
_LANE_OFFSET = 6
_FLAGS_OFFSET = 7
_SEQUENCE = struct.Struct("<Q")
_SEQUENCE_OFFSET = 24
_CRC = struct.Struct("<I")
_T0 = struct.Struct("<q")
_T0_OFFSET = 32
_UNKNOWN_CLOCK = ClockState()
_HISTORICAL, _CORRECTED, _CLOCK_LOST = 1, 2, 4


class _Header(NamedTuple):
    magic: bytes
    version: int
    codec: int
    lane: int
    flags: int
    ln: bytes
    boot: bytes
    s: int
    t0_us: int
    first_sample: int
    rate_numerator: int
    rate_denominator: int
    n: int
    sent: int
    src_length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveMessage:
    """A decoded wave message."""

    envelope: Envelope
    src: SourceId
    block: WaveBlock
    sent: int
    historical: bool
    codec: int
    packed: bytes
    """The samples as they came."""
    clock: ClockState = _UNKNOWN_CLOCK


def encode_wave(block: WaveBlock, *, src: SourceId, envelope: Envelope, codec: int = CODEC_ZLIB) -> bytes:
    """The message as it lies in the spool: `sent` is 0 until `stamp_wave`."""
    packed = compress_samples(block.samples, codec=codec)
    return encode_packed_wave(block, packed, src=src, envelope=envelope, codec=codec)


def encode_packed_wave(
    block: WaveBlock, packed: bytes, *, src: SourceId, envelope: Envelope, codec: int
) -> bytes:
    """The same for samples that were compressed before: `packed` is what `compress_samples` gave."""
    name = src.encode()
    header = _HEADER.pack(
        MAGIC,
        VERSION,
        codec,
        LANES.index(envelope.lane),
        0,
        bytes.fromhex(envelope.ln),
        bytes.fromhex(envelope.boot),
        envelope.s,
        block.t0_us,
        block.first_sample,
        block.rate_hz.numerator,
        block.rate_hz.denominator,
        len(block.samples),
        0,
        len(name),
    )
    return _with_crc(header + name + packed)


def decode_wave(payload: bytes, *, stream: VitalKey) -> WaveMessage:
    """Check and decode a message.

    Raises:
        WireVersionUnknown: another version or an unknown codec.
        WireInvalid: short, corrupt (CRC), or fields that cannot be.
    """
    header, body = _open(payload)
    try:
        src = SourceId(body[: header.src_length].decode())
    except UnicodeDecodeError as error:
        raise WireInvalid("src is not UTF-8") from error
    packed = body[header.src_length :]
    return WaveMessage(
        envelope=Envelope(ln=header.ln.hex(), boot=header.boot.hex(), lane=LANES[header.lane], s=header.s),
        src=src,
        block=WaveBlock(
            stream=stream,
            t0_us=header.t0_us,
            rate_hz=Fraction(header.rate_numerator, header.rate_denominator),
            first_sample=header.first_sample,
            samples=decompress_samples(packed, n=header.n, codec=header.codec),
        ),
        sent=header.sent,
        historical=bool(header.flags & _HISTORICAL),
        codec=header.codec,
        packed=packed,
        clock=_clock_of(header.flags),
    )


def peek_envelope(payload: bytes) -> Envelope:
    """Where a message stands in its sequence, even if the rest of it cannot be read.

    Raises:
        WireInvalid: it is too short for that.
    """
    if len(payload) < _HEADER.size or payload[_LANE_OFFSET] >= len(LANES):
        raise WireInvalid("not a wave message")
    header = _Header(*_HEADER.unpack_from(payload))
    return Envelope(ln=header.ln.hex(), boot=header.boot.hex(), lane=LANES[header.lane], s=header.s)


def _open(payload: bytes) -> tuple[_Header, bytes]:
    if len(payload) < _HEADER.size + _CRC.size or payload[:4] != MAGIC:
        raise WireInvalid("not a wave message")
    if payload[4] != VERSION:
        raise WireVersionUnknown(payload[4])
    if _CRC.unpack(payload[-4:])[0] != zlib.crc32(payload[:-4]):
        raise WireInvalid("CRC-32 does not match")
    header = _Header(*_HEADER.unpack_from(payload))
    possible = header.lane < len(LANES) and header.rate_numerator and header.rate_denominator and header.s
    if not possible or not 0 < header.n <= MAX_SAMPLES:
        raise WireInvalid(f"header cannot be: {header}")
    return header, payload[_HEADER.size : -4]


def _clock_of(flags: int) -> ClockState:
    if flags & _CLOCK_LOST:
        return ClockState(src=LOST)
    return ClockState(src=SYNCHRONISED) if flags & _CORRECTED else _UNKNOWN_CLOCK


def stamp_wave(payload: bytes, *, lane: Lane, s: int, sent_ms: int, timing: Timing = AS_READ) -> bytes:
    """Write sequence and moment of publishing into a spooled message; mark it historical when it is old.

    Its clock has room for two words only: that `t0` was put right, or that nobody can.
    """
    header, _ = _open(payload)
    t0_us = header.t0_us + timing.moved_ms * 1000
    duration_ms = header.n * 1000 * header.rate_denominator // header.rate_numerator
    changed = bytearray(payload[:-4])
    changed[_LANE_OFFSET] = LANES.index(lane)
    _SEQUENCE.pack_into(changed, _SEQUENCE_OFFSET, s)
    _SENT.pack_into(changed, _SENT_OFFSET, sent_ms)
    _T0.pack_into(changed, _T0_OFFSET, t0_us)
    if timing.src == LOST or sent_ms - (t0_us // 1000 + duration_ms) > HISTORICAL_AFTER_MS:
        changed[_FLAGS_OFFSET] |= _HISTORICAL
    if timing.src is not None:
        changed[_FLAGS_OFFSET] |= _CLOCK_LOST if timing.src == LOST else _CORRECTED
    return _with_crc(bytes(changed))


def _with_crc(head: bytes) -> bytes:
    return head + _CRC.pack(zlib.crc32(head))


def compress_samples(samples: Samples, *, codec: int) -> bytes:
    """First differences, zigzag, byte shuffle, then zlib (1) or zstd (2)."""
    wide = samples.astype(np.int64)
    steps = np.diff(wide, prepend=np.int64(0))
    folded = ((steps << 1) ^ (steps >> 63)).astype(np.uint64)
    shuffled = (
        folded.astype("<u8").view(np.uint8).reshape(-1, 8).T[:5].tobytes()
    )  # 33 bits always fit in 5 bytes
    if codec == CODEC_ZLIB:
        # Small values with some noise: matches are rare, and this looks less for them (zlib.h, Z_FILTERED).
        deflate = zlib.compressobj(6, strategy=zlib.Z_FILTERED)
        return deflate.compress(shuffled) + deflate.flush()
    return zstandard.ZstdCompressor(level=3).compress(shuffled)


def decompress_samples(packed: bytes, *, n: int, codec: int) -> Samples:
    """Inverse of `compress_samples`, for exactly `n` samples.

    Raises:
        WireVersionUnknown: the codec is not known.
        WireInvalid: the bytes do not give n int32 samples.
    """
    shuffled = _inflate(packed, limit=5 * n, codec=codec)
    if len(shuffled) != 5 * n:
        raise WireInvalid(f"{len(shuffled)} bytes unpacked, expected {5 * n}")
    planes = np.frombuffer(shuffled, np.uint8).reshape(5, n)
    values = planes[0].astype(np.uint64)
    for place in range(1, 5):
        if planes[place].any():  # of most waves the high bytes are all zero
            values |= planes[place].astype(np.uint64) << np.uint64(8 * place)
    steps = (values >> np.uint64(1)).astype(np.int64) ^ -(values & np.uint64(1)).astype(np.int64)
    wide: npt.NDArray[np.int64] = np.cumsum(steps)
    if wide.size and (wide.min() < -(2**31) or wide.max() >= 2**31):
        raise WireInvalid("a sample does not fit in 32 bits")
    return wide.astype(np.int32)


def _inflate(packed: bytes, *, limit: int, codec: int) -> bytes:
    try:
        if codec == CODEC_ZLIB:
            return zlib.decompressobj().decompress(packed, limit + 1)
        if codec == CODEC_ZSTD and zstandard.frame_content_size(packed) <= limit:
            return zstandard.ZstdDecompressor().decompress(packed, max_output_size=limit + 1)
    except (zlib.error, zstandard.ZstdError) as error:
        raise WireInvalid(f"samples do not unpack: {error}") from error
    if codec == CODEC_ZSTD:
        raise WireInvalid("samples would unpack to more than they say")
    raise WireVersionUnknown(f"codec {codec}")
