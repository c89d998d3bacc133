import shutil
from pathlib import Path

import pytest

from qianli.rotating_log import RotatingLog


def test_a_full_log_moves_aside_and_the_oldest_goes(tmp_path: Path) -> None:
    log = RotatingLog(tmp_path / "x.log", largest_bytes=10, kept=2)
    for word in (b"first...\n", b"second..\n", b"third...\n", b"fourth..\n"):
        log.write(word)
    log.close()
    kept = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert kept == {"x.log": b"fourth..\n", "x.log.1": b"third...\n", "x.log.2": b"second..\n"}


def test_an_existing_log_is_continued(tmp_path: Path) -> None:
    for word in (b"one\n", b"two\n"):
        log = RotatingLog(tmp_path / "x.log")
        log.write(word)
        log.close()
    assert (tmp_path / "x.log").read_bytes() == b"one\ntwo\n"


def test_a_folder_that_was_away_costs_only_what_was_printed_meanwhile(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    log = RotatingLog(folder / "x.log", largest_bytes=10)
    log.write(b"first...\n")
    shutil.rmtree(folder)
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            log.write(b"second..\n")
    folder.mkdir()
    log.write(b"third...\n")
    log.close()
    assert (folder / "x.log").read_bytes() == b"third...\n"
