import pytest

from edge_agent.pacing import LEAST_RATE, BackOff, OwnPace, TokenBucket


def ceilings(back_off, number):
    return [back_off.pause_after(0) for _ in range(number)]


def test_ceiling_doubles_from_one_second_to_two_minutes():
    assert ceilings(BackOff(chance=lambda: 1.0), 9) == [1, 2, 4, 8, 16, 32, 64, 120, 120]


def test_pause_is_anything_up_to_the_ceiling():
    chances = iter([0.0, 0.25, 0.999])

    assert ceilings(BackOff(chance=lambda: next(chances)), 3) == [0.0, 0.5, pytest.approx(3.996)]


def test_connection_that_stood_for_a_minute_begins_anew():
    back_off = BackOff(chance=lambda: 1.0)
    ceilings(back_off, 9)

    assert [back_off.pause_after(60.0), back_off.pause_after(0)] == [1, 2]


def test_flapping_connection_begins_not_anew():
    back_off = BackOff(chance=lambda: 1.0)
    ceilings(back_off, 4)

    assert [back_off.pause_after(9.0), back_off.pause_after(21.0)] == [16, 8]


def granted(bucket, *, for_s, wanted=1000, step_s=0.05):
    steps = int(for_s / step_s)
    return [bucket.take(wanted, mono_s=100.0 + (n + 1) * step_s) for n in range(steps)]


def test_bucket_lets_its_rate_through_in_small_bursts():
    bucket = TokenBucket(rate=100.0)
    bucket.take(1000, mono_s=100.0)

    through = granted(bucket, for_s=10.0)

    assert sum(through) == pytest.approx(1000, abs=10)
    assert max(through) <= 25


def test_slow_rate_still_lets_single_messages_through():
    bucket = TokenBucket(rate=0.5)
    bucket.take(1000, mono_s=100.0)

    assert sum(granted(bucket, for_s=10.0)) in (4, 5)


def test_rate_of_nothing_stops_and_a_new_rate_begins():
    bucket = TokenBucket(rate=0.0)
    bucket.take(1000, mono_s=100.0)
    assert sum(granted(bucket, for_s=10.0)) == 0

    bucket.rate = 20.0

    assert bucket.take(1000, mono_s=111.0) == 5


def test_clock_that_stands_gives_nothing_twice():
    bucket = TokenBucket(rate=100.0)

    assert [bucket.take(1000, mono_s=5.0) for _ in range(3)] == [25, 0, 0]


def test_own_rate_is_twenty_times_what_is_made():
    pace = OwnPace()
    for second in range(120):
        pace.note(5 * second, mono_s=float(second))

    assert pace.rate() == pytest.approx(100.0)


def test_agent_that_makes_little_has_the_least_rate():
    pace = OwnPace()
    assert pace.rate() == LEAST_RATE
    pace.note(7, mono_s=0.0)
    pace.note(8, mono_s=10.0)

    assert pace.rate() == LEAST_RATE
