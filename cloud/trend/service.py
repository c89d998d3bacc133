"""Reading a trend."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from cloud.act import Action, Origin, Recorder, TargetKind, target
from cloud.errors import CloudError
from cloud.events import Clock
from cloud.identity.model import Subject
from cloud.identity.queries import find_sight
from cloud.store.connection import Pool
from cloud.trend import queries
from cloud.trend.model import Series, clip_gaps, merge_buckets
from vitals.gap import Gap
from vitals.observation import VitalKey


class PatientUnknown(CloudError):
    """There is no such patient, or none whom the subject may see: the answer is the same."""

    def __str__(self) -> str:
        return "no such patient"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """A patient's last hours."""

    from_at: datetime
    to_at: datetime
    measured_since_at: datetime | None
    series: dict[VitalKey, Series]
    gaps: list[Gap]


class TrendService:
    """Use cases of the trend."""

    def __init__(self, pool: Pool, *, recorder: Recorder, clock: Clock) -> None:
        self._pool = pool
        self._recorder = recorder
        self._clock = clock

    def read_trend(self, subject: Subject, patient_id: str, *, hours: int) -> Trend:
        """The last hours of a patient.

        Raises:
            PatientUnknown: not there, or not for this subject.
            AuditUnavailable: nobody could take note of it, so it is not shown.
        """
        to_at = self._clock()
        from_at = to_at - timedelta(hours=hours)
        within: queries.TimeRange = {"from_at": from_at, "to_at": to_at}
        with self._pool.connection() as connection:
            sight = find_sight(connection, subject, patient_id)
            if sight is None:
                raise PatientUnknown
            on = target(TargetKind.PATIENT, patient_id)
            act = subject.act(Action.READ_TREND, on, origin=Origin.HTTP, basis=sight.basis.value)
            written = self._recorder.begin(act)
            since_at = queries.find_measured_since(connection, subject, patient_id)
            buckets = queries.find_buckets(connection, subject, patient_id, within=within)
            gaps = queries.find_gaps(connection, subject, patient_id, within=within)
        written()
        return Trend(
            from_at=from_at,
            to_at=to_at,
            measured_since_at=since_at,
            series=merge_buckets(buckets),
            gaps=clip_gaps(gaps, buckets, from_at=from_at, to_at=to_at),
        )
