"""Columns of numbers as few bytes: differences, zigzag, byte shuffle, zstd. Lossless to the bit. Pure.

Monitors round: 36.6 is 366 tenths. A column of which every number is exactly so many tenths, hundredths … is
kept as integers; any other as the doubles that they are. Neighbours differ little, so differences are small;
a zigzag makes small negative numbers small too, and of all low bytes together zstd leaves almost nothing.
"""

import struct

import numpy as np
import numpy.typing as npt
import zstandard

from cloud.series.model import Floats, Ints

_LEVEL = 9
_WIDTHS = (1, 2, 4, 8)
_TYPES = {1: "<u1", 2: "<u2", 4: "<u4", 8: "<u8"}
_SIGNED = {1: "<i1", 2: "<i2", 4: "<i4", 8: "<i8"}
_DOUBLES = 255
_MOST_DECIMALS = 6
_LARGEST_EXACT = 2.0**53
_HEAD = struct.Struct("<BBBI")  # decimals, width, rows, columns
_MOST_BYTES = 2**28


def compress(content: bytes) -> bytes:
    """A section of a row."""
    return zstandard.ZstdCompressor(level=_LEVEL).compress(content)


def expand(content: bytes) -> bytes:
    """The section again."""
    return zstandard.ZstdDecompressor().decompress(content, max_output_size=_MOST_BYTES)


def write_ints(rows: Ints) -> bytes:
    """Rows of integers of any size, not yet compressed."""
    return _write_ints(rows, decimals=0)


def read_ints(content: bytes, at: int = 0) -> tuple[Ints, int]:
    """The rows, and where what follows them begins.

    The first number of each row lies as it is; of every other the difference to the one before.
    """
    _, width, rows, columns = _HEAD.unpack_from(content, at)
    at += _HEAD.size
    found = np.empty((rows, columns), np.int64)
    if rows and columns:
        found[:, 0] = np.frombuffer(content, "<i8", rows, at)
        at += 8 * rows
        count = rows * (columns - 1)
        planes = np.frombuffer(content, np.uint8, width * count, at).reshape(width, count)
        at += width * count
        # In their own width, where unsigned numbers wrap around as signed ones would: less to move.
        zigzag = np.ascontiguousarray(planes.T).view(_TYPES[width])
        differences = (zigzag >> 1) ^ -(zigzag & 1)
        found[:, 1:] = differences.view(_SIGNED[width]).reshape(rows, columns - 1)
        np.cumsum(found, axis=1, out=found)
    return found, at


def write_floats(rows: Floats) -> bytes:
    """Rows of doubles without NaN, not yet compressed."""
    for decimals in range(_MOST_DECIMALS + 1):
        scaled = scale(rows, decimals)
        if scaled is not None:
            return _write_ints(scaled, decimals=decimals)
    return _HEAD.pack(_DOUBLES, 8, *rows.shape) + _shuffle(rows.astype("<f8").view(np.uint64), 8)


def read_floats(content: bytes, at: int = 0) -> tuple[Floats, int]:
    """The rows, and where what follows them begins."""
    decimals, width, rows, columns = _HEAD.unpack_from(content, at)
    if decimals == _DOUBLES:
        at += _HEAD.size
        planes = np.frombuffer(content, np.uint8, width * rows * columns, at).reshape(width, rows * columns)
        doubles = np.ascontiguousarray(planes.T).view("<f8").astype(np.float64)
        return doubles.reshape(rows, columns), at + width * rows * columns
    scaled, end = read_ints(content, at)
    return scaled / 10.0**decimals if decimals else scaled.astype(np.float64), end


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


def _write_ints(rows: Ints, *, decimals: int) -> bytes:
    # Differences of integers wrap around and come back: the sum wraps around the same way.
    differences = np.diff(rows, axis=1)
    zigzag = ((differences << 1) ^ (differences >> 63)).view(np.uint64)
    largest = int(zigzag.max(initial=0))
    width = next(width for width in _WIDTHS if largest < 2 ** (8 * width))
    first = rows[:, :1].astype("<i8").tobytes()
    return _HEAD.pack(decimals, width, *rows.shape) + first + _shuffle(zigzag, width)


def _shuffle(numbers: "npt.NDArray[np.uint64]", width: int) -> bytes:
    planes = np.ascontiguousarray(numbers, "<u8").view(np.uint8).reshape(-1, 8)[:, :width]
    return np.ascontiguousarray(planes.T).tobytes()
