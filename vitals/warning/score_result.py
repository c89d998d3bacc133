"""What a score answers. A missing input is never a zero: bounds say where the result can lie without it."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from typing import NamedTuple

from vitals.warning.score_input import GivenValue, NumberInput

OutcomeValue = bool | int | float | str | tuple[str, ...] | None


class ScorePart(NamedTuple):
    """What one input, or one group of criteria, adds to the total.

    `points` is None while they are not known, which can be so for a given value too, if its points depend on
    a missing input; they then lie between `points_min` and `points_max`. A tuple and not a dataclass: rules
    over a ward make thousands a second, and few are ever read.
    """

    input: str
    given: GivenValue
    points: int | None
    points_min: int
    points_max: int
    chart: NumberInput | None = None

    @property
    def value(self) -> GivenValue:
        """The value at chart resolution that was scored, as the chart prints it: 24, 38.1."""
        if self.chart is None or self.given is None:
            return self.given
        charted = self.chart.chart_value(float(self.given))
        return int(charted) if self.chart.resolution == 1 else float(charted)

    def build_fields(self) -> dict[str, object]:
        """The plain fields of a part in an answer."""
        return {
            "input": self.input,
            "value": self.value,
            "points": self.points,
            "points_min": self.points_min,
            "points_max": self.points_max,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A statement that a score makes: a decision, a group, a list of criteria found.

    `value` is None while it is open. A decision is then neither true nor false. A group lies between `lowest`
    and `highest`, which belong to the least and the greatest total.
    """

    name: str
    value: OutcomeValue
    lowest: OutcomeValue
    highest: OutcomeValue
    null_while_open: bool = True

    def build_fields(self) -> dict[str, object]:
        """The plain fields of an outcome in an answer."""
        if self.value is not None:
            return {self.name: list(self.value) if isinstance(self.value, tuple) else self.value}
        fields: dict[str, object] = {self.name: None} if self.null_while_open else {}
        if self.lowest is None or isinstance(self.lowest, bool):
            return fields
        return fields | {f"{self.name}_min": self.lowest, f"{self.name}_max": self.highest}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreResult:
    """A score with its parts, its bounds and what follows from them.

    `total` is None unless every part is known; the bounds equal it then. All three are None for a score that
    is no number. `missing` names what must be given to complete the score, `assumed` the optional inputs that
    were left out and counted as the score's source says. `total_name` is what the score calls its total; None
    if only its outcomes mean something.
    """

    parts: tuple[ScorePart, ...]
    missing: tuple[str, ...]
    total: float | None
    total_min: float | None
    total_max: float | None
    outcomes: tuple[Outcome, ...] = ()
    assumed: tuple[str, ...] = ()
    total_name: str | None = "total"
    shows_open_parts: bool = True

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing."""
        return not self.missing

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the greatest total; equal if nothing is missing.

        Raises:
            ValueError: the score is no number.
        """
        if self.total_min is None or self.total_max is None:
            raise ValueError("a score that is no number has no bounds")
        return float(self.total_min), float(self.total_max)

    def find_outcome(self, name: str) -> Outcome:
        """The outcome of that name.

        Raises:
            KeyError: this score has none.
        """
        for outcome in self.outcomes:
            if outcome.name == name:
                return outcome
        raise KeyError(name)

    def build_answer(self) -> dict[str, object]:
        """The plain fields of one answer line of `qianli score`."""
        shown = [part for part in self.parts if self.shows_open_parts or part.points is not None]
        answer: dict[str, object] = {
            "sub": {part.input: part.points for part in shown},
            "complete": self.is_complete,
        }
        if self.total_name is not None:
            answer[self.total_name] = self.total
            if not self.is_complete:
                answer |= {f"{self.total_name}_min": self.total_min, f"{self.total_name}_max": self.total_max}
        for outcome in self.outcomes:
            answer |= outcome.build_fields()
        answer |= {"parts": [part.build_fields() for part in self.parts], "missing": list(self.missing)}
        return answer | ({"assumed": list(self.assumed)} if self.assumed else {})


def round_half_up(value: Decimal, *, step: str) -> float:
    """A plain number for an answer."""
    steps = value / Decimal(step) + Decimal("0.5")
    return float(steps.to_integral_value(ROUND_FLOOR) * Decimal(step))


def sum_points(parts: Iterable[ScorePart]) -> tuple[int, int]:
    """The least and the greatest total: equal if every part is known."""
    lowest = highest = 0
    for part in parts:
        lowest += part.points_min
        highest += part.points_max
    return lowest, highest
