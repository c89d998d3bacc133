import pytest

from vitals.warning.event import Change
from vitals.warning.rule import Rule, RuleKind
from vitals.warning.rule_pack import rules_of_pack, shipped_rules
from vitals.warning.rule_set import compile_rules
from vitals.warning.sample import Sample
from vitals.warning.watch import Watch

PACKS = {"adult_ward", "ambulance", "maternal", "newborn", "hypertension"}
PACKS |= {"diabetes", "copd", "cgm", "wearable", "home"}
SHIPPED = {rule.id: rule for rule in shipped_rules()}
each_rule = pytest.mark.parametrize("rule", SHIPPED.values(), ids=SHIPPED)


def test_every_pack_has_rules() -> None:
    assert {pack for rule in shipped_rules() for pack in rule.packs} == PACKS
    assert all(rules_of_pack(pack) for pack in PACKS)


@each_rule
def test_shipped_rule_has_a_test_that_raises(rule: Rule) -> None:
    assert any(expected.change == Change.ACTIVE for test in rule.tests for expected in test.expected)


@each_rule
def test_nobody_has_signed_a_shipped_rule(rule: Rule) -> None:
    """Until somebody does; the page says so too."""
    assert "not yet signed" in rule.source.reviewer
    assert not rule.is_study


@each_rule
def test_zeros_raise_nothing_but_technical_alarms(rule: Rule) -> None:
    """A watch off the wrist sends zeros for hours (steps excepted: nobody walked)."""
    if rule.kind is RuleKind.TECHNICAL:
        return
    watch = Watch(compile_rules([rule]))
    keys = {key for declared in rule.inputs.values() for key in declared.keys} - {"steps"}
    events = []
    for minute in range(180):
        samples = [Sample(key, "wrist", minute * 60_000, 0.0) for key in sorted(keys)]
        events += watch.take(minute * 60_000, samples)
    assert [event.change for event in events if event.kind is not RuleKind.MISSING_DATA] == []


def test_packs_run_together() -> None:
    rules = compile_rules(shipped_rules())
    assert len(rules.rules) == len(SHIPPED)
    assert len(rules.digest) == 64


@pytest.mark.parametrize(
    ("rule", "flag"), [("glucose-high-urgent", "above_range"), ("glucose-low-urgent", "below_range")]
)
def test_a_meter_that_shows_hi_or_lo_calls(rule, flag):
    watch = Watch(compile_rules([SHIPPED[rule]]))
    events = watch.take(0, [Sample("glucose_cap_mmol", "meter", 0, None, None, (flag,))])
    events += watch.advance(3_600_000)
    assert Change.ACTIVE in [event.change for event in events]
    assert events[0].inputs[0].reason == flag
