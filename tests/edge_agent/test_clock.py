import ctypes

import pytest

from edge_agent import clock


class Kernel:
    """Answers adjtimex with one number."""

    def __init__(self, answer):
        self.answer = answer

    def adjtimex(self, query):
        assert bytes(query) == bytes(len(query)), "a query that is not all zero would set the clock"
        return self.answer


@pytest.mark.parametrize(
    ("answer", "is_synchronised"),
    [
        pytest.param(0, True, id="well"),
        pytest.param(1, True, id="leap second tonight"),
        pytest.param(5, False, id="not synchronised"),
        pytest.param(-1, False, id="not allowed to ask"),
    ],
)
def test_only_the_word_of_the_kernel_makes_a_clock_synchronised(monkeypatch, answer, is_synchronised):
    monkeypatch.setattr(ctypes, "CDLL", lambda _: Kernel(answer))

    assert (clock.clock_state().src == "ntp") is is_synchronised


def test_system_without_such_a_call_is_not_synchronised(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())

    assert not clock.is_synchronised()


def test_this_machine_answers():
    assert clock.clock_state().src in {"ntp", "rtc", "none"}
