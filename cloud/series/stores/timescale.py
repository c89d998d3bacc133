"""Continuous values where TimescaleDB is: messages and hours in hypertables, minutes in its columnstore.

Cells and rollups lie as they do in plain PostgreSQL (`cloud/series/stores/postgres.py`): a columnstore of
every value is larger, slower to read, and not exact (docs/decisions/0016-timescaledb.md). What the extension
adds: time is cut into chunks, so that a question looks at its own time only and a day whose messages were all
compacted is dropped whole; and `series_minute` tells in SQL what the rollup of every minute holds.
"""

from datetime import datetime

import psycopg
from psycopg import sql

from cloud.series.model import HOUR_MS, SHIFT_US, Block
from cloud.series.rollup import Rollup, read_rollup
from cloud.series.stores.postgres import PostgresSeries, hold_source, write_hour
from cloud.store.connection import Database
from vitals.wire.batch import from_ms

_HOURS_AT_A_TIME = 500
# Of a chunk in the columnstore: compressed, and nothing was written beside it since.
_SETTLED = 1
_COLUMNS = "src_no, key, unit, minute, n, lowest, highest, total, first, last"


class TimescaleSeries(PostgresSeries):
    """The port `SeriesStore`; it keeps nothing itself."""

    def __init__(self) -> None:
        super().__init__(write_hour=write_listed_hour)

    def tidy(self, connection: Database, *, before_ms: int) -> None:
        """List the minutes of hours from before the extension, compress days, drop days without messages."""
        _list_older(connection)
        _compress_days(connection, before=from_ms(before_ms))
        _drop_emptied(connection, before_ms=before_ms)


def is_arranged(connection: Database) -> bool:
    """Whether the tables of this database lie so (`arrange_series` of migration 0017)."""
    row = connection.execute("SELECT to_regclass('series_minute') IS NOT NULL").fetchone()
    return row is not None and bool(row[0])


def write_listed_hour(connection: Database, src_no: int, hour_ms: int, block: Block) -> None:
    """The hour, and its minutes for SQL unless the time of one of its values is in doubt."""
    minutes = write_hour(connection, src_no, hour_ms, block)
    is_doubtful = bool(block.heads[:, SHIFT_US].any()) if len(block.t_ms) else False
    _list_minutes(connection, src_no, hour_ms, {} if is_doubtful else minutes)


def _list_minutes(connection: Database, src_no: int, hour_ms: int, minutes: Rollup) -> None:
    """Instead of what was listed of the hour."""
    # A person's values of many days may be erased in one transaction.
    connection.execute(
        "SELECT set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', true)"
    )
    connection.execute(
        "DELETE FROM series_minute WHERE src_no = %s AND minute >= %s AND minute < %s",
        (src_no, from_ms(hour_ms), from_ms(hour_ms + HOUR_MS)),
    )
    if not minutes:
        return
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY series_minute ({_COLUMNS}) FROM STDIN (FORMAT binary)") as copy,
    ):
        copy.set_types(["int4", "text", "text", "timestamptz", "int4", *["float8"] * 5])
        for (key, unit), steps in minutes.items():
            columns = (steps.counts, steps.lowest, steps.highest, steps.sums, steps.first, steps.last)
            for start_ms, *numbers in zip(
                steps.starts_ms.tolist(), *(column.tolist() for column in columns), strict=True
            ):
                copy.write_row((src_no, key, unit, from_ms(start_ms), *numbers))


def _list_older(connection: Database) -> None:
    """Some of the hours that were written before the extension was there."""
    waiting = connection.execute(
        "SELECT src_no, hour_ms FROM series_unlisted ORDER BY src_no, hour_ms LIMIT %s", (_HOURS_AT_A_TIME,)
    ).fetchall()
    for src_no, hour_ms in waiting:
        with connection.transaction():
            hold_source(connection, src_no)
            row = connection.execute(
                "SELECT minutes FROM series_chunk WHERE (src_no, hour_ms) = (%s, %s) AND NOT is_shifted",
                (src_no, hour_ms),
                binary=True,
            ).fetchone()
            _list_minutes(connection, src_no, hour_ms, {} if row is None else read_rollup(row[0]))
            connection.execute(
                "DELETE FROM series_unlisted WHERE (src_no, hour_ms) = (%s, %s)", (src_no, hour_ms)
            )


def _compress_days(connection: Database, *, before: datetime) -> None:
    """Days of minutes that are over, and again those in which something was written since."""
    days = connection.execute(
        "SELECT chunk FROM show_chunks('series_minute', older_than => %s) AS chunk "
        "WHERE _timescaledb_functions.chunk_status(chunk) <> %s ORDER BY 1",
        (before, _SETTLED),
    ).fetchall()
    for (chunk,) in days:
        with connection.transaction():
            connection.execute("SET LOCAL statement_timeout = 0")
            connection.execute("CALL convert_to_columnstore(%s::regclass)", (chunk,))


def _drop_emptied(connection: Database, *, before_ms: int) -> None:
    """Days of which every message has become part of an hour."""
    days = connection.execute(
        "SELECT chunk_schema || '.' || chunk_name, range_start_integer, range_end_integer "
        "FROM timescaledb_information.chunks WHERE hypertable_name = 'series_batch' "
        "AND hypertable_schema = current_schema AND range_end_integer <= %s",
        (before_ms,),
    ).fetchall()
    for name, start_ms, end_ms in days:
        chunk = sql.Identifier(*name.split(".", 1))
        if not _is_empty(connection, chunk):
            continue
        try:
            with connection.transaction():
                _drop_if_empty(connection, chunk, start_ms=start_ms, end_ms=end_ms)
        except psycopg.errors.LockNotAvailable:
            continue  # somebody reads or writes there now; the next minute will do


def _is_empty(connection: Database, chunk: sql.Identifier) -> bool:
    row = connection.execute(sql.SQL("SELECT NOT EXISTS (SELECT FROM {})").format(chunk)).fetchone()
    return row is not None and bool(row[0])


def _drop_if_empty(connection: Database, chunk: sql.Identifier, *, start_ms: int, end_ms: int) -> None:
    connection.execute("SET LOCAL lock_timeout = '100ms'")
    connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(chunk))
    if _is_empty(connection, chunk):
        connection.execute(
            "SELECT drop_chunks('series_batch', older_than => %s::bigint, newer_than => %s::bigint)",
            (end_ms, start_ms),
        )


TIMESCALE = TimescaleSeries()
