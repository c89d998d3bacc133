"""Steps and gaps of a trend. Only what was measured is drawn; a hole stays a hole. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cloud.series.port import Line
from cloud.series.rollup import Steps, merge_steps
from vitals.gap import Gap, GapCause
from vitals.observation import SourceId, VitalKey
from vitals.wire.batch import from_ms

STEP_MS = 60_000
_STEPS_MS = tuple(
    seconds * 1000
    for seconds in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
)
_NOT_MEASURED = frozenset({GapCause.SENSOR_OFF, GapCause.SENSOR_FAULT, GapCause.DEMO_MODE, GapCause.BATTERY})
"""What the cloud concludes from values; of everything else it knows only that nothing came through."""

Interval = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldGap:
    """A gap, and whether the agent beside the device tells of it or the cloud, which knows less."""

    gap: Gap
    by_edge: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One line of the trend."""

    unit: str
    steps: Steps


def choose_step_ms(from_at: datetime, to_at: datetime, *, pixels: int) -> int:
    """The shortest step of a clock that gives not more steps than pixels; a day where none does."""
    range_ms = (to_at - from_at) / timedelta(milliseconds=1)
    return next((step_ms for step_ms in _STEPS_MS if step_ms * pixels >= range_ms), _STEPS_MS[-1])


def merge_lines(lines: Iterable[Line], *, step_ms: int) -> dict[VitalKey, Series]:
    """One series per key; where two sources measured the same, ranges join and the later value stays."""
    by_key: dict[VitalKey, list[Line]] = {}
    for line in lines:
        by_key.setdefault(line.key, []).append(line)
    return {key: _series(together, step_ms=step_ms) for key, together in sorted(by_key.items())}


def _series(together: Sequence[Line], *, step_ms: int) -> Series:
    return Series(
        unit=max(together, key=lambda line: int(line.steps.last_ms.max())).unit,
        steps=merge_steps([line.steps for line in together], step_ms=step_ms),
    )


def clip_gaps(
    told: Sequence[ToldGap], lines: Iterable[Line], *, step_ms: int, from_at: datetime, to_at: datetime
) -> list[Gap]:
    """Gaps within a range; those of the cloud without what was filled later or is told by the agent too."""
    covered: dict[SourceId, set[Interval]] = {}
    for item in told:
        if item.by_edge:
            covered.setdefault(item.gap.src, set()).add((item.gap.started_at, item.gap.ended_at or to_at))
    filled: dict[SourceId, set[Interval]] = {}
    for line in lines:
        starts = (from_ms(start_ms) for start_ms in line.steps.starts_ms.tolist())
        step = timedelta(milliseconds=step_ms)
        filled.setdefault(line.src, set()).update((start, start + step) for start in starts)
    clipped: list[Gap] = []
    for item in told:
        known: set[Interval] = set()
        if not item.by_edge:
            known |= covered.get(item.gap.src, set())
            if item.gap.cause not in _NOT_MEASURED:
                known |= filled.get(item.gap.src, set())
        starts_at = max(item.gap.started_at, from_at)
        clipped += _without(item.gap, sorted(known), starts_at=starts_at, to_at=to_at)
    return clipped


def _without(gap: Gap, known: Sequence[Interval], *, starts_at: datetime, to_at: datetime) -> list[Gap]:
    """The pieces of a gap between intervals of which something is known."""
    ends_at = to_at if gap.ended_at is None else min(gap.ended_at, to_at)
    pieces: list[Gap] = []
    for known_from, known_to in known:
        if known_to <= starts_at or known_from >= ends_at:
            continue
        if known_from > starts_at:
            pieces.append(_piece(gap, starts_at, known_from))
        starts_at = max(starts_at, known_to)
    is_open = gap.ended_at is None or gap.ended_at > to_at
    if starts_at < ends_at:
        pieces.append(_piece(gap, starts_at, None if is_open else ends_at))
    return pieces


def _piece(gap: Gap, started_at: datetime, ended_at: datetime | None) -> Gap:
    return Gap(src=gap.src, keys=gap.keys, cause=gap.cause, started_at=started_at, ended_at=ended_at)
