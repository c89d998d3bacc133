from datetime import UTC, datetime, timedelta

import pytest

from cloud import backlog_pace
from cloud.backlog_pace import FEWEST_PER_S, TRICKLE_PER_S, BacklogPace
from vitals.wire.topics import Lane

NOW = datetime(2026, 11, 26, 8, 0, tzinfo=UTC)


def follow(pace, *, per_s, for_s=90, agent="hut-1"):
    """The rates that an agent is told which makes so many messages in a second."""
    return [
        pace(agent, {Lane.LIVE: int(per_s * second), Lane.BACKLOG: 7}, NOW + timedelta(seconds=second))
        for second in range(for_s)
    ]


def test_agent_is_told_twenty_times_what_it_makes():
    rates = follow(BacklogPace(), per_s=5)

    assert rates[0] is None
    assert set(rates[1:]) == {100.0}


def test_agent_that_makes_little_may_send_some_all_the_same():
    assert follow(BacklogPace(), per_s=0.1)[-1] == FEWEST_PER_S


@pytest.mark.parametrize(
    ("load", "rate"), [(0.5, 50.0), (0.9, 10.0), (1.0, TRICKLE_PER_S), (7.0, TRICKLE_PER_S)]
)
def test_cloud_under_load_lowers_the_rate_and_never_stops_it(load, rate):
    assert follow(BacklogPace(load=lambda: load), per_s=5)[-1] == pytest.approx(rate)


def test_agent_that_grows_is_told_more():
    pace = BacklogPace()
    follow(pace, per_s=5)
    later = NOW + timedelta(seconds=200)
    pace("hut-1", {Lane.LIVE: 1000}, later)

    assert pace("hut-1", {Lane.LIVE: 3000}, later + timedelta(seconds=100)) == pytest.approx(400.0)


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(backlog_pace, "REMEMBERED", 3)
    pace = BacklogPace()
    for number in range(9):
        follow(pace, per_s=5, for_s=3, agent=f"hut-{number}")

    assert (len(pace._marks), len(pace._per_s)) == (3, 3)
