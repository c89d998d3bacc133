import pytest

from qianli.fleet.figures import Delays, Figures


def test_percentile_is_within_one_percent():
    delays = Delays()
    for delay_ms in range(1, 1001):
        delays.add(delay_ms)

    assert delays.percentile_ms(0.5) == pytest.approx(500, rel=0.011)
    assert delays.percentile_ms(0.99) == pytest.approx(990, rel=0.011)


def test_no_delay_has_no_percentile():
    assert Delays().percentile_ms(0.5) is None


def test_line_tells_the_delays_since_the_last_one_and_the_end_all():
    figures = Figures(made=2)
    figures.note_acknowledged(10, is_late=False)
    figures.described(at_s=1, connected=1)
    figures.note_acknowledged(1000, is_late=True)
    line = figures.described(at_s=2, connected=1)
    end = figures.described(at_s=3, connected=0, is_end=True)

    assert line["ack_ms"]["p50"] == pytest.approx(1000, rel=0.011)
    assert end["ack_ms"]["p50"] == pytest.approx(10, rel=0.011)
    assert (end["acknowledged"], end["late"], end["waiting"]) == (2, 1, 0)
