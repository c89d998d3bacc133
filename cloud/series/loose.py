"""What was measured on nobody, as the tray of unclaimed measurements shows it. Pure."""

from collections.abc import Iterator

import numpy as np

from cloud.series.model import MINUTE_MS, Block, Column, Held, Mask
from cloud.series.port import LooseMinute, Watched
from vitals.observation import VitalKey


def free_of(watched: Watched) -> list[Held]:
    """The parts of a time in which nobody had the source."""
    free = []
    from_us = watched.during.from_us
    for owned in sorted(watched.owned, key=lambda held: held.from_us):
        if owned.from_us > from_us:
            free.append(watched.during.within(from_us, owned.from_us))
        from_us = max(from_us, owned.to_us)
    if from_us < watched.during.to_us:
        free.append(watched.during.within(from_us, watched.during.to_us))
    return free


def find_loose_minutes(block: Block, watched: Watched) -> list[LooseMinute]:
    """Values that no owner covers at both times between which they were measured, minute by minute."""
    loose = block.is_measured_in([watched.during]) & ~block.is_held_by(watched.owned)
    loose &= ~block.is_measured_in(watched.dismissed)
    by_cause = {is_clock: loose & ((block.shift_us != 0) == is_clock) for is_clock in (False, True)}
    return [
        minute
        for (key, unit), column in sorted(block.columns.items())
        for is_clock, mask in by_cause.items()
        for minute in _minutes(block, column, mask, watched=watched, name=(key, unit, is_clock))
    ]


def _minutes(
    block: Block, column: Column, mask: Mask, *, watched: Watched, name: tuple[VitalKey, str, bool]
) -> Iterator[LooseMinute]:
    rows = np.flatnonzero(column.is_there() & mask)
    rows = rows[np.argsort(block.t_ms[rows], kind="stable")]
    if len(rows) == 0:
        return
    t_ms = block.t_ms[rows]
    begins = np.flatnonzero(np.diff(t_ms // MINUTE_MS, prepend=-1))
    ends = np.append(begins[1:], len(rows)) - 1
    for first, last in zip(begins.tolist(), ends.tolist(), strict=True):
        value = float(column.values[rows[last]])
        yield LooseMinute(
            src=watched.during.src,
            key=name[0],
            unit=name[1],
            first_us=int(t_ms[first]) * 1000,
            last_us=int(t_ms[last]) * 1000,
            value=None if np.isnan(value) else value,
            count=last - first + 1,
            is_clock=name[2],
        )
