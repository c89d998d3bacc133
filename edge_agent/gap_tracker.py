"""Which sources are silent, since when and why: a pure state machine over what the raw log says."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from vitals.gap import Gap, GapCause
from vitals.observation import SourceId, VitalKey

Keys = tuple[VitalKey, ...]


@dataclass(slots=True)
class GapTracker:
    """Open gaps by (source, keys, cause). Opening twice or closing what is not open does nothing."""

    _open: dict[tuple[SourceId, Keys, GapCause], Gap]

    @classmethod
    def resume(cls, gaps: Iterable[Gap]) -> "GapTracker":
        """Go on with gaps that were open when the agent stopped."""
        return cls(_by_name(gaps))

    def rewind(self, gaps: Iterable[Gap]) -> None:
        """Only these are open: what was noted since could not be stored."""
        self._open = _by_name(gaps)

    def open_gap(self, src: SourceId, cause: GapCause, *, at: datetime, keys: Keys = ()) -> list[Gap]:
        """The gap that begins now, or nothing if it lasts already."""
        name = (src, keys, cause)
        if name in self._open:
            return []
        self._open[name] = Gap(src=src, keys=keys, cause=cause, started_at=at)
        return [self._open[name]]

    def close_gaps(
        self, src: SourceId, *, at: datetime, causes: Iterable[GapCause], keys: Keys | None = None
    ) -> list[Gap]:
        """End the source's gaps of these causes (and of exactly these keys, where given)."""
        wanted = set(causes)
        found = (name for name in self._open if name[0] == src and name[2] in wanted)
        return self._end([name for name in found if keys in (None, name[1])], at)

    def close_covering(
        self, src: SourceId, key: VitalKey, *, at: datetime, causes: Iterable[GapCause]
    ) -> list[Gap]:
        """End the source's gaps of these causes that said `key` was silent: a good value has come."""
        wanted = set(causes)
        found = (name for name in self._open if name[0] == src and name[2] in wanted)
        return self._end([name for name in found if not name[1] or key in name[1]], at)

    def open_gaps(self) -> list[Gap]:
        """Everything that lasts now."""
        return list(self._open.values())

    def _end(self, names: list[tuple[SourceId, Keys, GapCause]], at: datetime) -> list[Gap]:
        return [replace(gap, ended_at=max(at, gap.started_at)) for gap in map(self._open.pop, names)]


def _by_name(gaps: Iterable[Gap]) -> dict[tuple[SourceId, Keys, GapCause], Gap]:
    return {(gap.src, gap.keys, gap.cause): gap for gap in gaps}
