"""What the engine says: one line of the log for every change of an alarm, with the evidence for it.

The log is a function of the samples alone. It knows nothing of who acknowledged what (`alarm`), of arrival or
of the machine, so that edge and cloud write the same bytes.
"""

from dataclasses import dataclass
from enum import StrEnum

import msgspec

from vitals.warning.frame import Value
from vitals.warning.rule import Level, RuleKind


class Change(StrEnum):
    """What happened to the condition."""

    ACTIVE = "active"
    WORSENED = "worsened"  # a higher level, or the score rose: speak again
    CLEARING = "clearing"  # the clear condition holds, the off-delay runs
    RESUMED = "resumed"  # it does not hold any more
    CLOSED = "closed"
    REMEASURE = "remeasure"  # ask for rest and a second reading
    REFUTED = "refuted"  # the second reading did not confirm
    TECHNICAL = "technical"  # the on-delay could not end for want of values
    TECHNICAL_CLOSED = "technical_closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSeen:
    """One input as the rule saw it. `reason` says why there is no value, or that it is only a bound."""

    name: str
    key: str | None
    src: str | None
    value: Value
    at_ms: int | None
    quality: float | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreSeen:
    """One score as it was, with its parts: which input gave which points."""

    name: str
    score: str
    assumed: tuple[tuple[str, object], ...]
    answer: tuple[tuple[str, object], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A change of one alarm condition at an instant of the data's own time.

    `onset_ms` is when the condition became true; with the person and the rule it names the episode.
    Evidence is there where somebody must judge: when an alarm begins, worsens or asks.
    """

    at_ms: int
    rule: str
    version: int
    kind: RuleKind
    change: Change
    level: Level
    onset_ms: int
    inputs: tuple[InputSeen, ...] = ()
    scores: tuple[ScoreSeen, ...] = ()
    parameters: tuple[tuple[str, float], ...] = ()
    """As they were for this person, so that the record alone gives the same result."""

    def to_plain(self) -> dict[str, object]:
        """Its fields as plain values, the level as a word."""
        plain: dict[str, object] = msgspec.to_builtins(self)
        return plain | {"level": self.level.name.lower()}

    def to_line(self) -> bytes:
        """Its canonical JSON: sorted names, no spaces, the same on every machine."""
        return msgspec.json.encode(self.to_plain(), order="sorted")
