"""An hour of a source as bytes: one section for times and messages, one per key. Lossless. Pure.

| size | what |
|---|---|
| 4 | length of the index |
| … | index (MessagePack): version, lengths of the first two sections, and of each key its unit and length |
| … | measured time of each row |
| … | heads of the messages; message and delay of each row |
| … | a section per key: which rows have a value, the values, and what is unusual of a cell |

Sections are compressed one by one: who asks for one key reads one key.
"""

import struct
from collections.abc import Collection

import msgspec
import numpy as np

from cloud.series.model import Block, Column, Columns
from cloud.series.numbers import compress, expand, read_floats, read_ints, write_floats, write_ints
from vitals.observation import Flag, Quality, VitalKey

VERSION = 1
_LENGTH = struct.Struct("<I")
_HEADS = 6


class _Section(msgspec.Struct, array_like=True):
    key: str
    unit: str
    length: int


class _Index(msgspec.Struct, array_like=True):
    version: int
    times: int
    origins: int
    sections: list[_Section]


class _Unusual(msgspec.Struct, array_like=True, omit_defaults=True):
    absent_told: list[int] = []
    qualities: dict[int, Quality] = {}
    flags: dict[int, tuple[Flag, ...]] = {}
    device_times: dict[int, str] = {}


_read_index = msgspec.msgpack.Decoder(_Index)
_read_unusual = msgspec.msgpack.Decoder(_Unusual)


def write_chunk(block: Block) -> bytes:
    """A block in the order of time."""
    order = np.lexsort((block.message, block.t_ms))
    if not np.array_equal(order, np.arange(len(order))):
        block = _sorted(block, order)
    times = compress(write_ints(block.t_ms[np.newaxis]))
    rows = np.stack([block.message, block.received_ms - block.t_ms])
    origins = compress(write_ints(np.ascontiguousarray(block.heads.T)) + write_ints(rows))
    named = sorted(block.columns.items())
    sections = [compress(_write_column(column)) for _, column in named]
    index = _Index(
        VERSION,
        len(times),
        len(origins),
        [_Section(key, unit, len(one)) for ((key, unit), _), one in zip(named, sections, strict=True)],
    )
    head = msgspec.msgpack.encode(index)
    return b"".join([_LENGTH.pack(len(head)), head, times, origins, *sections])


def read_chunk(content: bytes, *, keys: Collection[str] | None = None, is_origin_asked: bool = True) -> Block:
    """The block again; `keys` None is every key. Without their origin all rows are of one message, unshifted.

    Raises:
        ValueError: another version wrote it.
    """
    (length,) = _LENGTH.unpack_from(content)
    at = _LENGTH.size + length
    index = _read_index.decode(content[_LENGTH.size : at])
    if index.version != VERSION:
        raise ValueError(f"a chunk of version {index.version} cannot be read here")
    times, at = expand(content[at : at + index.times]), at + index.times
    origins, at = content[at : at + index.origins], at + index.origins
    columns: Columns = {}
    for section in index.sections:
        if keys is None or section.key in keys:
            name = VitalKey(section.key), section.unit
            columns[name] = _read_column(expand(content[at : at + section.length]))
        at += section.length
    t_ms = read_ints(times)[0][0]
    if not is_origin_asked:
        nothing = np.zeros(len(t_ms), np.int64)
        heads = np.zeros((1, _HEADS), np.int64)
        return Block(heads=heads, message=nothing, t_ms=t_ms, received_ms=t_ms, columns=columns)
    told = expand(origins)
    transposed, end = read_ints(told)
    (message, delay), _ = read_ints(told, end)
    return Block(heads=transposed.T, message=message, t_ms=t_ms, received_ms=t_ms + delay, columns=columns)


def _sorted(block: Block, order: "np.ndarray[tuple[int], np.dtype[np.intp]]") -> Block:
    new_row = {int(old): new for new, old in enumerate(order)}
    return Block(
        heads=block.heads,
        message=block.message[order],
        t_ms=block.t_ms[order],
        received_ms=block.received_ms[order],
        columns={
            name: Column(
                column.values[order],
                {new_row[row] for row in column.absent_told},
                {new_row[row]: said for row, said in column.qualities.items()},
                {new_row[row]: said for row, said in column.flags.items()},
                {new_row[row]: said for row, said in column.device_times.items()},
            )
            for name, column in block.columns.items()
        },
    )


def _write_column(column: Column) -> bytes:
    has = ~np.isnan(column.values)
    bits = b"" if bool(has.all()) else np.packbits(has).tobytes()
    unusual = msgspec.msgpack.encode(
        _Unusual(sorted(column.absent_told), column.qualities, column.flags, column.device_times)
    )
    return b"".join(
        [
            struct.pack("<III", len(has), len(bits), len(unusual)),
            bits,
            unusual,
            write_floats(column.values[has][np.newaxis]),
        ]
    )


def _read_column(content: bytes) -> Column:
    count, bit_bytes, unusual_bytes = struct.unpack_from("<III", content)
    at = 12
    unusual = _read_unusual.decode(content[at + bit_bytes : at + bit_bytes + unusual_bytes])
    values = read_floats(content, at + bit_bytes + unusual_bytes)[0][0]
    if bit_bytes:
        bits = np.unpackbits(np.frombuffer(content, np.uint8, bit_bytes, at), count=count)
        told, values = values, np.full(count, np.nan)
        values[bits.astype(np.bool_)] = told
    return Column(values, set(unusual.absent_told), unusual.qualities, unusual.flags, unusual.device_times)
