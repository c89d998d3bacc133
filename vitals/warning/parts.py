"""How parts of a score follow from its inputs: the least and the greatest points that each can have.

With 0 and 1 as points this is three-valued logic: (1, 1) is true, (0, 0) false and (0, 1) unknown; "any of"
is the greatest, "all of" the least. The bounds of a sum are the sums of the bounds, exact if the parts rest
on different inputs, or if one value of a shared input is the least for each of them and another the greatest.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from vitals.warning.bands import Bands, chart_bands
from vitals.warning.score_input import ChoiceInput, FlagInput, Given, GivenValue, ItemInput, NumberInput
from vitals.warning.score_result import ScorePart


class Part(Protocol):
    """One line of a score's table."""

    @property
    def name(self) -> str:
        """Its name in answers."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the inputs on which it rests."""

    def judge(self, given: Given) -> ScorePart:
        """Its points for these values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BandPart:
    """Points by the band in which a number lies. `if_unknown`: what the source counts for "not known"."""

    name: str
    number: NumberInput
    bands: Bands
    if_unknown: int | None = None
    _unknown: ScorePart = field(init=False, repr=False)
    _left_out: ScorePart = field(init=False, repr=False)

    def __post_init__(self) -> None:
        unknown = _judge_unknown(self.name, possible=self.bands.points, counted=self.if_unknown)
        object.__setattr__(self, "_unknown", unknown)
        object.__setattr__(self, "_left_out", _judge_left_out(unknown, is_optional=self.number.optional))

    @property
    def inputs(self) -> tuple[str, ...]:
        """The one input."""
        return (self.number.name,)

    def judge(self, given: Given) -> ScorePart:
        """Its points, or the points of all bands."""
        value = given.get(self.number.name)
        if isinstance(value, int | float):
            points = self.bands.find_points(value)
            return ScorePart(self.name, value, points, points, points, self.number)
        return self._unknown if self.number.name in given else self._left_out


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoicePart:
    """Points by the word, the item or the finding that was stated."""

    name: str
    choice: ChoiceInput | FlagInput | ItemInput
    points_by_choice: Mapping[GivenValue, int]
    if_unknown: int | None = None
    _unknown: ScorePart = field(init=False, repr=False)
    _left_out: ScorePart = field(init=False, repr=False)

    def __post_init__(self) -> None:
        possible = self.points_by_choice.values()
        unknown = _judge_unknown(self.name, possible=possible, counted=self.if_unknown)
        object.__setattr__(self, "_unknown", unknown)
        object.__setattr__(self, "_left_out", _judge_left_out(unknown, is_optional=self.choice.optional))

    @property
    def inputs(self) -> tuple[str, ...]:
        """The one input."""
        return (self.choice.name,)

    def judge(self, given: Given) -> ScorePart:
        """Its points, or the points of all choices; a word without points ("not testable") leaves it open."""
        value = given.get(self.choice.name)
        points = self.points_by_choice.get(value)
        if points is not None:
            return ScorePart(self.name, value, points, points, points)
        if value is not None:
            return self._unknown._replace(given=value)
        return self._unknown if self.choice.name in given else self._left_out


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyPart:
    """The highest points of several criteria, each of which is enough."""

    name: str
    criteria: tuple[Part, ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        """Those of all criteria."""
        return _join_inputs(self.criteria)

    def judge(self, given: Given) -> ScorePart:
        """Known as soon as no criterion can raise it."""
        judged = [criterion.judge(given) for criterion in self.criteria]
        return _conclude(
            self.name,
            judged=judged,
            lowest=max(part.points_min for part in judged),
            highest=max(part.points_max for part in judged),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AllPart:
    """The lowest points of several criteria, all of which are needed."""

    name: str
    criteria: tuple[Part, ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        """Those of all criteria."""
        return _join_inputs(self.criteria)

    def judge(self, given: Given) -> ScorePart:
        """Known as soon as no criterion can lower it."""
        judged = [criterion.judge(given) for criterion in self.criteria]
        return _conclude(
            self.name,
            judged=judged,
            lowest=min(part.points_min for part in judged),
            highest=min(part.points_max for part in judged),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedPart:
    """One fact that can be stated in several ways: one is enough, of two that differ the worse counts."""

    name: str
    ways: tuple[Part, ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        """Those of all ways."""
        return _join_inputs(self.ways)

    def judge(self, given: Given) -> ScorePart:
        """What all ways together leave open."""
        judged = [way.judge(given) for way in self.ways]
        lowest = max(part.points_min for part in judged)
        highest = max(lowest, min(part.points_max for part in judged))
        return _conclude(self.name, judged=judged, lowest=lowest, highest=highest)


def band(
    number: NumberInput,
    *rows: tuple[str | None, int],
    name: str | None = None,
    if_unknown: int | None = None,
) -> BandPart:
    """A number by its bands; a criterion is a table of 0 and 1."""
    bands = chart_bands(number, *rows)
    return BandPart(name=name or number.name, number=number, bands=bands, if_unknown=if_unknown)


def finding(flag: FlagInput, *, points: int = 1, name: str | None = None) -> ChoicePart:
    """A finding that adds points if it is there."""
    return ChoicePart(name=name or flag.name, choice=flag, points_by_choice={True: points, False: 0})


def item(scale_item: ItemInput, *, name: str | None = None, untestable: int | None = None) -> ChoicePart:
    """An item of a scale, which adds its own number; `untestable` are the points of one that is not."""
    points: dict[GivenValue, int] = {number: number for number in range(scale_item.low, scale_item.high + 1)}
    if untestable is not None:
        points[scale_item.untestable] = untestable
    return ChoicePart(name=name or scale_item.name, choice=scale_item, points_by_choice=points)


def _judge_unknown(name: str, *, possible: Collection[int], counted: int | None) -> ScorePart:
    if counted is None:
        return ScorePart(name, None, None, min(possible), max(possible))
    return ScorePart(name, None, counted, counted, counted)


def _judge_left_out(unknown: ScorePart, *, is_optional: bool) -> ScorePart:
    """Left out counts as unknown, but for an optional input, which then adds nothing: it was not found."""
    if not is_optional or unknown.points is not None:
        return unknown
    return ScorePart(unknown.input, None, 0, 0, 0)


def _conclude(name: str, *, judged: list[ScorePart], lowest: int, highest: int) -> ScorePart:
    """The whole with the value that decides it, while one does."""
    if lowest != highest:
        return ScorePart(name, None, None, lowest, highest)
    deciding = next((part for part in judged if part.points == lowest and part.given is not None), None)
    if deciding is None:
        return ScorePart(name, None, lowest, lowest, highest)
    return ScorePart(name, deciding.given, lowest, lowest, highest, deciding.chart)


def _join_inputs(parts: tuple[Part, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for part in parts for name in part.inputs))
