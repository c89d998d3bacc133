"""A score that is a table: parts with points, and what follows from their sum."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from vitals.warning.parts import Part, finding
from vitals.warning.score_input import FlagInput, Given, InputForm
from vitals.warning.score_result import Outcome, ScorePart, ScoreResult, sum_points

Conclusion = Callable[[tuple[ScorePart, ...]], Outcome]


@dataclass(frozen=True, slots=True, kw_only=True)
class PointsTable:
    """The table of one score.

    `unknown_counts` names the optional inputs for which the source counts "not known" as an answer. A table
    without a `total_name` has a sum that means nothing by itself.
    """

    form: InputForm
    parts: tuple[Part, ...]
    conclusions: tuple[Conclusion, ...] = ()
    unknown_counts: tuple[str, ...] = ()
    total_name: str | None = "total"
    shows_open_parts: bool = True

    def compute(self, inputs: Mapping[str, object]) -> ScoreResult:
        """The score, or its bounds while inputs are missing.

        Raises:
            ScoreInputInvalid: an input is outside its domain or has an unknown name.
        """
        given = self.form.read(inputs)
        parts = tuple([part.judge(given) for part in self.parts])
        lowest, highest = sum_points(parts)
        missing = self._find_missing(given, parts)
        return ScoreResult(
            parts=parts,
            missing=missing,
            total=None if missing or not self.total_name else lowest,
            total_min=lowest if self.total_name else None,
            total_max=highest if self.total_name else None,
            outcomes=tuple([conclude(parts) for conclude in self.conclusions]),
            assumed=self._find_assumed(given),
            total_name=self.total_name,
            shows_open_parts=self.shows_open_parts,
        )

    def _find_missing(self, given: Given, judged: tuple[ScorePart, ...]) -> tuple[str, ...]:
        """The inputs that open parts lack. A part that is known lacks none, whatever was not given."""
        wanted: set[str] = set()
        for part, its in zip(self.parts, judged, strict=True):
            if its.points is None:
                names = part.inputs
                # The one input of a part that is open is missing even if it says "cannot be tested".
                wanted.update(names if len(names) == 1 else [name for name in names if _is_open(given, name)])
        return tuple([entry.name for entry in self.form.inputs if entry.name in wanted])

    def _find_assumed(self, given: Given) -> tuple[str, ...]:
        return tuple(
            entry.name
            for entry in self.form.inputs
            if entry.optional
            and (entry.name not in given or (given[entry.name] is None and entry.name in self.unknown_counts))
        )


def any_sign(*names: str) -> PointsTable:
    """Signs to look for: positive as soon as one is found, negative only if all were looked for."""
    signs = tuple(FlagInput(name=name) for name in names)
    return PointsTable(
        form=InputForm(inputs=signs),
        parts=tuple(finding(sign) for sign in signs),
        conclusions=(reach_total("positive", 1),),
        total_name="count",
    )


def group_total(name: str, *rows: tuple[int | None, str]) -> Conclusion:
    """Groups of the total: the last total of each and its name; the last has no end."""

    def conclude(parts: tuple[ScorePart, ...]) -> Outcome:
        lowest, highest = (_find_group(rows, total) for total in sum_points(parts))
        value = lowest if lowest == highest else None
        return Outcome(name=name, value=value, lowest=lowest, highest=highest)

    return conclude


def reach_total(name: str, least: int) -> Conclusion:
    """A decision that is true from this total on, and open while the total may lie on both sides."""

    def conclude(parts: tuple[ScorePart, ...]) -> Outcome:
        lowest, highest = (total >= least for total in sum_points(parts))
        return decide(name, lowest=lowest, highest=highest)

    return conclude


def list_found(name: str) -> Conclusion:
    """The names of the parts that have points for certain."""

    def conclude(parts: tuple[ScorePart, ...]) -> Outcome:
        found = tuple(part.input for part in parts if part.points_min > 0)
        return Outcome(name=name, value=found, lowest=found, highest=found)

    return conclude


def decide(name: str, *, lowest: bool, highest: bool) -> Outcome:
    """A decision from the one for the least and the one for the greatest points."""
    return Outcome(name=name, value=lowest if lowest == highest else None, lowest=lowest, highest=highest)


def _find_group(rows: tuple[tuple[int | None, str], ...], total: int) -> str:
    return next(group for end, group in rows if end is None or total <= end)


def _is_open(given: Given, name: str) -> bool:
    return name in given and given[name] is None
