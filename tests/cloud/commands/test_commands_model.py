from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.commands.model import (
    EXCHANGE_EVERY_S,
    FILTER_SAMPLES,
    QUESTIONS_IN_A_ROUND,
    AgentClock,
    ClockRounds,
    CommandState,
    measure_sample,
)
from vitals.wire.command import ReplyState, TimeResult

NOW_US = 1_790_000_000_000_000
NOW_S = NOW_US / 1e6
BOOT = "0102030405060708"
ways = st.integers(0, 2_000_000)


@pytest.mark.parametrize(
    ("state", "reply", "becomes"),
    [
        ("issued", "received", "received"),
        ("issued", "done", "done"),
        ("received", "received", "received"),
        ("received", "failed", "failed"),
        ("received", "expired", "expired"),
        ("done", "failed", "done"),
        ("failed", "received", "failed"),
        ("expired", "received", "expired"),
        ("expired", "done", "done"),
    ],
)
def test_command_goes_forward_and_what_is_done_stays_done(state, reply, becomes):
    assert CommandState(state).after(ReplyState(reply)) is CommandState(becomes)


def exchange(*, offset_us, there_us, back_us, thinks_us=500, at_us=NOW_US, **fields):
    """What an agent tells whose clock is `offset_us` behind the cloud's, and when that is here."""
    arrives_us = at_us + there_us
    told = TimeResult(
        t1=at_us,
        t2=arrives_us - offset_us,
        t3=arrives_us + thinks_us - offset_us,
        boot=fields.get("boot", BOOT),
        step=fields.get("step", 0),
        src=fields.get("src", "rtc"),
    )
    return told, arrives_us + thinks_us + back_us


@given(st.integers(-(10**12), 10**12), ways, ways)
def test_offset_is_wrong_by_half_the_delay_at_most(offset_us, there_us, back_us):
    told, t4_us = exchange(offset_us=offset_us, there_us=there_us, back_us=back_us)

    sample = measure_sample(told, t4_us=t4_us)

    assert sample.delay_s == pytest.approx((there_us + back_us) / 1e6)
    assert abs(sample.offset_s - offset_us / 1e6) <= sample.delay_s / 2 + 1e-6


@pytest.mark.parametrize(
    "wrong", [{"t3": NOW_US - 10}, {"t3": NOW_US + 10_000_000}, {"t2": 10**30, "t3": 10**30}]
)
def test_exchange_during_which_a_clock_jumped_gives_nothing(wrong):
    told = TimeResult(**{"t1": NOW_US, "t2": NOW_US + 5, "boot": BOOT, "step": 0, "src": "rtc"} | wrong)

    assert measure_sample(told, t4_us=NOW_US + 100) is None


class Rounds:
    """An agent, asked and answering; time is moved by the test."""

    def __init__(self, *, offset_us=0, **answers):
        self.rounds = ClockRounds()
        self.offset_us = offset_us
        self.answers = answers
        self.now_us = NOW_US
        self.asked = []

    def birth(self, *, knows_offset=False, wait_s=0.0):
        self.rounds.note_birth("hut-1", knows_offset=knows_offset, wait_s=wait_s, now_s=self.now_us / 1e6)

    def ask(self, *, there_us=1000, back_us=1000):
        name = f"c-{len(self.asked)}"
        self.asked.append(self.rounds.ask("hut-1", name, t1_us=self.now_us))
        told, self.now_us = exchange(
            offset_us=self.offset_us, there_us=there_us, back_us=back_us, at_us=self.now_us, **self.answers
        )
        return self.rounds.take("hut-1", name, told, t4_us=self.now_us)

    def follow(self, **ways):
        """Ask until no more is wanted; the last clock, and how many questions that took."""
        clock, before = self.ask(**ways), len(self.asked)
        while self.rounds.wants_more("hut-1", self.now_us / 1e6):
            clock = self.ask(**ways)
        return clock, len(self.asked) - before + 1

    def due(self):
        return self.rounds.due(self.now_us / 1e6, limit=9)


def test_agent_that_comes_is_asked_at_once_and_told_what_was_found():
    rounds = Rounds(offset_us=2_500_000)
    rounds.birth()
    assert rounds.due() == ["hut-1"]

    clock, questions = rounds.follow()

    assert (round(clock.offset_ms), clock.delay_ms, clock.quality) == (2500, 2.0, "rtc")
    assert questions == 4
    assert [asked.off_ms for asked in rounds.asked] == [None, 2500, 2500, 2500]
    assert rounds.due() == []


def test_agent_is_asked_again_after_five_minutes_and_once_if_nothing_changed():
    rounds = Rounds()
    rounds.birth()
    rounds.follow()
    rounds.now_us += int(EXCHANGE_EVERY_S * 1e6)

    assert rounds.due() == ["hut-1"]
    assert rounds.follow()[1] == 1


def test_sample_with_the_least_delay_counts():
    rounds = Rounds()
    rounds.birth()
    rounds.ask(there_us=90_000, back_us=1000)
    assert rounds.ask(there_us=1000, back_us=1000).offset_ms == 0

    clock = rounds.ask(there_us=1000, back_us=200_000)

    assert (clock.offset_ms, clock.delay_ms) == (0, 2.0)


def test_old_samples_make_room():
    rounds = Rounds()
    rounds.birth()
    rounds.ask(there_us=10, back_us=10)
    for _ in range(FILTER_SAMPLES):
        clock = rounds.ask(there_us=5000, back_us=5000)

    assert clock.delay_ms == 10.0


@pytest.mark.parametrize("change", [{"step": 1}, {"boot": "another"}])
def test_clock_after_a_jump_or_a_start_is_another_clock(change):
    rounds = Rounds()
    rounds.birth()
    first = rounds.follow()[0]
    rounds.offset_us = -40_000_000
    rounds.answers = change
    rounds.birth()

    clock, questions = rounds.follow(there_us=30_000, back_us=30_000)

    assert (round(clock.offset_ms), clock.delay_ms, questions) == (-40_000, 60.0, 4)
    assert clock.since > first.since
    assert rounds.asked[-1].step == change.get("step", 0)


def test_clock_that_was_moved_unnoticed_is_believed_anew():
    rounds = Rounds()
    rounds.birth()
    rounds.follow()
    rounds.offset_us = 70_000

    assert round(rounds.ask(there_us=9000, back_us=9000).offset_ms) == 70


def test_moved_clock_is_told_but_not_endlessly():
    rounds = Rounds()
    rounds.birth()
    rounds.follow()
    rounds.now_us += int(EXCHANGE_EVERY_S * 1e6)
    answers = 0
    while True:
        rounds.offset_us += 50_000
        rounds.ask()
        answers += 1
        if not rounds.rounds.wants_more("hut-1", rounds.now_us / 1e6):
            break

    assert answers == QUESTIONS_IN_A_ROUND


def test_birth_of_an_agent_that_knows_its_offset_asks_nothing():
    rounds = Rounds()
    rounds.birth()
    rounds.follow()

    rounds.birth(knows_offset=True)
    assert rounds.due() == []
    rounds.birth(knows_offset=False)

    assert rounds.due() == ["hut-1"]


def test_agents_that_were_there_before_wait_their_turn_and_those_who_went_are_not_asked_soon():
    rounds = Rounds()
    rounds.birth(wait_s=30.0)
    assert rounds.due() == []
    rounds.now_us += 30_000_000
    assert rounds.due() == ["hut-1"]

    rounds.rounds.note_gone("hut-1", now_s=rounds.now_us / 1e6)
    rounds.rounds.note_gone("nobody", now_s=rounds.now_us / 1e6)
    assert rounds.due() == []
    rounds.now_us += int(EXCHANGE_EVERY_S * 1e6)

    assert rounds.due() == ["hut-1"]


def test_agent_that_never_answers_is_forgotten_until_it_comes_again():
    rounds = Rounds()
    rounds.birth()
    for number in range(3):
        assert rounds.due() == ["hut-1"]
        rounds.rounds.ask("hut-1", f"c-{number}", t1_us=rounds.now_us)
        rounds.now_us += int(EXCHANGE_EVERY_S * 1e6)
    assert rounds.due() == []

    rounds.birth()

    assert rounds.due() == ["hut-1"]


def test_answer_to_no_question_teaches_nothing():
    rounds = Rounds()
    told, t4_us = exchange(offset_us=0, there_us=10, back_us=10)
    assert rounds.rounds.take("hut-1", "c-0", told, t4_us=t4_us) is None
    rounds.birth()
    rounds.rounds.ask("hut-1", "c-0", t1_us=NOW_US - 7)

    assert rounds.rounds.is_own("hut-1", "c-0")
    assert rounds.rounds.take("hut-1", "c-0", told, t4_us=t4_us) is None


@pytest.mark.parametrize(
    ("quality", "offset_ms", "told_ms"),
    [("ntp", 9.0, 0), ("ntp", 11.0, 11), ("rtc", 9.0, 9), ("none", -9, -9)],
)
def test_clock_with_a_time_service_is_believed_within_the_delay(quality, offset_ms, told_ms):
    moment = datetime(2026, 11, 26, tzinfo=UTC)
    clock = AgentClock(
        agent="a", offset_ms=offset_ms, delay_ms=20.0, quality=quality, since=moment, measured_at=moment
    )

    assert clock.told_ms == told_ms
