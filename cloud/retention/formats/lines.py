"""A row as one line of JSON."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import msgspec
from psycopg.types.range import Range


def to_line(row: Mapping[str, Any]) -> bytes:
    """The line with its line feed; bytes in Base64, ranges as PostgreSQL writes them."""
    return msgspec.json.encode(row, enc_hook=_plain) + b"\n"


def _plain(value: object) -> object:
    if isinstance(value, Range):
        lower, upper = _bound(value.lower), _bound(value.upper)
        return f"{value.bounds[0]}{lower},{upper}{value.bounds[1]}" if value.bounds else "empty"
    return str(value)


def _bound(value: object) -> str:
    if value is None:
        return ""
    return value.isoformat() if isinstance(value, date | datetime) else str(value)
