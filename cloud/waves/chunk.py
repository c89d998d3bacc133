"""A window of a wave as bytes: sections of a minute, each readable by itself. Lossless. Pure.

Samples of the blocks of a section are compressed as one block is on the wire (`vitals.wire.wave_block`). That
makes them small: a block of one second pays for its beginning and for the tables of its compressor each time.
Where it is shorter, differences are taken once more before. Beside them lie the blocks' own numbers; most are
regular, so that of most little is left.

| size | what |
|---|---|
| 1, 1, 1, 1 | version, codec of the samples, how often differences were taken before, nothing |
| 4 | number of blocks |
| 4 | length of the numbers |
| … | numbers: first and step of each row, then the rows in steps (`cloud.series.numbers`) |
| … | samples of all blocks |

The directory tells of each section its minute, its length, and when its last sample ends.
"""

import struct
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np

from cloud.series.model import FOREVER_US, Ints
from cloud.series.numbers import compress, expand, read_ints, write_ints
from cloud.waves.model import SECOND_US, StoredBlock, end_of
from vitals.wave import Samples
from vitals.wire.topics import LANES, Lane
from vitals.wire.wave_block import CODEC_ZSTD, compress_samples, decompress_samples

VERSION = 1
SECTION_US = 60 * SECOND_US
_CODEC = CODEC_ZSTD
_HEAD = struct.Struct("<BBBxII")
_ENTRY = struct.Struct("<HIq")  # minute of the window, length, end from the beginning of the window
_ROWS = 12
_WIDEST = 2**62
_LARGEST_STEP = 2**31 - 1


class Section(NamedTuple):
    """Where a section lies in its chunk, and which time it is of."""

    number: int
    at: int
    length: int
    first_us: int
    until_us: int


def write_sections(blocks: Sequence[StoredBlock], *, begin_us: int) -> tuple[bytes, list[bytes]]:
    """Blocks of a window in the order of time: their directory, and their sections."""
    entries, sections = [], []
    for number, group in groupby(blocks, lambda block: (block.t0_us - begin_us) // SECTION_US):
        several = list(group)
        section = _write_section(several)
        until_us = max(block.end_us for block in several) - begin_us
        entries.append(_ENTRY.pack(number, len(section), until_us))
        sections.append(section)
    return b"".join(entries), sections


def read_directory(directory: bytes, *, begin_us: int) -> list[Section]:
    """The sections of a chunk in the order of time."""
    found, at = [], 0
    for number, (slot, length, until_us) in enumerate(_ENTRY.iter_unpack(directory)):
        found.append(Section(number, at, length, begin_us + slot * SECTION_US, begin_us + until_us))
        at += length
    return found


def read_section(
    content: bytes, *, first_us: int = -FOREVER_US, end_us: int = FOREVER_US
) -> list[StoredBlock]:
    """The blocks of a section that reach into a time.

    Raises:
        ValueError: another version wrote it, or it is none.
    """
    version, codec, before, count, length = _HEAD.unpack_from(content)
    if version != VERSION:
        raise ValueError(f"a section of version {version} cannot be read here")
    numbers = _read_numbers(expand(content[_HEAD.size : _HEAD.size + length]))
    ends = np.cumsum(numbers[3])
    samples = decompress_samples(content[_HEAD.size + length :], n=int(ends[-1]), codec=codec)
    for _ in range(before):
        samples = np.cumsum(samples, dtype=np.int64).astype(np.int32)
    columns = numbers.T.tolist()
    if len(columns) != count:
        raise ValueError(f"{len(columns)} blocks instead of {count}")
    # Those that are not asked for are not made: a minute asked for is of two sections.
    return [
        _to_block(column, samples[end - column[3] : end])
        for column, end in zip(columns, ends.tolist(), strict=True)
        if column[0] < end_us and end_of(*column[:4]) > first_us
    ]


def _write_section(blocks: Sequence[StoredBlock]) -> bytes:
    numbers = compress(_write_numbers(np.array([_numbers_of(block) for block in blocks], np.int64).T))
    before, samples = _compress(np.concatenate([block.samples for block in blocks]))
    return _HEAD.pack(VERSION, _CODEC, before, len(blocks), len(numbers)) + numbers + samples


def _compress(samples: Samples) -> tuple[int, bytes]:
    """How often differences were taken before, and what is left: the shorter of the two."""
    plain = compress_samples(samples, codec=_CODEC)
    steps = np.diff(samples.astype(np.int64), prepend=np.int64(0))
    if np.abs(steps).max(initial=0) > _LARGEST_STEP:
        return 0, plain
    again = compress_samples(steps.astype(np.int32), codec=_CODEC)
    return (1, again) if len(again) < len(plain) else (0, plain)


def _numbers_of(block: StoredBlock) -> tuple[int, ...]:
    return (
        block.t0_us,
        block.rate_numerator,
        block.rate_denominator,
        block.n,
        block.first_sample,
        block.codec,
        block.sent_us,
        block.stored_us,
        int(block.late),
        LANES.index(Lane(block.lane)),
        block.s,
        block.shift_us,
    )


def _to_block(numbers: list[int], samples: Samples) -> StoredBlock:
    t0_us, numerator, denominator, n, first_sample, codec, sent_us, stored_us, late, lane, s, shift_us = (
        numbers
    )
    return StoredBlock(
        t0_us=t0_us,
        rate_numerator=numerator,
        rate_denominator=denominator,
        n=n,
        first_sample=first_sample,
        codec=codec,
        unpacked=samples,
        sent_us=sent_us,
        stored_us=stored_us,
        late=bool(late),
        lane=LANES[lane].value,
        s=s,
        shift_us=shift_us,
    )


def _write_numbers(rows: Ints) -> bytes:
    """Times are whole milliseconds or seconds apart: what all differences share is written once a row."""
    firsts = rows[:, 0]
    steps = np.maximum(np.gcd.reduce(np.diff(rows, axis=1), axis=1, initial=0), 1)
    # Differences may wrap around, and come back so; but what wraps cannot be divided.
    steps[rows.max(axis=1) // 2 - rows.min(axis=1) // 2 >= _WIDEST // 2] = 1
    regular = (rows - firsts[:, np.newaxis]) // steps[:, np.newaxis]
    head: bytes = np.stack([firsts, steps]).astype("<i8").tobytes()
    return head + write_ints(regular)


def _read_numbers(content: bytes) -> Ints:
    firsts, steps = np.frombuffer(content, "<i8", 2 * _ROWS).astype(np.int64).reshape(2, _ROWS)
    regular, _ = read_ints(content, 2 * _ROWS * 8)
    return regular * steps[:, np.newaxis] + firsts[:, np.newaxis]
