import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fixtures.warning_rules import (
    MIN,
    S,
    group_by_instant,
    make_rule,
    make_rule_set,
    make_stream,
    say,
    spo2,
    watch_samples,
)
from vitals.warning.rule_set import compile_rules, parameter_key
from vitals.warning.sample import Sample
from vitals.warning.watch import SavedWatchInvalid, Watch

RULES = make_rule_set()


def make_many_rules():
    """Rules that use whatever the engine has: windows, scores, technical questions, second readings."""
    text = {"zh": "休息", "en": "Rest"}
    spo2_input = {"spo2": {"quality_min": 0.5, "stale_after": "120 s", "differ_by": 3}}
    return compile_rules(
        [
            make_rule(id="low", worsens={"value": "100 - spo2", "by": 2}),
            make_rule(
                id="asking", remeasure={"rest": "20 s", "within": "2 min", "unanswered": "low", "text": text}
            ),
            make_rule(
                id="mean",
                raise_when="mean(spo2) over 2 min with 3 values < 91",
                raise_for="10 s",
                clear_when=None,
            ),
            make_rule(
                id="slope", raise_when="slope(spo2) over 5 min < 0", raise_for="1 min", clear_when=None
            ),
            make_rule(
                id="count", raise_when="count(spo2 < 92) over 3 min >= 4", raise_for="0 s", clear_when=None
            ),
            make_rule(
                id="off",
                kind="technical",
                inputs=spo2_input,
                raise_when="gated(spo2) or disagreeing(spo2)",
                raise_for="20 s",
                clear_when=None,
                priority="low",
            ),
            make_rule(
                id="gone",
                kind="missing_data",
                raise_when="missing(spo2)",
                raise_for="0 s",
                clear_when=None,
                priority="low",
            ),
            make_rule(
                id="score",
                scores={"news2": {"score": "NEWS2", "inputs": {"spo2": "spo2"}}},
                grace="5 min",
                raise_when="news2.total >= 2",
                clear_when="spo2 > 93",
                worsens={"value": "news2.total", "by": 1},
            ),
            make_rule(
                id="kept",
                inputs={"spo2": {"keeps_last": True}},
                raise_when="spo2 < limit",
                parameters={"limit": {"value": 88, "from": 80, "to": 92}},
                priority="low",
            ),
        ]
    )


MANY = make_many_rules()


def lines(events):
    return [event.to_line() for event in events]


@pytest.fixture(scope="module", params=range(4))
def stream(request):
    return make_stream(request.param, count=250)


def test_every_rule_of_the_many_is_put_to_the_test():
    told = {event.rule for seed in range(4) for event in watch_samples(MANY, make_stream(seed, count=250))}

    assert told == {compiled.rule.id for compiled in MANY.rules}


def test_events_are_the_same_however_time_is_lived_in_between(stream):
    chance = random.Random(5)
    watch, events, at_ms = Watch(MANY), [], 0
    for next_ms, samples in group_by_instant(stream):
        for _ in range(chance.randrange(3)):
            at_ms = chance.randrange(at_ms, next_ms)
            events += watch.advance(at_ms)
        events += watch.take(next_ms, samples)
        at_ms = next_ms

    assert lines(events) == lines(watch_samples(MANY, stream))


def test_a_state_that_was_saved_is_the_same_state_at_every_instant(stream):
    watch, other = Watch(MANY), Watch(MANY)
    for at_ms, samples in group_by_instant(stream):
        assert lines(other.take(at_ms, samples)) == lines(watch.take(at_ms, samples))
        saved = watch.save()
        other = Watch.load(MANY, saved)

        assert other.save() == saved
        assert list(other.conditions()) == list(watch.conditions())
        assert other.now_ms == watch.now_ms


def test_a_restart_at_any_second_of_a_delay_changes_nothing():
    rules = make_rule_set(raise_for="60 s", grace="20 s")
    values = [(0, 88), (20, None), (30, 88), (50, 84)]
    expected = lines(watch_samples(rules, [spo2(at_s, value) for at_s, value in values], until_s=100))
    for killed_s in range(101):
        watch, events = Watch(rules), []
        for at_s in range(101):
            events += watch.take(at_s * S, [spo2(at_s, dict(values)[at_s])]) if at_s in dict(values) else []
            events += watch.advance(at_s * S) if at_s not in dict(values) else []
            watch = Watch.load(rules, watch.save()) if at_s == killed_s else watch

        assert lines(events) == expected


def test_samples_of_one_instant_count_together_in_any_order():
    inputs = {"spo2": {}, "rr": {"keys": ["resp_rate"]}}
    rules = make_rule_set(
        inputs=inputs, raise_when="spo2 < 90 and rr > 20", raise_for="0 s", clear_when="rr <= 20"
    )
    samples = [spo2(10, 88), Sample("resp_rate", "b", 10 * S, 30)]

    for order in (samples, samples[::-1]):
        assert say(watch_samples(rules, [spo2(0, 95), Sample("resp_rate", "b", 0, 10), *order])) == [
            (10, "active")
        ]


def test_what_is_too_old_at_an_instant_is_not_looked_at_once_more():
    inputs = {"spo2": {"stale_after": "60 s"}, "rr": {"keys": ["resp_rate"], "stale_after": "10 min"}}
    rules = make_rule_set(
        inputs=inputs,
        raise_when="spo2 < 90 or rr > 20",
        raise_for="0 s",
        clear_when="spo2 >= 92 and rr <= 20",
        clear_for="0 s",
    )
    rate = [Sample("resp_rate", "b", at_ms, value) for at_ms, value in ((0, 30), (60_001, 10))]

    assert say(watch_samples(rules, [*rate, spo2(0, 95)], until_s=100)) == [(0, "active")]


def test_a_better_value_at_the_end_of_another_leaves_no_gap():
    watch = Watch(RULES)
    events = watch.take(0, [spo2(0, 88)]) + watch.take(120_001, [spo2(120.001, 88, src="b")])

    assert say(events) == [(30, "active")]
    assert not next(watch.conditions()).is_unknown


def test_due_is_the_next_instant_at_which_something_happens_by_itself():
    watch = Watch(RULES)
    assert watch.due_ms is None
    watch.take(0, [spo2(0, 88)])
    assert watch.due_ms == 30 * S
    watch.advance(30 * S)
    assert (watch.due_ms, watch.now_ms) == (120 * S + 1, 30 * S)
    watch.advance(10 * MIN)
    assert (watch.due_ms, watch.now_ms) == (None, 10 * MIN)
    watch.advance(5 * MIN)
    assert watch.now_ms == 10 * MIN


def test_samples_that_no_rule_reads_change_nothing():
    watch = Watch(RULES)

    assert watch.take(5, [Sample("heart_rate", "a", 5, 300)]) == []
    assert watch.due_ms is None


LIMITED = make_rule_set(
    parameters={"limit": {"value": 90, "from": 85, "to": 92}},
    raise_when="spo2 < limit",
    clear_when=None,
    raise_for="0 s",
    priority="low",
    inputs={"spo2": {}},
)
LIMIT = parameter_key("spo2-low", "limit")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (92, True),
        (91.5, True),
        (92.1, False),
        (85, False),
        (84, False),
        (True, False),
        ("92", False),
        (None, False),
        (float("nan"), False),
        (10**400, False),
    ],
)
def test_a_parameter_is_changed_for_a_person_within_its_limits(value, told):
    override = Sample(LIMIT, "staff", 5 * S, value)

    assert say(watch_samples(LIMITED, [spo2(0, 91), override])) == ([(5, "active")] if told else [])


def test_a_changed_parameter_is_no_new_value():
    text = {"zh": "休息", "en": "Rest"}
    rules = compile_rules(
        [
            make_rule(
                id="asking",
                raise_for="0 s",
                remeasure={"rest": "1 s", "within": "9 s", "unanswered": "drop", "text": text},
                raise_when="spo2 < limit",
                parameters={"limit": {"value": 90, "from": 85, "to": 92}},
            ),
            make_rule(id="count", raise_when="count(spo2 < 90) over 1 min >= 2", raise_for="0 s"),
        ]
    )
    override = Sample(parameter_key("asking", "limit"), "staff", 5 * S, 91)

    assert say(watch_samples(rules, [spo2(0, 88), override], until_s=100)) == [
        (0, "remeasure"),
        (9, "refuted"),
    ]


@pytest.mark.parametrize(
    ("keeps_last", "refused", "count"),
    [(False, 0, 1), (True, 0, 1), (False, None, 1), (True, 200, 1), (True, 88, 2)],
)
def test_a_refused_sample_is_no_value_of_a_window(keeps_last, refused, count):
    rules = make_rule_set(
        inputs={"spo2": {"keeps_last": keeps_last}},
        raise_for="0 s",
        clear_when=None,
        raise_when=f"count(spo2 < 90) over 10 min >= {count}",
    )
    more = make_rule_set(
        inputs={"spo2": {"keeps_last": keeps_last}},
        raise_for="0 s",
        clear_when=None,
        raise_when=f"count(spo2 < 90) over 10 min >= {count + 1}",
    )

    assert say(watch_samples(rules, [spo2(0, 88), spo2(5, refused)]))[:1] == [(5 * (count - 1), "active")]
    assert say(watch_samples(more, [spo2(0, 88), spo2(5, refused)])) == []


@pytest.mark.parametrize(
    ("sample", "told"),
    [
        (spo2(100, 95), "refuted"),
        (spo2(100, 88), "active"),
        (spo2(100, 0), None),
        (spo2(100, 70, src="b"), "active"),
        (Sample("patient.copd", "staff", 100 * S, value=False), None),
        (Sample("resp_rate", "b", 100 * S, 10), None),
    ],
    ids=["well", "ill", "refused", "of another sensor", "of the record", "of another rule"],
)
def test_only_a_new_value_of_the_measured_thing_is_a_second_reading(sample, told):
    text = {"zh": "休息", "en": "Rest"}
    asking = make_rule(
        inputs={"spo2": {"keeps_last": True, "stale_after": "10 min"}},
        raise_when="spo2 < 90 and not patient.copd",
        remeasure={"rest": "1 min", "within": "5 min", "unanswered": "drop", "text": text},
    )
    other = make_rule(
        id="other",
        inputs={"rr": {"keys": ["resp_rate"]}},
        raise_when="rr > 99",
        clear_when=None,
        priority="low",
    )
    first = [Sample("patient.copd", "staff", 0, value=False), spo2(0, 88)]
    events = watch_samples(compile_rules([asking, other]), [*first, sample], until_s=101)

    assert say(events) == [(30, "remeasure"), *([(100, told)] if told else [])]


def test_an_event_shows_what_the_rule_saw():
    rules = make_rule_set(
        inputs={
            "spo2": {"stale_after": "120 s"},
            "rr": {"keys": ["resp_rate"]},
            "temp": {"stale_after": "5 s"},
        },
        raise_when="spo2 < 90 or rr > 99 or temp > 99 or n.total > 19",
        scores={"n": {"score": "NEWS2", "assume": {"oxygen": "air"}}},
    )
    samples = [spo2(0, 88, quality=1), Sample("resp_rate", "b", 0, 0), Sample("temp", "c", 0, 37)]
    (event,) = watch_samples(rules, samples, until_s=30)
    plain = event.to_plain()

    assert plain["level"] == "medium"
    assert {
        entry["name"]: (
            entry["key"],
            entry["src"],
            entry["value"],
            entry["at_ms"],
            entry["quality"],
            entry["reason"],
        )
        for entry in plain["inputs"]
    } == {
        "spo2": ("spo2", "a", 88.0, 0, 1.0, None),
        "rr": ("resp_rate", "b", None, None, None, "zero"),
        "temp": ("temp", "c", None, None, None, "silent"),
        "patient.oxygen": (None, None, None, None, None, "never"),
        "patient.spo2_scale": (None, None, None, None, None, "never"),
    }
    (score,) = plain["scores"]
    assert (score["name"], score["score"], score["assumed"]) == ("n", "NEWS2", (("oxygen", "air"),))
    assert dict(score["answer"])["total"] is None
    assert {"rr", "temp"} < set(dict(score["answer"])["missing"])


@pytest.mark.parametrize(("change", "shown"), [("active", True), ("clearing", False), ("closed", False)])
def test_evidence_is_there_where_somebody_must_judge(change, shown):
    samples = [spo2(0, 88), spo2(40, 95)]
    (event,) = [event for event in watch_samples(RULES, samples, until_s=120) if event.change == change]

    assert bool(event.inputs) is shown


def test_a_line_of_the_log_is_canonical():
    (event,) = watch_samples(RULES, [spo2(0, 88)], until_s=30)

    assert event.to_line() == (
        b'{"at_ms":30000,"change":"active","inputs":[{"at_ms":0,"key":"spo2","name":"spo2","quality":null,'
        b'"reason":null,"src":"a","value":88.0}],"kind":"physiological","level":"medium","onset_ms":0,"parameters":[],'
        b'"rule":"spo2-low","scores":[],"version":1}'
    )


def test_whole_numbers_and_fractions_give_the_same_line():
    whole = watch_samples(RULES, [spo2(0, 88, quality=1)], until_s=30)
    fraction = watch_samples(RULES, [spo2(0, 88.0, quality=1.0)], until_s=30)

    assert lines(whole) == lines(fraction)


@pytest.mark.parametrize(
    "saved", [b"", b"\xc1", b"\x91\xa1a", msgspec.msgpack.encode(["a", 0, [], [], [], []])]
)
def test_what_is_no_state_of_these_rules_is_refused(saved):
    with pytest.raises(SavedWatchInvalid):
        Watch.load(RULES, saved)


@pytest.mark.parametrize("place", range(2, 6))
def test_a_state_of_another_engine_is_refused(place):
    state = msgspec.msgpack.decode(Watch(RULES).save())
    state[place] = [*state[place], state[place][0]] if state[place] else [[]]
    state[2] = [1.0] if place == 2 else state[2]

    with pytest.raises(SavedWatchInvalid, match="saved by another engine"):
        Watch.load(RULES, msgspec.msgpack.encode(state))


def test_a_state_of_other_rules_is_refused():
    with pytest.raises(SavedWatchInvalid, match="saved by other rules"):
        Watch.load(make_rule_set(raise_for="31 s"), Watch(RULES).save())


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32), cut=st.integers(0, 40))
def test_damaged_states_are_refused_or_read(seed, cut):
    watch = Watch(MANY)
    for at_ms, samples in group_by_instant(make_stream(seed, count=40)):
        watch.take(at_ms, samples)
    saved = bytearray(watch.save())
    saved[-1 - cut] ^= 0x55
    try:
        read = Watch.load(MANY, bytes(saved))
    except SavedWatchInvalid:
        return
    assert Watch.load(MANY, read.save()).save() == read.save()


def test_a_look_without_samples_counts_what_is_known_once_more():
    rules = make_rule_set(
        inputs={"spo2": {}}, raise_when="count(spo2 < 90) over 10 min >= 2", clear_when=None, raise_for="0 s"
    )
    watch = Watch(rules)

    assert say(watch.take(0, [spo2(0, 88)]) + watch.take(5 * S, [])) == [(5, "active")]


def test_evidence_tells_that_two_sensors_contradict_one_another():
    rules = make_rule_set(
        inputs={"spo2": {"differ_by": 3, "stale_after": "10 min"}, "rr": {"keys": ["resp_rate"]}},
        raise_when="spo2 < 90 or rr > 20",
        raise_for="0 s",
        clear_when="rr < 5",
    )
    samples = [spo2(0, 95), spo2(10, 80, src="b"), Sample("resp_rate", "c", 20 * S, 30)]
    (event,) = watch_samples(rules, samples)

    assert {seen.name: seen.reason for seen in event.inputs} == {"spo2": "contradicted", "rr": None}


def test_technical_rules_may_count_what_was_refused():
    rules = make_rule_set(
        kind="technical", raise_when="count(gated(spo2)) over 10 min >= 2", clear_when=None, raise_for="0 s"
    )

    assert say(watch_samples(rules, [spo2(0, 95), spo2(5, 0), spo2(10, 0)])) == [(10, "active")]


def test_evidence_holds_the_limit_that_was_in_force():
    rules = make_rule_set(
        raise_when="spo2 < limit", raise_for="0 s", clear_when=None,
        parameters={"limit": {"value": 90, "from": 80, "to": 95}},
    )  # fmt: skip
    watch = Watch(rules)
    watch.take(0, [Sample(parameter_key("spo2-low", "limit"), "doctor", 0, 93.0)])
    (active,) = watch.take(S, [spo2(1, 92)])
    assert active.parameters == (("limit", 93.0),)
