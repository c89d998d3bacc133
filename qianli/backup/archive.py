"""One sealed file with everything of an installation: settings, keys, objects, the database as it is on disk.

Inside the seal stand entries: a kind (`N` a name, `D` content), a length of 4 bytes, bytes. The database is
the tar file of `pg_basebackup` with the log that makes it consistent, so it is taken while the system
writes. Objects come after it: whatever the database of the backup refers to was there before, and stays for a
day after nothing refers to it any more (`cloud.waves.service`).
"""

import json
import os
import shutil
import struct
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import IO

from qianli.backup.envelope import CHUNK_BYTES, Lock, Opener, SealedStreamInvalid, SealedWriter, read_sealed
from qianli.backup.journal import END_NAME, journal_files, read_pieces, write_segments
from qianli.embedded.postgres import Programs, database_url
from qianli.errors import StartRefused
from qianli.home import Home

BASE_NAME = "base.qlb"
DATABASE = "database.tar"
SETTINGS = "settings.json"
OBJECTS = "objects"
_KEPT = ("keys", "enrolment", "broker-password")
_ENTRY = struct.Struct(">cI")


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What came back."""

    files: int
    bytes: int
    journal_end: int


def write_backup(home: Home, programs: Programs, path: Path, *, lock: Lock) -> int:
    """Write a whole backup of a running installation; returns its size. The file appears whole or not at all.

    Raises:
        StartRefused: the database does not answer.
    """
    draft = path.with_name(f"{path.name}.part")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            writer = SealedWriter(file, lock)
            _write_entry(writer, SETTINGS, json.dumps(_settings()).encode())
            for kept in _kept_files(home):
                _write_entry(writer, f"home/{kept.relative_to(home.path)}", kept.read_bytes())
            _write_database(writer, home, programs)
            for name, content in _objects(home):
                _write_entry(writer, name, content)
            writer.finish()
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    draft.replace(path)
    return path.stat().st_size


def restore_backup(source: Path, home: Home, programs: Programs, *, opener: Opener) -> Restored:
    """Bring a backup, or a base with its journal, into an empty data folder; all of it or nothing.

    Raises:
        SealedStreamInvalid: the file is cut off, changed, or sealed for somebody else.
        StartRefused: there is something in the data folder already.
    """
    base = source / BASE_NAME if source.is_dir() else source
    if any((home.path / name).exists() for name in (home.postgres.name, "keys", OBJECTS)):
        raise StartRefused(
            f"{home.path} 里已有数据,不会覆盖:请把 QIANLI_HOME 设为空目录。",
            f"There is something in {home.path} already, and it is not overwritten: "
            "set QIANLI_HOME to an empty folder.",
        )
    fresh = home.path / "restored.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o711)
    try:
        with base.open("rb") as file:
            files, size = _unpack(read_sealed(file, opener), fresh)
        end = _lay_journal(source, fresh / "postgres", opener) if source.is_dir() else 0
        _finish_cluster(fresh / "postgres", programs)
        for entry in sorted(fresh.iterdir(), key=lambda entry: entry.name == "postgres"):
            entry.rename(home.path / entry.name)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return Restored(files=files, bytes=size, journal_end=end)


def set_aside(folder: Path) -> Path | None:
    """Move a base with its journal into a folder inside, from which it can be restored; tells where.

    What is received from now on does not continue it. A journal without a base goes too.
    """
    old = [path for path in (folder / BASE_NAME, *journal_files(folder), folder / END_NAME) if path.exists()]
    if not old:
        return None
    aside = folder / f"until-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
    aside.mkdir(mode=0o700)
    for path in old:
        path.rename(aside / path.name)
    return aside


def _settings() -> dict[str, object]:
    """What the environment said; the file is sealed, so passwords in it are too."""
    named = {name: value for name, value in os.environ.items() if name.startswith("QIANLI_")}
    return {"version": version("qianli"), "at": datetime.now(UTC).isoformat(), "environment": named}


def _kept_files(home: Home) -> Iterator[Path]:
    for name in _KEPT:
        path = home.path / name
        yield from sorted(file for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file())


def _objects(home: Home) -> Iterator[tuple[str, bytes]]:
    """Objects in the data folder, one in memory at a time."""
    for path in sorted((home.path / OBJECTS).rglob("*")):
        if path.name.startswith(".") or not path.is_file():
            continue
        try:
            content = path.read_bytes()
        except FileNotFoundError:  # nothing has referred to it for a day, and it was removed just now
            continue
        yield f"home/{path.relative_to(home.path)}", content


def _write_entry(writer: SealedWriter, name: str, content: bytes) -> None:
    for kind, part in ((b"N", name.encode()), (b"D", content)):
        writer.write(_ENTRY.pack(kind, len(part)) + part)


def _write_database(writer: SealedWriter, home: Home, programs: Programs) -> None:
    name = DATABASE.encode()
    writer.write(_ENTRY.pack(b"N", len(name)) + name)
    command = programs.command(
        "pg_basebackup", "-D", "-", "-Ft", "-X", "fetch", "-c", "fast", "-d", database_url(home.postgres)
    )
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/")
    with process:
        assert process.stdout is not None and process.stderr is not None  # noqa: S101, PT018 # both are pipes
        while part := process.stdout.read(CHUNK_BYTES):
            writer.write(_ENTRY.pack(b"D", len(part)) + part)
        reason = process.stderr.read().decode(errors="replace").strip().splitlines()
    if process.returncode != 0:
        said = reason[-1] if reason else f"exit code {process.returncode}"
        raise StartRefused(f"无法备份数据库:{said}", f"The database could not be backed up: {said}")


class _Entries:
    """The entries of an opened backup, one after the other."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._waiting = bytearray()
        self._next: tuple[bytes, bytes] | None = None

    def names(self) -> Iterator[str]:
        while (entry := self._take()) is not None:
            if entry[0] == b"N":
                yield entry[1].decode()

    def content(self) -> Iterator[bytes]:
        """The content that belongs to the name given last."""
        while (entry := self._take()) is not None:
            if entry[0] == b"N":
                self._next = entry
                return
            yield entry[1]

    def _take(self) -> tuple[bytes, bytes] | None:
        if self._next is not None:
            entry, self._next = self._next, None
            return entry
        if not self._fill(_ENTRY.size):
            return None
        kind, length = _ENTRY.unpack_from(self._waiting)
        if not self._fill(_ENTRY.size + length):
            raise SealedStreamInvalid("it ends in the middle of an entry")
        part = bytes(self._waiting[_ENTRY.size : _ENTRY.size + length])
        del self._waiting[: _ENTRY.size + length]
        return kind, part

    def _fill(self, length: int) -> bool:
        while len(self._waiting) < length:
            chunk = next(self._chunks, None)
            if chunk is None:
                return False
            self._waiting += chunk
        return True


class _Reader:
    """The content of one entry as a file that `tarfile` can read once."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts
        self._waiting = bytearray()
        self.taken = 0

    def read(self, length: int = -1) -> bytes:
        while length < 0 or len(self._waiting) < length:
            part = next(self._parts, None)
            if part is None:
                break
            self._waiting += part
            self.taken += len(part)
        length = len(self._waiting) if length < 0 else length
        content = bytes(self._waiting[:length])
        del self._waiting[:length]
        return content


def _unpack(chunks: Iterator[bytes], fresh: Path) -> tuple[int, int]:
    entries, files, size = _Entries(chunks), 0, 0
    for name in entries.names():
        reader = _Reader(entries.content())
        if name == DATABASE:
            _unpack_database(reader, fresh / "postgres")
        else:
            place = fresh / (name.removeprefix("home/") if name.startswith("home/") else f"restored-{name}")
            if not place.resolve().is_relative_to(fresh.resolve()):
                raise SealedStreamInvalid("it names a file outside of the data folder")
            _write_private(place, reader.read())
        reader.read()
        files, size = files + 1, size + reader.taken
    if not (fresh / "postgres").exists():
        raise SealedStreamInvalid("it holds no database")
    return files, size


def _unpack_database(reader: _Reader, cluster: Path) -> None:
    cluster.mkdir(mode=0o700)
    stream: IO[bytes] = reader  # type: ignore[assignment] # tarfile asks a stream for read() only
    with closing(tarfile.open(fileobj=stream, mode="r|")) as tar:
        tar.extractall(cluster, filter="data")


def _write_private(path: Path, content: bytes) -> None:
    for folder in reversed(path.parents):
        folder.mkdir(mode=0o700, exist_ok=True)  # `parents=True` would make those in between readable
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def _lay_journal(folder: Path, cluster: Path, opener: Opener) -> int:
    files = journal_files(folder)
    if not files:
        return 0
    timeline = int(files[0].name.split("-")[1], 16)
    pieces = (piece for path in files for piece in read_pieces(path, opener))
    return write_segments(pieces, cluster / "pg_wal", timeline=timeline)


def _finish_cluster(cluster: Path, programs: Programs) -> None:
    """Wait for no journal that is not there, and belong to the user who runs the server."""
    automatic = cluster / "postgresql.auto.conf"
    lines = automatic.read_text().splitlines(keepends=True) if automatic.exists() else []
    automatic.write_text("".join(line for line in lines if "synchronous_standby_names" not in line))
    for lock in cluster.glob(".s.PGSQL.*"):
        lock.unlink()  # the socket lies in the cluster, so the first server's lock came along
    for path in [cluster, *cluster.rglob("*")]:
        path.chmod(0o700 if path.is_dir() else 0o600)
        if programs.user is not None:
            shutil.chown(path, programs.user)
