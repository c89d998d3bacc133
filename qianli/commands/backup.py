"""Back a running installation up: once into a file, or continuously into a folder."""

import argparse
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from qianli.backup import queries
from qianli.backup.archive import BASE_NAME, set_aside, write_backup
from qianli.backup.envelope import Lock, make_reader_keys
from qianli.backup.journal import SEGMENT_BYTES, Follower, Receiving, end_of_journal, parse_position
from qianli.embedded.postgres import database_url, find_programs
from qianli.errors import StartRefused
from qianli.home import home_from_environment

HELP = "write an encrypted backup while everything runs; --follow loses nothing that was acknowledged"
STREAMS_WITHIN_S = 30.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("place", type=Path, help="the file to write; with --follow the folder")
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--follow",
        action="store_true",
        help="back up into a folder and keep every commit there until stopped",
    )
    how.add_argument(
        "--unfollow", action="store_true", help="let commits wait for no journal any more and free its log"
    )
    how.add_argument(
        "--make-key", action="store_true", help="write a private key to PLACE, print its public key"
    )
    parser.add_argument("--to", metavar="KEY", help="public key of the only reader (64 hexadecimal digits)")
    parser.add_argument("--passphrase-file", type=Path, help="its first line is the passphrase")


def run(arguments: argparse.Namespace) -> int:
    """Print what was written as one JSON object.

    Raises:
        StartRefused: nothing can be backed up, or there is nothing to seal it with.
    """
    place: Path = arguments.place
    if arguments.make_key:
        return _make_key(place)
    home = home_from_environment()
    url = database_url(home.postgres)
    _require_embedded()
    try:
        if arguments.unfollow:
            queries.wait_for_journal(url, is_on=False)
            queries.drop_log(url)
            return 0
        lock = _lock(arguments)
        programs = find_programs(home)
        if arguments.follow:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            return _follow(
                url, place, lock, lambda: write_backup(home, programs, place / BASE_NAME, lock=lock)
            )
        began_s = time.monotonic()
        size = write_backup(home, programs, place, lock=lock)
    except psycopg.OperationalError as error:
        raise StartRefused(
            "数据库没有响应:请先启动 qianli up。", "The database does not answer: start `qianli up` first."
        ) from error
    print(json.dumps({"file": str(place), "bytes": size, "seconds": round(time.monotonic() - began_s, 1)}))
    return 0


def read_passphrase(path: Path | None) -> str | None:
    """The passphrase from a file, else from the environment.

    Raises:
        StartRefused: the file cannot be read.
    """
    if path is None:
        return os.environ.get("QIANLI_BACKUP_PASSPHRASE") or None
    try:
        return path.read_text().splitlines()[0]
    except (OSError, IndexError) as error:
        raise StartRefused(f"无法从 {path} 读取口令。", f"No passphrase can be read from {path}.") from error


def _follow(url: str, folder: Path, lock: Lock, write_base: Callable[[], int]) -> int:
    if not queries.keeps_log(url):
        # What the folder holds ends before the log that is kept from now on, or is of another database.
        set_aside(folder)
    reserved = parse_position(queries.reserve_log(url))
    if reserved > end_of_journal(folder):
        set_aside(folder)
    follower = Follower(url, folder, lock)
    follower.position = reserved - reserved % SEGMENT_BYTES
    receiving = Receiving(follower)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: receiving.stopping.set())
    receiving.start()
    if not receiving.streaming.wait(STREAMS_WITHIN_S):
        receiving.stopping.set()
        receiving.join(timeout=5)
        raise StartRefused(
            f"数据库不发送日志,或无法写入 {folder}。",
            f"The database does not send its log, or {folder} cannot be written.",
        )
    receiving.raise_failure()
    if not (folder / BASE_NAME).exists():
        write_base()
    receiving.raise_failure()
    queries.wait_for_journal(url, is_on=True)
    while not queries.is_waited_for(url) and not receiving.stopping.wait(0.05):
        pass
    print(json.dumps({"following": True, "folder": str(folder)}), flush=True)
    receiving.stopping.wait()
    # Commits go on waiting then: the journal misses what the server has from now on.
    receiving.raise_failure()
    # First let nobody wait, then end: a commit of this moment must not hang.
    queries.wait_for_journal(url, is_on=False)
    receiving.join(timeout=10)
    return 0


def _lock(arguments: argparse.Namespace) -> Lock:
    if arguments.to:
        try:
            key = bytes.fromhex(arguments.to)
        except ValueError:
            key = b""
        if len(key) != 32:
            raise StartRefused("--to 不是公钥。", "--to is no public key: it has 64 hexadecimal digits.")
        return Lock(public_key=key)
    passphrase = read_passphrase(arguments.passphrase_file)
    if not passphrase:
        raise StartRefused(
            "请用 --passphrase-file、QIANLI_BACKUP_PASSPHRASE 或 --to 说明备份如何加密。",
            "Say how to encrypt the backup: --passphrase-file, QIANLI_BACKUP_PASSPHRASE or --to.",
        )
    return Lock(passphrase=passphrase)


def _make_key(path: Path) -> int:
    private, public = make_reader_keys()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise StartRefused(f"无法写入 {path}。", f"{path} cannot be written: {error.strerror}.") from error
    with os.fdopen(descriptor, "w") as file:
        file.write(private.hex())
    print(json.dumps({"public_key": public.hex()}))
    return 0


def _require_embedded() -> None:
    if os.environ.get("QIANLI_DATABASE_URL"):
        raise StartRefused(
            "使用外部数据库时请用数据库自己的备份,并另存 keys 目录。",
            "With a database of your own use its own backup, and keep the folder keys/ beside it.",
        )
