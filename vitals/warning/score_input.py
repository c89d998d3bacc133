"""What a score may be given: numbers with a domain and a chart resolution, words, items of a scale, findings.

None means that nobody knows. An input that is `optional` may also be left out altogether, as a box of a form
that is ticked only where something was found; a score then counts it as its source says and names it in
`assumed`. Any other input that is left out is unknown.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_FLOOR, Decimal

from vitals.observation import VitalKey
from vitals.warning.errors import ScoreInputInvalid, ScoreItemOutOfRange

GivenValue = float | str | bool | None
Given = Mapping[str, GivenValue]

WHOLE = Decimal(1)
TENTH = Decimal("0.1")
HUNDREDTH = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberInput:
    """A number from `low` to `high` in `unit` (UCUM), charted in steps of `resolution`.

    The limits keep out mistaken units and sensor codes, not rare physiology. A number is charted half up, but
    `completed` steps are counted only when they are full: a person of 64.9 years is 64.
    `keys` says which vital signs may feed it, best first; none means that only a person can state it.
    """

    name: str
    unit: str
    low: int
    high: int
    resolution: Decimal
    completed: bool = False
    optional: bool = False
    keys: tuple[VitalKey, ...] = ()

    def read_value(self, value: object) -> float | None:
        """The number as it was given; None if it is missing.

        Raises:
            ScoreInputInvalid: not a finite number, or outside the limits.
        """
        if (type(value) is float or type(value) is int) and self.low <= value <= self.high:
            return value
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ScoreInputInvalid(self.name, reason="must be a number or null")
        if isinstance(value, float) and not math.isfinite(value):
            raise ScoreInputInvalid(self.name, reason="must be a finite number")
        if value < self.low:
            raise ScoreInputInvalid(self.name, reason=f"must not be below {self.low} {self.unit}")
        if value > self.high and not (self.completed and value < self.high + self.resolution):
            raise ScoreInputInvalid(self.name, reason=f"must not be above {self.high} {self.unit}")
        return value

    def chart_value(self, value: float) -> Decimal:
        """The number as the chart shows it.

        The shortest decimal text of a float is what the device showed: 38.05 is charted as 38.1 although its
        binary form lies below 38.05.
        """
        steps = Decimal(str(value)) / self.resolution + (0 if self.completed else Decimal("0.5"))
        return steps.to_integral_value(ROUND_FLOOR) * self.resolution

    def find_edge(self, charted: Decimal) -> float:
        """The least float that is charted above `charted`.

        A float has a longer text than another only between two shorter ones, so the order of floats is the
        order of their shortest texts, and the float nearest to a short decimal has that decimal as its text:
        a number is charted above 38.0 exactly if it is not less than the float nearest to 38.05.
        """
        return float(charted + (self.resolution if self.completed else self.resolution / 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceInput:
    """One of a closed set of words or numbers."""

    name: str
    choices: tuple[str | int, ...]
    optional: bool = False
    keys: tuple[VitalKey, ...] = ()

    def read_value(self, value: object) -> str | int | None:
        """The choice as declared; None if it is missing.

        Raises:
            ScoreInputInvalid: anything else, also `true`, which Python takes for 1.
        """
        if value is None:
            return None
        for choice in self.choices:
            if value == choice and not isinstance(value, bool):
                return choice
        raise ScoreInputInvalid(self.name, reason=_tell_choices(self.choices))


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemInput:
    """An item of a scale: its points from `low` to `high`, or the word for "cannot be tested"."""

    name: str
    low: int
    high: int
    untestable: str | None = None
    optional: bool = False
    keys: tuple[VitalKey, ...] = ()

    @property
    def choices(self) -> tuple[str | int, ...]:
        """Everything that may stand on the form."""
        return (*range(self.low, self.high + 1), *(() if self.untestable is None else (self.untestable,)))

    def read_value(self, value: object) -> str | int | None:
        """The points or the word; None if it is missing.

        Raises:
            ScoreItemOutOfRange: a number that this item does not have.
            ScoreInputInvalid: anything else.
        """
        if value is None or (isinstance(value, str) and value == self.untestable):
            return value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ScoreInputInvalid(self.name, reason=_tell_choices(self.choices))
        if isinstance(value, float) and not math.isfinite(value):
            raise ScoreInputInvalid(self.name, reason=_tell_choices(self.choices))
        if self.low <= value <= self.high and value == int(value):
            return int(value)
        raise ScoreItemOutOfRange(self.name, reason=_tell_choices(self.choices))


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagInput:
    """A finding that is there or not."""

    name: str
    optional: bool = False
    keys: tuple[VitalKey, ...] = ()

    def read_value(self, value: object) -> bool | None:
        """Whether it is there; None if nobody knows.

        Raises:
            ScoreInputInvalid: anything but true, false and null, also 0 and 1.
        """
        if value is None or isinstance(value, bool):
            return value
        raise ScoreInputInvalid(self.name, reason="must be true, false or null")


ScoreInput = NumberInput | ChoiceInput | ItemInput | FlagInput


@dataclass(frozen=True, slots=True, kw_only=True)
class InputForm:
    """The inputs of one score, in its order."""

    inputs: tuple[ScoreInput, ...]
    _names: frozenset[str] = field(init=False, repr=False)
    # Name, reader and whether it may be left out, looked up once: a form is read thousands of times a second.
    _readers: tuple[tuple[str, Callable[[object], GivenValue], bool], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_names", frozenset(entry.name for entry in self.inputs))
        readers = tuple((entry.name, entry.read_value, entry.optional) for entry in self.inputs)
        object.__setattr__(self, "_readers", readers)

    def read(self, inputs: Mapping[str, object]) -> Given:
        """The valid values by name. An optional input that was left out is not in it; others are, as None.

        Raises:
            ScoreInputInvalid: an input is outside its domain, or has a name that the score does not know: a
                typing mistake would else read as "missing".
        """
        if not self._names.issuperset(inputs):
            known = [entry.name for entry in self.inputs]
            unknown = next(name for name in inputs if name not in self._names)
            raise ScoreInputInvalid(unknown, reason=f"is not known to this score; known: {', '.join(known)}")
        given: dict[str, GivenValue] = {}
        for name, read_value, is_optional in self._readers:
            if name in inputs:
                given[name] = read_value(inputs[name])
            elif not is_optional:
                given[name] = None
        return given


def _tell_choices(choices: tuple[str | int, ...]) -> str:
    return f"must be one of {', '.join(repr(choice) for choice in choices)} or null"
