import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fixtures.warning_rules import SPO2_LOW, make_rule, write_rule
from vitals.warning.errors import RuleInvalid
from vitals.warning.rule import Expected, InputType, Level, RuleKind
from vitals.warning.rule_file import read_rules

RULE = """\
id: spo2-low
version: 1
packs: [adult]
source:
  document: a guideline
  section: chapter 2
  year: 2020
  reviewer: nobody
text: {zh: 血氧低, en: Low SpO2}
inputs:
  spo2: {stale_after: 120 s}
  hr:
    keys: [heart_rate]
    range: [30, 200]
parameters:
  limit: {value: 90, from: 85, to: 92}
scores:
  news2:
    score: NEWS2
    inputs: {pulse: hr}
    words: {acvpu: {A: "hr > 50"}}
    assume: {oxygen: air}
raise_when: spo2 < limit and hr > 100
for: 30 s
grace: 45 s
clear_when: spo2 >= 92
clear_for: 60 s
priority:
  high: spo2 < 80
  low: spo2 < limit
worsens: {value: news2.total, by: 2}
remeasure:
  rest: 1 min
  within: 5 min
  unanswered: low
  text: {zh: 休息, en: Rest}
repeat_after: 15 min
tests:
  - step: 10 s
    series:
      spo2: 95x6 88x4
    given: {limit: 91}
    expect:
      - {at: 90 s, event: active, priority: low}
"""


def fail(text):
    with pytest.raises(RuleInvalid) as caught:
        read_rules(text, origin="a.yaml")
    return caught.value


def change(number, *, to):
    """The file with one line changed."""
    lines = RULE.splitlines()
    lines[number - 1] = to
    return "\n".join(lines)


def test_rule_is_read_as_it_is_written():
    (rule,) = read_rules(RULE, origin="a.yaml")

    assert (rule.id, rule.version, rule.kind, rule.packs) == (
        "spo2-low",
        1,
        RuleKind.PHYSIOLOGICAL,
        ("adult",),
    )
    assert (rule.source.document, rule.source.section, rule.source.year) == ("a guideline", "chapter 2", 2020)
    assert (rule.text.zh, rule.text.en, rule.advice) == ("血氧低", "Low SpO2", None)
    assert (rule.raise_for_ms, rule.grace_ms, rule.clear_for_ms) == (30_000, 45_000, 60_000)
    assert [step.level for step in rule.levels] == [Level.HIGH, Level.LOW]
    assert (rule.repeat_after_ms, rule.is_latching, rule.is_study) == (900_000, False, False)
    assert (rule.worsens.by, rule.parameters["limit"].value) == (2, 90)
    assert (rule.remeasure.rest_ms, rule.remeasure.within_ms) == (60_000, 300_000)
    assert (rule.remeasure.unanswered, rule.remeasure.text.en) == (Level.LOW, "Rest")
    assert (rule.origin, rule.line, rule.line_of["raise_when"], rule.line_of["inputs.hr"]) == (
        "a.yaml",
        1,
        23,
        12,
    )
    assert dict(rule.text_of) == {"raise_when": "spo2 < limit and hr > 100", "clear_when": "spo2 >= 92"}


def test_inputs_scores_and_tests_are_read_as_they_are_written():
    (rule,) = read_rules(RULE)
    spo2, hr, use, test = rule.inputs["spo2"], rule.inputs["hr"], rule.scores["news2"], rule.tests[0]

    assert (spo2.keys, spo2.type, spo2.stale_after_ms) == (("spo2",), InputType.NUMBER, 120_000)
    assert (spo2.low, spo2.high) == (40, 100)  # as the vocabulary has it
    assert (hr.keys, hr.low, hr.high, hr.stale_after_ms) == (("heart_rate",), 30, 200, None)
    assert (use.score, dict(use.fed_by), dict(use.assumed)) == ("NEWS2", {"pulse": "hr"}, {"oxygen": "air"})
    assert [word for word, _ in use.words["acvpu"]] == ["A"]
    assert (test.line, test.step_ms, test.given) == (39, 10_000, {"limit": 91})
    assert test.series == {"spo2": (95.0,) * 6 + (88.0,) * 4}
    assert test.expected == (Expected(at_ms=90_000, change="active", level=Level.LOW),)


def test_what_is_not_said_has_its_usual_meaning():
    rule = make_rule(raise_for="20 s", clear_when=None, priority="low", scores={"news2": "NEWS2"})

    assert rule.grace_ms == 20_000
    assert rule.clear_when.operand == rule.raise_when
    assert [(step.level, step.when) for step in rule.levels] == [(Level.LOW, None)]
    assert (rule.scores["news2"].score, rule.scores["news2"].lower_bound_with) == ("NEWS2", None)
    assert make_rule(remeasure=None, raise_for=0, clear_for=None).raise_for_ms == 0


ERRORS = [
    (1, "id: Spo2_low", 1, "id: must be small letters, digits and single hyphens"),
    (2, "version: 0", 2, "version: begins at 1"),
    (2, "version: one", 2, "version: Expected `int`, got `str`"),
    (2, "version: 1\nversion: 2", 3, "version: is said twice"),
    (2, "version: !!int ''", 2, "version: cannot be read as tag:yaml.org,2002:int"),
    (2, "version: !!bool maybe", 2, "version: cannot be read as tag:yaml.org,2002:bool"),
    (2, "version: !!timestamp x", 2, "version: cannot be read as tag:yaml.org,2002:timestamp"),
    (2, "version: !own 1", 2, "version: cannot be read as !own"),
    (2, "version: 2020-13-45", 2, "version: cannot be read as tag:yaml.org,2002:timestamp"),
    (3, "packs: [adult, 5]", 3, "packs[1]: Expected `str`, got `int`"),
    (3, "kind: odd\npacks: []", 3, "kind: Invalid enum value 'odd'"),
    (6, "", 4, "source: Object missing required field `section`"),
    (6, "  section: ' '", 6, "source.section: must not be empty"),
    (8, "  reviewer: nobody\n  page: 5", 9, "source.page: is no field here"),
    (9, "text: {zh: '', en: Low}", 9, "text.zh: must not be empty"),
    (37, "advice: {zh: '', en: x}", 37, "advice.zh: must not be empty"),
    (37, "colour: red", 37, "colour: is no field here"),
    (37, "repeat_after: 15 weeks", 37, "repeat_after: must be a duration such as 30 s, 10 min, 4 h or 2 d"),
    (11, "  spo: {range: [1, 2]}", 11, "inputs.spo.keys[0]: the vocabulary has no 'spo'"),
    (11, "  spo2: {stale_after: 120}", 11, "inputs.spo2.stale_after: Expected `str | null`, got `int`"),
    (11, "  spo2: {stale_after: soon}", 11,
     "inputs.spo2.stale_after: must be a duration such as 30 s, 10 min, 4 h or 2 d"),
    (11, "  spo2: {unit: Cel}", 11, "inputs.spo2.unit: spo2 is measured in '%', not in 'Cel'"),
    (11, "  spo2: {keys: [spo2, temp]}", 11, "inputs.spo2.unit: temp is measured in 'Cel', not in '%'"),
    (11, "  spo2: {quality_min: 50}", 11, "inputs.spo2.quality_min: must be from 0 to 1"),
    (11, "  spo2: {quality_min: .nan}", 11, "inputs.spo2.quality_min: must be from 0 to 1"),
    (11, "  spo2: {differ_by: 0}", 11, "inputs.spo2.differ_by: must be above 0"),
    (11, "  spo2: {differ_by: .nan}", 11, "inputs.spo2.differ_by: must be above 0"),
    (11, "  spo2: {jump_by: -1}", 11, "inputs.spo2.jump_by: must be above 0"),
    (11, "  spo2: {jump_by: .nan}", 11, "inputs.spo2.jump_by: must be above 0"),
    (22, "    lower_bound_with: 0", 22, "scores.news2.lower_bound_with: must be above 0"),
    (11, "  spo2: {differ_by: .inf}", 11, "inputs.spo2.differ_by: must be above 0"),
    (11, "  Spo2: {}", 11, "inputs.Spo2: must be small letters, digits and underscores"),
    (11, "  mean: {}", 11, "inputs.mean: must be small letters, digits and underscores"),
    (13, "    keys: [heart_rate, pulse]", 13, "inputs.hr.keys[1]: the vocabulary has no 'pulse'"),
    (13, "    keys: [heart_rate, heart_rate]", 13, "inputs.hr.keys[1]: 'heart_rate' is said twice"),
    (13, "    keys: heart_rate", 13, "inputs.hr.keys: Expected `array`, got `str`"),
    (13, "    key: heart_rate", 13, "inputs.hr.key: is no field here"),
    (14, "    range: [30]", 14, "inputs.hr.range: must be two numbers, the lower first"),
    (14, "    range: [200, 30]", 14, "inputs.hr.range: must be two numbers, the lower first"),
    (14, "    range: [30, .inf]", 14, "inputs.hr.range: must be two numbers, the lower first"),
    (14, "    range: [-.inf, 30]", 14, "inputs.hr.range: must be two numbers, the lower first"),
    (14, "    range: [.nan, 30]", 14, "inputs.hr.range: must be two numbers, the lower first"),
    (14, "    range: [30, 'x']", 14, "inputs.hr.range[1]: Expected `float`, got `str`"),
    (16, "  limit: {value: 93, from: 85, to: 92}", 16,
     "parameters.limit: 93.0 is not within its own limits"),
    (16, "  limit: {value: 90, from: 85, to: .inf}", 16,
     "parameters.limit: 90.0 is not within its own limits"),
    (16, "  limit: {value: 90, from: -.inf, to: 92}", 16,
     "parameters.limit: 90.0 is not within its own limits"),
    (16, "  hr: {value: 90, from: 85, to: 92}", 16, "parameters.hr: names two things"),
    (21, '    words: {acvpu: {A: "hr > > 50"}}', 21,
     "scores.news2.words.acvpu.A: did not expect '>' (at column 6 of `hr > > 50`)"),
    (21, "    words: {acvpu: {A: true}}", 21, "scores.news2.words.acvpu.A: Expected `str`, got `bool`"),
    (22, "    assume: {oxygen: [air]}", 22,
     "scores.news2.assume.oxygen: Expected `bool | int | float | str`, got `array`"),
    (23, "raise_when: spo2 <", 23, "raise_when: expected a value (at column 7 of `spo2 <`)"),
    (23, "raise_when: |\n  spo2\n  <", 23, "raise_when: expected a value (at column 7 of `spo2 < `)"),
    (24, "for: 30", 24, "for: must be a duration such as 30 s, 10 min, 4 h or 2 d"),
    (24, "for: no", 24, "for: Expected `int | str`, got `bool`"),
    (25, "grace: long", 25, "grace: must be a duration such as 30 s, 10 min, 4 h or 2 d"),
    (26, "clear_when: spo2 >= ", 26, "clear_when: expected a value (at column 8 of `spo2 >=`)"),
    (29, "  urgent: spo2 < 80", 29, "priority.urgent: must be one of info, low, medium, high"),
    (29, "  high: spo2 < ?", 29, "priority.high: cannot read '?' (at column 8 of `spo2 < ?`)"),
    (30, "  low: spo2 < ?", 30, "priority.low: cannot read '?' (at column 8 of `spo2 < ?`)"),
    (31, "worsens: {value: news2.total, by: 0}", 31, "worsens.by: must be above 0"),
    (31, "worsens: {value: news2.total, by: .nan}", 31, "worsens.by: must be above 0"),
    (31, "worsens: {value: news2.total, by: .inf}", 31, "worsens.by: must be above 0"),
    (33, "  rest: 5 min", 33, "remeasure.rest: must end before `within`"),
    (35, "  unanswered: never", 35, "remeasure.unanswered: must be one of info, low, medium, high"),
    (36, "  text: {zh: 休息, en: ''}", 36, "remeasure.text.en: must not be empty"),
    (39, "  - step: 0 s", 39, "tests[0].step: must be above 0"),
    (41, "      spo2: 95z6", 41,
     "tests[0].series.spo2: cannot read '95z6'; write 95x6, null x3 or 100..90x11"),
    (41, "      spo2.quality: 5", 41, "tests[0].series.spo2.quality: Expected `str`, got `int`"),
    (42, "    given: {limit: 91, patient.age: null}", 42,
     "tests[0].given.patient.age: Expected `bool | int | float | str`, got `null`"),
    (44, "      - {at: late, event: active}", 44,
     "tests[0].expect[0].at: must be a duration such as 30 s, 10 min, 4 h or 2 d"),
    (44, "      - {at: 90 s, event: active, priority: loud}", 44,
     "tests[0].expect[0].priority: must be one of info, low, medium, high"),
    (44, "      - {at: 90 s, event: active, level: low}", 44, "tests[0].expect[0].level: is no field here"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "to", "number", "reason"), ERRORS, ids=[entry[1].strip() for entry in ERRORS]
)
def test_error_names_its_line(changed, to, number, reason):
    error = fail(change(changed, to=to))

    assert (error.line, error.reason) == (number, reason)
    assert str(error).startswith(f"a.yaml:{number}: ")
    assert len(str(error).splitlines()) == 1


def test_rule_without_tests_or_levels_does_not_load():
    assert fail(write_rule(tests=[])).reason == "tests: a rule without a test does not load"
    assert fail(write_rule(tests=None)).reason == "Object missing required field `tests`"
    assert fail(write_rule(priority={})).reason == "priority: names no level"
    assert fail(write_rule(inputs={"spo2": {}, "acvpu": {}})).reason == "inputs.acvpu: a number needs `range`"


def test_second_document_has_its_own_lines():
    error = fail(f"{RULE}---\n{change(1, to='id: other').replace('for: 30 s', 'for: ever')}")

    assert (error.line, error.rule) == (45 + 24, "other")
    assert str(error).startswith("a.yaml:69: other: for: must be a duration")


def test_several_documents_are_several_rules_and_empty_ones_are_none():
    text = f"# nothing\n---\n{RULE}---\n---\n{RULE.replace('spo2-low', 'other')}"

    assert [rule.id for rule in read_rules(text)] == ["spo2-low", "other"]


@pytest.mark.parametrize("text", ["", "\n# nothing\n", "---\n---\n"])
def test_file_without_a_rule_is_told(text):
    assert fail(text).reason == "holds no rule"


def test_byte_order_mark_and_line_ends_of_windows_change_nothing():
    (rule,) = read_rules(RULE)
    (other,) = read_rules("\ufeff" + RULE.replace("\n", "\r\n"))

    assert (other.digest, other.line_of) == (rule.digest, rule.line_of)
    assert fail("\ufeff" + change(24, to="for: ever").replace("\n", "\r\n")).line == 24


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("id: [a\nversion: 1\n", 2, "is not YAML: expected ',' or ']', but got ':'"),
        ("id: a\n\tversion: 1\n", 2, "is not YAML: found character '\\t' that cannot start any token"),
        ("id: *nobody\n", 1, "is not YAML: found undefined alias 'nobody'"),
        ("id: a\ntext: \x00\n", 2,
         "is not YAML: unacceptable character #x0000: special characters are not allowed"),
        ("id: 'a\n\n", 3, "is not YAML: found unexpected end of stream"),
        ("%YAML 9.9\n--- a\n", 1, "is not YAML: found incompatible YAML document (version 1.* is required)"),
        ("just words\n", 1, "Expected `object`, got `str`"),
        ("- a list\n", 1, "Expected `object`, got `array`"),
        ("{[a]: 1}\n", 1, None),
        ('id: "\\ud800"\n', 1, "id: holds half a character"),
        ('"\\ud800": 1\n', 1, "?: is no field here"),
        ("a: &x [*x]\n", 1, None),
        ("&x {a: *x}\n", 1, None),
        ("a: " + "[" * 600 + "]" * 600, 1, "is nested too deeply"),
        ("[" * 13 + "]" * 13, 1, None),
        ("a" * 1_000_001, 1, "is longer than 1000000 characters"),
    ],
    ids=lambda value: repr(value)[:30],
)  # fmt: skip
def test_what_is_not_a_rule_is_told_with_its_line(text, line, reason):
    error = fail(text)

    assert error.line == line
    assert reason is None or error.reason == reason


def test_bomb_of_aliases_is_refused_before_it_goes_off():
    bomb = "\n".join(
        f"a{number}: &x{number} [{', '.join([f'*x{number - 1}'] * 9)}]" for number in range(1, 9)
    )

    assert fail(f"a0: &x0 [1]\n{bomb}\n").reason.endswith("has more than 20000 parts")


def test_anchor_may_be_used_twice():
    text = change(33, to="  rest: &short 1 min").replace("repeat_after: 15 min", "repeat_after: *short")
    (rule,) = read_rules(text)

    assert rule.repeat_after_ms == rule.remeasure.rest_ms == 60_000


def test_digest_is_of_what_is_said_and_not_of_how():
    (rule,) = read_rules(RULE)
    (same,) = read_rules("# a comment\n" + RULE.replace("version: 1", "version:   1"), origin="b.yaml")
    (other,) = read_rules(RULE.replace("for: 30 s", "for: 31 s"))

    assert same.digest == rule.digest != other.digest


@settings(max_examples=40)
@given(st.sampled_from(sorted(SPO2_LOW)), st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
))  # fmt: skip
def test_any_value_of_any_field_is_read_or_refused(field, value):
    try:
        answer = read_rules(write_rule(**{field: value}))[0].id
    except RuleInvalid as error:
        answer = str(error)

    assert len(answer.splitlines()) == 1


@given(st.text(alphabet="ab:-[]{}&*!|>#'\"%@`?, \n\t", max_size=60))
def test_any_text_is_read_or_refused(text):
    with pytest.raises(RuleInvalid) as caught:
        read_rules(text)

    assert 1 <= caught.value.line <= text.count("\n") + 1
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"ends_after": "0 s", "clear_when": None, "latching": True},
        {"ends_after": "1 h", "latching": True},
        {"ends_after": "1 h", "clear_when": None},
    ],
)
def test_what_ends_by_itself_latches_and_does_not_clear(changes):
    with pytest.raises(RuleInvalid) as caught:
        make_rule(**changes)
    assert caught.value.reason == "ends_after: needs a length, `latching: true` and no `clear_when`"


def test_a_rule_belongs_to_a_pack():
    with pytest.raises(RuleInvalid) as caught:
        make_rule(packs=[])
    assert caught.value.reason == "packs: names no pack"
