"""Rules made ready to run together: what they share is computed once.

Rules that read the same vital sign through the same gate share a channel.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace

from vitals.warning.errors import RuleInvalid, ScoreError, ScoreInputInvalid
from vitals.warning.expression import Aggregate, Name, Node, Not, Question, Window, walk
from vitals.warning.frame import Frame, Value
from vitals.warning.rule import Input, InputType, Level, Parameter, Rule, RuleKind, ScoreUse
from vitals.warning.rule_file import PATIENT
from vitals.warning.score import Score, find_score
from vitals.warning.score_result import Outcome, ScoreResult
from vitals.warning.term import Kind, Read, Term, TermInvalid, build_condition, build_term, negate
from vitals.warning.window import SAVED_BYTES, SAVED_BYTES_WITH_LINE, BucketWindow

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
STATE_BYTES_MAX = 4096
"""What one rule may keep for one person; vital signs are kept once for all rules."""
_CONDITION_BYTES = 256


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
    answer_channels: frozenset[int]
    """Those of measured values whose new value may be the second reading that a rule asks for."""
    read_inputs: tuple[tuple[str, int], ...]
    read_scores: tuple[tuple[str, Callable[[Frame], ScoreResult]], ...]
    parameters: tuple[tuple[str, int], ...]
    state_bytes: int
    """What the rule keeps for one person, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledWindow:
    """What a window gathers, and how long it looks back."""

    span_ms: int
    read: Read
    channels: frozenset[int]
    has_line: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """Where a parameter of one rule is changed for one person."""

    rule: int
    slot: int
    limits: Parameter

    def is_allowed(self, value: Value) -> bool:
        """Whether it is a number within the limits that the rule sets."""
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and self.limits.low <= value <= self.limits.high  # type: ignore[operator]  # a number


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSet:
    """Rules that run together. `digest` is the same wherever the same rules run."""

    digest: str
    rules: tuple[CompiledRule, ...]
    channels: tuple[Input, ...]
    windows: tuple[CompiledWindow, ...]
    parameters: tuple[float, ...]
    overrides: Mapping[str, Override]
    channels_by_key: Mapping[str, tuple[tuple[int, int], ...]]
    """For each vital sign the channels that take it, with its place among the channel's keys."""
    scores: int
    totals: int

    def build_frame(self) -> Frame:
        """An empty frame for one person."""
        number = len(self.channels)
        return Frame(
            values=[None] * number,
            gated=[False] * number,
            missing=[False] * number,
            disagreeing=[False] * number,
            windows=[BucketWindow(window.span_ms, has_line=window.has_line) for window in self.windows],
            parameters=list(self.parameters),
            scored=[((), None)] * self.scores,
            totals=[(-1, None)] * self.totals,
        )


def compile_rules(rules: Iterable[Rule]) -> RuleSet:
    """Make rules ready to run, in the order of their ids.

    Raises:
        RuleInvalid: an unknown name in a condition, a wrong type, too great a state, or one id twice.
    """
    ordered = sorted(rules, key=lambda rule: rule.id)
    shared = _Shared()
    compiled: list[CompiledRule] = []
    for rule in ordered:
        if compiled and compiled[-1].rule.id == rule.id:
            raise RuleInvalid("another rule has this id", line=rule.line, origin=rule.origin, rule=rule.id)
        compiled.append(_Scope(rule, shared).compile())
    overrides = {
        parameter_key(entry.rule.id, name): Override(
            rule=number, slot=slot, limits=entry.rule.parameters[name]
        )
        for number, entry in enumerate(compiled)
        for name, slot in entry.parameters
    }
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
        overrides=overrides,
        channels_by_key={key: tuple(entries) for key, entries in by_key.items()},
        scores=len(shared.scores),
        totals=len(shared.totals),
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
    totals: dict[object, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _ScoreTerms:
    """What can be read of a score in a rule."""

    total: Term | None
    outcomes: Mapping[str, Term]


class _Scope:
    """The names of one rule."""

    def __init__(self, rule: Rule, shared: _Shared) -> None:
        self._rule = rule
        self._shared = shared
        self._is_technical = rule.kind in (RuleKind.TECHNICAL, RuleKind.MISSING_DATA)
        self._read_inputs: dict[str, int] = {}
        self._read_scores: dict[str, Callable[[Frame], ScoreResult]] = {}
        self._read_parameters: set[str] = set()
        self._score_terms: dict[str, _ScoreTerms] = {}
        self._windows: dict[tuple[int, Node], int] = {}

    def compile(self) -> CompiledRule:
        rule = self._rule
        applies = None if rule.applies_when is None else self._condition(rule.applies_when, "applies_when")
        raises = self._condition(rule.raise_when, "raise_when")
        if rule.clear_when == Not(column=1, operand=rule.raise_when):
            clears = negate(raises)
        else:
            clears = self._condition(rule.clear_when, "clear_when")
        levels = tuple((step.level, self._level_term(step.level, step.when)) for step in rule.levels)
        worsens = None if rule.worsens is None else self._number(rule.worsens.value, "worsens.value")
        terms = [raises, clears, *(term for _, term in levels if term is not None)]
        terms += [term for term in (applies, worsens) if term is not None]
        self._find_unused()
        self._check_clearing()
        return CompiledRule(
            rule=rule,
            applies=None if applies is None else applies.read,
            raises=raises.read,
            clears=clears.read,
            levels=tuple((level, None if term is None else term.read) for level, term in levels),
            worsens=None if worsens is None else worsens.read,
            channels=frozenset[int]().union(*(term.channels for term in terms)),
            answer_channels=raises.channels.intersection(
                number for name, number in self._read_inputs.items() if name in rule.inputs
            ),
            read_inputs=tuple(sorted(self._read_inputs.items())),
            read_scores=tuple(sorted(self._read_scores.items())),
            parameters=tuple((name, self._parameter_slot(name)) for name in rule.parameters),
            state_bytes=self._count_state(),
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

    def open_window(self, node: Window, operand: Term) -> int:
        """The slot in `Frame.windows` that gathers `operand`; the same one for all that ask the same."""
        windows = self._shared.windows
        has_line = node.aggregate is Aggregate.SLOPE
        slot = self._windows.setdefault((node.span_ms, node.operand), len(windows))
        if slot == len(windows):
            windows.append(
                CompiledWindow(
                    span_ms=node.span_ms, read=operand.read, channels=operand.channels, has_line=has_line
                )
            )
        elif has_line:
            windows[slot] = replace(windows[slot], has_line=True)
        return slot

    def _count_state(self) -> int:
        windows = [self._shared.windows[slot] for slot in self._windows.values()]
        count = _CONDITION_BYTES + sum(
            SAVED_BYTES_WITH_LINE if window.has_line else SAVED_BYTES for window in windows
        )
        if count > STATE_BYTES_MAX:
            raise self._error(
                f"its {len(windows)} windows keep {count} bytes for a person, more than {STATE_BYTES_MAX}"
            )
        return count

    def _condition(self, node: Node, place: str) -> Term:
        return self._build(node, build_condition, place)

    def _level_term(self, level: Level, node: Node | None) -> Term | None:
        return None if node is None else self._condition(node, f"priority.{level.name.lower()}")

    def _number(self, node: Node, place: str) -> Term:
        term = self._build(node, build_term, place)
        if term.kind is Kind.INTERVAL:
            read_interval = term.read
            return replace(term, kind=Kind.NUMBER, read=lambda frame: read_interval(frame)[0])
        if term.kind is not Kind.NUMBER:
            raise self._error(f"expected a number, found {term.kind}", place)
        return term

    def _build(self, node: Node, build: Callable[[Node, "_Scope"], Term], place: str) -> Term:
        try:
            return build(node, self)
        except TermInvalid as error:
            raise self._error(f"{error.reason} (at column {error.column})", place) from error

    def _error(self, reason: str, place: str = "") -> RuleInvalid:
        """Of the condition at that place of the rule, or of the whole rule."""
        rule = self._rule
        line = rule.line_of.get(place, rule.line)
        text = f"{place}: {reason}" if place else reason
        return RuleInvalid(text, line=line, origin=rule.origin, rule=rule.id)

    def _find_unused(self) -> None:
        read = {*self._read_inputs, *self._score_terms, *self._read_parameters}
        for part in ("inputs", "scores", "parameters"):
            for name in getattr(self._rule, part):
                if name not in read:
                    raise self._error("is never read", f"{part}.{name}")

    def _check_clearing(self) -> None:
        """Missing values never clear, so nothing that falls when one goes missing may."""
        place = "clear_when" if "clear_when" in self._rule.text_of else "raise_when"
        for node in walk(self._rule.clear_when):
            use = self._rule.scores.get(node.name.partition(".")[0]) if isinstance(node, Name) else None
            if use is None or use.lower_bound_with is None or self._rule.is_study:
                continue
            measured = sum(self._is_measured(entry.name, use) for entry in find_score(use.score).inputs)
            if use.lower_bound_with < measured:
                reason = f"may clear by what is missing: clear_when must know all {measured} values"
                raise self._error(reason, place)

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
        self._read_parameters.add(name)
        parameters = self._shared.parameters
        key = parameter_key(self._rule.id, name)
        parameters.setdefault(key, self._rule.parameters[name].value)
        return list(parameters).index(key)

    def _score_term(self, name: str, field_name: str, column: int) -> Term:
        if name not in self._score_terms:
            self._score_terms[name] = self._build_score(name, self._rule.scores[name])
        built = self._score_terms[name]
        if field_name == "total" and built.total is not None:
            return built.total
        if field_name in built.outcomes:
            return built.outcomes[field_name]
        known = [*(["total"] if built.total is not None else []), *built.outcomes]
        said = ", ".join(f"{name}.{field}" for field in known)
        raise TermInvalid(f"knows no {name}.{field_name}; known: {said}", column=column)

    def _build_score(self, name: str, use: ScoreUse) -> _ScoreTerms:
        score = self._find_score(name, use)
        feeds = self._feeds(name, use, score)
        compute = self._read_score(use, feeds, score)
        channels = frozenset[int]().union(*(feed.channels for feed in feeds.values()))
        self._read_scores[name] = compute
        empty = score.compute({})
        outcomes = {
            outcome.name: Term(kind=kind, read=_read_outcome(compute, outcome.name), channels=channels)
            for outcome in empty.outcomes
            if (kind := _kind_of(outcome)) is not None
        }
        if empty.total_min is None:
            return _ScoreTerms(total=None, outcomes=outcomes)
        kind, read_total = Kind.INTERVAL, _read_interval(compute)
        if use.lower_bound_with is not None:
            counted = tuple(feed.read for fed, feed in feeds.items() if self._is_measured(fed, use))
            kind, read_total = Kind.NUMBER, _read_lower_bound(compute, counted, needed=use.lower_bound_with)
        if not any(isinstance(node, Window) for node in _walk_words(use)):  # a window changes with time alone
            totals = self._shared.totals
            slot = totals.setdefault((self._score_slot(use, feeds), use.lower_bound_with), len(totals))
            read_total = _read_once(read_total, slot)
        return _ScoreTerms(total=Term(kind=kind, read=read_total, channels=channels), outcomes=outcomes)

    def _is_measured(self, fed: str, use: ScoreUse) -> bool:
        return use.fed_by.get(fed, fed) in self._rule.inputs

    def _feeds(self, name: str, use: ScoreUse, score: Score) -> dict[str, Term]:
        """What feeds the score's inputs; one that nothing feeds stays missing or assumed."""
        known = [entry.name for entry in score.inputs]
        for given in (*use.fed_by, *use.words, *use.assumed):
            if given not in known:
                reason = f"{use.score} has no input {given!r}; known: {', '.join(known)}"
                raise self._error(reason, f"scores.{name}")
        self._try_score(name, score, use.assumed)
        for fed, choices in use.words.items():
            for word, _ in choices:
                self._try_score(name, score, {fed: word})
        feeds: dict[str, Term] = {}
        for fed in known:
            source = use.fed_by.get(fed, fed)
            if fed in use.words:
                feeds[fed] = self._word_term(use.words[fed], f"scores.{name}.words.{fed}")
            elif source in self._rule.inputs or source in PATIENT_TYPES:
                feeds[fed] = self._channel_term(source)
            elif fed in use.fed_by:
                raise self._error(f"is fed by {source!r}, which is no input", f"scores.{name}")
            elif PATIENT + fed in PATIENT_TYPES:
                feeds[fed] = self._channel_term(PATIENT + fed)
        return feeds

    def _try_score(self, name: str, score: Score, inputs: Mapping[str, object]) -> None:
        try:
            score.compute(inputs)
        except ScoreInputInvalid as error:
            raise self._error(str(error), f"scores.{name}") from error

    def _word_term(self, choices: tuple[tuple[str, Node], ...], place: str) -> Term:
        """The first word whose condition holds; unknown if that of an earlier one is."""
        terms = [(word, self._condition(node, f"{place}.{word}")) for word, node in choices]
        channels = frozenset[int]().union(*(term.channels for _, term in terms))
        reads = tuple((word, term.read) for word, term in terms)

        def read(frame: Frame) -> str | None:
            for word, read_one in reads:
                truth = read_one(frame)
                if truth is not False:
                    return word if truth else None
            return None

        return Term(kind=Kind.WORD, read=read, channels=channels)

    def _find_score(self, name: str, use: ScoreUse) -> Score:
        try:
            return find_score(use.score)
        except ScoreError as error:
            raise self._error(str(error), f"scores.{name}") from error

    def _read_score(
        self, use: ScoreUse, feeds: Mapping[str, Term], score: Score
    ) -> Callable[[Frame], ScoreResult]:
        assumed = dict(use.assumed)
        slot = self._score_slot(use, feeds)
        names, reads = tuple(feeds), tuple(feed.read for feed in feeds.values())

        def read(frame: Frame) -> ScoreResult:
            values = tuple([read_one(frame) for read_one in reads])
            last_values, last = frame.scored[slot]
            if last is None or last_values != values:
                given = dict(zip(names, values, strict=True))
                for name, value in assumed.items():
                    if given.get(name) is None:
                        given[name] = value
                last = _compute(score, given)
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
            is_channel = part.name in self._rule.inputs or part.name in PATIENT_TYPES
            return self.find(part).channels, "" if is_channel else parameter_key(self._rule.id, part.name)
        if isinstance(part, tuple):
            return tuple(self._sign(entry) for entry in part)
        if not is_dataclass(part):
            return part
        return type(part).__name__, *(
            self._sign(getattr(part, entry.name)) for entry in fields(part) if entry.name != "column"
        )


def _compute(score: Score, inputs: dict[str, Value | object]) -> ScoreResult:
    """The result; an input outside the score's domain is unknown, as one that nobody measured."""
    for _ in range(len(inputs)):
        try:
            return score.compute(inputs)
        except ScoreInputInvalid as error:
            inputs[error.field] = None
    return score.compute(inputs)


def _walk_words(use: ScoreUse) -> Iterator[Node]:
    for choices in use.words.values():
        for _, node in choices:
            yield from walk(node)


def _kind_of(outcome: Outcome) -> Kind | None:
    """A decision is a truth, a group a word; lists of criteria are for people."""
    known = outcome.highest if outcome.value is None else outcome.value
    if isinstance(known, bool):
        return Kind.TRUTH
    return Kind.WORD if isinstance(known, str) else None


def _read_outcome(compute: Callable[[Frame], ScoreResult], name: str) -> Read:
    def read(frame: Frame) -> bool | str | None:
        return compute(frame).find_outcome(name).value  # type: ignore[return-value]  # by _kind_of

    return read


def _read_once(read_total: Read, slot: int) -> Read:
    """Many rules ask for one total at one instant."""

    def read(frame: Frame) -> object:
        edition, last = frame.totals[slot]
        if edition != frame.edition:
            last = read_total(frame)
            frame.totals[slot] = (frame.edition, last)
        return last

    return read


def _read_interval(compute: Callable[[Frame], ScoreResult]) -> Read:
    def read(frame: Frame) -> tuple[float, float]:
        return compute(frame).bounds

    return read


def _read_lower_bound(
    compute: Callable[[Frame], ScoreResult], counted: Sequence[Read], *, needed: int
) -> Read:
    def read(frame: Frame) -> float | None:
        known = 0
        for read_one in counted:
            known += read_one(frame) is not None
        if known < needed:
            return None
        return compute(frame).bounds[0]

    return read
