"""A zip file that is written while it is read: nothing of it is ever whole in memory."""

import io
import zipfile
from collections.abc import Iterable, Iterator
from datetime import datetime
from hashlib import sha256


class _Pipe(io.RawIOBase):
    """Takes what the zip writer gives and hands it on."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, content: object) -> int:
        part = bytes(memoryview(content))  # type: ignore[arg-type] # a buffer, as RawIOBase says
        self._waiting += part
        return len(part)

    def take(self) -> bytes:
        content = bytes(self._waiting)
        self._waiting.clear()
        return content


class StreamedZip:
    """Adds members one after the other and remembers the SHA-256 and the lines of each."""

    def __init__(self, *, at: datetime) -> None:
        self._pipe = _Pipe()
        self._zip = zipfile.ZipFile(self._pipe, "w", zipfile.ZIP_DEFLATED)
        self._at = at
        self.checksums: dict[str, str] = {}
        self.lines: dict[str, int] = {}

    def add(self, name: str, parts: Iterable[bytes]) -> Iterator[bytes]:
        """Write a member and yield what can go out already."""
        entry = zipfile.ZipInfo(name, self._at.timetuple()[:6])
        entry.compress_type = zipfile.ZIP_DEFLATED
        running, lines = sha256(), 0
        with self._zip.open(entry, "w", force_zip64=True) as member:
            for part in parts:
                running.update(part)
                lines += part.count(b"\n")
                member.write(part)
                if ready := self._pipe.take():
                    yield ready
        self.checksums[name] = running.hexdigest()
        self.lines[name] = lines
        yield self._pipe.take()

    def finish(self) -> bytes:
        """The directory at its end."""
        self._zip.close()
        return self._pipe.take()
