"""Columns of numbers as few bytes: differences, zigzag, byte shuffle, zstd. Lossless to the bit. Pure.

Monitors round: 36.6 is 366 tenths. A column of which every number is exactly so many tenths, hundredths … is
kept as integers; any other as the doubles that they are. Neighbours differ little, so differences are small;
a zigzag makes small negative numbers small too, and of all low bytes together zstd leaves almost nothing.
"""

import struct

import numpy as np
import zstandard

from cloud.series.model import Floats, Ints

_LEVEL = 9
_WIDTHS = (1, 2, 4, 8)
_TYPES = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
_DOUBLES = 255
_MOST_DECIMALS = 6
_LARGEST_EXACT = 2.0**53
_HEAD = struct.Struct("<BBI")  # decimals, width, number
_MOST_BYTES = 2**28


def compress(content: bytes) -> bytes:
    """A section of a row."""
    return zstandard.ZstdCompressor(level=_LEVEL).compress(content)


def expand(content: bytes) -> bytes:
    """The section again."""
    return zstandard.ZstdDecompressor().decompress(content, max_output_size=_MOST_BYTES)


def write_ints(numbers: Ints) -> bytes:
    """Integers of any size, not yet compressed."""
    return _write_ints(numbers, decimals=0)


def read_ints(content: bytes, at: int = 0) -> tuple[Ints, int]:
    """The integers, and where what follows them begins."""
    _, width, count = _HEAD.unpack_from(content, at)
    first = at + _HEAD.size
    end = first + width * count
    planes = np.frombuffer(content, np.uint8, width * count, first).reshape(width, count)
    zigzag = np.ascontiguousarray(planes.T).view(np.dtype(_TYPES[width]).newbyteorder("<")).reshape(count)
    unsigned = zigzag.astype(np.uint64)
    differences = (unsigned >> np.uint64(1)).astype(np.int64) ^ -(unsigned & np.uint64(1)).astype(np.int64)
    return np.cumsum(differences, dtype=np.int64), end


def write_floats(numbers: Floats) -> bytes:
    """Doubles without NaN, not yet compressed."""
    for decimals in range(_MOST_DECIMALS + 1):
        scaled = scale(numbers, decimals)
        if scaled is not None:
            return _write_ints(scaled, decimals=decimals)
    return _HEAD.pack(_DOUBLES, 8, len(numbers)) + _shuffle(numbers.astype("<f8").view(np.uint64), 8)


def read_floats(content: bytes, at: int = 0) -> tuple[Floats, int]:
    """The doubles, and where what follows them begins."""
    decimals, width, count = _HEAD.unpack_from(content, at)
    if decimals == _DOUBLES:
        first = at + _HEAD.size
        planes = np.frombuffer(content, np.uint8, 8 * count, first).reshape(8, count)
        doubles = np.ascontiguousarray(planes.T).view("<f8").reshape(count).astype(np.float64)
        return doubles, first + width * count
    scaled, end = read_ints(content, at)
    return scaled / 10.0**decimals, end


def scale(numbers: Floats, decimals: int) -> Ints | None:
    """The numbers as integers of so many decimals; None if one of them is not exactly that."""
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.rint(numbers * 10.0**decimals)
        if not bool(np.all(np.abs(scaled) < _LARGEST_EXACT)):
            return None
        integers = scaled.astype(np.int64)
        back = integers / 10.0**decimals
    same = np.array_equal(back.view(np.int64), np.ascontiguousarray(numbers, np.float64).view(np.int64))
    return integers if same else None


def _write_ints(numbers: Ints, *, decimals: int) -> bytes:
    # Differences of integers wrap around and come back: the sum wraps around the same way.
    differences = np.diff(numbers, prepend=np.int64(0))
    zigzag = ((differences << 1) ^ (differences >> 63)).view(np.uint64)
    largest = int(zigzag.max(initial=0))
    width = next(width for width in _WIDTHS if largest < 2 ** (8 * width))
    return _HEAD.pack(decimals, width, len(numbers)) + _shuffle(zigzag, width)


def _shuffle(numbers: "np.ndarray[tuple[int], np.dtype[np.uint64]]", width: int) -> bytes:
    planes = numbers.astype("<u8").view(np.uint8).reshape(-1, 8)[:, :width]
    return np.ascontiguousarray(planes.T).tobytes()
