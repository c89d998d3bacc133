"""Rules made ready to run together: what they share is computed once.

Rules that read the same vital sign through the same gate share a channel.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace

from vitals.warning.errors import RuleInvalid, ScoreError, ScoreInputInvalid
from vitals.warning.expression import Name, Node, Question
from vitals.warning.frame import Frame
from vitals.warning.rule import Input, InputType, Level, Rule, RuleKind, ScoreUse
from vitals.warning.rule_file import PATIENT
from vitals.warning.score import Score, find_score
from vitals.warning.score_result import ScoreResult
from vitals.warning.term import Kind, Read, Term, TermInvalid, build_condition, build_term

_KIND_BY_TYPE = {
    InputType.NUMBER: Kind.NUMBER,
    InputType.WORD: Kind.WORD,
    InputType.TRUTH: Kind.TRUTH,
}
PATIENT_TYPES: Mapping[str, InputType] = {
    "patient.age": InputType.NUMBER,  # years
    "patient.age_days": InputType.NUMBER,  # of newborns
    "patient.pregnant": InputType.TRUTH,
    "patient.spo2_scale": InputType.NUMBER,  # NEWS2 scale that a clinician prescribed: 1 or 2
    "patient.oxygen": InputType.WORD,  # "air" or "oxygen"
    "patient.resting_hr": InputType.NUMBER,  # /min, the person's own
    "patient.hypertension": InputType.TRUTH,
    "patient.diabetes": InputType.TRUTH,
    "patient.copd": InputType.TRUTH,
}
"""What rules may ask of a person; these come as samples too, so that a replay knows them as they were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledRule:
    """One rule with its closures. `channels` are those that can change any of its answers."""

    rule: Rule
    applies: Read | None
    raises: Read
    clears: Read
    levels: tuple[tuple[Level, Read | None], ...]
    worsens: Read | None
    channels: frozenset[int]
    raise_channels: frozenset[int]
    read_inputs: tuple[tuple[str, int], ...]
    read_scores: tuple[tuple[str, Callable[[Frame], ScoreResult | None]], ...]
    parameters: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledWindow:
    """What a window gathers, and how long it looks back."""

    span_ms: int
    read: Read
    channels: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSet:
    """Rules that run together. `digest` is the same wherever the same rules run."""

    digest: str
    rules: tuple[CompiledRule, ...]
    channels: tuple[Input, ...]
    windows: tuple[CompiledWindow, ...]
    parameters: tuple[float, ...]
    parameter_slots: Mapping[str, int]
    channels_by_key: Mapping[str, tuple[tuple[int, int], ...]]
    """For each vital sign the channels that take it, with its place among the channel's keys."""
    scores: int

    def build_frame(self) -> Frame:
        """An empty frame for one person."""
        number = len(self.channels)
        return Frame(
            values=[None] * number,
            gated=[False] * number,
            missing=[False] * number,
            disagreeing=[False] * number,
            windows=[],
            parameters=list(self.parameters),
            scored=[((), None)] * self.scores,
        )


def compile_rules(rules: Iterable[Rule]) -> RuleSet:
    """Make rules ready to run, in the order of their ids.

    Raises:
        RuleInvalid: an unknown name in a condition, a wrong type, or one id twice.
    """
    ordered = sorted(rules, key=lambda rule: rule.id)
    shared = _Shared()
    compiled: list[CompiledRule] = []
    for rule in ordered:
        if compiled and compiled[-1].rule.id == rule.id:
            raise RuleInvalid("another rule has this id", line=rule.line, rule=rule.id)
        compiled.append(_Scope(rule, shared).compile())
    digests = "\n".join(rule.digest for rule in ordered)
    by_key: dict[str, list[tuple[int, int]]] = {}
    for channel, declared in enumerate(shared.channels):
        for rank, key in enumerate(declared.keys):
            by_key.setdefault(key, []).append((channel, rank))
    return RuleSet(
        digest=hashlib.sha256(digests.encode()).hexdigest(),
        rules=tuple(compiled),
        channels=tuple(shared.channels),
        windows=tuple(shared.windows),
        parameters=tuple(shared.parameters.values()),
        parameter_slots={name: slot for slot, name in enumerate(shared.parameters)},
        channels_by_key={key: tuple(entries) for key, entries in by_key.items()},
        scores=len(shared.scores),
    )


def parameter_key(rule: str, name: str) -> str:
    """The key of the samples that change a parameter for one person: an override is data like any other."""
    return f"parameter.{rule}.{name}"


@dataclass(slots=True)
class _Shared:
    channels: dict[Input, int] = field(default_factory=dict)
    windows: list[CompiledWindow] = field(default_factory=list)
    parameters: dict[str, float] = field(default_factory=dict)
    scores: dict[object, int] = field(default_factory=dict)


class _Scope:
    """The names of one rule."""

    def __init__(self, rule: Rule, shared: _Shared) -> None:
        self._rule = rule
        self._shared = shared
        self._is_technical = rule.kind in (RuleKind.TECHNICAL, RuleKind.MISSING_DATA)
        self._read_inputs: dict[str, int] = {}
        self._read_scores: dict[str, Callable[[Frame], ScoreResult | None]] = {}
        self._score_terms: dict[str, Term] = {}

    def compile(self) -> CompiledRule:
        rule = self._rule
        applies = None if rule.applies_when is None else self._condition(rule.applies_when)
        raises, clears = self._condition(rule.raise_when), self._condition(rule.clear_when)
        levels = tuple(
            (step.level, None if step.when is None else self._condition(step.when)) for step in rule.levels
        )
        worsens = None if rule.worsens is None else self._number(rule.worsens.value)
        terms = [raises, clears, *(term for _, term in levels if term is not None)]
        terms += [term for term in (applies, worsens) if term is not None]
        self._find_unused()
        return CompiledRule(
            rule=rule,
            applies=None if applies is None else applies.read,
            raises=raises.read,
            clears=clears.read,
            levels=tuple((level, None if term is None else term.read) for level, term in levels),
            worsens=None if worsens is None else worsens.read,
            channels=frozenset[int]().union(*(term.channels for term in terms)),
            raise_channels=raises.channels,
            read_inputs=tuple(sorted(self._read_inputs.items())),
            read_scores=tuple(sorted(self._read_scores.items())),
            parameters=tuple((name, self._parameter_slot(name)) for name in rule.parameters),
        )

    def find(self, node: Name) -> Term:
        """What a name stands for, or `TermInvalid`."""
        rule = self._rule
        first, _, rest = node.name.partition(".")
        if node.name in rule.inputs:
            return self._channel_term(node.name)
        if node.name in rule.parameters:
            slot = self._parameter_slot(node.name)
            return Term(kind=Kind.NUMBER, read=lambda frame: frame.parameters[slot])
        if first in rule.scores and rest:
            return self._score_term(first, rest, node.column)
        if node.name in PATIENT_TYPES:
            return self._channel_term(node.name)
        known = [*rule.inputs, *rule.parameters, *(f"{name}.total" for name in rule.scores)]
        raise TermInvalid(
            f"knows no {node.name!r}; known: {', '.join(known)} and {', '.join(PATIENT_TYPES)}",
            column=node.column,
        )

    def ask(self, node: Question) -> Term:
        """The answer to a question about an input, or `TermInvalid`."""
        if node.question == "known":
            return self._ask_known(node)
        if not self._is_technical:
            raise TermInvalid(
                f"{node.question}() is for technical rules: elsewhere it would answer for unknown",
                column=node.column,
            )
        if node.name not in self._rule.inputs:
            raise TermInvalid(f"knows no input {node.name!r}", column=node.column)
        channel = self._channel(node.name)
        reads: Mapping[str, Read] = {
            "missing": lambda frame: frame.missing[channel],
            "gated": lambda frame: frame.gated[channel],
            "disagreeing": lambda frame: frame.disagreeing[channel],
        }
        return Term(kind=Kind.TRUTH, read=reads[node.question], channels=frozenset((channel,)))

    def _ask_known(self, node: Question) -> Term:
        if not self._rule.is_study:
            raise TermInvalid("known() is for studies: elsewhere it would hide silence", column=node.column)
        term = self.find(Name(column=node.column, name=node.name))
        read_value = term.read
        return Term(kind=Kind.TRUTH, read=lambda frame: read_value(frame) is not None, channels=term.channels)

    def open_window(self, span_ms: int, operand: Term) -> int:
        """The slot in `Frame.windows` that gathers `operand`."""
        windows = self._shared.windows
        windows.append(CompiledWindow(span_ms=span_ms, read=operand.read, channels=operand.channels))
        return len(windows) - 1

    def _condition(self, node: Node) -> Term:
        return self._build(node, build_condition)

    def _number(self, node: Node) -> Term:
        term = self._build(node, build_term)
        if term.kind is Kind.INTERVAL:
            read_interval = term.read
            return replace(term, kind=Kind.NUMBER, read=lambda frame: _low_of(read_interval(frame)))
        if term.kind is not Kind.NUMBER:
            raise self._error(f"expected a number, found {term.kind}")
        return term

    def _build(self, node: Node, build: Callable[[Node, "_Scope"], Term]) -> Term:
        try:
            return build(node, self)
        except TermInvalid as error:
            raise self._error(f"{error.reason} (at column {error.column})") from error

    def _error(self, reason: str) -> RuleInvalid:
        return RuleInvalid(reason, line=self._rule.line, rule=self._rule.id)

    def _find_unused(self) -> None:
        for name in self._rule.inputs:
            if name not in self._read_inputs:
                raise self._error(f"input {name!r} is never read")

    def _channel(self, name: str) -> int:
        if name in self._rule.inputs:
            declared = self._rule.inputs[name]
        else:
            declared = Input(keys=(name,), type=PATIENT_TYPES[name], keeps_last=True)
        channels = self._shared.channels
        channel = channels.setdefault(declared, len(channels))
        self._read_inputs[name] = channel
        return channel

    def _channel_term(self, name: str) -> Term:
        channel = self._channel(name)
        declared = self._rule.inputs.get(name)
        kind = _KIND_BY_TYPE[PATIENT_TYPES[name] if declared is None else declared.type]
        return Term(kind=kind, read=lambda frame: frame.values[channel], channels=frozenset((channel,)))

    def _parameter_slot(self, name: str) -> int:
        parameters = self._shared.parameters
        key = parameter_key(self._rule.id, name)
        parameters.setdefault(key, self._rule.parameters[name].value)
        return list(parameters).index(key)

    def _score_term(self, name: str, field_name: str, column: int) -> Term:
        if field_name != "total":
            raise TermInvalid(f"of a score only `{name}.total` can be read", column=column)
        if name not in self._score_terms:
            self._score_terms[name] = self._build_score(name, self._rule.scores[name])
        return self._score_terms[name]

    def _build_score(self, name: str, use: ScoreUse) -> Term:
        feeds = self._feeds(name, use)
        compute = self._read_score(use, feeds)
        channels = frozenset[int]().union(*(feed.channels for feed in feeds.values()))
        self._read_scores[name] = compute
        if use.lower_bound_with is None:
            return Term(kind=Kind.INTERVAL, read=_read_interval(compute), channels=channels)
        counted = tuple(feed.read for fed, feed in feeds.items() if self._is_measured(fed, use))
        read = _read_lower_bound(compute, counted, needed=use.lower_bound_with)
        return Term(kind=Kind.NUMBER, read=read, channels=channels)

    def _is_measured(self, fed: str, use: ScoreUse) -> bool:
        return use.fed_by.get(fed, fed) in self._rule.inputs

    def _feeds(self, name: str, use: ScoreUse) -> dict[str, Term]:
        """What feeds the score's inputs; one that nothing feeds stays missing or assumed."""
        known = [entry.name for entry in self._find_score(use).inputs]
        for given in (*use.fed_by, *use.words, *use.assumed):
            if given not in known:
                raise self._error(f"{use.score} has no input {given!r}; known: {', '.join(known)}")
        feeds: dict[str, Term] = {}
        for fed in known:
            source = use.fed_by.get(fed, fed)
            if fed in use.words:
                feeds[fed] = self._word_term(use.words[fed])
            elif source in self._rule.inputs or source in PATIENT_TYPES:
                feeds[fed] = self._channel_term(source)
            elif fed in use.fed_by:
                raise self._error(f"score {name!r} is fed by {source!r}, which is no input")
            elif PATIENT + fed in PATIENT_TYPES:
                feeds[fed] = self._channel_term(PATIENT + fed)
        return feeds

    def _word_term(self, choices: tuple[tuple[str, Node], ...]) -> Term:
        terms = [(word, self._condition(node)) for word, node in choices]
        channels = frozenset[int]().union(*(term.channels for _, term in terms))
        reads = tuple((word, term.read) for word, term in terms)

        def read(frame: Frame) -> str | None:
            return next((word for word, read_one in reads if read_one(frame)), None)

        return Term(kind=Kind.WORD, read=read, channels=channels)

    def _find_score(self, use: ScoreUse) -> Score:
        try:
            return find_score(use.score)
        except ScoreError as error:
            raise self._error(str(error)) from error

    def _read_score(self, use: ScoreUse, feeds: Mapping[str, Term]) -> Callable[[Frame], ScoreResult | None]:
        score = self._find_score(use)
        assumed = dict(use.assumed)
        slot = self._score_slot(use, feeds)
        names, reads = tuple(feeds), tuple(feed.read for feed in feeds.values())

        def read(frame: Frame) -> ScoreResult | None:
            values = tuple([read_one(frame) for read_one in reads])
            last_values, last = frame.scored[slot]
            if last is None or last_values != values:
                known = {name: value for name, value in zip(names, values, strict=True) if value is not None}
                last = _compute(score, assumed | known)
                frame.scored[slot] = (values, last)
            return last  # type: ignore[return-value]  # the frame keeps results of any score

        return read

    def _score_slot(self, use: ScoreUse, feeds: Mapping[str, Term]) -> int:
        """Rules that score the same channels in the same way share the result."""
        scores = self._shared.scores
        key = (
            use.score,
            tuple(sorted(use.assumed.items())),
            tuple((name, feed.channels) for name, feed in feeds.items()),
            tuple((name, self._sign(choices)) for name, choices in sorted(use.words.items())),
        )
        return scores.setdefault(key, len(scores))

    def _sign(self, part: object) -> object:
        """A tree with channels for this rule's own names and without columns: equal if it means the same."""
        if isinstance(part, Name):
            return self.find(part).channels, part.name if part.name in self._rule.parameters else ""
        if isinstance(part, tuple):
            return tuple(self._sign(entry) for entry in part)
        if not is_dataclass(part):
            return part
        return type(part).__name__, *(
            self._sign(getattr(part, entry.name)) for entry in fields(part) if entry.name != "column"
        )


def _compute(score: Score, inputs: Mapping[str, object]) -> ScoreResult:
    """The result; an input outside the score's domain is as if it were missing."""
    while True:
        try:
            return score.compute(inputs)
        except ScoreInputInvalid as error:
            inputs = {name: value for name, value in inputs.items() if name != error.field}


def _read_interval(compute: Callable[[Frame], ScoreResult | None]) -> Read:
    def read(frame: Frame) -> tuple[float, float] | None:
        result = compute(frame)
        if result is None or result.total_min is None or result.total_max is None:
            return None
        return result.total_min, result.total_max

    return read


def _read_lower_bound(
    compute: Callable[[Frame], ScoreResult | None], counted: Sequence[Read], *, needed: int
) -> Read:
    def read(frame: Frame) -> float | None:
        known = 0
        for read_one in counted:
            known += read_one(frame) is not None
        if known < needed:
            return None
        result = compute(frame)
        return None if result is None else result.total_min

    return read


def _low_of(interval: tuple[float, float] | None) -> float | None:
    return None if interval is None else interval[0]
