"""A block of a wave as it is kept, and what follows from two of one moment. Pure.

A window is ten minutes of one stream of one source; a block lies in the window in which it begins.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from cloud.series.model import Held, from_us
from vitals.observation import SourceId, VitalKey
from vitals.wave import Samples, WaveBlock
from vitals.wire.wave_block import compress_samples, decompress_samples

WINDOW_US = 600_000_000
LONGEST_US = 600_000_000
"""What is longer stays as it came: so what overlaps an interval begins shortly before."""
SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Ten minutes of a stream, from `begin_us` on."""

    src: SourceId
    stream: VitalKey
    begin_us: int

    @property
    def end_us(self) -> int:
        """Every block of it begins before."""
        return self.begin_us + WINDOW_US


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StoredBlock:
    """A block with where it came from; its samples as they came (`packed`), or as numbers."""

    t0_us: int
    rate_numerator: int
    rate_denominator: int
    n: int
    first_sample: int
    codec: int
    sent_us: int
    stored_us: int
    late: bool
    lane: str
    s: int
    shift_us: int
    packed: bytes = field(default=b"", repr=False)
    unpacked: Samples | None = field(default=None, repr=False)

    @property
    def samples(self) -> Samples:
        """The samples as numbers.

        Raises:
            WireError: they came so that they cannot be read.
        """
        if self.unpacked is not None:
            return self.unpacked
        return decompress_samples(self.packed, n=self.n, codec=self.codec)

    @property
    def end_us(self) -> int:
        """Time just after the last sample."""
        return end_of(self.t0_us, self.rate_numerator, self.rate_denominator, self.n)

    def to_wave(self, stream: VitalKey) -> WaveBlock:
        """The samples with their times."""
        return WaveBlock(
            stream=stream,
            t0_us=self.t0_us,
            rate_hz=Fraction(self.rate_numerator, self.rate_denominator),
            first_sample=self.first_sample,
            samples=self.samples,
        )

    def to_row(self, src: str, stream: str) -> dict[str, Any]:
        """In the words of `wave_block`."""
        packed = self.packed
        if self.unpacked is not None:
            packed = compress_samples(self.unpacked, codec=self.codec)
        return {
            "src": src,
            "stream": stream,
            "t0_us": self.t0_us,
            "rate_numerator": self.rate_numerator,
            "rate_denominator": self.rate_denominator,
            "n": self.n,
            "first_sample": self.first_sample,
            "codec": self.codec,
            "samples": packed,
            "sent_at": from_us(self.sent_us),
            "stored_at": from_us(self.stored_us),
            "late": self.late,
            "lane": self.lane,
            "s": self.s,
            "clock_shift": from_us(self.shift_us) - from_us(0),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveLine:
    """What one source measured of one stream, in the order of time."""

    src: SourceId
    stream: VitalKey
    blocks: tuple[StoredBlock, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """The blocks of a window, each once; and how often other samples came for a time that had some."""

    blocks: list[StoredBlock]
    conflicts: Mapping[int, int]


def end_of(t0_us: int, rate_numerator: int, rate_denominator: int, n: int) -> int:
    """When `n` samples end; as `round` does it of a fraction, which takes ten times as long."""
    whole, rest = divmod(n * SECOND_US * rate_denominator, rate_numerator)
    is_up = 2 * rest > rate_numerator or (2 * rest == rate_numerator and whole % 2 == 1)
    return t0_us + whole + is_up


def merge(kept: Iterable[StoredBlock], fresh: Iterable[StoredBlock]) -> Merged:
    """Of two blocks of one time the first stays; `fresh` came after all that is `kept`."""
    by_time = {block.t0_us: block for block in kept}
    conflicts: dict[int, int] = {}
    for block in fresh:
        known = by_time.setdefault(block.t0_us, block)
        if not is_same(known, block):
            conflicts[block.t0_us] = conflicts.get(block.t0_us, 0) + 1
    return Merged(blocks=[by_time[t0_us] for t0_us in sorted(by_time)], conflicts=conflicts)


def is_same(one: StoredBlock, other: StoredBlock) -> bool:
    """Whether two blocks hold the same samples."""
    return one is other or np.array_equal(one.samples, other.samples)


def is_held(block: StoredBlock, held: Held) -> bool:
    """Whether a block lies in an interval with both its ends, whichever of its times is right."""
    first_us, last_us = block.t0_us, block.end_us
    if not held.since_us <= first_us < held.until_us:
        return False
    if block.shift_us:
        first_us, last_us = min(first_us, first_us + block.shift_us), max(last_us, last_us + block.shift_us)
    return held.from_us <= first_us and last_us < held.to_us


def is_held_by(block: StoredBlock, several: Sequence[Held]) -> bool:
    """Whether one of these intervals holds the block."""
    return any(is_held(block, held) for held in several)


def is_short(block: StoredBlock) -> bool:
    """Whether a block may lie in a window with others."""
    return block.n * SECOND_US * block.rate_denominator <= LONGEST_US * block.rate_numerator


def unpack_row(row: Sequence[Any]) -> StoredBlock:
    """A row of `wave_block`, with its times as microseconds, without source and stream."""
    t0_us, numerator, denominator, n, first_sample, codec, packed, *origin = row
    sent_us, stored_us, late, lane, s, shift_us = origin
    return StoredBlock(
        t0_us=t0_us,
        rate_numerator=numerator,
        rate_denominator=denominator,
        n=n,
        first_sample=first_sample,
        codec=codec,
        sent_us=sent_us,
        stored_us=stored_us,
        late=late,
        lane=lane,
        s=s,
        shift_us=shift_us,
        packed=packed,
    )
