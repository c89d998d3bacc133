"""A rule's own tests: they run whenever it is loaded, and a rule that fails one does not load."""

from collections.abc import Iterable, Iterator, Mapping

from vitals.warning.errors import RuleInvalid
from vitals.warning.event import Event
from vitals.warning.rule import Expected, Input, Rule, RuleTest
from vitals.warning.rule_set import PATIENT_TYPES, RuleSet, compile_rules, parameter_key
from vitals.warning.sample import Sample, find_refusal
from vitals.warning.watch import Watch

_SRC = "test"


def check_rule(rule: Rule) -> RuleSet:
    """Run a rule's tests; the rule compiled alone.

    Raises:
        RuleInvalid: a condition says nothing, or a test fails; with the line.
    """
    compiled = compile_rules([rule])
    for test in rule.tests:
        problem = _find_problem(rule, test, compiled)
        if problem is not None:
            raise RuleInvalid(f"its test fails: {problem}", line=test.line, origin=rule.origin, rule=rule.id)
    return compiled


def _find_problem(rule: Rule, test: RuleTest, compiled: RuleSet) -> str | None:
    unknown = _find_unknown_name(rule, test)
    if unknown is not None:
        return unknown
    events = list(_run(rule, test, compiled))
    wanted = list(test.expected)
    for event, expected in zip(events, wanted, strict=False):
        if not _fits(event, expected):
            return f"expected {_describe_expected(expected)}, found {_describe(event)}"
    if len(events) > len(wanted):
        return f"did not expect {_describe(events[len(wanted)])}"
    if len(wanted) > len(events):
        return f"expected {_describe_expected(wanted[len(events)])}, found nothing more"
    return None


def _find_unknown_name(rule: Rule, test: RuleTest) -> str | None:
    for name in test.series:
        if name not in rule.inputs and name.removesuffix(".quality") not in rule.inputs:
            return f"there is no input {name!r}"
    for name, value in test.given.items():
        if name in rule.parameters:
            limits = rule.parameters[name]
            if not isinstance(value, int | float) or not limits.low <= value <= limits.high:
                return f"{name} may not be {value!r}"
        elif name not in PATIENT_TYPES:
            return f"{name!r} is neither of the person nor a parameter"
        elif find_refusal(Sample(name, _SRC, 0, value), Input(keys=(name,), type=PATIENT_TYPES[name])):
            return f"{name} may not be {value!r}"
    return None


def _run(rule: Rule, test: RuleTest, compiled: RuleSet) -> Iterator[Event]:
    watch = Watch(compiled)
    steps = max((len(values) for values in test.series.values()), default=0)
    for step in range(steps):
        samples = list(_given(rule, test.given)) if step == 0 else []
        samples += _build_samples(rule, test, step)
        if samples:
            yield from watch.take(step * test.step_ms, samples)
        else:
            yield from watch.advance(step * test.step_ms)


def _given(rule: Rule, given: Mapping[str, float | str | bool]) -> Iterable[Sample]:
    for name, value in given.items():
        key = parameter_key(rule.id, name) if name in rule.parameters else name
        yield Sample(key, _SRC, 0, value)


def _build_samples(rule: Rule, test: RuleTest, step: int) -> list[Sample]:
    samples = []
    for name, values in test.series.items():
        if name.endswith(".quality") or step >= len(values) or values[step] is None:
            continue
        declared: Input = rule.inputs[name]
        samples.append(
            Sample(
                declared.keys[0],
                _SRC,
                step * test.step_ms,
                values[step],
                _quality(test, name, step),
            )
        )
    return samples


def _quality(test: RuleTest, name: str, step: int) -> float | None:
    values = test.series.get(f"{name}.quality", ())
    value = values[step] if step < len(values) else None
    return value if isinstance(value, float) else None


def _fits(event: Event, expected: Expected) -> bool:
    has_level = expected.level is None or event.level is expected.level
    return event.at_ms == expected.at_ms and event.change == expected.change and has_level


def _describe(event: Event) -> str:
    return f"{event.change} ({event.level.name.lower()}) at {event.at_ms / 1000:g} s"


def _describe_expected(expected: Expected) -> str:
    level = "" if expected.level is None else f" ({expected.level.name.lower()})"
    return f"{expected.change}{level} at {expected.at_ms / 1000:g} s"
