"""The port through which continuous values are written and read."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cloud.series.latest import LatestCell
from cloud.series.model import BatchRow, Block, Held
from cloud.series.rollup import Steps
from cloud.store.connection import Database
from vitals.observation import SourceId, VitalKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What one source measured of one key, step by step."""

    src: SourceId
    key: VitalKey
    unit: str
    steps: Steps


@dataclass(frozen=True, slots=True, kw_only=True)
class LooseMinute:
    """Values of one key in one minute that nobody owns."""

    src: SourceId
    key: VitalKey
    unit: str
    first_us: int
    last_us: int
    value: float | None
    count: int
    is_clock: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A source during a time, who had it, and what shall not be shown of it."""

    during: Held
    owned: tuple[Held, ...]
    dismissed: tuple[Held, ...]


class SeriesStore(Protocol):
    """Continuous values of sources. Everything happens in the caller's transaction, if there is one.

    An implementation knows nothing of people: who asks with a `Held` has asked for the right before.
    """

    insertion: str
    """`append` as a part of another statement, from arrays that are named as the fields of `BatchRow`."""

    def append(self, connection: Database, rows: Sequence[BatchRow]) -> None:
        """Store messages of which no value is stored yet."""

    def find_blocks(self, connection: Database, asked: Sequence[Held]) -> dict[int, Block]:
        """By source, everything that may have been measured in these intervals, and perhaps more."""

    def read_range(
        self,
        connection: Database,
        asked: Sequence[Held],
        *,
        step_ms: int,
        keys: Collection[str] | None = None,
    ) -> list[Line]:
        """Extremes, first and last of every step in which something was measured in these intervals."""

    def iterate(self, connection: Database, asked: Sequence[Held]) -> Iterator[dict[str, Any]]:
        """Every value of these intervals in the words of `observation`."""

    def count(self, connection: Database, asked: Sequence[Held]) -> int:
        """How many values were measured in these intervals."""

    def find_newest(self, connection: Database, asked: Held, key: str) -> LatestCell | None:
        """The newest value of a key that was measured in an interval."""

    def find_loose(self, connection: Database, asked: Sequence[Watched]) -> list[LooseMinute]:
        """What was measured on nobody, minute by minute."""

    def hold(self, connection: Database, asked: Sequence[Held]) -> None:
        """Nobody else moves or changes what is stored of these sources until the transaction ends."""

    def vouch(self, connection: Database, asked: Sequence[Held]) -> int:
        """Believe the clock by which these were measured; returns how many were in doubt."""

    def erase(self, connection: Database, asked: Sequence[Held]) -> int:
        """Delete what was measured in these intervals, and nothing else; returns how many values."""

    def refresh_latest(self, connection: Database, asked: Sequence[Held]) -> None:
        """After a change of what is stored, wherever it lies: find the newest values of the sources anew."""

    def find_old(self, connection: Database, *, before_ms: int, after: int, limit: int) -> list[int]:
        """Sources with messages that ended before a moment, from a number on."""

    def compact(self, connection: Database, src_no: int, *, before_ms: int) -> int:
        """Bring messages of a source together that ended before a moment; returns how many there were.

        As many as one transaction takes: it is the caller's to ask again until there are none.
        """

    def tidy(self, connection: Database, *, before_ms: int) -> None:
        """What an implementation has to put in order from time to time, once what is older was compacted."""
