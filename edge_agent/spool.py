"""The durable queue of the edge: raw frames before they are parsed, messages until they are stored.

SQLite in WAL mode with `synchronous=FULL`: a commit that returned survives a power cut. Two tables matter.

- `raw` is a log of everything that happened, in order: frames as they came, and links that came and went.
  It is written before anything is parsed, because a cuff may erase its reading as soon as it is acknowledged.
- `outbox` holds messages. One transaction turns raw rows into outbox rows, so that a crash at any instant
  leaves either the raw rows or the messages, never neither and never both.

A message gets its lane and sequence when it is first sent: young ones go to `live`, old ones to `backlog`, so
that after an outage the picture is live at once and the refill never looks like a hole. It leaves only when
the cloud says that it is stored. Both tables know the run of the clock from which the times in a row come.
"""

import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

from edge_agent.clock import ClockRun
from edge_agent.errors import SpoolUnusable
from vitals.observation import SourceId
from vitals.wire.batch import HISTORICAL_AFTER_MS
from vitals.wire.topics import LANES, Lane

_SCHEMA = """
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS source (
    src TEXT PRIMARY KEY,
    driver TEXT NOT NULL,
    declaration BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS clock_run (
    id INTEGER PRIMARY KEY,
    machine TEXT NOT NULL,
    ahead_us INTEGER NOT NULL,
    offset_ms INTEGER,
    UNIQUE (machine, ahead_us)
);
CREATE TABLE IF NOT EXISTS raw (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    src TEXT NOT NULL,
    channel TEXT NOT NULL,
    received_us INTEGER NOT NULL,
    payload BLOB NOT NULL,
    clock INTEGER
);
CREATE TABLE IF NOT EXISTS rejected (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    src TEXT NOT NULL,
    channel TEXT NOT NULL,
    received_us INTEGER NOT NULL,
    payload BLOB NOT NULL,
    reason TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL,
    is_event INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    payload BLOB NOT NULL,
    lane TEXT,
    s INTEGER,
    gather TEXT,
    held_until_ms INTEGER,
    clock INTEGER
);
CREATE UNIQUE INDEX IF NOT EXISTS outbox_sequence ON outbox (lane, s) WHERE lane IS NOT NULL;
CREATE INDEX IF NOT EXISTS outbox_waiting ON outbox (is_event, created_ms, id) WHERE lane IS NULL;
CREATE INDEX IF NOT EXISTS outbox_gather ON outbox (gather, held_until_ms)
    WHERE gather IS NOT NULL AND lane IS NULL;
CREATE INDEX IF NOT EXISTS outbox_age ON outbox (created_ms);
CREATE TABLE IF NOT EXISTS lane (name TEXT PRIMARY KEY, next_s INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS done_command (
    id TEXT PRIMARY KEY,
    done_ms INTEGER NOT NULL,
    reply BLOB NOT NULL
) WITHOUT ROWID;
"""
_COLUMNS_ADDED = (
    ("outbox", "gather", "TEXT"),
    ("outbox", "held_until_ms", "INTEGER"),
    ("outbox", "clock", "INTEGER"),
    ("raw", "clock", "INTEGER"),
)
_WAITING = "SELECT id, topic, payload, clock FROM outbox WHERE lane IS NULL AND is_event = "
_WAITING_EVENTS = _WAITING + "1 ORDER BY id LIMIT ?"
# What is held is passed over, but not for longer than anything is: then the clock was set back meanwhile.
_WAITING_YOUNG = (
    _WAITING + "0 AND created_ms >= ? "
    "AND (held_until_ms IS NULL OR held_until_ms <= ? OR held_until_ms > ?) ORDER BY id LIMIT ?"
)
# In the order of the index: after a day without a link each call would sort millions of rows otherwise.
_WAITING_OLD = _WAITING + "0 AND created_ms < ? ORDER BY created_ms, id LIMIT ?"
# In the order in which they came in, whatever clocks said; GLOB takes topics by their beginning.
_WAITING_OF_KIND = (
    "SELECT id, topic, payload, clock FROM outbox NOT INDEXED "
    "WHERE id > ? AND id <= ? AND lane IS NULL AND is_event = 0 AND topic GLOB ? ORDER BY id LIMIT ?"
)
_USED = (
    "SELECT (page_count - freelist_count) * page_size "
    "FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
)
_DEPTH = "SELECT (SELECT count(*) FROM outbox), (SELECT min(created_ms) FROM outbox)"
REJECTED_KEPT = 1000
_Row = tuple[Any, ...]
MOST_HELD_MS = 60_000
COMMANDS_KEPT_MS = 7 * 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RawFrame:
    """One entry of the raw log. `channel` is a characteristic, "serial", or `LINK`."""

    src: SourceId
    channel: str
    received_us: int
    payload: bytes
    id: int = 0
    clock: ClockRun | None = None


LINK = "@link"
"""Channel of entries that say how the link is: the payload is a `GapCause`, or empty when it is up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxEntry:
    """A message to be sent; `topic` is the part below the agent."""

    topic: str
    payload: bytes
    created_ms: int
    is_event: bool = False
    gather: "Gather | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gather:
    """A message that may wait for others of its key and become one with them; `join` says how, if it can."""

    key: str
    now_ms: int
    until_ms: int
    join: Callable[[bytes, bytes], bytes | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpooledMessage:
    """A message with its place in the sequence."""

    topic: str
    payload: bytes
    lane: Lane
    s: int
    clock: ClockRun | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A message that has no sequence yet."""

    id: int
    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Rework:
    """What becomes of waiting messages: gone, or shorter; and the messages that tell of it."""

    dropped: Sequence[int] = ()
    replaced: Mapping[int, bytes] = field(default_factory=dict)
    told: Sequence[OutboxEntry] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolDepth:
    """How much waits, since when, and how much of the disk is in use."""

    messages: int
    oldest_ms: int | None
    used_bytes: int


class Spool:
    """All methods may be called from any thread; each is one transaction."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._clock_ids: dict[tuple[str, int], int] = {}
        try:
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._upgrade()
            self._database.executescript(_SCHEMA)
            self.lineage = self.setting("lineage", default=secrets.token_hex(8))
            self._clocks = self._read_clocks()
            self._clock_ids = {(run.machine, run.ahead_us): row_id for row_id, run in self._clocks.items()}
            self._last_ids = {run.machine: row_id for row_id, run in self._clocks.items()}
        except sqlite3.Error as error:
            raise SpoolUnusable(str(path), str(error)) from error
        with self._transaction():
            self._database.executemany(
                "INSERT OR IGNORE INTO lane VALUES (?, 1)", [(lane,) for lane in LANES]
            )

    def close(self) -> None:
        """Close the file; everything committed stays."""
        with self._lock:
            self._database.close()

    def setting(self, name: str, *, default: str) -> str:
        """A persisted word; `default` is written the first time."""
        with self._transaction():
            self._database.execute("INSERT OR IGNORE INTO setting VALUES (?, ?)", (name, default))
            row = self._database.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
        return str(row[0])

    def put_setting(self, name: str, value: str) -> None:
        """Overwrite a persisted word."""
        with self._transaction():
            self._write_setting(name, value)

    def put_source(self, src: SourceId, *, driver: str, declaration: bytes) -> None:
        """Remember a sensor, so that its raw frames can be parsed after a restart too."""
        with self._transaction():
            self._database.execute("REPLACE INTO source VALUES (?, ?, ?)", (src, driver, declaration))

    def sources(self) -> dict[SourceId, tuple[str, bytes]]:
        """Every known sensor: driver name and declaration."""
        with self._lock:
            rows = self._database.execute("SELECT src, driver, declaration FROM source").fetchall()
        return {SourceId(src): (driver, declaration) for src, driver, declaration in rows}

    def append_raw(self, frames: Iterable[RawFrame]) -> None:
        """Make frames durable. When this returns they survive a power cut."""
        with self._transaction():
            self._database.executemany(
                "INSERT INTO raw (src, channel, received_us, payload, clock) VALUES (?, ?, ?, ?, ?)",
                [
                    (frame.src, frame.channel, frame.received_us, frame.payload, self._clock_id(frame.clock))
                    for frame in frames
                ],
            )

    def read_raw(self, *, limit: int) -> list[RawFrame]:
        """The oldest frames that are not yet parsed, all of one run of the clock."""
        with self._lock:
            rows = self._database.execute(
                "SELECT id, src, channel, received_us, payload, clock FROM raw ORDER BY id LIMIT ?", (limit,)
            ).fetchall()
        return [
            RawFrame(
                id=row_id,
                src=SourceId(src),
                channel=channel,
                received_us=received_us,
                payload=payload,
                clock=self._clocks.get(clock),
            )
            for row_id, src, channel, received_us, payload, clock in _of_one_clock(rows)
        ]

    def commit_parsed(
        self,
        entries: Sequence[OutboxEntry],
        *,
        parsed_up_to: int,
        clock: ClockRun | None = None,
        rejected: Sequence[tuple[RawFrame, str]] = (),
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """In one transaction: raw rows up to that id go, what they gave goes to the outbox."""
        with self._transaction():
            self._database.execute("DELETE FROM raw WHERE id <= ?", (parsed_up_to,))
            self._insert(entries, clock=clock)
            for frame, reason in rejected:
                self._reject(frame, reason)
            for name, value in (settings or {}).items():
                self._write_setting(name, value)

    def assign(self, lane: Lane, *, now_ms: int, limit: int) -> list[SpooledMessage]:
        """Give the next waiting messages of a lane their sequence, durably, before they are first sent."""
        border_ms = now_ms - HISTORICAL_AFTER_MS
        query, values = {
            Lane.EVENT: (_WAITING_EVENTS, ()),
            Lane.LIVE: (_WAITING_YOUNG, (border_ms, now_ms, now_ms + MOST_HELD_MS)),
            Lane.BACKLOG: (_WAITING_OLD, (border_ms,)),
        }[lane]
        with self._transaction():
            rows = self._database.execute(query, (*values, limit)).fetchall()
            if not rows:
                return []
            first: int = self._database.execute("SELECT next_s FROM lane WHERE name = ?", (lane,)).fetchone()[
                0
            ]
            numbered = list(enumerate(rows, start=first))
            self._database.executemany(
                "UPDATE outbox SET lane = ?, s = ? WHERE id = ?", [(lane, s, row[0]) for s, row in numbered]
            )
            self._database.execute("UPDATE lane SET next_s = ? WHERE name = ?", (first + len(rows), lane))
        return [self._message(lane, row[1], row[2], s, row[3]) for s, row in numbered]

    def unacknowledged(self, lane: Lane) -> list[SpooledMessage]:
        """Messages that have a sequence and are not yet known to be stored, in order."""
        with self._lock:
            rows = self._database.execute(
                "SELECT topic, payload, s, clock FROM outbox WHERE lane = ? ORDER BY s", (lane,)
            ).fetchall()
        return [self._message(lane, *row) for row in rows]

    def within(self, lane: Lane, *, first: int, last: int) -> list[SpooledMessage]:
        """The messages of a range of a lane that are still here, in order."""
        with self._lock:
            rows = self._database.execute(
                "SELECT topic, payload, s, clock FROM outbox WHERE lane = ? AND s BETWEEN ? AND ? ORDER BY s",
                (lane, first, last),
            ).fetchall()
        return [self._message(lane, *row) for row in rows]

    def find_reply(self, command_id: str) -> bytes | None:
        """What was answered when this command was done; None: it was not."""
        with self._lock:
            row = self._database.execute(
                "SELECT reply FROM done_command WHERE id = ?", (command_id,)
            ).fetchone()
        return None if row is None else bytes(row[0])

    def keep_reply(self, command_id: str, reply: bytes, *, now_ms: int) -> None:
        """Remember that a command is done; what was done more than a week ago is forgotten."""
        with self._transaction():
            self._database.execute("REPLACE INTO done_command VALUES (?, ?, ?)", (command_id, now_ms, reply))
            self._database.execute("DELETE FROM done_command WHERE done_ms < ?", (now_ms - COMMANDS_KEPT_MS,))

    def acknowledge(self, upto: Mapping[Lane, int]) -> None:
        """Let go of what the cloud has stored."""
        with self._transaction():
            self._database.executemany("DELETE FROM outbox WHERE lane = ? AND s <= ?", list(upto.items()))

    def released(self) -> dict[Lane, int]:
        """Per lane the sequence up to which everything was let go: it can never be sent again."""
        with self._lock:
            rows = self._database.execute(
                "SELECT name, COALESCE((SELECT min(s) FROM outbox WHERE lane = name), next_s) - 1 FROM lane"
            ).fetchall()
        return {Lane(name): released for name, released in rows}

    def depth(self) -> SpoolDepth:
        """Count and age of what is not yet known to be stored."""
        with self._lock:
            count, oldest = self._database.execute(_DEPTH).fetchone()
        return SpoolDepth(messages=count, oldest_ms=oldest, used_bytes=self.used_bytes())

    def used_bytes(self) -> int:
        """What the file holds; what was let go is free for new messages, though the file stays as long."""
        with self._lock:
            return int(self._database.execute(_USED).fetchone()[0])

    def last_id(self) -> int:
        """The id of the newest message; ids only rise."""
        with self._lock:
            return int(self._database.execute("SELECT coalesce(max(id), 0) FROM outbox").fetchone()[0])

    def rework(
        self,
        kind: str,
        rework: Callable[[Sequence[Waiting]], Rework],
        *,
        within: tuple[int, int],
        limit: int,
    ) -> list[Waiting]:
        """In one transaction: show `rework` the oldest waiting messages of a kind, and do as it says.

        `kind` is a pattern of topics (GLOB); `within` are ids: behind the first, up to the second. What is
        shown together is of one run of the clock.
        Returns the messages that were shown.
        """
        with self._transaction():
            rows = self._database.execute(_WAITING_OF_KIND, (*within, kind, limit)).fetchall()
            if not rows:
                return []
            run = rows[0][-1]
            waiting = [Waiting(id=row[0], topic=row[1], payload=row[2]) for row in _of_one_clock(rows)]
            result = rework(waiting)
            self._database.executemany("DELETE FROM outbox WHERE id = ?", [(row,) for row in result.dropped])
            self._database.executemany(
                "UPDATE outbox SET payload = ? WHERE id = ?",
                [(payload, row) for row, payload in result.replaced.items()],
            )
            self._insert(result.told, clock=self._clocks.get(run))
        return waiting

    def rejected(self, *, limit: int = REJECTED_KEPT) -> list[tuple[RawFrame, str]]:
        """The latest frames that no driver could read, with the reason; newest first."""
        with self._lock:
            rows = self._database.execute(
                "SELECT id, src, channel, received_us, payload, reason FROM rejected "
                "ORDER BY id DESC LIMIT ?",
                (limit,),
            ).fetchall()
        return [
            (
                RawFrame(id=row[0], src=SourceId(row[1]), channel=row[2], received_us=row[3], payload=row[4]),
                row[5],
            )
            for row in rows
        ]

    def _message(self, lane: Lane, topic: str, payload: bytes, s: int, clock: int | None) -> SpooledMessage:
        run = None if clock is None else self._clocks.get(clock)
        if run is not None:
            run = replace(run, was_set_after=not run.is_same(self._clocks[self._last_ids[run.machine]]))
        return SpooledMessage(topic=topic, payload=payload, lane=lane, s=s, clock=run)

    def _insert(self, entries: Iterable[OutboxEntry], *, clock: ClockRun | None) -> None:
        run = self._clock_id(clock)
        self._database.executemany(
            "INSERT INTO outbox (topic, is_event, created_ms, payload, gather, held_until_ms, clock) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    entry.topic,
                    int(entry.is_event),
                    entry.created_ms,
                    entry.payload,
                    None if entry.gather is None else entry.gather.key,
                    None if entry.gather is None else entry.gather.until_ms,
                    run,
                )
                for entry in entries
                if not self._joined(entry, run)
            ],
        )

    def _read_clocks(self) -> dict[int, ClockRun]:
        rows = self._database.execute(
            "SELECT id, machine, ahead_us, offset_ms FROM clock_run ORDER BY id"
        ).fetchall()
        return {row[0]: ClockRun(machine=row[1], ahead_us=row[2], offset_ms=row[3]) for row in rows}

    def _clock_id(self, run: ClockRun | None) -> int | None:
        """Keep a run of the clock, and what has become known of it since (in a transaction)."""
        if run is None:
            return None
        known = self._clock_ids.get((run.machine, run.ahead_us))
        if known is not None and run.offset_ms in (None, self._clocks[known].offset_ms):
            return known
        row_id, offset_ms = self._database.execute(
            "INSERT INTO clock_run (machine, ahead_us, offset_ms) VALUES (?, ?, ?) "
            "ON CONFLICT (machine, ahead_us) DO UPDATE "
            "SET offset_ms = coalesce(excluded.offset_ms, clock_run.offset_ms) RETURNING id, offset_ms",
            (run.machine, run.ahead_us, run.offset_ms),
        ).fetchone()
        self._clocks[row_id] = replace(run, offset_ms=offset_ms)
        self._last_ids[run.machine] = max(self._last_ids.get(run.machine, 0), row_id)
        self._clock_ids[run.machine, run.ahead_us] = row_id
        return int(row_id)

    def _joined(self, entry: OutboxEntry, run: int | None) -> bool:
        """Whether the message became one with another that is held for it."""
        gather = entry.gather
        if gather is None:
            return False
        row = self._database.execute(
            "SELECT id, payload FROM outbox WHERE gather = ? AND held_until_ms > ? AND held_until_ms <= ? "
            "AND lane IS NULL AND clock IS ? ORDER BY id DESC LIMIT 1",
            (gather.key, gather.now_ms, gather.now_ms + MOST_HELD_MS, run),
        ).fetchone()
        joined = None if row is None else gather.join(row[1], entry.payload)
        if joined is None:
            return False
        self._database.execute(
            "UPDATE outbox SET payload = ?, created_ms = max(created_ms, ?) WHERE id = ?",
            (joined, entry.created_ms, row[0]),
        )
        return True

    def _upgrade(self) -> None:
        """An agent that was there before has tables without these columns."""
        for table, name, kind in _COLUMNS_ADDED:
            known = {row[1] for row in self._database.execute(f"PRAGMA table_info({table})")}
            if known and name not in known:
                self._database.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind}")

    def _reject(self, frame: RawFrame, reason: str) -> None:
        cursor = self._database.execute(
            "INSERT INTO rejected (src, channel, received_us, payload, reason) VALUES (?, ?, ?, ?, ?)",
            (frame.src, frame.channel, frame.received_us, frame.payload, reason),
        )
        self._database.execute(
            "DELETE FROM rejected WHERE id <= ?", ((cursor.lastrowid or 0) - REJECTED_KEPT,)
        )

    def _write_setting(self, name: str, value: str) -> None:
        self._database.execute("REPLACE INTO setting VALUES (?, ?)", (name, value))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            except BaseException:
                self._clock_ids.clear()  # what was written of them may be gone
                if self._database.in_transaction:  # on a full disk SQLite may have rolled back by itself
                    self._database.execute("ROLLBACK")
                raise


def _of_one_clock(rows: Sequence[_Row]) -> Iterator[_Row]:
    """The first rows, up to where the last column, the run of the clock, changes."""
    return takewhile(lambda row: row[-1] == rows[0][-1], rows)
