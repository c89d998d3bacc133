"""Waves wherever they lie: read at random, moved in one direction, erased to the block.

    a block as it came  ->  ten minutes in a row  ->  ten minutes in an object
      wave_block              wave_chunk                wave_chunk, the store

A move writes what is new before it removes what was, in one transaction or, where an object is written,
before it. Nothing moves back but what is changed there: it is written as a row anew, and its old bytes in the
object are nothing any more, for the salt that opens them is gone with the old row.
"""

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import accumulate, groupby
from typing import Any

from cloud.errors import CloudError
from cloud.objects.errors import ObjectDamaged, ObjectMissing
from cloud.objects.port import ObjectStore
from cloud.objects.sealing import (
    MORE_BYTES,
    ObjectKey,
    make_key,
    make_salt,
    open_pieces,
    read_key,
    seal_pieces,
)
from cloud.series.model import FOREVER_US, Held
from cloud.store.connection import Database
from cloud.store.sealing import Sealer
from cloud.store.suite import Suite
from cloud.waves import postgres
from cloud.waves.chunk import Section, read_directory, read_section, write_sections
from cloud.waves.model import (
    StoredBlock,
    WaveLine,
    Window,
    is_held,
    is_held_by,
    is_short,
    merge,
)
from cloud.waves.postgres import SEALED_OBJECT_KEYS, ChunkRow, Placed
from vitals.observation import SourceId, VitalKey

BLOCKS_AT_A_TIME = 3000
WINDOWS_AT_A_TIME = 200
CHUNKS_AT_A_TIME = 256
LARGEST_OBJECT = 16 * 2**20
UNUSED_FOR = timedelta(days=1)
"""So long an object stays in which nothing lies any more, for who reads an older state of the database."""
_WRITTEN_WITHIN = timedelta(hours=12)
_TRIES = 3


class ObjectsNotSet(CloudError):
    """Waves lie in the object store, and this process was not told where that is."""

    def __str__(self) -> str:
        return "waves lie in the object store, which this process was not given"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectPlace:
    """Where windows go, and what their keys are sealed with.

    What lies in a folder of this machine is in its backups, but not in a journal that follows the database:
    while one does, nothing moves there.
    """

    store: ObjectStore
    sealer: Sealer
    is_folder: bool = True
    suite: Suite = Suite.ED25519


def _no_objects() -> ObjectPlace:
    raise ObjectsNotSet


class Waves:
    """Everything happens in the caller's transaction, if there is one.

    It knows sources and times, never people: whoever asks with a `Held` has asked for the right before.
    Threads may share it.

    Raises:
        ObjectError: the object store does not give what lies there.
        ObjectsNotSet: it lies there, and there is none.
    """

    def __init__(self, objects: Callable[[], ObjectPlace] = _no_objects) -> None:
        self._place = objects

    def read_range(
        self, connection: Database, asked: Sequence[Held], *, streams: Sequence[str] | None = None
    ) -> list[WaveLine]:
        """The blocks that reach into these intervals, whole; nothing else is fetched or unpacked.

        Where `since_us` and `until_us` choose a part of an interval, a block may stand out of that part, but
        never of the interval.
        """
        found: dict[tuple[SourceId, VitalKey], dict[int, StoredBlock]] = {}
        by_src: dict[str, list[tuple[Held, Held]]] = {}
        for held in asked:
            whole = replace(held, since_us=-FOREVER_US, until_us=FOREVER_US)
            by_src.setdefault(held.src, []).append((held, whole))
        for held in asked:
            for stream, block in postgres.find_blocks(connection, held, streams=streams):
                found.setdefault((held.src, VitalKey(stream)), {})[block.t0_us] = block
        for row, blocks in self._read_chunks(connection, asked, streams=streams):
            # What is in a chunk came before what waits beside it.
            found.setdefault((row.src, row.stream), {}).update((block.t0_us, block) for block in blocks)
        return [
            WaveLine(src=src, stream=stream, blocks=shown)
            for (src, stream), line in sorted(found.items())
            if (shown := tuple(line[t0_us] for t0_us in sorted(line) if _is_shown(line[t0_us], by_src[src])))
        ]

    def hold(self, connection: Database, asked: Sequence[Held]) -> None:
        """Nobody else moves or changes what is stored of these sources until the transaction ends."""
        postgres.hold(connection, [held.src for held in asked])

    def iterate(self, connection: Database, asked: Sequence[Held]) -> Iterator[dict[str, Any]]:
        """Every block that lies in one of these intervals, in the words of `wave_block`, source by source."""
        for window, several in _windows(connection, asked):
            for block in self._read_window(connection, window):
                if is_held_by(block, several):
                    yield block.to_row(window.src, window.stream)

    def erase(self, connection: Database, asked: Sequence[Held]) -> int:
        """Delete the blocks that lie in one of these intervals; returns how many."""
        self.hold(connection, asked)
        erased = 0
        for window, several in list(_windows(connection, asked)):
            erased += len(self._remove(connection, window, lambda one: is_held_by(one, several)))  # noqa: B023
        return erased

    def remove_old(self, connection: Database, src: str, *, before_us: int) -> list[dict[str, Any]]:
        """Delete blocks that began before a moment, as many as one transaction takes; returns them."""
        postgres.hold(connection, [src])
        removed: list[dict[str, Any]] = []
        windows = postgres.find_windows(
            connection, src, first_us=-(2**62), end_us=before_us, limit=WINDOWS_AT_A_TIME
        )
        for window in windows:
            if len(removed) >= BLOCKS_AT_A_TIME:
                break
            gone = self._remove(connection, window, lambda one: one.t0_us < before_us)
            removed += [block.to_row(window.src, window.stream) for block in gone]
        return removed

    def compact(self, connection: Database, src: SourceId, stream: VitalKey, *, before_us: int) -> int:
        """Bring blocks of a stream together that began before a moment; returns how many there were.

        As many as one transaction takes: it is the caller's to ask again until there are none.
        """
        with connection.transaction():
            postgres.hold(connection, [src])
            windows = postgres.find_old_windows(
                connection, src, stream, before_us=before_us, limit=BLOCKS_AT_A_TIME
            )
            return sum(self._compact_window(connection, window) for window in windows)

    def move(self, connection: Database, src: SourceId, *, day_us: int) -> int:
        """Let chunks of a day lie in an object of their own; returns how many. Not in a transaction.

        The object is written and read back before anything refers to it. Who is killed in between leaves an
        object that nothing refers to, which `sweep` removes.
        """
        place = self._place()
        if place.is_folder and postgres.keeps_journal(connection):
            return 0
        chunks = _fitting(
            postgres.find_to_move(connection, src, day_us=day_us, limit=CHUNKS_AT_A_TIME), LARGEST_OBJECT
        )
        if not chunks:
            return 0
        name, key = _fresh_name(), make_key(place.suite)
        sealed_key = place.sealer.seal(key.to_text(), context=SEALED_OBJECT_KEYS.context(name))
        object_no = postgres.insert_object(connection, name, sealed_key=sealed_key)
        content, placed = _seal_chunks(key, chunks)
        place.store.put(name, content)
        if place.store.get(name) != content:
            raise ObjectDamaged(name)
        with connection.transaction():
            postgres.hold(connection, [src])
            if place.is_folder and postgres.keeps_journal(connection):
                return 0
            return postgres.place_in_object(connection, object_no, placed, within=_WRITTEN_WITHIN)

    def sweep(self, connection: Database, *, after: timedelta = UNUSED_FOR, limit: int = 20) -> int:
        """Remove objects in which nothing has lain for so long; returns how many. Safe to be killed in."""
        place = self._place()
        with connection.transaction():
            unused = postgres.take_unused(connection, after=after, limit=limit)
            for _, name in unused:
                place.store.delete(name)
            postgres.delete_objects(connection, [object_no for object_no, _ in unused])
        return len(unused)

    def _compact_window(self, connection: Database, window: Window) -> int:
        fresh = [block for block in postgres.find_window(connection, window) if is_short(block)]
        merged = merge(self._read_chunk(connection, window), fresh)
        _write(connection, window, merged.blocks)
        if merged.conflicts:
            postgres.count_conflicts(connection, window, merged.conflicts)
        return postgres.delete_blocks(connection, window, [block.t0_us for block in fresh])

    def _remove(
        self, connection: Database, window: Window, is_gone: Callable[[StoredBlock], bool]
    ) -> list[StoredBlock]:
        waiting = postgres.find_window(connection, window)
        kept = self._read_chunk(connection, window)
        removed = [block for block in merge(kept, waiting).blocks if is_gone(block)]
        times = {block.t0_us for block in removed}
        if not times.isdisjoint(block.t0_us for block in waiting):
            postgres.delete_blocks(connection, window, sorted(times))
        if not times.isdisjoint(block.t0_us for block in kept):
            _write(connection, window, [block for block in kept if block.t0_us not in times])
        return removed

    def _read_window(self, connection: Database, window: Window) -> list[StoredBlock]:
        waiting = postgres.find_window(connection, window)
        return merge(self._read_chunk(connection, window), waiting).blocks

    def _read_chunk(self, connection: Database, window: Window) -> list[StoredBlock]:
        for _ in range(_TRIES):
            row = postgres.find_chunk(connection, window)
            if row is None:
                return []
            wanted = _Wanted(row, read_directory(row.directory, begin_us=row.begin_us))
            pieces = self._fetch(connection, {row.chunk_no: wanted}).get(row.chunk_no)
            if pieces is not None:
                return [block for piece in pieces for block in read_section(piece)]
        raise ObjectMissing(f"of {window.src} {window.stream} {window.begin_us}")

    def _read_chunks(
        self, connection: Database, asked: Sequence[Held], *, streams: Sequence[str] | None
    ) -> list[tuple[ChunkRow, list[StoredBlock]]]:
        """The blocks of every section that reaches into one of the intervals.

        What is moved or written anew between two looks makes us look again.
        """
        for tries_left in reversed(range(_TRIES)):
            rows = [
                (held, row)
                for held in asked
                for row in postgres.find_chunks(connection, held, streams=streams)
            ]
            wanted = _wanted_of(rows)
            try:
                fetched = self._fetch(connection, wanted)
            except ObjectMissing:
                if not tries_left:
                    raise
                continue
            if fetched.keys() == wanted.keys():
                return [(one.row, _blocks_of(one, fetched[number])) for number, one in wanted.items()]
        raise ObjectMissing("of a wave that is moved all the time")

    def _fetch(self, connection: Database, wanted: Mapping[int, "_Wanted"]) -> dict[int, list[bytes]]:
        """Sections by the number of their chunk, one request for each object; what has moved is not there."""
        in_rows = {number: one for number, one in wanted.items() if one.row.object_name is None}
        found: dict[int, list[bytes]] = {}
        if in_rows:
            parts = {number: (one.at, one.length) for number, one in in_rows.items()}
            for number, content in postgres.find_sections(connection, parts).items():
                found[number] = _cut(content, [section.length for section in in_rows[number].sections])
        for number, one in wanted.items():
            if number not in in_rows:
                found[number] = self._fetch_from_object(one)
        return found

    def _fetch_from_object(self, wanted: "_Wanted") -> list[bytes]:
        row, first, place = wanted.row, wanted.sections[0].number, self._place()
        assert row.object_name is not None and row.object_at is not None  # noqa: S101, PT018 CHECK of the table
        assert row.salt is not None and row.sealed_key is not None  # noqa: S101, PT018 the same
        sealed_key = place.sealer.unseal(row.sealed_key, context=SEALED_OBJECT_KEYS.context(row.object_name))
        content = place.store.get(
            row.object_name,
            at=row.object_at + wanted.at + first * MORE_BYTES,
            length=wanted.length + len(wanted.sections) * MORE_BYTES,
        )
        sealed = _cut(content, [section.length + MORE_BYTES for section in wanted.sections])
        return open_pieces(read_key(sealed_key), row.salt, sealed, first=first, name=row.object_name)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Neighbouring sections of a chunk, one at least, and the time for which they are wanted."""

    row: ChunkRow
    sections: list[Section]
    first_us: int = -FOREVER_US
    end_us: int = FOREVER_US

    @property
    def at(self) -> int:
        return self.sections[0].at

    @property
    def length(self) -> int:
        return sum(section.length for section in self.sections)


def _wanted_of(rows: Sequence[tuple[Held, ChunkRow]]) -> dict[int, _Wanted]:
    """Of each chunk the sections from the first to the last that reach into its intervals."""
    found: dict[int, _Wanted] = {}
    for held, row in rows:
        known = found.get(row.chunk_no)
        first_us = held.first_us if known is None else min(known.first_us, held.first_us)
        end_us = held.end_us if known is None else max(known.end_us, held.end_us)
        sections = read_directory(row.directory, begin_us=row.begin_us)
        reached = [
            section.number
            for section in sections
            if section.first_us < end_us and section.until_us > first_us
        ]
        if reached:
            part = sections[reached[0] : reached[-1] + 1]
            found[row.chunk_no] = _Wanted(row, part, first_us, end_us)
    return found


def _blocks_of(wanted: _Wanted, pieces: Sequence[bytes]) -> list[StoredBlock]:
    within = {"first_us": wanted.first_us, "end_us": wanted.end_us}
    return [block for piece in pieces for block in read_section(piece, **within)]


def _cut(content: bytes, lengths: Sequence[int]) -> list[bytes]:
    ends = list(accumulate(lengths))
    return [content[end - length : end] for end, length in zip(ends, lengths, strict=True)]


def _is_shown(block: StoredBlock, several: Sequence[tuple[Held, Held]]) -> bool:
    """Whether a block reaches into what is chosen of one of these intervals, and lies in that interval."""
    for chosen, whole in several:
        is_reaching = block.t0_us < chosen.end_us and block.end_us > chosen.first_us
        if is_reaching and is_held(block, whole):
            return True
    return False


def _windows(connection: Database, asked: Sequence[Held]) -> Iterator[tuple[Window, list[Held]]]:
    """The windows in which something begins in these intervals, source by source in the order of time."""
    in_order = sorted(asked, key=lambda held: held.src)
    for src, group in groupby(in_order, key=lambda held: held.src):
        several = list(group)
        found = {
            (window.begin_us, window.stream): window
            for held in several
            for window in postgres.find_windows(connection, src, first_us=held.first_us, end_us=held.end_us)
        }
        for place in sorted(found):
            yield found[place], several


def _write(connection: Database, window: Window, blocks: Sequence[StoredBlock]) -> None:
    content = None
    if blocks:
        directory, sections = write_sections(blocks, begin_us=window.begin_us)
        content = directory, b"".join(sections)
    postgres.replace_chunk(connection, window, blocks, content=content)


def _fitting(chunks: Sequence[tuple[int, bytes, bytes]], most_bytes: int) -> list[tuple[int, bytes, bytes]]:
    """As many as an object holds, one at least."""
    sizes = accumulate(len(sections) for _, _, sections in chunks)
    count = sum(size <= most_bytes for size in sizes)
    return list(chunks[: max(count, 1)])


def _fresh_name() -> str:
    """Opaque, spread over folders that stay small."""
    digits = secrets.token_hex(16)
    return f"waves/{digits[:2]}/{digits}"


def _seal_chunks(key: ObjectKey, chunks: Sequence[tuple[int, bytes, bytes]]) -> tuple[bytes, list[Placed]]:
    parts: list[bytes] = []
    placed, at = [], 0
    for chunk_no, directory, sections in chunks:
        salt = make_salt()
        lengths = [section.length for section in read_directory(directory, begin_us=0)]
        part = b"".join(seal_pieces(key, salt, _cut(sections, lengths)))
        placed.append(Placed(chunk_no=chunk_no, at=at, salt=salt))
        parts.append(part)
        at += len(part)
    return b"".join(parts), placed
