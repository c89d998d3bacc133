"""What a warning rule says, as values. `rule_file` reads them from YAML, `rule_set` makes them run."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from vitals.warning.expression import Node


class Level(IntEnum):
    """How soon somebody must respond (IEC 60601-1-8, table 1, and information)."""

    INFO = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3


class RuleKind(StrEnum):
    """What an alarm of the rule is about."""

    PHYSIOLOGICAL = "physiological"
    TECHNICAL = "technical"
    MISSING_DATA = "missing_data"
    ADVISORY = "advisory"


class InputType(StrEnum):
    """What values an input has."""

    NUMBER = "number"
    WORD = "word"
    TRUTH = "truth"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the rule comes from and who answers for it."""

    document: str
    section: str
    year: int
    reviewer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """What people read."""

    zh: str
    en: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """A value that the rule reads, and the gate before it.

    `keys` are vital signs, best first: while a better one is fresh the others are not used. A value is known
    for `stale_after_ms` after it was measured; None means until the next one. A sample that the gate refuses
    makes the value unknown at once, unless `keeps_last` (charted values: a mistyped line is as if not there).
    Two streams of one vital sign that differ by more than `differ_by` disagree, and so does one that jumps by
    more than `jump_by` within minutes, as two do that came under one name. Which is right nobody knows then.
    """

    keys: tuple[str, ...]
    type: InputType = InputType.NUMBER
    low: float | None = None
    high: float | None = None
    quality_min: float | None = None
    stale_after_ms: int | None = None
    keeps_last: bool = False
    differ_by: float | None = None
    jump_by: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreUse:
    """A score inside a rule: which input or patient attribute feeds each of its own inputs.

    `words` gives an input of words the first one whose condition holds. An `assumed` value stands for what is
    not known; it is shown with every alarm. With `lower_bound_with`, so many known inputs suffice: the total
    is then the sum of what is known, a lower bound.
    """

    score: str
    fed_by: Mapping[str, str]
    words: Mapping[str, tuple[tuple[str, Node], ...]]
    assumed: Mapping[str, object]
    lower_bound_with: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A number that a site or a clinician may change for a person, within limits."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelStep:
    """The alarm has this level while the condition holds; the lowest level, and one without, in any case."""

    level: Level
    when: Node | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Worsening:
    """An open alarm speaks again when `value` is `by` above its lowest since the alarm last spoke."""

    value: Node
    by: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Remeasure:
    """Before a person is disturbed the one at home rests and measures again.

    A second reading counts from `rest_ms` on; if none came `within_ms`, the alarm is raised all the same at
    `unanswered`, or dropped if that is None.
    """

    rest_ms: int
    within_ms: int
    unanswered: Level | None
    text: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """An event that a test of the rule awaits."""

    at_ms: int
    change: str
    level: Level | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleTest:
    """A series of each input from instant 0 in equal steps, and every event that must follow."""

    line: int
    step_ms: int
    series: Mapping[str, tuple[float | str | bool | None, ...]]
    given: Mapping[str, float | str | bool]
    expected: tuple[Expected, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One warning rule.

    `raise_when` must hold for `raise_for_ms`; unknown values pause that for `grace_ms` at most. `clear_when`
    must hold for `clear_for_ms`; unknown values never clear. `text_of` keeps the conditions as written, and
    `line_of` where the file says what.
    With `ends_after_ms` the alarm is about a moment, a reading and not a course: it ends by itself, latched.
    A study may ask `known(x)`, as rules of two truths do in papers; it is replayed, never run for a person.
    """

    id: str
    version: int
    kind: RuleKind
    packs: tuple[str, ...]
    source: Source
    text: Text
    advice: Text | None
    inputs: Mapping[str, Input]
    scores: Mapping[str, ScoreUse]
    parameters: Mapping[str, Parameter]
    applies_when: Node | None
    raise_when: Node
    raise_for_ms: int
    grace_ms: int
    clear_when: Node
    clear_for_ms: int
    levels: tuple[LevelStep, ...]
    worsens: Worsening | None
    remeasure: Remeasure | None
    ends_after_ms: int | None
    repeat_after_ms: int | None
    is_latching: bool
    is_study: bool
    tests: tuple[RuleTest, ...]
    text_of: Mapping[str, str]
    origin: str
    line: int
    line_of: Mapping[str, int]
    digest: str
