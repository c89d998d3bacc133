"""What a condition reads at one instant: a person's values, windows over them, parameters."""

from dataclasses import dataclass, field

from vitals.warning.window import BucketWindow

Value = float | str | bool | None


@dataclass(slots=True, kw_only=True)
class Frame:
    """Closures look at it; only the watch changes it.

    `values`, `gated`, `missing` and `disagreeing` have one entry a channel; a value is None while unknown.
    `edition` counts their changes: what was computed in the same edition is still so. `scored` keeps for each
    score the inputs of its last result and that result, `totals` the edition and what a rule reads of it.
    """

    now_ms: int = 0
    edition: int = 0
    values: list[Value] = field(default_factory=list)
    gated: list[bool] = field(default_factory=list)
    missing: list[bool] = field(default_factory=list)
    disagreeing: list[bool] = field(default_factory=list)
    windows: list[BucketWindow] = field(default_factory=list)
    parameters: list[float] = field(default_factory=list)
    scored: list[tuple[tuple[Value, ...], object]] = field(default_factory=list)
    totals: list[tuple[int, object]] = field(default_factory=list)
