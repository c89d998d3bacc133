import random
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise

from devices.formats.sample_clock import CountingClock, DeviceClock, epoch_us

NOW = datetime(2026, 11, 22, 8, 30, tzinfo=UTC)
PLETH_HZ = Fraction(60)
ECG_HZ = Fraction(130)
BLOCK = 65  # half a second of ECG
DEVICE_START_NS = 599_616_000_000_000_000


def ms(count):
    return timedelta(milliseconds=count)


def place_ecg(clock, block, *, delay_ms=20.0, device_shift_ms=0):
    """Block number `block` (from 1) of an unbroken stream, received with a delay."""
    device_ns = DEVICE_START_NS + (block * 500 + device_shift_ms) * 1_000_000
    return clock.place(BLOCK, device_ns, NOW + ms(block * 500 + delay_ms))


def test_counted_blocks_are_seamless_whatever_the_jitter():
    clock = CountingClock(PLETH_HZ)
    first = clock.place(15, NOW)
    places = [clock.place(15, NOW + ms(250 * n + (-1) ** n * 200)) for n in range(1, 20)]
    assert first.t0_us == epoch_us(NOW) - 250_000
    assert [place.t0_us for place in places] == [first.t0_us + 250_000 * n for n in range(1, 20)]
    assert [place.first_sample for place in places] == [15 * n for n in range(1, 20)]


def test_pause_is_a_hole_in_time_and_in_the_sample_counter():
    clock = CountingClock(PLETH_HZ)
    clock.place(15, NOW)
    after = clock.place(15, NOW + ms(2250))
    assert after.t0_us == epoch_us(NOW) + 2_000_000
    assert after.first_sample == 15 + 120


def test_fast_device_is_anchored_back_without_a_hole():
    clock = CountingClock(PLETH_HZ)
    clock.place(15, NOW)
    after = clock.place(60, NOW + ms(400))
    assert after.t0_us == epoch_us(NOW) - 600_000
    assert after.first_sample == 15


def test_skipped_samples_are_a_hole_of_their_length():
    clock = CountingClock(PLETH_HZ)
    clock.place(15, NOW)
    clock.skip(30)
    after = clock.place(15, NOW + ms(750))
    assert (after.t0_us, after.first_sample) == (epoch_us(NOW) + 500_000, 45)


def test_device_blocks_are_seamless_whatever_the_jitter():
    clock, jitter = DeviceClock(ECG_HZ), random.Random(20261122)
    places = [place_ecg(clock, 1, delay_ms=5)]
    places += [place_ecg(clock, n, delay_ms=5 + jitter.expovariate(1 / 40)) for n in range(2, 60)]
    assert [p.t0_us - places[0].t0_us for p in places] == [500_000 * n for n in range(59)]
    assert [p.first_sample for p in places] == [BLOCK * n for n in range(59)]


def test_last_sample_of_the_first_block_was_measured_when_received():
    place = place_ecg(DeviceClock(ECG_HZ), 1, delay_ms=0)
    assert place.t0_us == epoch_us(NOW) + 500_000 - round(64 * 1_000_000 / ECG_HZ)


def test_lost_notification_is_a_hole_of_its_length():
    clock = DeviceClock(ECG_HZ)
    first = place_ecg(clock, 1)
    third = place_ecg(clock, 3)
    assert third.t0_us - first.t0_us == 1_000_000
    assert third.first_sample == 2 * BLOCK


def test_offset_creeps_to_the_smallest_delay_in_steps_below_a_sample():
    clock = DeviceClock(ECG_HZ)
    late = place_ecg(clock, 1, delay_ms=45)
    places = [late, *(place_ecg(clock, n, delay_ms=5) for n in range(2, 64))]
    errors_us = [place.t0_us - late.t0_us - 500_000 * n for n, place in enumerate(places)]
    steps_us = [after - before for before, after in pairwise(errors_us)]
    assert -45_000 < errors_us[-1] < -35_000
    assert max(map(abs, steps_us)) < 1_000_000 / ECG_HZ
    assert places[-1].first_sample == 62 * BLOCK


def test_device_clock_set_back_is_a_new_clock():
    clock = DeviceClock(ECG_HZ)
    first = place_ecg(clock, 1)
    second = place_ecg(clock, 2, device_shift_ms=-3_600_000)
    assert second.t0_us - first.t0_us == 500_000
    assert second.first_sample == BLOCK


def test_device_clock_set_forward_is_a_new_clock_and_no_hole():
    clock = DeviceClock(ECG_HZ)
    first = place_ecg(clock, 1)
    second = place_ecg(clock, 2, device_shift_ms=3_600_000)
    assert second.t0_us - first.t0_us == 500_000
    assert second.first_sample == BLOCK


def test_clock_reset_during_a_pause_keeps_the_hole():
    clock = DeviceClock(ECG_HZ)
    first = place_ecg(clock, 1)
    after = place_ecg(clock, 11, device_shift_ms=-3_600_000)
    assert after.t0_us - first.t0_us == 5_000_000
    assert after.first_sample == 10 * BLOCK


def test_own_clock_set_forward_is_followed_once_old_delays_are_forgotten():
    clock = DeviceClock(ECG_HZ)
    first = place_ecg(clock, 1)
    places = [place_ecg(clock, n, delay_ms=60_020) for n in range(2, 80)]
    assert places[0].t0_us - first.t0_us == 500_000
    assert places[-1].t0_us - first.t0_us == 500_000 * 78 + 60_000_000


def test_repeated_block_gets_the_place_it_had():
    clock = DeviceClock(ECG_HZ)
    place_ecg(clock, 1)
    assert place_ecg(clock, 2) == place_ecg(clock, 2, delay_ms=60)
