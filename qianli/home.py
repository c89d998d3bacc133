"""The data folder: everything that one installation writes lies below it."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from qianli.errors import StartRefused

LONGEST_SOCKET_PATH = 99  # sun_path holds 108 bytes; PostgreSQL also writes a lock file beside the socket
FREE_BYTES_NEEDED = 500_000_000
SOCKET_NAME = ".s.PGSQL.5432"


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """Where each part of an installation keeps its files."""

    path: Path

    @property
    def postgres(self) -> Path:
        """The database cluster."""
        return self.path / "postgres"

    @property
    def postgres_software(self) -> Path:
        """Copies of database programs that the database's own OS user could not reach otherwise."""
        return self.path / "postgres-software"

    @property
    def logs(self) -> Path:
        """One file per process."""
        return self.path / "logs"

    @property
    def lock(self) -> Path:
        """Held by the one run that may use this folder."""
        return self.path / "run.lock"

    @property
    def marker(self) -> Path:
        """Exists only when Qianli made this folder, so that only then it may be emptied."""
        return self.path / ".qianli-home"

    @property
    def keys(self) -> Path:
        """Every key and certificate of this installation."""
        return self.path / "keys"


def home_from_environment() -> Home:
    """`QIANLI_HOME`, else `~/.qianli`, else for root a place that the database's OS user can reach."""
    given = os.environ.get("QIANLI_HOME")
    if given:
        return Home(path=Path(given).expanduser().absolute())
    if os.geteuid() == 0:
        return Home(path=Path("/var/lib/qianli"))
    return Home(path=Path.home() / ".qianli")


def prepare_home(home: Home) -> None:
    """Create the folder, or say in one sentence why it cannot be used.

    Raises:
        StartRefused: The path is too long, cannot be written, or its disk is full.
    """
    length = len(os.fsencode(home.postgres / SOCKET_NAME))
    if length > LONGEST_SOCKET_PATH:
        raise StartRefused(
            f"数据目录路径太长(数据库套接字 {length} 字节,上限 {LONGEST_SOCKET_PATH}):请把 "
            "QIANLI_HOME 设为更短的路径。",
            f"The data folder's path is too long (database socket {length} bytes, at most "
            f"{LONGEST_SOCKET_PATH}): "
            f"set QIANLI_HOME to a shorter path than {home.path}.",
        )
    try:
        _make_folder(home)
    except OSError as error:
        raise StartRefused(
            f"无法写入数据目录 {home.path}({error.strerror}):请把 QIANLI_HOME 设为可写的目录。",
            f"The data folder {home.path} cannot be written ({error.strerror}): set QIANLI_HOME to a "
            "folder of yours.",
        ) from error
    free = shutil.disk_usage(home.path).free
    if free < FREE_BYTES_NEEDED:
        raise disk_full(home)


def disk_full(home: Home) -> StartRefused:
    """The sentence for a disk that has no room left."""
    free_mb = shutil.disk_usage(home.path).free // 1_000_000
    return StartRefused(
        f"{home.path} 所在磁盘只剩 {free_mb} MB:请腾出至少 500 MB,或把 QIANLI_HOME 设到别的磁盘。",
        f"The disk of {home.path} has only {free_mb} MB left: free at least 500 MB or set "
        "QIANLI_HOME to another disk.",
    )


def empty_home(home: Home) -> None:
    """Delete everything in the folder except the lock, and only if Qianli made the folder.

    Raises:
        StartRefused: The folder was there before Qianli.
    """
    if not home.marker.exists():
        raise StartRefused(
            f"{home.path} 不是由千里创建的目录,--fresh 不会清空它:请换一个 QIANLI_HOME。",
            f"{home.path} was not created by Qianli, so --fresh does not empty it: choose another "
            "QIANLI_HOME.",
        )
    for entry in home.path.iterdir():
        if entry in {home.lock, home.marker}:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    home.logs.mkdir()


@contextlib.contextmanager
def hold_home(home: Home) -> Iterator[None]:
    """Be the only run on this folder; the kernel drops the lock when the process dies, however it dies.

    Raises:
        StartRefused: Another run holds it.
    """
    descriptor = os.open(home.lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "?"
            raise StartRefused(
                f"数据目录 {home.path} 正被另一个运行(进程 {holder})使用:请先停止它,或另设 QIANLI_HOME。",
                f"The data folder {home.path} is in use by another run (process {holder}): "
                "stop that one first, or set QIANLI_HOME to another folder.",
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _make_folder(home: Home) -> None:
    # Root's folder must let the database's OS user through to its own part; that part itself is 0700.
    home.path.mkdir(parents=True, exist_ok=True, mode=0o711 if os.geteuid() == 0 else 0o700)
    if not any(home.path.iterdir()):
        home.marker.touch()
    home.logs.mkdir(exist_ok=True, mode=0o700)
