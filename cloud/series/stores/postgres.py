"""Continuous values in PostgreSQL: messages in `series_batch`, hours in `series_chunk`.

A value moves in one direction only, from a message to an hour. So whoever reads messages first and hours
afterwards may meet a value twice while it moves, but never misses one.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from cloud.series.chunk import read_chunk, write_chunk
from cloud.series.latest import Latest, LatestCell, read_latest, write_latest
from cloud.series.loose import find_loose_minutes, free_of
from cloud.series.model import (
    HOUR_MS,
    LATE,
    LONGEST_BATCH_MS,
    MINUTE_MS,
    SHIFT_US,
    STORED_US,
    BatchRow,
    Block,
    Held,
    Mask,
    Unpacked,
    iterate_cells,
    join,
    unpack,
    unpack_values,
)
from cloud.series.port import Line, LooseMinute, Watched
from cloud.series.rollup import Rollup, merge_rollups, read_rollup, roll_up, write_rollup
from cloud.store.connection import Database
from vitals.observation import Flag, Quality
from vitals.wire.batch import decode_checked

_MESSAGES_AT_A_TIME = 5000
_NEWEST_AT_A_TIME = 20
_ASKED = (
    "unnest(%(src_nos)b::int[], %(froms)b::bigint[], %(tos)b::bigint[]) WITH ORDINALITY "
    "AS a (src_no, from_us, to_us, number)"
)
_COLUMNS = "b.src_no, b.lane_no, b.t0_ms, b.s, b.until_ms, b.stored_us, b.shift_us, b.payload"
# The bounds of all intervals together are constants, by which whole chunks of a hypertable are left out.
_OVERLAPS = (
    f"b.t0_ms BETWEEN %(lowest)b::bigint - {LONGEST_BATCH_MS} AND %(highest)b::bigint "
    f"AND b.src_no = a.src_no AND b.t0_ms >= a.from_us / 1000 - {LONGEST_BATCH_MS} "
    "AND b.t0_ms <= a.to_us / 1000 AND b.until_ms >= a.from_us / 1000"
)
_IN_HOURS = (
    f"c.hour_ms BETWEEN %(lowest)b::bigint - {HOUR_MS} AND %(highest)b::bigint "
    f"AND c.src_no = a.src_no AND c.hour_ms > a.from_us / 1000 - {HOUR_MS} AND c.hour_ms <= a.to_us / 1000 "
    "AND c.last_ms >= a.from_us / 1000 AND c.first_ms <= a.to_us / 1000"
)
_IS_WHOLE = "NOT c.is_shifted AND c.first_ms * 1000 >= a.from_us AND c.last_ms * 1000 < a.to_us"

# Writes what an hour of a source holds now, instead of what it held; nothing is left of an empty one.
HourWriter = Callable[[Database, int, int, Block], object]


class PostgresSeries:
    """The port `SeriesStore`; it keeps nothing itself."""

    insertion = """
        INSERT INTO series_batch (src_no, lane_no, t0_ms, s, until_ms, stored_us, shift_us, payload)
        SELECT * FROM unnest(%(src_no)b, %(lane_no)b, %(t0_ms)b, %(s)b, %(until_ms)b, %(stored_us)b,
                             %(shift_us)b, %(payload)b)
        """

    def __init__(self, *, write_hour: HourWriter) -> None:
        self._write_hour = write_hour

    def append(self, connection: Database, rows: Sequence[BatchRow]) -> None:
        """Store messages of which no value is stored yet."""
        statement = (
            "COPY series_batch (src_no, lane_no, t0_ms, s, until_ms, stored_us, shift_us, payload) "
            "FROM STDIN (FORMAT binary)"
        )
        with connection.cursor() as cursor, cursor.copy(statement) as copy:
            copy.set_types(["int4", "int4", "int8", "int8", "int8", "int8", "int8", "bytea"])
            for row in rows:
                copy.write_row(row)

    def find_blocks(self, connection: Database, asked: Sequence[Held]) -> dict[int, Block]:
        """By source, everything that may have been measured in these intervals, and perhaps more."""
        parts: dict[int, list[Block]] = {}
        for src_no, rows in _by_source(_find_messages(connection, asked).values()).items():
            parts.setdefault(src_no, []).append(_unpack(rows))
        chunks = connection.execute(
            "SELECT DISTINCT ON (c.src_no, c.hour_ms) c.src_no, c.cells "  # noqa: S608 only our own words
            f"FROM {_ASKED} JOIN series_chunk c ON {_IN_HOURS}",
            _question(asked),
            binary=True,
        )
        for src_no, cells in chunks:
            parts.setdefault(src_no, []).append(read_chunk(cells))
        return {src_no: join(blocks) for src_no, blocks in parts.items()}

    def read_range(
        self,
        connection: Database,
        asked: Sequence[Held],
        *,
        step_ms: int,
        keys: Collection[str] | None = None,
    ) -> list[Line]:
        """Extremes, first and last of every step in which something was measured in these intervals."""
        rolled: list[list[Rollup]] = [[] for _ in asked]
        blocks: list[list[Block]] = [[] for _ in asked]
        for number, rows in _messages_by_interval(connection, asked).items():
            blocks[number].append(unpack_values(rows, keys=keys))
        for number, is_shifted, cells, rollup in _find_hours(connection, asked, step_ms=step_ms):
            if rollup is not None:
                rolled[number].append(read_rollup(rollup, keys=keys))
            else:
                blocks[number].append(read_chunk(cells, keys=keys, is_origin_asked=is_shifted))
        for number, several in enumerate(blocks):
            if several:
                block = join(several)
                mask = block.is_held(asked[number])
                rolled[number].append(roll_up(block, step_ms=step_ms, mask=mask))
        lines = []
        in_order = sorted(range(len(asked)), key=lambda number: asked[number].src)
        for src, numbers in groupby(in_order, key=lambda number: asked[number].src):
            together = [rollup for number in numbers for rollup in rolled[number]]
            for (key, unit), steps in sorted(merge_rollups(together, step_ms=step_ms).items()):
                lines.append(Line(src=src, key=key, unit=unit, steps=steps))
        return lines

    def iterate(self, connection: Database, asked: Sequence[Held]) -> Iterator[dict[str, Any]]:
        """Every value of these intervals in the words of `observation`."""
        lanes = dict(connection.execute("SELECT lane_no, lane FROM lane_progress").fetchall())
        messages = _by_source(_find_messages(connection, asked).values())
        for src_no, several in _intervals_by_source(asked).items():
            for hour_ms in _hours(connection, several):
                block = read_hour(connection, src_no, hour_ms)
                if block is not None:
                    yield from _held_cells(block, several, lanes=lanes)
            if src_no in messages:
                yield from _held_cells(_unpack(messages[src_no]), several, lanes=lanes)

    def count(self, connection: Database, asked: Sequence[Held]) -> int:
        """How many values were measured in these intervals."""
        total = 0
        for number, rows in _messages_by_interval(connection, asked).items():
            block = _unpack(rows)
            total += block.rows(block.is_held(asked[number])).count()
        hours = connection.execute(
            f"SELECT a.number - 1, c.n, CASE WHEN NOT ({_IS_WHOLE}) THEN c.cells END "  # noqa: S608 ours
            f"FROM {_ASKED} JOIN series_chunk c ON {_IN_HOURS}",
            _question(asked),
            binary=True,
        )
        for number, n, cells in hours:
            if cells is not None:
                block = read_chunk(cells)
                n = block.rows(block.is_held(asked[number])).count()  # noqa: PLW2901 of the part
            total += n
        return total

    def find_newest(self, connection: Database, asked: Held, key: str) -> LatestCell | None:
        """The newest value of a key that was measured in an interval."""
        found = _newest_in_messages(connection, asked, key)
        for hour_ms in reversed(_hours(connection, [asked])):
            if found is not None and hour_ms + HOUR_MS <= found.measured_us // 1000:
                return found
            block = read_hour(connection, asked.src_no, hour_ms)
            older = None if block is None else newest_cell(block, block.is_held(asked), key=key)
            if older is not None:
                return older if found is None or older.measured_us > found.measured_us else found
        return found

    def find_loose(self, connection: Database, asked: Sequence[Watched]) -> list[LooseMinute]:
        """What was measured on nobody, minute by minute."""
        free = [part for one in asked for part in free_of(one)]
        doubtful = _find_doubtful(connection, [one.during for one in asked])
        wanted = free + [one.during for one in asked if one.during.src_no in doubtful]
        blocks = self.find_blocks(connection, wanted)
        watched = [one for one in asked if one.during.src_no in blocks]
        return [minute for one in watched for minute in find_loose_minutes(blocks[one.during.src_no], one)]

    def hold(self, connection: Database, asked: Sequence[Held]) -> None:
        """Nobody else moves or changes what is stored of these sources until the transaction ends."""
        for src_no in sorted({held.src_no for held in asked}):
            hold_source(connection, src_no)

    def vouch(self, connection: Database, asked: Sequence[Held]) -> int:
        """Believe the clock by which these were measured; returns how many were in doubt."""
        changed = 0
        for src_no, hour_ms, several in self._take_hours(connection, asked):
            block = read_hour(connection, src_no, hour_ms)
            if block is None or not block.heads[:, SHIFT_US].any():
                continue
            mask = block.is_measured_in(several) & (block.shift_us != 0)
            if mask.any():
                changed += block.rows(mask).count()
                self._write_hour(connection, src_no, hour_ms, block.vouched(mask))
        return changed

    def erase(self, connection: Database, asked: Sequence[Held]) -> int:
        """Delete what was measured in these intervals, and nothing else; returns how many values."""
        erased = 0
        for src_no, hour_ms, several in self._take_hours(connection, asked):
            block = read_hour(connection, src_no, hour_ms)
            if block is None:
                continue
            mask = block.is_held_by(several)
            if mask.any():
                erased += block.rows(mask).count()
                self._write_hour(connection, src_no, hour_ms, block.rows(~mask))
        return erased

    def refresh_latest(self, connection: Database, asked: Sequence[Held]) -> None:
        """After a change of what is stored, wherever it lies: find the newest values of the sources anew.

        A sensor that has gone on to measure others is not locked: its agent goes on sending meanwhile.
        """
        for src_no, several in _intervals_by_source(asked).items():
            if not _keys_within(_read_latest(connection, src_no), several):
                continue
            cells = _read_latest(connection, src_no, is_locked=True)
            for key in _keys_within(cells, several):
                newest = self._newest_anywhere(connection, several[0], key)
                if newest is None:
                    del cells[key]
                else:
                    cells[key] = newest
            connection.execute(
                "UPDATE latest SET cells = %s, version = version + 1 WHERE src_no = %s",
                (write_latest(cells.values()), src_no),
            )

    def find_old(self, connection: Database, *, before_ms: int, after: int, limit: int) -> list[int]:
        """Sources with messages that ended before a moment, from a number on."""
        rows = connection.execute(
            "SELECT src_no FROM source s WHERE src_no > %(after)s AND EXISTS (SELECT FROM series_batch b "
            "WHERE b.src_no = s.src_no AND b.t0_ms < %(before)s AND b.until_ms < %(before)s) "
            "ORDER BY src_no LIMIT %(limit)s",
            {"before": before_ms, "after": after, "limit": limit},
        )
        return [src_no for (src_no,) in rows]

    def compact(self, connection: Database, src_no: int, *, before_ms: int) -> int:
        """Bring messages of a source together that ended before a moment; returns how many there were."""
        with connection.transaction():
            hold_source(connection, src_no)
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM series_batch b WHERE b.src_no = %(src_no)s AND b.t0_ms < %(before)s "  # noqa: S608 ours
                "AND b.until_ms < %(before)s ORDER BY b.t0_ms LIMIT %(limit)s",
                {"src_no": src_no, "before": before_ms, "limit": _MESSAGES_AT_A_TIME},
                binary=True,
            ).fetchall()
            _move(connection, [BatchRow(*row) for row in rows], write_hour=self._write_hour)
        return len(rows)

    def tidy(self, connection: Database, *, before_ms: int) -> None:
        """Nothing: vacuum takes what compaction leaves."""

    def _take_hours(
        self, connection: Database, asked: Sequence[Held]
    ) -> Iterator[tuple[int, int, list[Held]]]:
        """The hours of these intervals, after everything in them was brought together."""
        self.hold(connection, asked)
        for rows in _by_source(_find_messages(connection, asked).values()).values():
            _move(connection, rows, write_hour=self._write_hour)
        for src_no, several in _intervals_by_source(asked).items():
            for hour_ms in _hours(connection, several):
                yield src_no, hour_ms, several

    def _newest_anywhere(self, connection: Database, held: Held, key: str) -> LatestCell | None:
        always = Held(src=held.src, src_no=held.src_no, from_us=-(2**62), to_us=2**62)
        found = [self.find_newest(connection, always, key), _newest_observation(connection, held.src, key)]
        return max((one for one in found if one is not None), key=lambda one: one.measured_us, default=None)


def newest_cell(block: Block, mask: Mask, *, key: str) -> LatestCell | None:
    """The newest of these rows that has a cell of the key."""
    best: LatestCell | None = None
    for (name, unit), column in block.columns.items():
        rows = np.flatnonzero(column.is_there() & mask) if name == key else ()
        if len(rows) == 0:
            continue
        row = int(rows[np.argmax(block.t_ms[rows])])
        if best is None or int(block.t_ms[row]) * 1000 > best.measured_us:
            head = block.heads[block.message[row]].tolist()
            value = float(column.values[row])
            best = LatestCell(
                key=key,
                value=None if np.isnan(value) else value,
                unit=unit,
                measured_us=int(block.t_ms[row]) * 1000,
                received_us=int(block.received_ms[row]) * 1000,
                stored_us=head[STORED_US],
                quality=column.qualities.get(row, Quality.GOOD),
                flags=column.flags.get(row, ()),
                late=bool(head[LATE]),
                shift_us=head[SHIFT_US],
            )
    return best


def _question(asked: Sequence[Held]) -> dict[str, object]:
    return {
        "src_nos": [held.src_no for held in asked],
        "froms": [held.first_us for held in asked],
        "tos": [held.end_us for held in asked],
        "lowest": min((held.first_us for held in asked), default=0) // 1000,
        "highest": max((held.end_us for held in asked), default=0) // 1000,
    }


def _find_messages(connection: Database, asked: Sequence[Held]) -> dict[tuple[int, int, int, int], BatchRow]:
    """The messages that overlap any of these intervals, each once."""
    found = connection.execute(
        f"SELECT {_COLUMNS} FROM {_ASKED} JOIN series_batch b ON {_OVERLAPS}",  # noqa: S608 only our own words
        _question(asked),
        binary=True,
    )
    return {(row[0], row[1], row[2], row[3]): BatchRow(*row) for row in found}


def _messages_by_interval(connection: Database, asked: Sequence[Held]) -> dict[int, list[BatchRow]]:
    found: dict[int, list[BatchRow]] = {}
    rows = connection.execute(
        f"SELECT a.number - 1, {_COLUMNS} FROM {_ASKED} JOIN series_batch b ON {_OVERLAPS}",  # noqa: S608 ours
        _question(asked),
        binary=True,
    )
    for number, *row in rows:
        found.setdefault(number, []).append(BatchRow(*row))
    return found


def _find_hours(
    connection: Database, asked: Sequence[Held], *, step_ms: int
) -> list[tuple[int, bool, bytes, bytes | None]]:
    """Of each interval its hours: rolled up where that is exact, else cell by cell."""
    rolled = "c.whole" if step_ms % HOUR_MS == 0 else "c.minutes"
    is_enough = _IS_WHOLE if step_ms % MINUTE_MS == 0 else "false"
    return connection.execute(
        f"SELECT a.number - 1, c.is_shifted, CASE WHEN NOT ({is_enough}) THEN c.cells END, "  # noqa: S608 only our own words
        f"CASE WHEN {is_enough} THEN {rolled} END FROM {_ASKED} JOIN series_chunk c ON {_IN_HOURS}",
        _question(asked),
        binary=True,
    ).fetchall()


def _find_doubtful(connection: Database, asked: Sequence[Held]) -> set[int]:
    """Sources of which something was measured in these intervals by a clock that is in doubt."""
    rows = connection.execute(
        f"SELECT a.src_no FROM {_ASKED} WHERE EXISTS (SELECT FROM series_chunk c WHERE {_IN_HOURS} "  # noqa: S608 ours
        f"AND c.is_shifted) OR EXISTS (SELECT FROM series_batch b WHERE {_OVERLAPS} AND b.shift_us <> 0)",
        _question(asked),
    )
    return {src_no for (src_no,) in rows}


def _hours(connection: Database, several: Sequence[Held]) -> list[int]:
    rows = connection.execute(
        f"SELECT DISTINCT c.hour_ms FROM {_ASKED} JOIN series_chunk c ON {_IN_HOURS} ORDER BY 1",  # noqa: S608 ours
        _question(several),
    )
    return [hour_ms for (hour_ms,) in rows]


def read_hour(connection: Database, src_no: int, hour_ms: int) -> Block | None:
    """What is stored of an hour, beside its messages."""
    row = connection.execute(
        "SELECT cells FROM series_chunk WHERE (src_no, hour_ms) = (%s, %s)", (src_no, hour_ms), binary=True
    ).fetchone()
    return None if row is None else read_chunk(row[0])


def write_hour(connection: Database, src_no: int, hour_ms: int, block: Block) -> Rollup:
    """Cells and rollups in one row; returns the minutes."""
    if len(block.t_ms) == 0:
        connection.execute("DELETE FROM series_chunk WHERE (src_no, hour_ms) = (%s, %s)", (src_no, hour_ms))
        return {}
    minutes = roll_up(block, step_ms=MINUTE_MS)
    connection.execute(
        """
        INSERT INTO series_chunk (src_no, hour_ms, first_ms, last_ms, n, is_shifted, cells, minutes, whole)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (src_no, hour_ms) DO UPDATE
           SET first_ms = excluded.first_ms, last_ms = excluded.last_ms, n = excluded.n,
               is_shifted = excluded.is_shifted, cells = excluded.cells, minutes = excluded.minutes,
               whole = excluded.whole
        """,
        (
            src_no,
            hour_ms,
            int(block.t_ms.min()),
            int(block.t_ms.max()),
            block.count(),
            bool(block.heads[:, SHIFT_US].any()),
            write_chunk(block),
            write_rollup(minutes),
            write_rollup(roll_up(block, step_ms=HOUR_MS)),
        ),
    )
    return minutes


POSTGRES = PostgresSeries(write_hour=write_hour)


def _move(connection: Database, rows: Sequence[BatchRow], *, write_hour: HourWriter) -> None:
    """Messages of one source into its hours, under its lock."""
    if not rows:
        return
    src_no = rows[0].src_no
    block = _unpack(rows)
    hours = block.t_ms // HOUR_MS
    for hour in np.unique(hours).tolist():
        there = read_hour(connection, src_no, hour * HOUR_MS)
        fresh = block.rows(hours == hour)
        write_hour(connection, src_no, hour * HOUR_MS, fresh if there is None else join([there, fresh]))
    connection.execute(
        """
        DELETE FROM series_batch b
         USING unnest(%s::bigint[], %s::int[], %s::bigint[]) AS gone (t0_ms, lane_no, s)
         WHERE b.src_no = %s AND (b.t0_ms, b.lane_no, b.s) = (gone.t0_ms, gone.lane_no, gone.s)
        """,
        ([row.t0_ms for row in rows], [row.lane_no for row in rows], [row.s for row in rows], src_no),
    )


def hold_source(connection: Database, src_no: int) -> None:
    """Nobody else moves or changes what is stored of it until the transaction ends."""
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('series:' || %s, 0))", (str(src_no),))


def _unpack(rows: Sequence[BatchRow], *, keys: Collection[str] | None = None) -> Block:
    messages = [
        Unpacked(decode_checked(row.payload), row.lane_no, row.stored_us, row.shift_us) for row in rows
    ]
    return unpack(messages, keys=None if keys is None else frozenset(keys))


def _by_source(rows: Collection[BatchRow]) -> dict[int, list[BatchRow]]:
    found: dict[int, list[BatchRow]] = {}
    for row in rows:
        found.setdefault(row.src_no, []).append(row)
    return found


def _read_latest(connection: Database, src_no: int, *, is_locked: bool = False) -> Latest:
    lock = " FOR UPDATE" if is_locked else ""
    row = connection.execute(f"SELECT cells FROM latest WHERE src_no = %s{lock}", (src_no,)).fetchone()  # noqa: S608 # our own words
    return {} if row is None else read_latest(row[0])


def _keys_within(cells: Latest, several: Sequence[Held]) -> list[str]:
    """The keys whose newest value lies in one of these intervals."""
    return [
        key
        for key, cell in cells.items()
        if any(held.first_us <= cell.measured_us < held.end_us for held in several)
    ]


def _intervals_by_source(asked: Sequence[Held]) -> dict[int, list[Held]]:
    found: dict[int, list[Held]] = {}
    for held in asked:
        found.setdefault(held.src_no, []).append(held)
    return found


def _held_cells(
    block: Block, several: Sequence[Held], *, lanes: Mapping[int, str]
) -> Iterator[dict[str, Any]]:
    return iterate_cells(block.rows(block.is_held_by(several)), several[0].src, lanes=lanes)


def _newest_in_messages(connection: Database, asked: Held, key: str) -> LatestCell | None:
    """From the end of the interval backwards, until no earlier message can reach as far."""
    found: LatestCell | None = None
    before = (2**62, 0, 0)
    while True:
        rows = connection.execute(
            f"SELECT {_COLUMNS} FROM {_ASKED} JOIN series_batch b ON {_OVERLAPS} "  # noqa: S608 only our own words
            "WHERE (b.t0_ms, b.lane_no, b.s) < (%(t0_ms)s, %(lane_no)s, %(s)s) "
            "ORDER BY b.t0_ms DESC, b.lane_no DESC, b.s DESC LIMIT %(limit)s",
            {
                **_question([asked]),
                **dict(zip(("t0_ms", "lane_no", "s"), before, strict=True)),
                "limit": _NEWEST_AT_A_TIME,
            },
        ).fetchall()
        if not rows:
            return found
        block = _unpack([BatchRow(*row) for row in rows], keys=[key])
        newest = newest_cell(block, block.is_held(asked), key=key)
        if newest is not None and (found is None or newest.measured_us > found.measured_us):
            found = newest
        before = (rows[-1][2], rows[-1][1], rows[-1][3])
        if found is not None and before[0] + LONGEST_BATCH_MS < found.measured_us // 1000:
            return found


def _newest_observation(connection: Database, src: str, key: str) -> LatestCell | None:
    row = connection.execute(
        """
        SELECT key, value, unit, floor(extract(epoch FROM measured_at) * 1000000)::bigint,
               floor(extract(epoch FROM received_at) * 1000000)::bigint,
               floor(extract(epoch FROM stored_at) * 1000000)::bigint, quality, flags, late,
               floor(extract(epoch FROM clock_shift) * 1000000)::bigint
          FROM observation WHERE src = %s AND key = %s ORDER BY measured_at DESC LIMIT 1
        """,
        (src, key),
    ).fetchone()
    if row is None:
        return None
    name, value, unit, measured_us, received_us, stored_us, quality, flags, late, shift_us = row
    return LatestCell(
        key=name,
        value=value,
        unit=unit,
        measured_us=measured_us,
        received_us=received_us,
        stored_us=stored_us,
        quality=Quality(quality),
        flags=tuple(map(Flag, flags)),
        late=late,
        shift_us=shift_us,
    )
