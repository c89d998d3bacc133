"""The SQL of waves: blocks in `wave_block`, windows in `wave_chunk`, what lies in objects in `wave_object`.

A block moves in one direction only. So whoever reads blocks first and chunks afterwards may meet one twice
while it moves, but never misses one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from psycopg.types.numeric import Int8

from cloud.series.model import Held
from cloud.store.connection import Database
from cloud.store.sealing import SealedColumn
from cloud.waves.model import DAY_US, LONGEST_US, SECOND_US, WINDOW_US, StoredBlock, Window, unpack_row
from vitals.observation import SourceId, VitalKey

_MINUTE_US = 60 * SECOND_US
_BLOCK = (
    "w.t0_us, w.rate_numerator, w.rate_denominator, w.n, w.first_sample, w.codec, w.samples, "
    "floor(extract(epoch FROM w.sent_at) * 1000000)::bigint, "
    "floor(extract(epoch FROM w.stored_at) * 1000000)::bigint, w.late, w.lane, w.s, "
    "floor(extract(epoch FROM w.clock_shift) * 1000000)::bigint"
)
_LASTS_US = "w.n * 1000000::float8 * w.rate_denominator / w.rate_numerator"
_IS_LONG = "w.n::float8 * w.rate_denominator > 60::float8 * w.rate_numerator"  # as its index says it
_CHUNK = (
    "c.src, c.stream, c.begin_us, c.chunk_no, c.directory, c.object_at, c.salt, "
    "o.name, o.sealed_key, c.object_no"
)

SEALED_OBJECT_KEYS = SealedColumn(
    table="wave_object",
    column="sealed_key",
    key="object_no",
    named_by=("name",),
    context=lambda name: f"object {name}",
)


class ChunkRow(NamedTuple):
    """A window without its sections. What lies in no object has no `object_name`."""

    src: SourceId
    stream: VitalKey
    begin_us: int
    chunk_no: int
    directory: bytes
    object_at: int | None
    salt: bytes | None
    object_name: str | None
    sealed_key: bytes | None
    object_no: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Where the sections of a chunk lie in an object."""

    chunk_no: int
    at: int
    salt: bytes


def hold(connection: Database, sources: Sequence[str]) -> None:
    """Nobody else moves or changes the waves of these sources until the transaction ends."""
    for src in sorted(set(sources)):
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('wave:' || %s, 0))", (src,))


def find_blocks(
    connection: Database, asked: Held, *, streams: Sequence[str] | None
) -> list[tuple[str, StoredBlock]]:
    """Stream and block of what lies as it came and reaches into an interval.

    Numbers instead of arrays of intervals, so that the server need not plan anew each time.
    """
    reaches = f"w.src = %(src)b {_of_streams('w', streams)} AND w.t0_us < %(to)b"
    ends = f"w.t0_us + {_LASTS_US} > %(from)b - 1"
    rows = connection.execute(
        f"SELECT w.stream, {_BLOCK} FROM wave_block w WHERE {reaches} "  # noqa: S608 ours
        f"AND w.t0_us >= %(from)b - {_MINUTE_US} AND {ends} "
        f"UNION ALL SELECT w.stream, {_BLOCK} FROM wave_block w WHERE {reaches} "
        f"AND {_IS_LONG} AND w.t0_us < %(from)b - {_MINUTE_US} AND {ends}",
        _question(asked, streams),
        binary=True,
    )
    return [(stream, unpack_row(row)) for stream, *row in rows]


def find_chunks(connection: Database, asked: Held, *, streams: Sequence[str] | None) -> list[ChunkRow]:
    """The chunks that reach into an interval."""
    rows = connection.execute(
        f"SELECT {_CHUNK} FROM wave_chunk c LEFT JOIN wave_object o USING (object_no) "  # noqa: S608 ours
        f"WHERE c.src = %(src)b {_of_streams('c', streams)} AND c.begin_us < %(to)b "
        f"AND c.begin_us > %(from)b - {WINDOW_US + LONGEST_US} AND c.until_us > %(from)b",
        _question(asked, streams),
        binary=True,
    )
    return [ChunkRow(*row) for row in rows]


def find_sections(connection: Database, parts: Mapping[int, tuple[int, int]]) -> dict[int, bytes]:
    """Bytes of chunks by number, from a place on so many; what has moved meanwhile is not among them."""
    wanted = sorted(parts.items())
    rows = connection.execute(
        """
        SELECT c.chunk_no, substring(c.sections FROM p.at + 1 FOR p.length)
          FROM unnest(%b::bigint[], %b::int[], %b::int[]) AS p (chunk_no, at, length)
          JOIN wave_chunk c USING (chunk_no) WHERE c.sections IS NOT NULL
        """,
        (
            [number for number, _ in wanted],
            [at for _, (at, _) in wanted],
            [length for _, (_, length) in wanted],
        ),
        binary=True,
    )
    return dict(rows.fetchall())


def find_window(connection: Database, window: Window) -> list[StoredBlock]:
    """The blocks of a window that lie as they came, in the order of time."""
    rows = connection.execute(
        f"SELECT {_BLOCK} FROM wave_block w WHERE w.src = %s AND w.stream = %s "  # noqa: S608 ours
        "AND w.t0_us >= %s AND w.t0_us < %s ORDER BY w.t0_us",
        (window.src, window.stream, window.begin_us, window.end_us),
        binary=True,
    )
    return [unpack_row(row) for row in rows]


def find_chunk(connection: Database, window: Window) -> ChunkRow | None:
    """The chunk of a window."""
    row = connection.execute(
        f"SELECT {_CHUNK} FROM wave_chunk c LEFT JOIN wave_object o USING (object_no) "  # noqa: S608 ours
        "WHERE (c.src, c.stream, c.begin_us) = (%s, %s, %s)",
        (window.src, window.stream, window.begin_us),
        binary=True,
    ).fetchone()
    return None if row is None else ChunkRow(*row)


def find_windows(
    connection: Database, src: str, *, first_us: int, end_us: int, limit: int | None = None
) -> list[Window]:
    """The windows of a source in which something begins in this time, the oldest first."""
    rows = connection.execute(
        f"""
        SELECT stream, begin_us FROM (
            SELECT stream, floor(t0_us / {WINDOW_US}::numeric)::bigint * {WINDOW_US} AS begin_us
              FROM wave_block WHERE src = %(src)s AND t0_us >= %(first)s AND t0_us < %(end)s
            UNION
            SELECT stream, begin_us FROM wave_chunk
             WHERE src = %(src)s AND begin_us > %(first)s - {WINDOW_US} AND begin_us < %(end)s) AS found
         ORDER BY begin_us, stream LIMIT %(limit)s
        """,  # noqa: S608 ours
        {"src": src, "first": first_us, "end": end_us, "limit": limit},
    )
    return [
        Window(src=SourceId(src), stream=VitalKey(stream), begin_us=begin_us) for stream, begin_us in rows
    ]


def replace_chunk(
    connection: Database,
    window: Window,
    blocks: Sequence[StoredBlock],
    *,
    content: tuple[bytes, bytes] | None,
) -> None:
    """Write directory and sections of a window anew, or without any remove it; under the lock."""
    gone = connection.execute(
        "DELETE FROM wave_chunk WHERE (src, stream, begin_us) = (%s, %s, %s) RETURNING object_no",
        (window.src, window.stream, window.begin_us),
    ).fetchall()
    if content is not None:
        connection.execute(
            "INSERT INTO wave_chunk (src, stream, begin_us, until_us, blocks, directory, sections) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s)",
            (
                *(window.src, window.stream, window.begin_us, max(block.end_us for block in blocks)),
                *(len(blocks), *content),
            ),
        )
    connection.execute(
        """
        UPDATE wave_object o SET unused_since = now() WHERE o.object_no = ANY(%s)
           AND NOT EXISTS (SELECT FROM wave_chunk c WHERE c.object_no = o.object_no)
        """,
        ([object_no for (object_no,) in gone if object_no is not None],),
    )


def delete_blocks(connection: Database, window: Window, times: Sequence[int]) -> int:
    """Delete blocks of a window that lie as they came; returns how many there were."""
    return connection.execute(
        "DELETE FROM wave_block WHERE src = %s AND stream = %s AND t0_us = ANY(%s)",
        (window.src, window.stream, list(times)),
    ).rowcount


def count_conflicts(connection: Database, window: Window, conflicts: Mapping[int, int]) -> None:
    """By time, how often other samples came than those that are kept."""
    connection.execute(
        """
        INSERT INTO value_conflict (src, key, at_us, times)
        SELECT %s, %s, * FROM unnest(%s::bigint[], %s::bigint[])
        ON CONFLICT (src, key, at_us) DO UPDATE
           SET times = value_conflict.times + excluded.times, seen_at = now()
        """,
        (window.src, window.stream, list(conflicts), list(conflicts.values())),
    )


def find_old(connection: Database, *, before_us: int) -> list[tuple[SourceId, VitalKey]]:
    """Streams with blocks as they came that began before a moment, by one look into the index for each."""
    return connection.execute(
        f"""
        WITH RECURSIVE one AS (
            (SELECT src, stream FROM wave_block ORDER BY src, stream LIMIT 1)
            UNION ALL
            SELECT following.src, following.stream FROM one CROSS JOIN LATERAL (
                SELECT w.src, w.stream FROM wave_block w WHERE (w.src, w.stream) > (one.src, one.stream)
                 ORDER BY w.src, w.stream LIMIT 1) AS following)
        SELECT src, stream FROM one WHERE EXISTS (
            SELECT FROM wave_block w WHERE w.src = one.src AND w.stream = one.stream
               AND w.t0_us < %s AND {_LASTS_US} <= {LONGEST_US})
        """,  # noqa: S608 ours
        (before_us,),
    ).fetchall()


def find_old_windows(
    connection: Database, src: SourceId, stream: VitalKey, *, before_us: int, limit: int
) -> list[Window]:
    """The oldest windows of a stream that have blocks as they came, of the first so many blocks."""
    rows = connection.execute(
        f"SELECT DISTINCT floor(t0_us / {WINDOW_US}::numeric)::bigint * {WINDOW_US} AS begin_us FROM ("  # noqa: S608 ours
        "SELECT t0_us FROM wave_block w WHERE w.src = %s AND w.stream = %s AND w.t0_us < %s "
        f"AND {_LASTS_US} <= {LONGEST_US} ORDER BY t0_us LIMIT %s) AS old ORDER BY begin_us",
        (src, stream, before_us, limit),
    )
    return [Window(src=src, stream=stream, begin_us=begin_us) for (begin_us,) in rows]


def find_ripe(
    connection: Database, *, before_us: int, after: tuple[str, int], limit: int
) -> list[tuple[SourceId, int]]:
    """Sources and days with chunks in the database that began before a moment, behind such a pair."""
    day = f"floor(begin_us / {DAY_US}::numeric)::bigint * {DAY_US}"
    return connection.execute(
        f"SELECT DISTINCT src, {day} FROM wave_chunk WHERE sections IS NOT NULL "  # noqa: S608 ours
        f"AND begin_us < %s AND (src, {day}) > (%s, %s) ORDER BY 1, 2 LIMIT %s",
        (before_us, *after, limit),
    ).fetchall()


def find_to_move(
    connection: Database, src: SourceId, *, day_us: int, limit: int
) -> list[tuple[int, bytes, bytes]]:
    """Number, directory and sections of chunks of a day that lie in the database."""
    return connection.execute(
        "SELECT chunk_no, directory, sections FROM wave_chunk WHERE sections IS NOT NULL AND src = %s "
        "AND begin_us >= %s AND begin_us < %s ORDER BY stream, begin_us LIMIT %s",
        (src, day_us, day_us + DAY_US, limit),
        binary=True,
    ).fetchall()


def insert_object(connection: Database, name: str, *, sealed_key: bytes) -> int:
    """An object that is about to be written; nothing lies in it yet."""
    row = connection.execute(
        "INSERT INTO wave_object (name, sealed_key, made_at, unused_since) VALUES (%s, %s, now(), now()) "
        "RETURNING object_no",
        (name, sealed_key),
    ).fetchone()
    assert row is not None  # noqa: S101 such a statement always gives a row
    return int(row[0])


def keeps_journal(connection: Database) -> bool:
    """Whether a journal of the database is kept for a restore (docs/decisions/0010-backup.md)."""
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = 'qianli_journal')"
    ).fetchone()
    return bool(row and row[0])


def place_in_object(
    connection: Database, object_no: int, placed: Sequence[Placed], *, within: timedelta
) -> int:
    """Let chunks lie in an object that was begun so lately; what was written anew meanwhile stays."""
    found = connection.execute(
        "SELECT FROM wave_object WHERE object_no = %s AND made_at > now() - %s FOR UPDATE",
        (object_no, within),
    ).fetchone()
    if found is None:
        return 0
    moved = connection.execute(
        """
        UPDATE wave_chunk c SET sections = NULL, object_no = %s, object_at = p.at, salt = p.salt
          FROM unnest(%s::bigint[], %s::bigint[], %s::bytea[]) AS p (chunk_no, at, salt)
         WHERE c.chunk_no = p.chunk_no AND c.sections IS NOT NULL
        """,
        (
            object_no,
            [one.chunk_no for one in placed],
            [one.at for one in placed],
            [one.salt for one in placed],
        ),
    ).rowcount
    if moved:
        connection.execute("UPDATE wave_object SET unused_since = NULL WHERE object_no = %s", (object_no,))
    return moved


def take_unused(connection: Database, *, after: timedelta, limit: int) -> list[tuple[int, str]]:
    """Objects in which nothing has lain for so long; nobody else has them until the transaction ends."""
    return connection.execute(
        """
        SELECT object_no, name FROM wave_object o WHERE unused_since <= now() - %s
           AND NOT EXISTS (SELECT FROM wave_chunk c WHERE c.object_no = o.object_no)
         ORDER BY object_no LIMIT %s FOR UPDATE SKIP LOCKED
        """,
        (after, limit),
    ).fetchall()


def delete_objects(connection: Database, numbers: Sequence[int]) -> None:
    """Forget objects, and with them their keys."""
    connection.execute("DELETE FROM wave_object WHERE object_no = ANY(%s)", (list(numbers),))


def _of_streams(alias: str, streams: Sequence[str] | None) -> str:
    """An index finds a stream only where nothing else is possible."""
    return "" if streams is None else f"AND {alias}.stream = ANY(%(streams)b)"


def _question(asked: Held, streams: Sequence[str] | None) -> dict[str, object]:
    streams = None if streams is None else list(streams)
    return {"src": asked.src, "from": Int8(asked.first_us), "to": Int8(asked.end_us), "streams": streams}
