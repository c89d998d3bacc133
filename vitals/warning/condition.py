"""The life of one alarm condition: normal, pending, (asked), active, clearing.

Transitions and invariants follow IEC 60601-1-8 (alarm condition delay, latching) as `docs/early-warning.md`
writes them down. Only the data move it; people act on the alarm (`alarm`).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from vitals.warning.event import Change
from vitals.warning.frame import Frame
from vitals.warning.rule import Level
from vitals.warning.rule_set import CompiledRule


class Phase(StrEnum):
    """Where a condition is."""

    NORMAL = "normal"
    PENDING = "pending"
    ASKED = "asked"
    ACTIVE = "active"
    CLEARING = "clearing"


OPEN = (Phase.ACTIVE, Phase.CLEARING)


class Step(NamedTuple):
    """A change, with the level and the beginning of the episode to which it belongs."""

    change: Change
    level: Level
    onset_ms: int


@dataclass(slots=True)
class Condition:
    """Mutable: the watch holds one for each rule. Times are instants of the data."""

    phase: Phase = Phase.NORMAL
    onset_ms: int = 0
    deadline_ms: int | None = None
    unknown_ms: int | None = None
    """Since when the on-delay stands still."""
    left_ms: int = 0
    """What was left of the on-delay then."""
    grace_ms: int = 0
    """So long this on-delay may still stand still, in all."""
    rested_ms: int = 0
    """From then on a second reading counts."""
    level: Level = Level.INFO
    lowest: float | None = None
    """The least that `worsens` was since the alarm last spoke."""
    technical: tuple[Level, int] | None = None
    """Level and onset of the technical alarm that is open; the person's own may begin before it is closed."""
    suppressed: int = 0
    """How often the on-delay ended in nothing."""
    is_unknown: bool = False
    """What the rule asks cannot be answered at present."""

    @property
    def is_technical(self) -> bool:
        """Whether the on-delay could not end for want of values, and they still are wanting."""
        return self.technical is not None

    def judge(self, compiled: CompiledRule, frame: Frame, *, is_fresh: bool) -> list[Step]:
        """Look again: something that the rule reads has changed. `is_fresh`: by a new value."""
        if compiled.applies is not None and compiled.applies(frame) is False:
            return self._leave()
        if self.phase in OPEN:
            return self._judge_open(compiled, frame)
        truth = compiled.raises(frame)
        self.is_unknown = truth is None
        changes = [] if truth is None else self._end_technical()
        if self.phase is Phase.NORMAL:
            if truth:
                self._begin(compiled, frame.now_ms)
        elif self.phase is Phase.PENDING:
            self._judge_pending(compiled, frame.now_ms, truth=truth)
        elif is_fresh:
            changes += self._judge_answer(compiled, frame, truth=truth)
        return changes

    def fire(self, compiled: CompiledRule, frame: Frame) -> list[Step]:
        """The deadline has come."""
        self.deadline_ms = None
        if self.phase is Phase.CLEARING and not compiled.clears(frame):
            self.phase = (
                Phase.ACTIVE
            )  # a window has emptied meanwhile: what is not known any more clears nothing
            return [self._tell(Change.RESUMED)]
        if self.phase in OPEN:
            self.phase = Phase.NORMAL
            return [self._tell(Change.CLOSED)]
        if self.phase is Phase.ASKED:
            return self._end_asking(compiled, frame)
        self.level = _find_level(compiled, frame)
        if self.unknown_ms is not None:
            self.phase, self.unknown_ms = Phase.NORMAL, None
            self.technical = (self.level, self.onset_ms)
            return [self._tell(Change.TECHNICAL)]
        if compiled.rule.remeasure is not None:
            self.phase = Phase.ASKED
            self.rested_ms = frame.now_ms + compiled.rule.remeasure.rest_ms
            self.deadline_ms = frame.now_ms + compiled.rule.remeasure.within_ms
            return [self._tell(Change.REMEASURE)]
        return self._raise(compiled, frame)

    def _tell(self, change: Change) -> Step:
        return Step(change, self.level, self.onset_ms)

    def _begin(self, compiled: CompiledRule, now_ms: int) -> None:
        self.phase, self.onset_ms, self.unknown_ms = Phase.PENDING, now_ms, None
        self.deadline_ms = now_ms + compiled.rule.raise_for_ms
        self.grace_ms = compiled.rule.grace_ms

    def _judge_pending(self, compiled: CompiledRule, now_ms: int, *, truth: bool | None) -> None:
        if truth is False:
            self._drop()
        elif truth is None and self.unknown_ms is None:
            self.unknown_ms = now_ms
            self.left_ms = (self.deadline_ms or now_ms) - now_ms
            self.deadline_ms = now_ms + self.grace_ms
        elif truth and self.unknown_ms is not None:
            self.grace_ms -= now_ms - self.unknown_ms
            self.unknown_ms = None
            self.deadline_ms = now_ms + self.left_ms

    def _judge_answer(self, compiled: CompiledRule, frame: Frame, *, truth: bool | None) -> list[Step]:
        """A reading after enough rest confirms or refutes."""
        if truth is None or frame.now_ms < self.rested_ms:
            return []
        return self._raise(compiled, frame) if truth else self._refute()

    def _end_asking(self, compiled: CompiledRule, frame: Frame) -> list[Step]:
        remeasure = compiled.rule.remeasure
        if remeasure is None or remeasure.unanswered is None:
            return self._refute()
        return self._raise(compiled, frame, level=remeasure.unanswered)

    def _refute(self) -> list[Step]:
        self._drop()
        return [self._tell(Change.REFUTED)]

    def _judge_open(self, compiled: CompiledRule, frame: Frame) -> list[Step]:
        """Unknown never clears: it takes a clearing alarm back. One about a moment only gets worse."""
        if compiled.rule.ends_after_ms is not None:
            return self._judge_worse(compiled, frame)
        clears = compiled.clears(frame)
        self.is_unknown = clears is None
        if clears:
            if self.phase is Phase.CLEARING:
                return []
            self.phase = Phase.CLEARING
            self.deadline_ms = frame.now_ms + compiled.rule.clear_for_ms
            return [self._tell(Change.CLEARING)]
        changes = [self._tell(Change.RESUMED)] if self.phase is Phase.CLEARING else []
        self.phase, self.deadline_ms = Phase.ACTIVE, None
        return changes + self._judge_worse(compiled, frame)

    def _judge_worse(self, compiled: CompiledRule, frame: Frame) -> list[Step]:
        level = _find_level(compiled, frame) if compiled.raises(frame) else self.level
        value = None if compiled.worsens is None else compiled.worsens(frame)
        if level <= self.level and not self._has_risen(compiled, value):
            return []
        self.level = max(self.level, level)
        self.lowest = value if value is not None else self.lowest
        return [self._tell(Change.WORSENED)]

    def _has_risen(self, compiled: CompiledRule, value: float | None) -> bool:
        """Whether the score rose above its lowest since the alarm last spoke by as much as the rule says."""
        worsening = compiled.rule.worsens
        if worsening is None or value is None:
            return False
        if self.lowest is None or value < self.lowest:
            self.lowest = value
        return value >= self.lowest + worsening.by

    def _raise(self, compiled: CompiledRule, frame: Frame, *, level: Level | None = None) -> list[Step]:
        ends_ms = compiled.rule.ends_after_ms
        self.phase, self.deadline_ms = Phase.ACTIVE, None if ends_ms is None else frame.now_ms + ends_ms
        self.level = _find_level(compiled, frame) if level is None else level
        self.lowest = None if compiled.worsens is None else compiled.worsens(frame)
        return [self._tell(Change.ACTIVE)]

    def _drop(self) -> None:
        self.phase, self.deadline_ms, self.unknown_ms = Phase.NORMAL, None, None
        self.suppressed += 1

    def _leave(self) -> list[Step]:
        """The rule does not apply to this person (any more)."""
        steps = [self._tell(_END_BY_PHASE[self.phase])] if self.phase in _END_BY_PHASE else []
        self.phase, self.deadline_ms, self.unknown_ms = Phase.NORMAL, None, None
        self.is_unknown = False
        return steps + self._end_technical()

    def _end_technical(self) -> list[Step]:
        if self.technical is None:
            return []
        level, onset_ms = self.technical
        self.technical = None
        return [Step(Change.TECHNICAL_CLOSED, level, onset_ms)]


_END_BY_PHASE = {
    Phase.ACTIVE: Change.CLOSED,
    Phase.CLEARING: Change.CLOSED,
    Phase.ASKED: Change.REFUTED,
}
"""What is said where a rule stops applying; nothing of what nobody has heard."""


def _find_level(compiled: CompiledRule, frame: Frame) -> Level:
    """The highest level whose condition holds; the lowest needs none."""
    holds = (level for level, when in compiled.levels if when is None or when(frame))
    return next(holds, compiled.levels[-1][0])
