"""What a score may be given: numbers with a domain and a chart resolution, or one of a few words."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from vitals.warning.errors import ScoreInputInvalid


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberInput:
    """A number from `low` to `high` in `unit` (UCUM), charted in steps of `resolution`.

    The limits keep out mistaken units and sensor codes, not rare physiology.
    """

    name: str
    unit: str
    low: int
    high: int
    resolution: Decimal

    def read_value(self, value: object) -> Decimal | None:
        """The value at chart resolution, rounded half up; None if it is missing.

        The shortest decimal text of a float is what the device showed: 38.05 is charted as 38.1 although
        its binary form lies below 38.05.

        Raises:
            ScoreInputInvalid: not a finite number, or outside the limits.
        """
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ScoreInputInvalid(self.name, reason="must be a number or null")
        if isinstance(value, float) and not math.isfinite(value):
            raise ScoreInputInvalid(self.name, reason="must be a finite number")
        if value < self.low:
            raise ScoreInputInvalid(self.name, reason=f"must not be below {self.low} {self.unit}")
        if value > self.high:
            raise ScoreInputInvalid(self.name, reason=f"must not be above {self.high} {self.unit}")
        return Decimal(str(value)).quantize(self.resolution, rounding=ROUND_HALF_UP)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceInput:
    """One of a closed set of words or numbers."""

    name: str
    choices: tuple[str | int, ...]

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
        words = ", ".join(repr(choice) for choice in self.choices)
        raise ScoreInputInvalid(self.name, reason=f"must be one of {words} or null")


ScoreInput = NumberInput | ChoiceInput


def refuse_unknown_inputs(inputs: Mapping[str, object], *, declared: Sequence[ScoreInput]) -> None:
    """Refuse a name that the score does not have: a typing mistake would else read as "missing".

    Raises:
        ScoreInputInvalid: naming the first unknown input and the known ones.
    """
    known = [entry.name for entry in declared]
    for name in inputs:
        if name not in known:
            raise ScoreInputInvalid(name, reason=f"is not known to this score; known: {', '.join(known)}")
