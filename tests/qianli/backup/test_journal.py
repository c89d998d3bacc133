"""What a receiver promises, and what ends it."""

import pytest

from qianli.backup.journal import Receiving, end_of_journal


class Follower:
    """Fails once with each of these, then receives until it is stopped."""

    def __init__(self, *failures):
        self.position = 0
        self.failures = list(failures)

    def run(self, may_go_on, *, started):
        if self.failures:
            raise self.failures.pop(0)
        started()
        while may_go_on():
            self.position += 1


def test_folder_that_takes_no_more_is_tried_again(capsys):
    receiving = Receiving(Follower(OSError(28, "No space left on device")), retry_s=0.01)
    receiving.start()
    assert receiving.streaming.wait(10)
    receiving.stopping.set()
    receiving.join(10)

    receiving.raise_failure()
    assert "No space left on device" in capsys.readouterr().err


def test_mistake_of_our_own_wakes_who_waits_and_ends_the_process():
    receiving = Receiving(Follower(KeyError("x")))
    receiving.start()

    assert receiving.streaming.wait(10)
    assert receiving.stopping.wait(10)
    with pytest.raises(KeyError):
        receiving.raise_failure()


@pytest.mark.parametrize("text", [None, "", "what"], ids=["none", "empty", "unreadable"])
def test_journal_of_unknown_end_continues_nothing(tmp_path, text):
    (tmp_path / "journal-1.qlj").touch()
    if text is not None:
        (tmp_path / "journal-end").write_text(text)

    assert end_of_journal(tmp_path) == 0


def test_end_without_its_journal_continues_nothing(tmp_path):
    (tmp_path / "journal-end").write_text("00000000000000FF")
    assert end_of_journal(tmp_path) == 0
    (tmp_path / "journal-1.qlj").touch()
    assert end_of_journal(tmp_path) == 255
