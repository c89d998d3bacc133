import random

import msgspec
import numpy as np
import pytest

from vitals.warning.window import BUCKETS, SAVED_BYTES, SAVED_BYTES_WITH_LINE, BucketWindow

SPAN_MS = 30_000  # buckets of a second
NOW_MS = 1_790_000_000_000


def fill(values, *, span_ms=SPAN_MS, has_line=True):
    window = BucketWindow(span_ms, has_line=has_line)
    for at_ms, value in values:
        window.add(at_ms, value)
    return window


def within(values, at_ms, span_ms=SPAN_MS):
    """By the definition: the bucket of now and the 29 before it."""
    width_ms = max(1, span_ms // BUCKETS)
    return [(t, value) for t, value in values if t // width_ms > at_ms // width_ms - BUCKETS]


def random_values(seed, *, span_ms, count=200):
    chance = random.Random(seed)
    times = sorted(chance.randrange(3 * span_ms) for _ in range(count))
    return [(NOW_MS + at_ms, chance.choice((chance.uniform(-50, 200), 37.0))) for at_ms in times]


@pytest.mark.parametrize("span_ms", [20, 30, 31, 30_000, 600_000, 86_400_000, 14 * 86_400_000])
@pytest.mark.parametrize("seed", range(3))
def test_window_tells_what_a_list_of_its_values_tells(seed, span_ms):
    values = random_values(seed, span_ms=span_ms)
    window = BucketWindow(span_ms, has_line=True)
    for number, (at_ms, value) in enumerate(values):
        window.add(at_ms, value)
        kept = [value for _, value in within(values[: number + 1], at_ms, span_ms)]

        assert window.count(at_ms) == len(kept)
        assert (window.min(at_ms), window.max(at_ms)) == (min(kept), max(kept))
        assert window.sum(at_ms) == pytest.approx(sum(kept), abs=1e-9)
        assert window.mean(at_ms) == pytest.approx(sum(kept) / len(kept), abs=1e-9)


@pytest.mark.parametrize("span_ms", [30_000, 600_000, 86_400_000, 14 * 86_400_000])
@pytest.mark.parametrize("seed", range(3))
def test_slope_is_the_least_squares_line_of_numpy(seed, span_ms):
    values = random_values(seed, span_ms=span_ms)
    at_ms = values[-1][0]
    kept = within(values, at_ms, span_ms)
    hours = [(t - at_ms) / 3_600_000 for t, _ in kept]

    slope = fill(values, span_ms=span_ms).slope(at_ms)

    assert slope == pytest.approx(np.polyfit(hours, [value for _, value in kept], 1)[0], rel=1e-6)


@pytest.mark.parametrize(
    ("at_ms", "count"),
    [(0, 1), (29_999, 1), (30_000, 0), (30_001, 0)],
)
def test_a_value_leaves_with_its_bucket(at_ms, count):
    assert fill([(NOW_MS, 5.0)]).count(NOW_MS + at_ms) == count


def test_two_values_of_one_bucket_leave_together():
    window = fill([(NOW_MS + 1, 5.0), (NOW_MS + 999, 7.0), (NOW_MS + 1000, 9.0)])

    assert window.mean(NOW_MS + 29_999) == 7
    assert window.mean(NOW_MS + 30_000) == 9


def test_an_empty_window_knows_nothing():
    window = BucketWindow(SPAN_MS, has_line=True)

    assert (window.count(NOW_MS), window.sum(NOW_MS)) == (0, 0)
    assert [window.mean(NOW_MS), window.min(NOW_MS), window.max(NOW_MS), window.slope(NOW_MS)] == [None] * 4


@pytest.mark.parametrize("span_ms", [30_000, 86_400_000, 365 * 86_400_000])
@pytest.mark.parametrize("age_ms", [0, 1, 777])
def test_one_instant_has_no_slope_however_long_ago(span_ms, age_ms):
    at_ms = NOW_MS + 12_345
    window = fill([(at_ms, 1.1), (at_ms, 2.7), (at_ms, 1e9)], span_ms=span_ms)

    assert window.slope(at_ms + age_ms * span_ms // 1000) is None


@pytest.mark.parametrize("span_ms", [30_000, 86_400_000, 14 * 86_400_000])
def test_instants_a_millisecond_apart_have_a_slope(span_ms):
    window = fill([(NOW_MS + 5, 1.0), (NOW_MS + 6, 3.0)], span_ms=span_ms)

    assert window.slope(NOW_MS + span_ms // 2) == pytest.approx(2 * 3_600_000, rel=1e-6)


def test_one_value_has_no_slope():
    assert fill([(NOW_MS, 5.0)]).slope(NOW_MS) is None


@pytest.mark.parametrize("has_line", [True, False])
def test_what_was_saved_goes_on_as_if_nothing_had_happened(has_line):
    values = random_values(7, span_ms=SPAN_MS)
    window, other = fill(values[:100], has_line=has_line), BucketWindow(SPAN_MS, has_line=has_line)
    other.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(window.save())))
    for at_ms, value in values[100:]:
        window.add(at_ms, value)
        other.add(at_ms, value)

    assert other.save() == window.save()
    assert not has_line or other.slope(values[-1][0]) == window.slope(values[-1][0])


@pytest.mark.parametrize(("has_line", "most"), [(False, SAVED_BYTES), (True, SAVED_BYTES_WITH_LINE)])
@pytest.mark.parametrize("span_ms", [30_000, 86_400_000, 3660 * 86_400_000])
def test_a_full_window_keeps_no_more_than_it_declares(has_line, most, span_ms):
    chance = random.Random(1)
    begin_ms = NOW_MS // span_ms * span_ms
    values = [(begin_ms + number * span_ms // 3000, chance.uniform(0, 1e9)) for number in range(9000)]
    window = fill(values, span_ms=span_ms, has_line=has_line)

    saved = window.save()

    assert len(saved) == BUCKETS
    assert most * 0.8 <= len(msgspec.msgpack.encode(saved)) <= most
