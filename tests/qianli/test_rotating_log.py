from pathlib import Path

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
