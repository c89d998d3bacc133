"""A rule file: YAML text in, rules out, and every error with its line.

The form is declared once, as the structs below; `docs/early-warning.md` explains it. One document holds one
rule; a file may hold several, divided by `---`.
"""

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import yaml

from vitals.vocabulary import VitalCode, vital_code
from vitals.warning.errors import ExpressionInvalid, RuleInvalid
from vitals.warning.expression import QUESTIONS, Aggregate, Node, Not, parse_duration_ms, parse_expression
from vitals.warning.rule import (
    Expected,
    Input,
    InputType,
    Level,
    LevelStep,
    Parameter,
    Remeasure,
    Rule,
    RuleTest,
    ScoreUse,
    Source,
    Text,
    Worsening,
)
from vitals.warning.rule_form import (
    InputForm,
    ParameterForm,
    RemeasureForm,
    RuleForm,
    ScoreForm,
    TestForm,
    WorseningForm,
)
from vitals.warning.written_series import read_series

PATIENT = "patient."
"""Names that begin so are what is known of the person; they need no declaration."""
_LEVELS = {level.name.lower(): level for level in Level}
_ID = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_RESERVED = ("and", "or", "not", "over", "with", "of", "at", "patient", *Aggregate, *QUESTIONS)
_SIZE_MAX = 1_000_000  # characters of a file
_NODES_MAX = 20_000  # of a rule, with every alias written out
_SURROGATE = re.compile("[\ud800-\udfff]")
_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)


def read_rules(text: str, *, origin: str = "") -> tuple[Rule, ...]:
    """The rules of one file; their own tests are not run here (`rule_check.check_rule`).

    Raises:
        RuleInvalid: with the line of what is wrong.
    """
    if len(text) > _SIZE_MAX:
        raise RuleInvalid(f"is longer than {_SIZE_MAX} characters", line=1, origin=origin)
    try:
        documents = [node for node in yaml.compose_all(text, Loader=yaml.SafeLoader) if not _is_empty(node)]
    except yaml.YAMLError as error:
        raise _unreadable(error, text, origin) from error
    except RecursionError as error:
        raise RuleInvalid("is nested too deeply", line=1, origin=origin) from error
    if not documents:
        raise RuleInvalid("holds no rule", line=1, origin=origin)
    return tuple(_Reader(document, origin=origin).read() for document in documents)


def _is_empty(document: yaml.Node | None) -> bool:
    """Whether nothing stands between two `---`."""
    return document is None or (
        isinstance(document, yaml.ScalarNode) and document.start_mark == document.end_mark
    )


def _unreadable(error: yaml.YAMLError, text: str, origin: str) -> RuleInvalid:
    line = 1
    if isinstance(error, yaml.reader.ReaderError):
        line += text.count("\n", 0, error.position)
    else:
        line += error.problem_mark.line  # type: ignore[attr-defined]  # every other one has its mark
    reason = getattr(error, "problem", None) or str(error).splitlines()[0]
    return RuleInvalid(f"is not YAML: {reason}", line=line, origin=origin)


class _Reader:
    """One document: its plain values and the line of each path into them."""

    def __init__(self, document: yaml.Node, *, origin: str) -> None:
        self._origin = origin
        self._lines: dict[str, int] = {}
        self._rule = ""
        self._nodes = 0
        self._plain = self._to_plain(document, "$", 0)
        if isinstance(self._plain, dict):
            self._rule = str(self._plain.get("id", ""))

    def read(self) -> Rule:
        try:
            form = msgspec.convert(self._plain, RuleForm)
        except msgspec.ValidationError as error:
            raise self._misformed(error) from error
        self._check_head(form)
        self._check_names(form)
        return self._build(form)

    def _misformed(self, error: msgspec.ValidationError) -> RuleInvalid:
        reason, place = _divide(error)
        path = _write_path(_name_entries(self._plain, place))
        unknown = _UNKNOWN_FIELD.fullmatch(reason)
        if unknown is not None:
            return self._error("is no field here", f"{path}.{unknown[1]}")
        return self._error(reason, path)

    def _error(self, reason: str, path: str) -> RuleInvalid:
        """With the line of the path, or of the nearest part of it that is in the file."""
        place = path
        while place not in self._lines:
            place = re.sub(r"(\.[^.]*|\[\d+\])$", "", place, flags=re.DOTALL)
        where = "" if path == "$" else f"{path.removeprefix('$.')}: "
        return RuleInvalid(f"{where}{reason}", line=self._lines[place], origin=self._origin, rule=self._rule)

    def _to_plain(self, node: yaml.Node, path: str, depth: int) -> Any:
        self._lines.setdefault(path, node.start_mark.line + 1)
        self._nodes += 1
        if depth > 12:
            raise self._error("is nested too deeply", path)
        if self._nodes > _NODES_MAX:
            raise self._error(f"has more than {_NODES_MAX} parts", path)
        if isinstance(node, yaml.MappingNode):
            return self._to_mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return [
                self._to_plain(entry, f"{path}[{number}]", depth + 1)
                for number, entry in enumerate(node.value)
            ]
        if _SURROGATE.search(node.value):
            raise self._error("holds half a character", path)
        try:
            return yaml.SafeLoader("").construct_object(node)
        except (yaml.YAMLError, ValueError, LookupError, AttributeError) as error:
            # PyYAML raises all of these for a scalar whose tag does not fit: `!!int ""`, `!!bool maybe`.
            raise self._error(f"cannot be read as {node.tag}", path) from error

    def _to_mapping(self, node: yaml.MappingNode, path: str, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in node.value:
            name = _SURROGATE.sub("?", str(key.value))
            place = f"{path}.{name}"
            self._lines[place] = key.start_mark.line + 1
            if name in found:
                raise self._error("is said twice", place)
            found[name] = self._to_plain(value, place, depth + 1)
        return found

    def _check_names(self, form: RuleForm) -> None:
        if not _ID.fullmatch(form.id):
            raise self._error("must be small letters, digits and single hyphens", "$.id")
        seen: set[str] = set()
        for part in ("inputs", "scores", "parameters"):
            for name in getattr(form, part):
                if not _NAME.fullmatch(name) or name in _RESERVED:
                    raise self._error("must be small letters, digits and underscores", f"$.{part}.{name}")
                if name in seen:
                    raise self._error("names two things", f"$.{part}.{name}")
                seen.add(name)
        self._check_filled(form.source, "$.source", ("document", "section", "reviewer"))
        self._check_filled(form.text, "$.text", ("zh", "en"))
        if form.advice is not None:
            self._check_filled(form.advice, "$.advice", ("zh", "en"))
        if form.remeasure is not None:
            self._check_filled(form.remeasure.text, "$.remeasure.text", ("zh", "en"))
        if not form.tests:
            raise self._error("a rule without a test does not load", "$.tests")

    def _check_head(self, form: RuleForm) -> None:
        if form.version < 1:
            raise self._error("begins at 1", "$.version")
        if not form.packs:
            raise self._error("names no pack", "$.packs")

    def _check_filled(self, form: msgspec.Struct, path: str, names: tuple[str, ...]) -> None:
        for name in names:
            if not getattr(form, name).strip():
                raise self._error("must not be empty", f"{path}.{name}")

    def _build(self, form: RuleForm) -> Rule:
        raise_when = self._condition(form.raise_when, "$.raise_when")
        clear_when: Node = Not(column=1, operand=raise_when)
        if form.clear_when is not None:
            clear_when = self._condition(form.clear_when, "$.clear_when")
        return Rule(
            id=form.id,
            version=form.version,
            kind=form.kind,
            packs=tuple(form.packs),
            source=Source(**_plain_fields(form.source)),
            text=Text(**_plain_fields(form.text)),
            advice=None if form.advice is None else Text(**_plain_fields(form.advice)),
            inputs={name: self._input(name, entry) for name, entry in form.inputs.items()},
            scores={name: self._score(name, entry) for name, entry in form.scores.items()},
            parameters={name: self._parameter(name, entry) for name, entry in form.parameters.items()},
            applies_when=self._condition_or_none(form.applies_when, "$.applies_when"),
            raise_when=raise_when,
            raise_for_ms=self._duration(form.raise_for, "$.for"),
            grace_ms=self._grace_ms(form),
            clear_when=clear_when,
            clear_for_ms=self._duration(form.clear_for, "$.clear_for"),
            levels=self._levels(form.priority),
            worsens=self._worsening(form.worsens),
            remeasure=self._remeasure(form.remeasure),
            ends_after_ms=self._ends_after_ms(form),
            repeat_after_ms=self._duration_or_none(form.repeat_after, "$.repeat_after"),
            is_latching=form.latching,
            is_study=form.study,
            tests=tuple(self._test(number, entry) for number, entry in enumerate(form.tests)),
            text_of=self._text_of(),
            origin=self._origin,
            line=self._lines["$"],
            line_of={path.removeprefix("$."): line for path, line in self._lines.items()},
            digest=hashlib.sha256(msgspec.json.encode(self._plain, order="sorted")).hexdigest(),
        )

    def _text_of(self) -> Mapping[str, str]:
        names = ("applies_when", "raise_when", "clear_when")
        return {name: str(self._plain[name]) for name in names if self._plain.get(name) is not None}

    def _duration(self, text: str | int, path: str) -> int:
        if text == 0:
            return 0
        try:
            return parse_duration_ms(str(text))
        except ExpressionInvalid as error:
            raise self._error(error.reason, path) from error

    def _duration_or_none(self, text: str | None, path: str) -> int | None:
        return None if text is None else self._duration(text, path)

    def _grace_ms(self, form: RuleForm) -> int:
        """Unless it is said, unknown values may take as long as the on-delay itself."""
        return self._duration(form.raise_for if form.grace is None else form.grace, "$.grace")

    def _ends_after_ms(self, form: RuleForm) -> int | None:
        """What ends by itself stays before people until they have seen it, and says one way to end only."""
        if form.ends_after is None:
            return None
        ends_ms = self._duration(form.ends_after, "$.ends_after")
        if ends_ms == 0 or form.clear_when is not None or not form.latching:
            raise self._error("needs a length, `latching: true` and no `clear_when`", "$.ends_after")
        return ends_ms

    def _condition(self, text: str, path: str) -> Node:
        try:
            return parse_expression(text)
        except ExpressionInvalid as error:
            raise self._error(str(error), path) from error

    def _condition_or_none(self, text: str | None, path: str) -> Node | None:
        return None if text is None else self._condition(text, path)

    def _level(self, name: str, path: str) -> Level:
        if name not in _LEVELS:
            raise self._error(f"must be one of {', '.join(_LEVELS)}", path)
        return _LEVELS[name]

    def _levels(self, priority: str | Mapping[str, str]) -> tuple[LevelStep, ...]:
        """Highest first."""
        if isinstance(priority, str):
            return (LevelStep(level=self._level(priority, "$.priority"), when=None),)
        steps = sorted(
            (
                LevelStep(
                    level=self._level(name, f"$.priority.{name}"),
                    when=self._condition(text, f"$.priority.{name}"),
                )
                for name, text in priority.items()
            ),
            key=lambda step: -step.level,
        )
        if not steps:
            raise self._error("names no level", "$.priority")
        return tuple(steps)

    def _input(self, name: str, form: InputForm) -> Input:
        path = f"$.inputs.{name}"
        keys = form.keys or [name]
        codes = [self._code(keys, place, f"{path}.keys[{place}]") for place in range(len(keys))]
        unit = codes[0].ucum if form.unit is None else form.unit
        for key, code in zip(keys, codes, strict=True):
            if code.ucum != unit:
                raise self._error(f"{key} is measured in {code.ucum!r}, not in {unit!r}", f"{path}.unit")
        low, high = codes[0].plausible_low, codes[0].plausible_high
        if form.range is not None:
            low, high = self._range(form.range, f"{path}.range")
        if form.type is InputType.NUMBER and (low is None or high is None):
            raise self._error("a number needs `range`", path)
        if form.quality_min is not None and not 0 <= form.quality_min <= 1:
            raise self._error("must be from 0 to 1", f"{path}.quality_min")
        for limit in ("differ_by", "jump_by"):
            self._check_positive(getattr(form, limit), f"{path}.{limit}")
        return Input(
            keys=tuple(keys),
            type=form.type,
            low=low,
            high=high,
            quality_min=form.quality_min,
            stale_after_ms=self._duration_or_none(form.stale_after, f"{path}.stale_after"),
            keeps_last=form.keeps_last,
            differ_by=form.differ_by,
            jump_by=form.jump_by,
        )

    def _check_positive(self, number: float | None, path: str) -> None:
        if number is not None and not 0 < number < math.inf:
            raise self._error("must be above 0", path)

    def _code(self, keys: list[str], place: int, path: str) -> VitalCode:
        code = vital_code(keys[place])
        if code is None:
            raise self._error(f"the vocabulary has no {keys[place]!r}", path)
        if keys[place] in keys[:place]:
            raise self._error(f"{keys[place]!r} is said twice", path)
        return code

    def _range(self, limits: list[float], path: str) -> tuple[float, float]:
        if len(limits) != 2 or not -math.inf < limits[0] < limits[1] < math.inf:
            raise self._error("must be two numbers, the lower first", path)
        return limits[0], limits[1]

    def _score(self, name: str, form: str | ScoreForm) -> ScoreUse:
        if isinstance(form, str):
            return ScoreUse(score=form, fed_by={}, words={}, assumed={})
        self._check_positive(form.lower_bound_with, f"$.scores.{name}.lower_bound_with")
        path = f"$.scores.{name}.words"
        words = {
            fed: tuple(
                (word, self._condition(text, f"{path}.{fed}.{word}")) for word, text in choices.items()
            )
            for fed, choices in form.words.items()
        }
        return ScoreUse(
            score=form.score,
            fed_by=form.inputs,
            words=words,
            assumed=form.assume,
            lower_bound_with=form.lower_bound_with,
        )

    def _parameter(self, name: str, form: ParameterForm) -> Parameter:
        if not -math.inf < form.low <= form.value <= form.high < math.inf:
            raise self._error(f"{form.value} is not within its own limits", f"$.parameters.{name}")
        return Parameter(value=form.value, low=form.low, high=form.high)

    def _worsening(self, form: WorseningForm | None) -> Worsening | None:
        if form is None:
            return None
        self._check_positive(form.by, "$.worsens.by")
        return Worsening(value=self._condition(form.value, "$.worsens.value"), by=form.by)

    def _remeasure(self, form: RemeasureForm | None) -> Remeasure | None:
        if form is None:
            return None
        unanswered = None
        if form.unanswered != "drop":
            unanswered = self._level(form.unanswered, "$.remeasure.unanswered")
        rest_ms = self._duration(form.rest, "$.remeasure.rest")
        within_ms = self._duration(form.within, "$.remeasure.within")
        if rest_ms >= within_ms:
            raise self._error("must end before `within`", "$.remeasure.rest")
        text = Text(**_plain_fields(form.text))
        return Remeasure(rest_ms=rest_ms, within_ms=within_ms, unanswered=unanswered, text=text)

    def _test(self, number: int, form: TestForm) -> RuleTest:
        path = f"$.tests[{number}]"
        step_ms = self._duration(form.step, f"{path}.step")
        if step_ms == 0:
            raise self._error("must be above 0", f"{path}.step")
        series = {}
        for name, text in form.series.items():
            try:
                series[name] = read_series(text)
            except ValueError as error:
                raise self._error(str(error), f"{path}.series.{name}") from error
        return RuleTest(
            line=self._lines[path],
            step_ms=step_ms,
            series=series,
            given=form.given,
            expected=tuple(
                Expected(
                    at_ms=self._duration(entry.at, f"{path}.expect[{place}].at"),
                    change=entry.event,
                    level=None
                    if entry.priority is None
                    else self._level(entry.priority, f"{path}.expect[{place}].priority"),
                )
                for place, entry in enumerate(form.expect)
            ),
        )


def _divide(error: msgspec.ValidationError) -> tuple[str, str]:
    """Reason and path; without a path it is the whole document."""
    reason, _, path = str(error).rpartition(" - at `")
    return (reason, path.removesuffix("`")) if reason else (str(error), "$")


def _name_entries(plain: Any, place: str) -> list[str | int]:
    """The path to a place. msgspec calls every entry of a mapping `[...]`: the one that fails alone is it."""
    path: list[str | int] = []
    for name, number in re.findall(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]", place):
        if number == "...":
            names = list(_reach(plain, path))
            path.append(next(entry for entry in names if _fails_at(_keep_one(plain, path, entry), place)))
            plain = _keep_one(plain, path[:-1], path[-1])
        else:
            path.append(int(number) if number else name)
    return path


def _reach(plain: Any, path: Sequence[str | int]) -> Any:
    for part in path:
        plain = plain[part]
    return plain


def _keep_one(plain: Any, path: Sequence[str | int], entry: str | int) -> Any:
    """The document with one entry alone in the mapping at that path."""
    if not path:
        return {entry: plain[entry]}
    first, *rest = path
    inner = _keep_one(plain[first], rest, entry)
    return [*plain[:first], inner] if isinstance(first, int) else plain | {first: inner}


def _fails_at(plain: Any, place: str) -> bool:
    try:
        msgspec.convert(plain, RuleForm)
    except msgspec.ValidationError as error:
        return _divide(error)[1] == place
    return False


def _write_path(path: Sequence[str | int]) -> str:
    return "$" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)


def _plain_fields(form: msgspec.Struct) -> dict[str, Any]:
    return {name: getattr(form, name) for name in form.__struct_fields__}
