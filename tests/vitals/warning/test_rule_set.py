import pytest

from tests.fixtures.warning_rules import S, make_rule, make_rule_set, say, spo2, watch_samples, write_rule
from vitals.warning.errors import RuleInvalid
from vitals.warning.rule_file import read_rules
from vitals.warning.rule_set import STATE_BYTES_MAX, compile_rules
from vitals.warning.sample import Sample
from vitals.warning.scores.news2 import SCORE
from vitals.warning.watch import Watch

NEWS2 = {"score": "NEWS2", "inputs": {"spo2": "spo2"}}


def fail(**changes):
    with pytest.raises(RuleInvalid) as caught:
        make_rule_set(**changes)
    return caught.value.reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"clear_when": "spo < 5"},
            "clear_when: knows no 'spo'; known: spo2 and patient.age, patient.age_days, "
            "patient.pregnant, patient.spo2_scale, patient.oxygen, patient.resting_hr, patient.hypertension, "
            "patient.diabetes, patient.copd (at column 1)",
        ),
        ({"applies_when": "spo2"}, "applies_when: expected a truth, found a number (at column 1)"),
        (
            {"priority": {"low": "spo2", "high": "spo2 < 85"}},
            "priority.low: expected a truth, found a number (at column 1)",
        ),
        ({"priority": {"high": "spo2 + 1"}}, "priority.high: expected a truth, found a number (at column 6)"),
        ({"worsens": {"value": "spo2 < 5", "by": 1}}, "worsens.value: expected a number, found a truth"),
        (
            {"worsens": {"value": "spo", "by": 1}, "inputs": {"spo2": {}, "rr": {"keys": ["resp_rate"]}}},
            "worsens.value: knows no 'spo'; known: spo2, rr and patient.age, patient.age_days, "
            "patient.pregnant, patient.spo2_scale, patient.oxygen, patient.resting_hr, "
            "patient.hypertension, patient.diabetes, patient.copd (at column 1)",
        ),
        ({"inputs": {"spo2": {}, "temp": {}}}, "inputs.temp: is never read"),
        ({"parameters": {"p": {"value": 1, "from": 0, "to": 2}}}, "parameters.p: is never read"),
        ({"scores": {"n": NEWS2}}, "scores.n: is never read"),
        (
            {"scores": {"n": NEWS2}, "raise_when": "n.grade > 5"},
            "raise_when: knows no n.grade; known: n.total, n.risk (at column 1)",
        ),
        (
            {"scores": {"n": NEWS2}, "raise_when": "n.risk > 5"},
            "raise_when: cannot compare a word with a number (at column 8)",
        ),
        (
            {"scores": {"n": "NEWS3"}, "raise_when": "n.total > 5"},
            "scores.n: no score named 'NEWS3'; known: ",
        ),
        (
            {"scores": {"n": {"score": "NEWS2", "inputs": {"spo": "spo2"}}}, "raise_when": "n.total > 5"},
            "scores.n: NEWS2 has no input 'spo'; known: rr, spo2, ",
        ),
        (
            {"scores": {"n": {"score": "NEWS2", "inputs": {"spo2": "ox"}}}, "raise_when": "n.total > 5"},
            "scores.n: is fed by 'ox', which is no input",
        ),
        (
            {"scores": {"n": {"score": "NEWS2", "assume": {"oxygen": "maybe"}}}, "raise_when": "n.total > 5"},
            "scores.n: input 'oxygen' must be one of ",
        ),
        (
            {
                "scores": {"n": {"score": "NEWS2", "words": {"oxygen": {"maybe": "spo2 > 5"}}}},
                "raise_when": "n.total > 5",
            },
            "scores.n: input 'oxygen' must be one of ",
        ),
        (
            {
                "scores": {"n": {"score": "NEWS2", "words": {"oxygen": {"air": "spo2"}}}},
                "raise_when": "n.total > 5",
            },
            "scores.n.words.oxygen.air: expected a truth, found a number (at column 1)",
        ),
        (
            {"raise_when": "missing(spo2)"},
            "raise_when: missing() is for technical rules: elsewhere it would answer for unknown "
            "(at column 1)",
        ),
        (
            {"raise_when": "missing(temp)", "kind": "technical"},
            "raise_when: knows no input 'temp' (at column 1)",
        ),
        (
            {"raise_when": "known(spo2)"},
            "raise_when: known() is for studies: elsewhere it would hide silence (at column 1)",
        ),
        (
            {"raise_when": "known(spo)", "study": True},
            "raise_when: knows no 'spo'; known: spo2 and patient.age",
        ),
    ],
)
def test_a_rule_that_says_nothing_is_refused(changes, reason):
    assert fail(**changes).startswith(reason)


def test_error_has_file_and_line_of_the_condition():
    text = write_rule(clear_when="spo < 5").replace('"clear_when"', '\n"clear_when"')
    with pytest.raises(RuleInvalid) as caught:
        compile_rules(read_rules(text, origin="a.yaml"))

    assert str(caught.value).startswith("a.yaml:2: spo2-low: clear_when: knows no 'spo'")


def test_two_rules_of_one_id_are_refused():
    with pytest.raises(RuleInvalid, match="another rule has this id"):
        compile_rules([make_rule(), make_rule(raise_for="31 s")])


def test_the_order_of_rules_changes_nothing():
    one, two = make_rule(id="b"), make_rule(id="a", raise_when="spo2 < 85")

    assert compile_rules([one, two]).digest == compile_rules([two, one]).digest
    assert [compiled.rule.id for compiled in compile_rules([one, two]).rules] == ["a", "b"]
    assert compile_rules([one]).digest != compile_rules([two]).digest


def test_rules_that_read_alike_share_what_they_read():
    rules = compile_rules([make_rule(id="a"), make_rule(id="b"), make_rule(id="c", inputs={"spo2": {}})])

    assert len(rules.channels) == 2
    assert rules.channels_by_key == {"spo2": ((0, 0), (1, 0))}


def test_one_window_serves_all_that_ask_the_same():
    rules = make_rule_set(
        raise_when="mean(spo2) over 5 min < 90 and max(spo2) over 5 min < 95",
        clear_when=None,
        priority={
            "low": "mean(spo2) over 5 min < 90",
            "high": "slope(spo2) over 5 min < -5 or mean(spo2) over 6 min < 9",
        },
    )

    assert [(window.span_ms, window.has_line) for window in rules.windows] == [
        (300_000, True),
        (360_000, False),
    ]


def test_windows_of_two_rules_are_their_own():
    rule = {"raise_when": "mean(spo2) over 5 min < limit", "clear_when": None, "priority": "low"}
    limits = {"limit": {"value": 90, "from": 80, "to": 95}}

    assert len(compile_rules([make_rule(id=name, parameters=limits, **rule) for name in "ab"]).windows) == 2


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("mean(spo2) over 1 min < 1 or mean(spo2) over 2 min < 1 or mean(spo2) over 3 min < 1", None),
        ("slope(spo2) over 1 min < 1 or mean(spo2) over 2 min < 1", None),
        (" or ".join(f"mean(spo2) over {number} min < 1" for number in range(1, 5)), 4),
        ("slope(spo2) over 1 min < 1 or slope(spo2) over 2 min < 1", 2),
    ],
)
def test_a_rule_that_would_keep_too_much_does_not_load(text, count):
    if count is None:
        assert make_rule_set(raise_when=text).rules[0].state_bytes <= STATE_BYTES_MAX
    else:
        assert f"its {count} windows keep " in fail(raise_when=text)


def test_what_a_rule_keeps_is_no_more_than_it_declares():
    empty = make_rule_set()
    rules = make_rule_set(raise_when="slope(spo2) over 1 h < -900 or mean(spo2) over 2 h < 1")
    watches = Watch(empty), Watch(rules)
    for second in range(0, 7200, 7):
        for watch in watches:
            watch.take(second * S, [spo2(second, 95 + second % 50 / 17)])
    without, kept = (len(watch.save()) for watch in watches)

    assert kept - without <= rules.rules[0].state_bytes - empty.rules[0].state_bytes
    assert kept <= STATE_BYTES_MAX
    assert empty.rules[0].state_bytes < 300


@pytest.mark.parametrize(
    ("values", "truth"),
    [
        ({"spo2": 88.0, "patient.spo2_scale": 1.0}, True),
        ({"spo2": 97.0, "patient.spo2_scale": 1.0}, None),
        ({}, None),
    ],
)
def test_an_incomplete_score_is_compared_as_all_that_it_can_be(values, truth):
    rules = make_rule_set(scores={"n": "NEWS2"}, raise_when="n.total >= 3", clear_when=None, priority="low")
    frame = rules.build_frame()
    for key, value in values.items():
        frame.values[rules.channels_by_key[key][0][0]] = value

    assert rules.rules[0].raises(frame) is truth


@pytest.mark.parametrize(
    ("sign", "number", "truth"),
    [
        (">=", 3, True),
        (">=", 4, None),
        (">", 2, True),
        (">", 3, None),
        ("<", 3, False),
        ("<", 4, None),
        ("<=", 2, False),
        ("<=", 3, None),
        ("=", 2, False),
        ("=", 3, None),
        ("=", 10, None),
        ("=", 20.5, False),
        ("!=", 2, True),
        ("!=", 3, None),
        ("!=", 10, None),
        (">=", 20, None),
        (">", 20, False),
        ("<=", 20, True),
        ("<", 20, None),
        ("=", 20, None),
        ("!=", 20.5, True),
    ],
)
def test_a_comparison_with_a_score_is_decided_by_both_its_ends(sign, number, truth):
    rules = make_rule_set(
        scores={"n": {"score": "NEWS2", "assume": {"spo2_scale": 1}}},
        clear_when=None,
        raise_when=f"n.total {sign} {number}",
        priority="low",
    )
    mirrored = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}.get(sign, sign)
    other = make_rule_set(
        scores={"n": {"score": "NEWS2", "assume": {"spo2_scale": 1}}},
        clear_when=None,
        raise_when=f"{number} {mirrored} n.total",
        priority="low",
    )
    for compiled in (rules, other):
        frame = compiled.build_frame()
        frame.values[compiled.channels_by_key["spo2"][0][0]] = 85.0
        assert compiled.rules[0].raises(frame) is truth  # 3 to 20


WORDS = {"oxygen": {"oxygen": "temp > 37", "air": "spo2 > 0"}}


@pytest.mark.parametrize(
    ("temp", "known", "points"), [(38.0, "oxygen", 2), (36.0, "air", 0), (None, None, None)]
)
def test_a_word_is_unknown_while_an_earlier_one_may_hold(temp, known, points):
    rules = make_rule_set(
        inputs={"spo2": {}, "temp": {}},
        raise_when="n.total > 19",
        clear_when=None,
        priority="low",
        scores={"n": {"score": "NEWS2", "words": WORDS}},
    )
    frame = rules.build_frame()
    frame.values[rules.channels_by_key["spo2"][0][0]] = 95.0
    frame.values[rules.channels_by_key["temp"][0][0]] = temp
    result = rules.rules[0].read_scores[0][1](frame)
    (part,) = [part for part in result.parts if part.input == "oxygen"]

    assert (part.value, part.points) == (known, points)


def test_no_word_that_holds_is_no_word():
    words = {"oxygen": {"oxygen": "temp > 37"}}
    rules = make_rule_set(
        inputs={"spo2": {}, "temp": {}},
        raise_when="n.total > 19",
        clear_when=None,
        priority="low",
        scores={"n": {"score": "NEWS2", "words": words}},
    )
    frame = rules.build_frame()
    frame.values[rules.channels_by_key["temp"][0][0]] = 36.0

    assert "oxygen" in rules.rules[0].read_scores[0][1](frame).missing


@pytest.mark.parametrize(("values", "told"), [((88, 26), True), ((88, None), False), ((88, 16), False)])
def test_a_lower_bound_needs_enough_that_is_measured(values, told):
    use = {"score": "NEWS2", "assume": {"spo2_scale": 1}, "lower_bound_with": 2}
    rules = make_rule_set(
        inputs={"spo2": {}, "rr": {"keys": ["resp_rate"]}},
        raise_when="n.total >= 6",
        clear_when=None,
        raise_for="0 s",
        priority="low",
        scores={"n": use},
    )
    spo2_value, rate = values
    samples = [
        spo2(0, spo2_value),
        Sample("resp_rate", "b", 0, rate),
        Sample("patient.spo2_scale", "s", 0, 1),
    ]

    assert bool(watch_samples(rules, samples)) is told


@pytest.mark.parametrize(("spo2_value", "truth"), [(85.0, True), (None, None)])
def test_what_a_score_decides_can_be_read(spo2_value, truth):
    use = {"score": "MEWC", "inputs": {"spo2": "spo2"}}
    rules = make_rule_set(scores={"n": use}, raise_when="n.trigger", clear_when=None, priority="low")
    frame = rules.build_frame()
    frame.values[rules.channels_by_key["spo2"][0][0]] = spo2_value

    assert rules.rules[0].raises(frame) is truth


def test_a_score_without_a_total_has_none_to_read():
    reason = fail(scores={"n": "MEWT"}, raise_when="n.total > 5")

    assert reason.startswith("raise_when: knows no n.total; known: n.positive")


def test_a_total_whose_words_look_back_changes_with_time_alone():
    use = {
        "score": "NEWS2",
        "words": {"oxygen": {"oxygen": "max(spo2) over 1 min > 96"}},
        "assume": {"spo2_scale": 1, "oxygen": "air"},
    }
    rules = make_rule_set(
        inputs={"spo2": {}}, scores={"n": use}, raise_when="n.total >= 2", clear_when=None, raise_for="0 s",
        remeasure={"rest": "1 s", "within": "2 min", "unanswered": "low", "text": {"zh": "a", "en": "b"}},
        priority={"low": "spo2 > 0", "high": "n.total >= 2"},
    )  # fmt: skip
    watch = Watch(rules)
    watch.take(0, [spo2(0, 97)])
    watch.advance(61 * S)

    assert rules.rules[0].raises(watch._frame) is None


LIMITED = {"inputs": {"spo2": {}}, "raise_for": "0 s", "clear_when": None, "priority": "low"}


def test_rules_do_not_share_a_score_that_reads_their_own_parameter():
    use = {
        "score": "NEWS2",
        "words": {"oxygen": {"oxygen": "spo2 < limit", "air": "spo2 >= limit"}},
        "assume": {"spo2_scale": 1},
    }
    rules = compile_rules(
        make_rule(id=name, scores={"n": use}, raise_when="n.total >= 2", **LIMITED,
                  parameters={"limit": {"value": limit, "from": 0, "to": 100}})
        for name, limit in (("a", 50), ("b", 99))
    )  # fmt: skip

    assert [event.rule for event in watch_samples(rules, [spo2(0, 97)])] == ["b"]


def test_a_value_outside_the_domain_of_a_score_is_as_if_missing():
    use = {"score": "NEWS2", "inputs": {"spo2_scale": "scale"}}
    inputs = {"spo2": {}, "scale": {"keys": ["temp"]}}
    rules = make_rule_set(
        inputs=inputs, raise_when="n.total > 19", clear_when=None, priority="low", scores={"n": use}
    )
    frame = rules.build_frame()
    frame.values[rules.channels_by_key["temp"][0][0]] = 37.0

    assert "spo2_scale" in rules.rules[0].read_scores[0][1](frame).missing


def test_a_worsening_score_counts_from_its_lower_bound():
    rules = make_rule_set(
        scores={"n": {"score": "NEWS2", "assume": {"spo2_scale": 1}}},
        raise_when="n.total >= 1",
        worsens={"value": "n.total", "by": 2},
        raise_for="0 s",
        priority="low",
        clear_when=None,
    )
    events = watch_samples(rules, [spo2(0, 95), spo2(10, 93), spo2(20, 91)])

    assert say(events) == [(0, "active"), (20, "worsened")]


def test_rules_share_the_result_of_a_score(monkeypatch):
    calls = []
    compute = SCORE.compute
    monkeypatch.setattr(
        "vitals.warning.rule_set.find_score",
        lambda _: type(
            "Counted",
            (),
            {
                "inputs": SCORE.inputs,
                "compute": staticmethod(lambda given: (calls.append(1), compute(given))[1]),
            },
        ),
    )
    use = {
        "scores": {"n": "NEWS2"},
        "raise_when": "n.total > 19",
        "clear_when": "n.total < 19",
        "priority": "low",
    }
    rules = compile_rules([make_rule(id=name, **use) for name in "abc"])
    calls.clear()
    watch_samples(rules, [spo2(0, 95), spo2(1, 95), spo2(2, 96)])

    assert len(calls) == 2


@pytest.mark.parametrize(
    ("kind", "text", "told"),
    [
        ("missing_data", "missing(spo2)", [(120.001, "active")]),
        ("technical", "gated(spo2)", [(50, "active"), (120.001, "clearing"), (120.001, "closed")]),
        ("technical", "disagreeing(spo2)", [(20, "active")]),
    ],
)
def test_technical_rules_may_ask_about_the_input_itself(kind, text, told):
    rules = make_rule_set(
        inputs={"spo2": {"stale_after": "70 s", "differ_by": 3}},
        kind=kind,
        raise_when=text,
        raise_for="0 s",
        clear_when=None,
        clear_for="0 s",
        priority="low",
    )
    samples = [spo2(0, 95), spo2(20, 80, src="b"), spo2(40, 95), spo2(50, 0)]

    assert say(watch_samples(rules, samples, until_s=200)) == told


@pytest.mark.parametrize(("values", "truth"), [({"spo2": 95.0}, True), ({}, False)])
def test_studies_may_ask_what_is_known(values, truth):
    rules = make_rule_set(study=True, raise_when="known(spo2)", clear_when=None)
    frame = rules.build_frame()
    frame.values = [values.get("spo2")]

    assert rules.rules[0].raises(frame) is truth


def test_what_a_score_decides_is_a_truth_or_a_word():
    rules = make_rule_set(
        inputs={"rr": {"keys": ["resp_rate"]}, "sbp": {"keys": ["nibp_sys"]}},
        scores={"q": "qSOFA"},
        raise_when="q.positive and q.total >= 2",
        raise_for="0 s",
        clear_when=None,
        priority="low",
    )
    watch = Watch(rules)
    assert watch.take(0, [Sample("resp_rate", "s", 0, 25.0)]) == []
    events = watch.take(S, [Sample("nibp_sys", "s", S, 90.0)])
    assert [event.change for event in events] == ["active"]


def test_a_group_of_a_score_is_compared_as_a_word():
    """What lies outside the score's domain is unknown."""
    rules = make_rule_set(
        inputs={"meter": {"keys": ["glucose_cap_mmol"], "range": [0, 1000]}},
        scores={"n": {"score": "CGM_LEVEL", "inputs": {"glucose_mmol_l": "meter"}}},
        raise_when='n.level = "low2"',
        raise_for="0 s",
        clear_when=None,
        priority="low",
    )
    watch = Watch(rules)
    assert watch.take(0, [Sample("glucose_cap_mmol", "s", 0, 900.0)]) == []
    assert next(watch.conditions()).is_unknown
    events = watch.take(S, [Sample("glucose_cap_mmol", "s", S, 2.0)])
    assert [event.change for event in events] == ["active"]


def test_a_score_without_a_number_has_no_total():
    assert "knows no n.total; known: n.level" in fail(scores={"n": "CGM_LEVEL"}, raise_when="n.total > 1")


@pytest.mark.parametrize(
    ("needed", "clear_when", "place"),
    [(1, None, "raise_when"), (1, "n.total < 3", "clear_when"), (2, None, None), (1, "rr < 20", None)],
)
def test_a_lower_bound_never_clears(needed, clear_when, place):
    """It falls when a value goes missing."""
    changes = {
        "inputs": {"rr": {"keys": ["resp_rate"]}, "spo2": {}},
        "scores": {"n": {"score": "NEWS2", "assume": {"spo2_scale": 1}, "lower_bound_with": needed}},
        "raise_when": "n.total >= 3",
        "clear_when": clear_when,
        "priority": "low",
    }
    if place is None:
        assert len(make_rule_set(**changes).rules) == 1
    else:
        expected = f"{place}: may clear by what is missing: clear_when must know all 2 values"
        assert fail(**changes) == expected
