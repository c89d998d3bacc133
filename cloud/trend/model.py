"""Buckets and gaps of a trend. Only what was measured is drawn; a hole stays a hole. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from vitals.gap import Gap, GapCause
from vitals.observation import SourceId, VitalKey

STEP = timedelta(seconds=60)
_NOT_MEASURED = frozenset({GapCause.SENSOR_OFF, GapCause.SENSOR_FAULT, GapCause.DEMO_MODE, GapCause.BATTERY})
"""What the cloud concludes from values; of everything else it knows only that nothing came through."""

Interval = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldGap:
    """A gap, and whether the agent beside the device tells of it or the cloud, which knows less."""

    gap: Gap
    by_edge: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """The values of one source and key in one step of time."""

    src: SourceId
    key: VitalKey
    unit: str
    starts_at: datetime
    lowest: float
    highest: float
    last: float
    last_at: datetime


@dataclass(slots=True)
class Series:
    """One line of the trend."""

    unit: str
    starts_at: list[datetime] = field(default_factory=list)
    lowest: list[float] = field(default_factory=list)
    highest: list[float] = field(default_factory=list)
    last: list[float] = field(default_factory=list)


def merge_buckets(buckets: Iterable[Bucket]) -> dict[VitalKey, Series]:
    """One series per key; where two sources measured the same, ranges join and the later value stays."""
    merged: dict[VitalKey, dict[datetime, list[Bucket]]] = {}
    for bucket in buckets:
        merged.setdefault(bucket.key, {}).setdefault(bucket.starts_at, []).append(bucket)
    return {key: _series(by_start) for key, by_start in sorted(merged.items())}


def _series(by_start: dict[datetime, list[Bucket]]) -> Series:
    latest = max((bucket for together in by_start.values() for bucket in together), key=_last_at)
    series = Series(latest.unit)
    for starts_at, together in sorted(by_start.items()):
        series.starts_at.append(starts_at)
        series.lowest.append(min(bucket.lowest for bucket in together))
        series.highest.append(max(bucket.highest for bucket in together))
        series.last.append(max(together, key=_last_at).last)
    return series


def _last_at(bucket: Bucket) -> datetime:
    return bucket.last_at


def clip_gaps(
    told: Sequence[ToldGap], buckets: Sequence[Bucket], *, from_at: datetime, to_at: datetime
) -> list[Gap]:
    """Gaps within a range; those of the cloud without what was filled later or is told by the agent too."""
    covered: dict[SourceId, set[Interval]] = {}
    for item in told:
        if item.by_edge:
            covered.setdefault(item.gap.src, set()).add((item.gap.started_at, item.gap.ended_at or to_at))
    filled: dict[SourceId, set[Interval]] = {}
    for bucket in buckets:
        filled.setdefault(bucket.src, set()).add((bucket.starts_at, bucket.starts_at + STEP))
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
