"""A table of bands over all numbers: by its construction every number lies in exactly one of them."""

from bisect import bisect_right
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from vitals.warning.score_input import NumberInput


@dataclass(frozen=True, slots=True, kw_only=True)
class Bands:
    """`points[n]` belongs to the numbers from `edges[n - 1]` to below `edges[n]`; both ends are open."""

    edges: tuple[float, ...]
    points: tuple[int, ...]

    def find_points(self, value: float) -> int:
        """The points of the one band in which the number lies."""
        return self.points[bisect_right(self.edges, value)]


def chart_bands(number: NumberInput, *rows: tuple[str | None, int]) -> Bands:
    """Bands as a chart prints them: the last charted number of each band and its points; the last has no end.

    Raises:
        ValueError: the rows do not rise, or the last one has an end.
    """
    ends = [end for end, _ in rows]
    charted = [Decimal(end) for end in ends if end is not None]
    if ends[-1] is not None or len(charted) != len(ends) - 1:
        msg = f"{number.name}: the last band, and no other, must be without an end"
        raise ValueError(msg)
    if any(second <= first for first, second in pairwise(charted)):
        msg = f"{number.name}: bands must rise"
        raise ValueError(msg)
    edges = tuple(number.find_edge(end) for end in charted)
    return Bands(edges=edges, points=tuple(points for _, points in rows))
