"""Following every commit: our own receiver of PostgreSQL's physical replication.

`pg_receivewal` would write readable files; this one seals each piece of the write-ahead log before it
reaches the disk, makes it durable, and only then tells the server. The server takes it for a *synchronous*
standby and answers its clients only after that. So nothing that the cloud has acknowledged to anybody is
missing in the journal.

Protocol: PostgreSQL documentation, "Streaming Replication Protocol". A piece is `w`, start (u64), end of the
log (u64), clock, bytes; a keep-alive is `k`, end of the log (u64), clock (u64), one byte that asks for an
answer; our answer is `r`, written, flushed and applied position, clock, one byte.
"""

import os
import select
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import psycopg
from psycopg import pq

from cloud.store.folder import sync_folder
from qianli.backup.envelope import Lock, Opener, SealedStreamInvalid, SealedWriter, read_sealed

SLOT = "qianli_journal"
STANDBY = "qianli_journal"
SEGMENT_BYTES = 16 << 20
END_NAME = "journal-end"  # how far the journal of the folder reaches, for whoever cannot open it
_PIECE = struct.Struct(">QI")
_ANSWER = struct.Struct(">cQQQqc")
_POSTGRES_EPOCH_S = 946_684_800
_ANSWER_EVERY_S = 5.0
_LONGEST_RETRY_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Some bytes of the log and where they begin."""

    start: int
    content: bytes


def parse_position(text: str) -> int:
    """A place in the log (`0/16B3748`) as a number."""
    high, low = text.split("/")
    return (int(high, 16) << 32) | int(low, 16)


def position_text(position: int) -> str:
    """The same as PostgreSQL writes it."""
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


def journal_files(folder: Path) -> list[Path]:
    """The journal of a folder in the order of the log."""
    return sorted(folder.glob("journal-*.qlj"))


def end_of_journal(folder: Path) -> int:
    """Up to where a journal holds everything; 0 if there is none, or if nobody can say."""
    try:
        return int((folder / END_NAME).read_text(), 16) if journal_files(folder) else 0
    except (OSError, ValueError):
        return 0


def read_pieces(path: Path, opener: Opener) -> Iterator[Piece]:
    """The pieces of one file; an end that its writer did not finish was acknowledged to nobody.

    Raises:
        SealedStreamInvalid: another key, or changed.
    """
    waiting = bytearray()
    with path.open("rb") as file:
        for chunk in read_sealed(file, opener, may_end_early=True):
            waiting += chunk
            while len(waiting) >= _PIECE.size:
                start, length = _PIECE.unpack_from(waiting)
                if len(waiting) < _PIECE.size + length:
                    break
                yield Piece(start=start, content=bytes(waiting[_PIECE.size : _PIECE.size + length]))
                del waiting[: _PIECE.size + length]


def write_segments(pieces: Iterator[Piece], folder: Path, *, timeline: int) -> int:
    """Lay the log out as PostgreSQL's segment files; returns the position of its end.

    Raises:
        SealedStreamInvalid: a piece is missing between two others.
    """
    end = 0
    opened: dict[str, BinaryIO] = {}
    try:
        for piece in pieces:
            if end and piece.start > end:
                raise SealedStreamInvalid(f"the journal has a hole before {position_text(piece.start)}")
            _lay(piece, folder, timeline=timeline, opened=opened)
            end = max(end, piece.start + len(piece.content))
    finally:
        for file in opened.values():
            file.close()
    return end


def _lay(piece: Piece, folder: Path, *, timeline: int, opened: dict[str, BinaryIO]) -> None:
    position, content = piece.start, memoryview(piece.content)
    while content:
        number, offset = divmod(position, SEGMENT_BYTES)
        name = f"{timeline:08X}{number // 256:08X}{number % 256:08X}"
        if name not in opened:
            for file in opened.values():
                file.close()
            opened.clear()
            opened[name] = _open_segment(folder / name)
        part = content[: SEGMENT_BYTES - offset]
        opened[name].seek(offset)
        opened[name].write(part)
        position, content = position + len(part), content[len(part) :]


def _open_segment(path: Path) -> BinaryIO:
    if not path.exists():
        path.touch(mode=0o600)
        with path.open("r+b") as fresh:
            fresh.truncate(SEGMENT_BYTES)
    return path.open("r+b")


class Follower:
    """One connection that receives the log; runs in a thread until told to stop.

    `position` is where to go on: everything before it lies durably in the folder.
    """

    def __init__(self, database_url: str, folder: Path, lock: Lock) -> None:
        self._url = database_url
        self._folder = folder
        self._lock = lock
        self.position = 0

    def run(self, may_go_on: Callable[[], bool], *, started: Callable[[], None] = lambda: None) -> None:
        """Receive until told to stop or the server ends.

        Raises:
            psycopg.OperationalError: the connection was lost.
            OSError: the folder takes no more.
        """
        with closing(_replication(self._url)) as connection:
            timeline, self.position = _begin(connection, self.position)
            began, path = self.position, _journal(self._folder, timeline, self.position)
            draft = path.with_suffix(".part")
            try:
                with draft.open("xb") as file:
                    writer = SealedWriter(file, self._lock)
                    writer.push()
                    # A file that has its name has its beginning too: whatever is killed, it can be read.
                    draft.rename(path)
                    sync_folder(self._folder)
                    self._receive(connection, writer, may_go_on=may_go_on, started=started)
                    writer.finish()
            except BaseException:
                if self.position == began:  # nothing in it was promised to anybody
                    path.unlink(missing_ok=True)
                    draft.unlink(missing_ok=True)
                raise

    def _receive(
        self,
        connection: "psycopg.Connection[object]",
        writer: SealedWriter,
        *,
        may_go_on: Callable[[], bool],
        started: Callable[[], None],
    ) -> None:
        link = connection.pgconn
        _answer(link, self.position)
        started()
        answered_s = time.monotonic()
        noted = self._folder / END_NAME
        noted.touch(mode=0o600)
        with noted.open("r+b") as end:
            while may_go_on():
                select.select([link.socket], [], [], 0.2)
                link.consume_input()
                received, is_asked = self._take_all(link, writer)
                took = received != self.position
                if took or is_asked or time.monotonic() - answered_s > _ANSWER_EVERY_S:
                    writer.push()
                    os.pwrite(end.fileno(), b"%016X" % received, 0)
                    # Not before: what only this process has is lost with it, and must be sent again.
                    self.position = received
                    _answer(link, received)
                    answered_s = time.monotonic()

    def _take_all(self, link: pq.abc.PGconn, writer: SealedWriter) -> tuple[int, bool]:
        """Everything that has arrived, so that many commits share one durable write; tells its end."""
        received, is_asked = self.position, False
        while True:
            length, message = link.get_copy_data(1)
            if length == 0:
                return received, is_asked
            if length < 0:
                raise psycopg.OperationalError("the server ended the stream")
            content = bytes(message)
            if content[:1] == b"w":
                (start,) = struct.unpack_from(">Q", content, 1)
                piece = content[25:]
                writer.write(_PIECE.pack(start, len(piece)) + piece)
                received = start + len(piece)
            elif content[:1] == b"k":
                is_asked |= content[17:18] == b"\x01"


class Receiving(threading.Thread):
    """Keeps a follower going until it is stopped; meanwhile commits wait.

    A database that is away and a folder that takes no more are tried again. Anything else is our own mistake
    and ends it: `failure` holds it, and whoever waits for `streaming` or `stopping` wakes up.
    """

    def __init__(self, follower: Follower, *, retry_s: float = 1.0) -> None:
        super().__init__(name="journal", daemon=True)
        self._follower = follower
        self._retry_s = retry_s
        self.stopping, self.streaming = threading.Event(), threading.Event()
        self.failure: BaseException | None = None

    def run(self) -> None:
        """What the thread does."""
        try:
            self._keep_on()
        except BaseException as error:  # the root of the thread: the process ends with it
            self.failure = error
            self.stopping.set()
            self.streaming.set()

    def raise_failure(self) -> None:
        """End the caller too if this has failed."""
        if self.failure is not None:
            raise self.failure

    def _keep_on(self) -> None:
        pause_s = self._retry_s
        while not self.stopping.is_set():
            before = self._follower.position
            try:
                self._follower.run(lambda: not self.stopping.is_set(), started=self.streaming.set)
            except (psycopg.Error, OSError) as error:
                reason = error.strerror if isinstance(error, OSError) else None
                said = reason or type(error).__name__
                with suppress(OSError):  # where this is written may be full too
                    print(f"backup: the log stopped ({said}), trying again; commits wait", file=sys.stderr)
                pause_s = self._retry_s if self._follower.position != before else pause_s
                self.stopping.wait(pause_s)
                pause_s = min(pause_s * 2, _LONGEST_RETRY_S)


def _replication(database_url: str) -> "psycopg.Connection[object]":
    parameters: dict[str, object] = {"replication": "true", "application_name": STANDBY, "connect_timeout": 3}
    return psycopg.connect(database_url, autocommit=True, **parameters)  # type: ignore[arg-type] # typed too narrowly


def _begin(connection: "psycopg.Connection[object]", position: int) -> tuple[int, int]:
    """Start to stream; returns timeline and the first position."""
    link = connection.pgconn
    answer = link.exec_(b"IDENTIFY_SYSTEM")
    if answer.status != pq.ExecStatus.TUPLES_OK:
        raise psycopg.OperationalError((link.error_message or b"").decode(errors="replace").strip())
    timeline, current = (
        int(answer.get_value(0, 1) or b"1"),
        parse_position((answer.get_value(0, 2) or b"").decode()),
    )
    position = position or current - current % SEGMENT_BYTES
    command = f"START_REPLICATION SLOT {SLOT} PHYSICAL {position_text(position)} TIMELINE {timeline}"
    answer = link.exec_(command.encode())
    if answer.status != pq.ExecStatus.COPY_BOTH:
        raise psycopg.OperationalError((link.error_message or b"").decode(errors="replace").strip())
    return timeline, position


def _journal(folder: Path, timeline: int, position: int) -> Path:
    return folder / f"journal-{timeline:08X}-{position:016X}-{time.time_ns():020d}.qlj"


def _answer(link: pq.abc.PGconn, position: int) -> None:
    clock_us = int((time.time() - _POSTGRES_EPOCH_S) * 1_000_000)
    link.put_copy_data(_ANSWER.pack(b"r", position, position, position, clock_us, b"\x00"))
    link.flush()
