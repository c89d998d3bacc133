"""A log file of bounded size, written by the supervisor with what a child prints."""

from pathlib import Path
from typing import BinaryIO

LARGEST_BYTES = 5_000_000
KEPT = 3


class RotatingLog:
    """Append bytes; `name.log` moves to `name.log.1` … when full. Opened when there is something to write."""

    def __init__(self, path: Path, *, largest_bytes: int = LARGEST_BYTES, kept: int = KEPT) -> None:
        self._path = path
        self._largest_bytes = largest_bytes
        self._kept = kept
        self._file: BinaryIO | None = None

    def write(self, text: bytes) -> None:
        """Append and flush.

        Raises:
            OSError: For instance because the disk is full; the next call tries again.
        """
        file = self._open()
        if file.tell() + len(text) > self._largest_bytes:
            self._rotate()
            file = self._open()
        file.write(text)
        file.flush()

    def close(self) -> None:
        """Close the file."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _open(self) -> BinaryIO:
        if self._file is None:
            self._file = self._path.open("ab")
        return self._file

    def _rotate(self) -> None:
        self.close()
        for number in range(self._kept - 1, 0, -1):
            older = self._numbered(number)
            if older.exists():
                older.replace(self._numbered(number + 1))
        self._path.replace(self._numbered(1))

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")
