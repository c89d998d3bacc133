import random

import pytest

from tests.fixtures.warning_rules import MIN, S, make_rule_set, make_stream, say, spo2, watch_samples
from tests.vitals.warning.test_watch import MANY
from vitals.warning.sample import Sample
from vitals.warning.timeline import Timeline

RULES = make_rule_set()
H = 60 * MIN


def lines(events):
    return [event.to_line() for event in events]


class Log:
    """What somebody has who follows the amendments."""

    def __init__(self):
        self.events = []

    def note(self, amendment):
        for event in amendment.withdrawn:
            self.events.remove(event)
        self.events += amendment.added

    def lines(self):
        return sorted(lines(self.events))


def shuffle_within(samples, *, late_ms, seed):
    """In an order in which nothing comes later than that after a sample of a later instant."""
    chance = random.Random(seed)
    return sorted(samples, key=lambda sample: sample.at_ms + chance.randrange(late_ms))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("late_ms", [1, MIN, 20 * MIN])
def test_late_samples_and_doubles_give_the_log_of_the_right_order(seed, late_ms):
    stream = make_stream(seed, count=150)
    arrivals = shuffle_within([*stream, *stream[::3]], late_ms=late_ms, seed=seed)
    timeline, log = Timeline(MANY, keep_ms=24 * H), Log()
    for sample in arrivals:
        amendment = timeline.take([sample])
        log.note(amendment)
        assert amendment.too_late == ()

    expected = lines(watch_samples(MANY, stream))
    assert lines(timeline.log) == expected
    assert log.lines() == sorted(expected)


@pytest.mark.parametrize("seed", range(3))
def test_the_order_inside_a_batch_changes_nothing(seed):
    stream = make_stream(seed, count=150)
    batches = [stream[number : number + 20] for number in range(0, len(stream), 20)]
    chance = random.Random(seed)
    chance.shuffle(batches)
    timeline = Timeline(MANY, keep_ms=24 * H)
    for batch in batches:
        timeline.take(chance.sample(batch, len(batch)))

    assert lines(timeline.log) == lines(watch_samples(MANY, stream))


@pytest.mark.parametrize("seed", range(3))
def test_an_outage_of_two_hours_comes_back_whole(seed):
    stream = make_stream(seed, count=300, step_s=12)
    before = [sample for sample in stream if sample.at_ms <= H]
    cut = [sample for sample in stream if H < sample.at_ms <= 3 * H]
    after = [sample for sample in stream if sample.at_ms > 3 * H]
    backlog = [cut[number : number + 30][::-1] for number in range(0, len(cut), 30)]
    timeline, log = Timeline(MANY, keep_ms=4 * H), Log()
    for batch in (*([sample] for sample in [*before, *after[:5]]), *backlog[::-1], *([s] for s in after[5:])):
        log.note(timeline.take(batch))
        log.events += timeline.advance(batch[0].at_ms + S)

    end_ms = stream[-1].at_ms + S
    assert log.lines() == sorted(lines(watch_samples(MANY, stream, until_s=end_ms / S)))


def test_samples_before_all_that_is_kept_are_handed_back():
    timeline = Timeline(RULES, keep_ms=10 * MIN, every_ms=MIN)
    for minute in range(30):
        timeline.take([spo2(60 * minute, 95)])
    old, late = spo2(60 * 19 - 1, 80), spo2(60 * 19 + 1, 81)

    assert timeline.take([old, late]).too_late == (old,)
    assert timeline.take([old]).too_late == (old,)
    assert timeline.take([old]).added == ()


def test_what_is_kept_is_bounded():
    timeline = Timeline(RULES, keep_ms=10 * MIN, every_ms=MIN)
    for second in range(0, 3 * 3600, 5):
        timeline.take([spo2(second, 88 if second // 100 % 2 else 95)])

    assert len(timeline._kept) <= 12
    assert len(timeline._samples) == len(timeline._instants) <= 12 * 12
    assert timeline._instants[0] == timeline._kept[0].at_ms + 5 * S
    assert timeline.log[0].at_ms > timeline._kept[0].at_ms
    assert len(timeline.log) < 40


def test_nothing_that_is_said_is_lost_when_the_old_is_forgotten():
    timeline, log = Timeline(RULES, keep_ms=10 * MIN, every_ms=MIN), Log()
    stream = [spo2(second, 88 if second // 100 % 2 else 95) for second in range(0, 3600, 5)]
    for sample in stream:
        log.note(timeline.take([sample]))

    assert log.lines() == sorted(lines(watch_samples(RULES, stream)))


def test_a_late_value_takes_back_what_was_said_without_it():
    timeline = Timeline(RULES)
    said = timeline.take([spo2(0, 88)]).added + timeline.take([spo2(40, 88)]).added
    amendment = timeline.take([spo2(20, 95)])

    assert say(said) == [(30, "active")]
    assert say(amendment.withdrawn) == [(30, "active")]
    assert amendment.added == ()
    assert say(timeline.advance(70 * S)) == [(70, "active")]


def test_what_time_alone_has_said_is_taken_back_too():
    timeline = Timeline(RULES)
    timeline.take([spo2(0, 88)])
    assert say(timeline.advance(60 * S)) == [(30, "active")]

    assert say(timeline.take([spo2(20, 95)]).withdrawn) == [(30, "active")]
    assert timeline.log == ()


def test_time_that_was_lived_through_is_lived_through_again():
    timeline = Timeline(RULES)
    timeline.take([spo2(0, 95)])
    timeline.advance(121 * S)  # silent since 120 s
    amendment = timeline.take([spo2(10, 88)])

    assert say(amendment.added) == [(40, "active")]


def test_where_nothing_is_due_time_stands_still():
    timeline = Timeline(RULES)
    timeline.take([spo2(0, 88)])

    assert timeline.advance(29 * S) == []
    assert timeline.watch.now_ms == 0
    assert say(timeline.advance(30 * S)) == [(30, "active")]
    assert Timeline(RULES).advance(10**9) == []


def test_time_never_goes_back():
    timeline = Timeline(RULES)
    timeline.take([spo2(0, 88)])
    timeline.take([spo2(100, 95)])
    assert timeline.advance(50 * S) == []

    assert say(timeline.take([spo2(60, 84)]).added) == [(60, "worsened"), (100, "clearing")]


def test_a_known_sample_changes_nothing():
    timeline = Timeline(RULES)
    timeline.take([spo2(0, 88), spo2(0, 88)])
    timeline.advance(30 * S)
    watch = timeline.watch
    amendment = timeline.take([spo2(0, 88)])

    assert (amendment.added, amendment.withdrawn, amendment.too_late) == ((), (), ())
    assert say(timeline.log) == [(30, "active")]
    assert timeline.watch is watch


@pytest.mark.parametrize(
    "pair",
    [
        (spo2(0, 88), spo2(0, 95)), (spo2(0, 88), spo2(0, None)), (spo2(0, 88), spo2(0, 88, quality=0.1)),
        (spo2(0, 88), Sample("spo2", "a", 0, 88, None, ("no_contact",))),
    ],
)  # fmt: skip
def test_of_two_values_of_one_stream_and_instant_the_same_stays_in_any_order(pair):
    logs = []
    for order in (pair, pair[::-1]):
        timeline = Timeline(RULES)
        for sample in order:
            timeline.take([sample])
        timeline.advance(40 * S)
        logs.append(lines(timeline.log))

    assert logs[0] == logs[1]


def test_a_value_counts_more_than_none_at_the_same_instant():
    timeline = Timeline(RULES)
    timeline.take([spo2(0, None)])
    timeline.take([spo2(0, 88)])

    assert say(timeline.advance(40 * S)) == [(30, "active")]


def test_a_late_sample_of_an_instant_that_was_kept_counts():
    timeline = Timeline(RULES, every_ms=5 * MIN)
    timeline.take([spo2(0, 95), spo2(300, None)])
    timeline.take([spo2(300, 88)])

    assert say(timeline.advance(330 * S)) == [(330, "active")]
