"""Columns as PostgreSQL takes them, packed at once: psycopg would look at each value of a list by itself.

The binary form of an array (`array_send` in PostgreSQL's arrayfuncs.c): dimensions, whether there are NULLs,
type of the elements, length, lower bound, then each element behind its length.
"""

import struct
from collections.abc import Iterable, Sequence

import numpy as np
import psycopg
from psycopg.abc import AdaptContext
from psycopg.adapt import Dumper
from psycopg.pq import Format

_HEADER = struct.Struct(">iiiii")
_LENGTH = struct.Struct(">i")
_BYTEA, _INT8, _TEXT = 17, 20, 25
_INT8_ELEMENT = np.dtype([("length", ">i4"), ("value", ">i8")])


class _Packed:
    __slots__ = ("content",)
    oid = 0

    def __init__(self, content: bytes) -> None:
        self.content = content


class Int8Array(_Packed):
    """`bigint[]`."""

    oid = 1016


class ByteaArray(_Packed):
    """`bytea[]`."""

    oid = 1001


class TextArray(_Packed):
    """`text[]`."""

    oid = 1009


def pack_ints(values: Sequence[int]) -> Int8Array:
    """Whole numbers of 64 bits; OverflowError for a larger one."""
    elements = np.empty(len(values), _INT8_ELEMENT)
    elements["length"] = 8
    elements["value"] = values
    return Int8Array(_header(_INT8, len(values)) + elements.tobytes())


def pack_bytes(values: Sequence[bytes]) -> ByteaArray:
    """Any bytes."""
    return ByteaArray(_header(_BYTEA, len(values)) + _elements(values))


def pack_texts(values: Sequence[str]) -> TextArray:
    """Text without NUL, as PostgreSQL wants it."""
    return TextArray(_header(_TEXT, len(values)) + _elements([value.encode() for value in values]))


def _header(oid: int, length: int) -> bytes:
    return _HEADER.pack(1, 0, oid, length, 1) if length else struct.pack(">iii", 0, 0, oid)


def _elements(values: Iterable[bytes]) -> bytes:
    return b"".join([_LENGTH.pack(len(value)) + value for value in values])


class _PackedDumper(Dumper):
    """Its type is the array's own: psycopg would take one that has a type for every list of that type."""

    format = Format.BINARY

    def __init__(self, cls: type[_Packed], context: AdaptContext | None = None) -> None:
        super().__init__(cls, context)
        self.oid = cls.oid

    def dump(self, obj: _Packed) -> bytes:
        return obj.content


for _kind in (Int8Array, ByteaArray, TextArray):
    psycopg.adapters.register_dumper(_kind, _PackedDumper)
