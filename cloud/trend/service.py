"""Reading a trend, and the waves of a few minutes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cloud.act import Action, Origin, Recorder, TargetKind, target
from cloud.errors import CloudError
from cloud.events import Clock
from cloud.identity.model import Subject
from cloud.identity.queries import find_sight
from cloud.series.stores.choice import choose_series
from cloud.store.connection import Database, Pool
from cloud.trend import queries
from cloud.trend.model import STEP_MS, Series, choose_step_ms, clip_gaps, merge_lines
from cloud.waves.frames import encode_wave
from cloud.waves.model import WaveLine
from cloud.waves.service import Waves
from vitals.gap import Gap
from vitals.observation import SourceId, VitalKey
from vitals.wire.status import WaveDeclaration

SHORT_LOOK = timedelta(minutes=1)


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
class WaveWish:
    """Which range, by default the last minute; and which streams, by default all."""

    from_at: datetime | None = None
    to_at: datetime | None = None
    streams: Sequence[str] | None = None


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
    """What was measured, as it lies in the store."""

    def __init__(self, pool: Pool, *, waves: Waves, recorder: Recorder, clock: Clock) -> None:
        self._pool = pool
        self._waves = waves
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
            written = self._note_look(connection, subject, patient_id, action=Action.READ_TREND)
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

    def read_waves(self, subject: Subject, patient_id: str, *, wish: WaveWish) -> list[bytes]:
        """The blocks of a patient's waves that reach into a range, by source, stream and time.

        Raises:
            PatientUnknown, AuditUnavailable: as for a trend.
            ObjectError: they lie in the object store, which does not give them.
        """
        to_at = wish.to_at or self._clock()
        from_at = wish.from_at or to_at - SHORT_LOOK
        within: queries.TimeRange = {"from_at": from_at, "to_at": to_at}
        with self._pool.connection() as connection:
            written = self._note_look(connection, subject, patient_id, action=Action.READ_WAVES)
            held = queries.find_held(connection, subject, patient_id, within=within)
            lines = self._waves.read_range(connection, held, streams=wish.streams)
            layouts = queries.find_layouts(connection, {line.src for line in lines})
        frames = [frame for line in lines for frame in _frames(patient_id, line, layouts)]
        written()
        return frames

    def _note_look(
        self, connection: Database, subject: Subject, patient_id: str, *, action: Action
    ) -> Callable[[], None]:
        """Begin to write down who looks; what is returned waits until it is written."""
        sight = find_sight(connection, subject, patient_id)
        if sight is None:
            raise PatientUnknown
        on = target(TargetKind.PATIENT, patient_id)
        return self._recorder.begin(subject.act(action, on, origin=Origin.HTTP, basis=sight.basis.value))


def _frames(
    patient_id: str, line: WaveLine, layouts: Mapping[tuple[SourceId, VitalKey], WaveDeclaration]
) -> Iterator[bytes]:
    declared = layouts.get((line.src, line.stream))
    if declared is None:
        declared = WaveDeclaration(stream=line.stream, rate=(1, 1), gain=1.0, offset=0.0, unit="")
    for block in line.blocks:
        wave = block.to_wave(line.stream)
        yield encode_wave(patient_id, line.src, wave, declared=declared, late=block.late)
