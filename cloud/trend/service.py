"""Reading a trend."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from cloud.act import Action, Origin, Recorder, TargetKind, target
from cloud.errors import CloudError
from cloud.events import Clock
from cloud.identity.model import Subject
from cloud.identity.queries import find_sight
from cloud.series.stores.choice import choose_series
from cloud.store.connection import Pool
from cloud.trend import queries
from cloud.trend.model import STEP_MS, Series, choose_step_ms, clip_gaps, merge_lines
from vitals.gap import Gap
from vitals.observation import VitalKey


class PatientUnknown(CloudError):
    """There is no such patient, or none whom the subject may see: the answer is the same."""

    def __str__(self) -> str:
        return "no such patient"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Which range: the last hours, or from and to; in steps of a minute, or so that they fit the pixels."""

    hours: int = 24
    from_at: datetime | None = None
    to_at: datetime | None = None
    pixels: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """A patient's values within a range."""

    from_at: datetime
    to_at: datetime
    step_ms: int
    measured_since_at: datetime | None
    series: dict[VitalKey, Series]
    gaps: list[Gap]


class TrendService:
    """Use cases of the trend."""

    def __init__(self, pool: Pool, *, recorder: Recorder, clock: Clock) -> None:
        self._pool = pool
        self._recorder = recorder
        self._clock = clock

    def read_trend(self, subject: Subject, patient_id: str, *, wish: Wish) -> Trend:
        """A patient's values and gaps within a range.

        Raises:
            PatientUnknown: not there, or not for this subject.
            AuditUnavailable: nobody could take note of it, so it is not shown.
        """
        to_at = wish.to_at or self._clock()
        from_at = wish.from_at or to_at - timedelta(hours=wish.hours)
        step_ms = STEP_MS if wish.pixels is None else choose_step_ms(from_at, to_at, pixels=wish.pixels)
        within: queries.TimeRange = {"from_at": from_at, "to_at": to_at}
        with self._pool.connection() as connection:
            sight = find_sight(connection, subject, patient_id)
            if sight is None:
                raise PatientUnknown
            on = target(TargetKind.PATIENT, patient_id)
            act = subject.act(Action.READ_TREND, on, origin=Origin.HTTP, basis=sight.basis.value)
            written = self._recorder.begin(act)
            since_at = queries.find_measured_since(connection, subject, patient_id)
            held = queries.find_held(connection, subject, patient_id, within=within)
            lines = choose_series(connection).read_range(connection, held, step_ms=step_ms)
            lines += queries.find_spots(connection, subject, patient_id, within=within, step_ms=step_ms)
            gaps = queries.find_gaps(connection, subject, patient_id, within=within)
        written()
        return Trend(
            from_at=from_at,
            to_at=to_at,
            step_ms=step_ms,
            measured_since_at=since_at,
            series=merge_lines(lines, step_ms=step_ms),
            gaps=clip_gaps(gaps, lines, step_ms=step_ms, from_at=from_at, to_at=to_at),
        )
