"""The form of a rule as it is written in YAML: names and types, nothing of their meaning.

`msgspec.json.schema(RuleForm)` is its JSON Schema.
"""

import msgspec

from vitals.warning.rule import InputType, RuleKind


class TextForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What people read, in both languages."""

    zh: str
    en: str


class SourceForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the rule comes from."""

    document: str
    section: str
    year: int
    reviewer: str


class InputForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One value that the rule reads; without `keys` it is the vital sign of that name."""

    keys: list[str] = []
    type: InputType = InputType.NUMBER
    unit: str | None = None
    range: list[float] | None = None
    quality_min: float | None = None
    stale_after: str | None = None
    keeps_last: bool = False
    differ_by: float | None = None
    jump_by: float | None = None


class ScoreForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A score and what feeds it; without `inputs` those of the same name do."""

    score: str
    inputs: dict[str, str] = {}
    words: dict[str, dict[str, str]] = {}
    assume: dict[str, str | int | float | bool] = {}
    lower_bound_with: int | None = None


class ParameterForm(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    rename={"low": "from", "high": "to"},
):
    """A number that may be changed for a site or a person."""

    value: float
    low: float
    high: float


class WorseningForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When an open alarm speaks again."""

    value: str
    by: float


class RemeasureForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Ask for rest and a second reading first."""

    rest: str
    within: str
    unanswered: str
    text: TextForm


class ExpectedForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One event of a test."""

    at: str | int
    event: str
    priority: str | None = None


class TestForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A series and what must follow from it."""

    step: str
    series: dict[str, str]
    given: dict[str, str | int | float | bool] = {}
    expect: list[ExpectedForm]


class RuleForm(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"raise_for": "for"}
):
    """One rule as it is written. Durations and conditions are still texts."""

    id: str
    version: int
    kind: RuleKind = RuleKind.PHYSIOLOGICAL
    packs: list[str]
    source: SourceForm
    text: TextForm
    advice: TextForm | None = None
    inputs: dict[str, InputForm]
    scores: dict[str, str | ScoreForm] = {}
    parameters: dict[str, ParameterForm] = {}
    applies_when: str | None = None
    raise_when: str
    raise_for: str | int = "0 s"
    grace: str | int | None = None
    clear_when: str | None = None
    clear_for: str | int = "0 s"
    priority: str | dict[str, str]
    worsens: WorseningForm | None = None
    remeasure: RemeasureForm | None = None
    ends_after: str | None = None
    repeat_after: str | None = None
    latching: bool = False
    study: bool = False
    tests: list[TestForm]
