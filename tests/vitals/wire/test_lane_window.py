from vitals.wire.lane_window import LaneWindow


def window_with(number, *, at=0.0):
    window = LaneWindow(size=64)
    for s in range(1, number + 1):
        window.note_sent(s, at)
    return window


def test_patience_doubles_until_there_is_progress():
    window = window_with(1)
    assert window.is_overdue(5.1)
    window.note_probe(1, 5.1)
    assert not window.is_overdue(15.0)
    assert window.is_overdue(15.2)

    window.acknowledge(1, 16.0)
    assert (window.free(), window.pause_s) == (64, 5.0)


def test_cloud_that_is_slow_and_goes_on_gets_nothing_twice():
    window = window_with(20)
    for second in range(1, 60):
        window.acknowledge(second // 4, float(second))
        assert not window.is_overdue(second + 0.9)


def test_probe_whose_last_message_is_stored_and_nothing_behind_it_asks_for_a_larger_one_at_once():
    window = window_with(20)
    window.note_probe(4, 5.1)
    window.acknowledge(4, 5.3)

    assert (window.is_overdue(5.3), window.probes) == (True, 8)


def test_hole_that_a_probe_fills_ends_the_probing():
    window = window_with(20)
    window.note_probe(4, 5.1)
    window.acknowledge(17, 5.3)

    assert (window.is_overdue(6.0), window.probes) == (False, 4)
