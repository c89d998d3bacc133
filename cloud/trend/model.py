"""Buckets and gaps of a trend. Only what was measured is drawn; a hole stays a hole. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from vitals.gap import Gap, GapCause
from vitals.observation import SourceId, VitalKey

STEP = timedelta(seconds=60)
# These say that nothing came through, not that nothing was measured: the agent may have filled them since.
_PASSED_LATER = frozenset(
    {
        GapCause.UPLINK_OFF,
        GapCause.AGENT_OFF,
        GapCause.BROKER_OFF,
        GapCause.DATABASE_OFF,
        GapCause.SERVER_OFF,
        GapCause.DEVICE_SILENT,
        GapCause.UNKNOWN,
    }
)


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
    gaps: Iterable[Gap], buckets: Sequence[Bucket], *, from_at: datetime, to_at: datetime
) -> list[Gap]:
    """Gaps within a range, without the parts that were filled later."""
    filled: dict[SourceId, set[datetime]] = {}
    for bucket in buckets:
        filled.setdefault(bucket.src, set()).add(bucket.starts_at)
    clipped: list[Gap] = []
    for gap in gaps:
        starts_at = max(gap.started_at, from_at)
        steps = sorted(filled.get(gap.src, ())) if gap.cause in _PASSED_LATER else []
        clipped += _without(gap, steps, starts_at=starts_at, to_at=to_at)
    return clipped


def _without(gap: Gap, steps: Sequence[datetime], *, starts_at: datetime, to_at: datetime) -> list[Gap]:
    """The pieces of a gap between the steps that hold values."""
    ends_at = to_at if gap.ended_at is None else min(gap.ended_at, to_at)
    pieces: list[Gap] = []
    for step in steps:
        if step + STEP <= starts_at or step >= ends_at:
            continue
        if step > starts_at:
            pieces.append(_piece(gap, starts_at, step))
        starts_at = max(starts_at, step + STEP)
    is_open = gap.ended_at is None or gap.ended_at > to_at
    if starts_at < ends_at:
        pieces.append(_piece(gap, starts_at, None if is_open else ends_at))
    return pieces


def _piece(gap: Gap, started_at: datetime, ended_at: datetime | None) -> Gap:
    return Gap(src=gap.src, keys=gap.keys, cause=gap.cause, started_at=started_at, ended_at=ended_at)
