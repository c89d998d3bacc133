"""A folder whose names are durable."""

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """What was created, renamed or removed in it stays so after a power cut (POSIX.1-2017, fsync).

    Raises:
        OSError: the disk fails, or the folder is not there.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
