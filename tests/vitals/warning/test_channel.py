import math

import pytest

from vitals.warning.channel import (
    DISAGREES_FOR_MS,
    DISAGREES_WITHIN_MS,
    HOLDS_FOR_MS,
    Channel,
    Reading,
    Taken,
)
from vitals.warning.rule import Input, InputType
from vitals.warning.sample import Refusal, Sample

STALE_MS = 60_000
HR = Input(keys=("heart_rate", "pulse_rate"), low=20, high=250, stale_after_ms=STALE_MS, differ_by=10)
CHARTED = Input(keys=("heart_rate", "pulse_rate"), low=20, high=250, keeps_last=True, differ_by=10)


def take(channel, at_ms, value, *, src="a", rank=0, quality=None):
    return channel.take(Sample(channel.declared.keys[rank], src, at_ms, value, quality), rank)


def follow(declared, *samples):
    """A channel after (at_ms, value, src, rank) one after another."""
    channel = Channel(declared)
    for at_ms, value, src, rank in samples:
        channel.expire(at_ms)
        take(channel, at_ms, value, src=src, rank=rank)
    return channel


def seen(channel):
    return channel.stream, None if channel.reading is None else channel.reading.value


def test_a_value_is_kept_with_its_instant_and_quality():
    channel = Channel(HR)

    assert take(channel, 5, 70, quality=1) is Taken.VALUE
    assert channel.reading == Reading(5, 70.0, 1.0)
    assert isinstance(channel.reading.value, float)
    assert isinstance(channel.reading.quality, float)


def test_quality_that_is_no_number_is_not_kept():
    channel = Channel(HR)
    take(channel, 5, 70, quality=math.nan)

    assert channel.reading == Reading(5, 70.0, None)


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([(0, 70, "ring", 1), (1, 72, "strap", 0)], ((0, "strap"), 72)),
        ([(0, 70, "strap", 0), (1, 72, "ring", 1)], ((0, "strap"), 70)),
        ([(0, 70, "a", 0), (1, 72, "b", 0)], ((0, "a"), 70)),
        ([(0, 70, "a", 0), (1, 72, "b", 0), (2, 71, "a", 0)], ((0, "a"), 71)),
        ([(0, 70, "strap", 0), (1, 0, "strap", 0), (2, 72, "ring", 1)], ((1, "ring"), 72)),
        ([(0, 70, "strap", 0), (1, 0, "strap", 0)], ((0, "strap"), None)),
        ([(0, 70, "strap", 0), (1, 0, "ring", 1)], ((0, "strap"), 70)),
        ([(0, 0, "ring", 1), (1, 70, "ring", 1)], ((1, "ring"), 70)),
        ([(0, 70, "a", 0), (STALE_MS, 72, "b", 0)], ((0, "a"), 70)),
        ([(0, 70, "a", 0), (STALE_MS + 1, 72, "b", 0)], ((0, "b"), 72)),
    ],
    ids=["better takes over", "worse does not", "equal does not", "it goes on",
    "worse when the better is refused",
         "refused is unknown", "refusal of another", "after a refusal", "still fresh", "equal when it ended"],
)  # fmt: skip
def test_one_stream_counts(samples, expected):
    assert seen(follow(HR, *samples)) == expected


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ([(30_000, 75, "ring", 1)], ((1, "ring"), 75)),
        ([(30_000, 75, "ring", 1), (40_000, 76, "watch", 1)], ((1, "watch"), 76)),
        ([(30_000, 75, "belt", 0), (40_000, 76, "ring", 1)], ((0, "belt"), 75)),
        ([(30_000, 75, "b", 1), (30_000, 76, "a", 1)], ((1, "a"), 76)),
        ([], ((0, "strap"), None)),
    ],
    ids=["worse", "newest", "best", "first by name", "none"],
)
def test_when_the_stream_ends_the_best_fresh_one_counts(others, expected):
    channel = follow(HR, (0, 70, "strap", 0), *others)

    assert not channel.expire(STALE_MS)
    assert channel.expire(STALE_MS + 1)
    assert seen(channel) == expected
    assert channel.is_missing is (not others)
    assert channel.due_ms() == (channel.reading.at_ms + STALE_MS + 1 if others else None)


def test_a_stream_that_took_over_leaves_the_last_one_to_fall_back_to():
    channel = follow(HR, (50_000, 70, "ring", 1), (50_001, 80, "strap", 0))
    channel.heard_ms = -STALE_MS  # the strap alone ended

    assert channel.expire(50_002)
    assert seen(channel) == ((1, "ring"), 70)


def test_what_is_silent_falls_back_to_nothing_old():
    channel = follow(HR, (0, 70, "ring", 1), (30_000, 72, "strap", 0))

    assert channel.expire(30_000 + STALE_MS + 1)
    assert channel.is_missing
    assert not channel.others


def test_a_channel_that_never_heard_is_not_missing():
    assert not Channel(HR).is_missing
    assert Channel(HR).due_ms() is None
    assert not Channel(HR).expire(10**12)


def test_refused_samples_are_heard_until_they_end_too():
    channel = Channel(HR)

    assert take(channel, 0, 0) is Taken.REFUSED
    assert (channel.refusal, channel.is_missing, channel.heard_ms) == (Refusal.ZERO, False, 0)
    assert channel.expire(STALE_MS + 1)
    assert (channel.refusal, channel.is_missing) == (None, True)


def test_a_charted_value_outlives_a_mistyped_one():
    channel = follow(CHARTED, (0, 70, "a", 0))

    assert take(channel, 5, 700) is Taken.NOTED
    assert (channel.reading.value, channel.refusal) == (70, Refusal.OUT_OF_RANGE)
    assert take(channel, 6, 71) is Taken.VALUE
    assert channel.refusal is None


def test_a_mistyped_line_is_as_if_not_there():
    channel = Channel(CHARTED)

    assert take(channel, 5, 700) is Taken.NOTED
    assert (channel.stream, channel.is_missing, channel.refusal) == (None, False, Refusal.OUT_OF_RANGE)


def test_what_is_never_too_old_ends_with_the_next_value_of_any_stream():
    channel = follow(CHARTED, (0, 70, "a", 0), (5, 72, "b", 0))
    assert seen(channel) == ((0, "b"), 72)

    assert take(channel, 9, 74, src="c", rank=1) is Taken.VALUE
    assert not channel.expire(10**12)


def test_of_one_instant_the_best_stays():
    channel = follow(CHARTED, (5, 70, "a", 0))

    assert take(channel, 5, 74, src="c", rank=1) is Taken.NOTHING
    assert seen(channel) == ((0, "a"), 70)


@pytest.mark.parametrize(
    ("at_ms", "value", "rank", "disagrees"),
    [
        (1, 81, 0, True), (1, 80, 0, False), (1, 59, 0, True), (1, 60, 0, False), (1, 81, 1, False),
        (DISAGREES_WITHIN_MS, 81, 0, True), (DISAGREES_WITHIN_MS + 1, 81, 0, False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("stale_after_ms", [None, 10**9])
def test_equal_streams_that_differ_too_much_disagree(at_ms, value, rank, disagrees, stale_after_ms):
    channel = Channel(Input(keys=HR.keys, low=20, high=250, stale_after_ms=stale_after_ms, differ_by=10))
    take(channel, 0, 70)

    taken = take(channel, at_ms, value, src="b", rank=rank)

    assert channel.disagreed_ms == (at_ms if disagrees else None)
    holds = stale_after_ms is not None and at_ms <= HOLDS_FOR_MS
    assert taken is ((Taken.NOTED if disagrees else Taken.NOTHING) if holds else Taken.VALUE)


def test_one_stream_does_not_contradict_itself():
    assert follow(HR, (0, 70, "a", 0), (1, 90, "a", 0)).disagreed_ms is None


def test_streams_that_are_not_compared_never_disagree():
    channel = Channel(Input(keys=("a",), low=0, high=500, stale_after_ms=STALE_MS))
    take(channel, 0, 70)

    assert take(channel, 1, 170, src="b") is Taken.NOTHING
    assert channel.disagreed_ms is None


def test_a_contradiction_is_forgotten_in_time():
    channel = Channel(Input(keys=("a",), low=0, high=500, differ_by=10))
    take(channel, 0, 70)
    take(channel, 5, 170, src="b")

    assert channel.due_ms() == 5 + DISAGREES_FOR_MS + 1
    assert not channel.expire(5 + DISAGREES_FOR_MS)
    assert channel.expire(5 + DISAGREES_FOR_MS + 1)
    assert channel.disagreed_ms is None


def test_no_crowd_of_sensors_fills_the_memory():
    channel = follow(HR, *((0, 70, f"s{number}", 0) for number in range(100)))

    assert list(channel.others) == [(0, f"s{number}") for number in range(92, 100)]


def test_words_are_not_compared():
    channel = Channel(Input(keys=("acvpu",), type=InputType.WORD, stale_after_ms=STALE_MS, differ_by=1))
    take(channel, 0, "A")

    assert take(channel, 1, "V", src="b") is Taken.NOTHING


def test_contradictions_are_sought_in_the_time_between_and_not_in_the_time_of_day():
    begin_ms = 1_790_000_000_000
    channel = follow(HR, (begin_ms, 70, "a", 0), (begin_ms + 1, 99, "b", 0))

    assert channel.disagreed_ms == begin_ms + 1


@pytest.mark.parametrize(
    ("flag", "value", "expected"),
    [
        ("above_range", None, (250, "above_range")),
        ("below_range", None, (20, "below_range")),
        ("above_range", 240.0, (240, "above_range")),
    ],
)
def test_a_device_that_says_hi_or_lo_knows_a_bound(flag, value, expected):
    """A glucose meter that shows "HI" must alarm, though it has no number."""
    channel = Channel(HR)
    channel.take(Sample("heart_rate", "a", 0, value, None, (flag,)), 0)
    assert (channel.reading.value, channel.reading.bound) == expected


def test_a_bound_needs_a_limit_and_a_number():
    word = Input(keys=("acvpu",), type=InputType.WORD)
    endless = Input(keys=("heart_rate",))
    for declared in (word, endless):
        channel = Channel(declared)
        channel.take(Sample(declared.keys[0], "a", 0, None, None, ("above_range",)), 0)
        assert channel.refusal is Refusal.NO_VALUE


@pytest.mark.parametrize(
    ("second_ms", "rank", "counts"),
    [
        (1, 0, "a"), (HOLDS_FOR_MS, 0, "a"), (HOLDS_FOR_MS + 1, 0, "b"),
        (HOLDS_FOR_MS, 1, "a"), (HOLDS_FOR_MS + 1, 1, "b"),
    ],
)  # fmt: skip
def test_of_readings_that_stand_alone_the_newest_counts(second_ms, rank, counts):
    """A cuff value of two hours ago says nothing against the arterial line of now."""
    channel = Channel(Input(keys=HR.keys, low=20, high=250, stale_after_ms=4 * 3_600_000))
    take(channel, 0, 120, src="a")
    take(channel, second_ms, 50, src="b", rank=rank)
    assert channel.stream[1] == counts


def test_what_another_person_measures_is_not_heard():
    channel = Channel(HR)
    take(channel, 0, 70)
    channel.take(Sample("heart_rate", "a", 50_000, 80.0, None, ("unknown_user",)), 0)
    assert (channel.reading.value, channel.refusal, channel.heard_ms) == (70, None, 0)


def test_a_bound_contradicts_nothing():
    channel = Channel(Input(keys=("a",), low=20, high=600, stale_after_ms=10**7, jump_by=36))
    take(channel, 0, 495)
    channel.take(Sample("a", "a", 60_000, None, None, ("above_range",)), 0)
    take(channel, 120_000, 495)
    assert channel.disagreed_ms is None
