import ctypes
from dataclasses import dataclass, replace

import pytest

from edge_agent import clock
from edge_agent.clock import OFFSET_LASTS_S, STEP_US, ClockRun, Hands, OwnClock
from vitals.wire.batch import AS_READ, LOST, SYNCHRONISED, ClockState, Timing


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

    assert (clock.clock_source() == "ntp") is is_synchronised


def test_system_without_such_a_call_is_not_synchronised(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())

    assert not clock.is_synchronised()


def test_this_machine_answers():
    assert clock.clock_source() in {"ntp", "rtc", "none"}


@dataclass
class MovedClocks:
    """Both clocks of a machine, moved by the test; `late_s` passes once while the wall clock is read."""

    mono_s: float = 100.0
    wall_us: int = 1_790_000_000_000_000
    late_s: float = 0.0
    source: str = "rtc"
    has_chip: bool = False
    machine: str = "first start"

    def pass_s(self, seconds):
        self.mono_s += seconds
        self.wall_us += int(seconds * 1e6)

    def read_wall_us(self):
        wall_us = self.wall_us
        self.pass_s(self.late_s)
        self.late_s = 0.0
        return wall_us

    def own_clock(self):
        return OwnClock(
            Hands(
                wall_us=self.read_wall_us,
                monotonic_s=lambda: self.mono_s,
                source=lambda: self.source,
                has_chip=lambda: self.has_chip,
                machine=self.machine,
            )
        )


def test_clock_that_runs_has_not_jumped():
    clocks = MovedClocks()
    own = clocks.own_clock()
    for seconds in (0.05, 2.0, 3600.0):
        clocks.pass_s(seconds)
        assert own.step == 0


@pytest.mark.parametrize("moved_us", [STEP_US + 10, -STEP_US - 10, 3_600_000_000])
def test_clock_that_is_set_has_jumped_and_its_offset_is_forgotten(moved_us):
    clocks = MovedClocks()
    own = clocks.own_clock()
    own.learn(-40, step=0)
    assert own.state() == ClockState(src="rtc", off_ms=-40)

    clocks.wall_us += moved_us

    assert (own.step, own.state().off_ms) == (1, None)
    assert own.step == 1


def test_slewing_is_no_jump():
    clocks = MovedClocks()
    own = clocks.own_clock()
    for _ in range(100):
        clocks.pass_s(10)
        clocks.wall_us += 5000
        assert own.step == 0


def test_waiting_between_the_two_readings_is_no_jump():
    clocks = MovedClocks()
    own = clocks.own_clock()
    clocks.late_s = 0.5

    assert own.step == 0


def test_offset_of_the_clock_before_a_jump_is_not_learned():
    own = MovedClocks().own_clock()

    own.learn(7, step=1)

    assert own.offset_ms() is None


def test_offset_is_told_while_it_is_fresh():
    clocks = MovedClocks()
    own = clocks.own_clock()
    own.learn(7, step=0)
    clocks.pass_s(OFFSET_LASTS_S - 1)
    assert own.offset_ms() == 7

    clocks.pass_s(2)

    assert own.offset_ms() is None


def test_time_of_a_clock_that_was_not_set_is_told_as_it_was_read():
    clocks = MovedClocks()
    own = clocks.own_clock()
    then = own.run()
    own.learn(7, step=0)
    clocks.pass_s(3600)

    assert own.timing_of(then) is own.timing_of(None) is AS_READ


@pytest.mark.parametrize("set_s", [3600, -3600])
def test_time_from_before_a_jump_is_told_as_the_clock_would_have_read_it_now(set_s):
    clocks = MovedClocks()
    own = clocks.own_clock()
    then = own.run()
    clocks.pass_s(60)
    clocks.wall_us += set_s * 1_000_000

    assert own.timing_of(then) == Timing(moved_ms=set_s * 1000)


def test_agent_that_starts_again_on_the_same_machine_knows_the_jump_too():
    clocks = MovedClocks()
    then = clocks.own_clock().run()
    clocks.wall_us += 5_000_000

    assert clocks.own_clock().timing_of(then) == Timing(moved_ms=5000)


def test_what_was_once_known_of_a_clock_is_better_than_how_far_it_was_set():
    clocks = MovedClocks()
    own = clocks.own_clock()
    own.learn(-40, step=0)
    then = own.run()
    clocks.wall_us += 5_000_000

    assert own.timing_of(then) == Timing(moved_ms=-40, src=SYNCHRONISED)


def test_clock_of_a_time_service_was_right():
    clocks = MovedClocks(source="ntp")
    own = clocks.own_clock()
    then = own.run()
    clocks.source = "rtc"
    clocks.wall_us += 5_000_000

    assert own.timing_of(then) == Timing(src=SYNCHRONISED)


@pytest.mark.parametrize(
    ("has_chip", "timing"),
    [(True, AS_READ), (False, Timing(src=LOST))],
    ids=["a chip goes on", "nothing goes on"],
)
def test_clock_of_an_earlier_start_of_the_machine_is_lost_unless_a_chip_goes_on(has_chip, timing):
    clocks = MovedClocks(has_chip=has_chip)
    then = clocks.own_clock().run()
    clocks.machine, clocks.mono_s = "second start", 5.0

    assert clocks.own_clock().timing_of(then) == timing


def test_clock_of_an_earlier_start_that_was_known_is_not_lost():
    clocks = MovedClocks()
    own = clocks.own_clock()
    own.learn(7_200_000, step=0)
    then = own.run()
    clocks.machine, clocks.mono_s = "second start", 5.0

    assert clocks.own_clock().timing_of(then) == Timing(moved_ms=7_200_000, src=SYNCHRONISED)


def test_this_machine_tells_its_start():
    assert clock.machine_start() == clock.machine_start()
    assert ClockRun(machine=clock.machine_start(), ahead_us=0).is_same(OwnClock().run()) is False


def test_machine_without_the_kernels_word_has_a_start_of_its_own(monkeypatch, tmp_path):
    monkeypatch.setattr(clock, "_BOOT_ID", tmp_path / "none")

    assert clock.machine_start() != clock.machine_start()


def test_clock_that_was_just_set_is_not_believed_for_what_the_kernel_said_before():
    clocks = MovedClocks(source="ntp")
    own = clocks.own_clock()
    assert own.run().offset_ms == 0
    clocks.source = "none"

    clocks.wall_us += 3_600_000_000

    assert own.run().offset_ms is None


def test_kernel_is_asked_once_a_second():
    clocks = MovedClocks()
    own = clocks.own_clock()
    assert own.run().offset_ms is None
    clocks.source = "ntp"
    clocks.pass_s(0.5)
    assert own.run().offset_ms is None

    clocks.pass_s(0.6)

    assert own.run().offset_ms == 0


def test_chip_does_not_help_where_the_clock_was_set_before_the_machine_started_anew():
    clocks = MovedClocks(has_chip=True)
    then = replace(clocks.own_clock().run(), was_set_after=True)
    clocks.machine, clocks.mono_s = "second start", 5.0

    assert clocks.own_clock().timing_of(then) == Timing(src=LOST)


def test_beside_times_of_another_run_goes_what_was_known_of_that_one():
    clocks = MovedClocks()
    own = clocks.own_clock()
    then = replace(own.run(), offset_ms=-40)
    clocks.wall_us += 5_000_000
    own.learn(7, step=1)

    assert own.state_of(then) == ClockState(off_ms=-40)
    assert own.state_of(own.run()) == own.state_of(None) == ClockState(src="rtc", off_ms=7)


def test_clock_that_is_set_while_the_kernel_is_asked_is_looked_at_anew():
    clocks = MovedClocks(source="none")
    own = clocks.own_clock()
    before = own.run()
    clocks.pass_s(2)

    def set_and_answer():
        if clocks.source == "none":
            clocks.wall_us += 3_600_000_000
            clocks.source = "ntp"
        return clocks.source

    own.hands = replace(own.hands, source=set_and_answer)
    run = own.run()

    assert (run.offset_ms, run.is_same(before)) == (0, False)
