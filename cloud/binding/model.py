"""Bindings, what nobody owns, and the errors of this room. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from cloud.errors import CloudError
from cloud.series.model import from_us
from cloud.series.port import LooseMinute, Watched
from vitals.observation import SourceId, VitalKey

ONE_MS = timedelta(milliseconds=1)
"""The wire carries milliseconds: the shortest interval that can hold one measurement."""

ONCE_LASTS = timedelta(minutes=10)
"""How long a device waits for the one reading that it was scanned for."""

RUN_BREAKS_AFTER = timedelta(minutes=2)
"""Continuous values in the tray that are further apart are two entries."""


class BindingOrigin(StrEnum):
    """How a binding came about."""

    SCAN = "scan"
    BED = "bed"
    TRIP = "trip"
    HOUSEHOLD = "household"
    WARD_FILE = "ward_file"
    RETRO = "retro"


class EndReason(StrEnum):
    """Why a binding ended."""

    DISCHARGE = "discharge"
    END_OF_TRIP = "end_of_trip"
    HAND_OVER = "hand_over"  # the sensor went to another person
    REPLACED = "replaced"  # the person got another sensor, or the same one anew
    RETURNED = "returned"
    MOVED = "moved"  # the person left the bed to which the sensor belongs
    WRONG_PERSON = "wrong_person"  # it never was theirs: what it measured goes to the tray
    READING_TAKEN = "reading_taken"
    IDLE = "idle"  # no reading came in the time that was given


ENDED_BY_HAND = (
    EndReason.DISCHARGE,
    EndReason.END_OF_TRIP,
    EndReason.HAND_OVER,
    EndReason.REPLACED,
    EndReason.RETURNED,
    EndReason.WRONG_PERSON,
)


class UnclaimedCause(StrEnum):
    """Why a measurement belongs to nobody."""

    UNBOUND = "unbound"  # the source was bound to nobody at the measured time
    CLOCK = "clock"  # a clock that cannot be believed leaves open whose it was


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundPatient:
    """A patient as far as a binding needs to know.

    `records` are all that were joined into this one, itself among them: what is bound to any is theirs.
    """

    patient_id: str
    records: list[str]
    organisation_id: str
    location_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A source of an organisation, without any person."""

    src: SourceId
    agent: str
    site_id: str
    driver: str
    title_zh: str
    title_en: str
    location_id: str | None
    bed: str
    is_online: bool
    is_bound: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """A source belongs to a patient from a moment, and until when.

    The titles are those that the source declared; empty while it has declared nothing.
    """

    binding_id: int
    src: SourceId
    patient_id: str
    begins_at: datetime
    ends_at: datetime | None
    origin: BindingOrigin
    origin_id: str
    is_once: bool
    begun_at: datetime
    begun_by: str
    ended_at: datetime | None
    ended_by: str | None
    end_reason: EndReason | None
    title_zh: str
    title_en: str

    def is_current(self, moment: datetime) -> bool:
        """Whether it holds at a moment or is still to come."""
        return self.ends_at is None or moment < self.ends_at


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBinding:
    """A binding to begin."""

    src: SourceId
    patient_id: str
    begins_at: datetime
    origin: BindingOrigin
    begun_at: datetime
    begun_by: str
    origin_id: str = ""
    is_once: bool = False
    ends_at: datetime | None = None
    end_reason: EndReason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """When, why and by whom bindings end."""

    at: datetime
    reason: EndReason
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """What was taken from somebody or from the tray, and who has it now."""

    src: SourceId
    begins_at: datetime
    ends_at: datetime | None
    from_patient: str | None
    to_patient: str | None
    reason: str
    corrected_at: datetime
    corrected_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Instants of one source: `begins_at` belongs to it, `ends_at` does not."""

    src: SourceId
    begins_at: datetime
    ends_at: datetime | None

    def overlap(self, begins_at: datetime, ends_at: datetime | None) -> "Span | None":
        """The part that lies in another interval too."""
        first = max(self.begins_at, begins_at)
        ends = [end for end in (self.ends_at, ends_at) if end is not None]
        last = min(ends, default=None)
        return None if last is not None and last <= first else replace(self, begins_at=first, ends_at=last)

    def without(self, other: "Span") -> "list[Span]":
        """What is left when the instants of another are taken out, in the order of time."""
        cut = self.overlap(other.begins_at, other.ends_at)
        if cut is None:
            return [self]
        left = []
        if self.begins_at < cut.begins_at:
            left.append(replace(self, ends_at=cut.begins_at))
        if cut.ends_at is not None and (self.ends_at is None or cut.ends_at < self.ends_at):
            left.append(replace(self, begins_at=cut.ends_at))
        return left


@dataclass(frozen=True, slots=True, kw_only=True)
class LooseValues:
    """Values of one key that belong to nobody: one of a spot device, or a minute of a continuous one."""

    src: SourceId
    title_zh: str
    title_en: str
    key: VitalKey
    unit: str
    first_at: datetime
    last_at: datetime
    value: float | None
    count: int
    is_continuous: bool
    is_clock: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedSource:
    """A source of the organisation, and the times in which somebody had it."""

    title_zh: str
    title_en: str
    times: Watched


def loose_values(minute: LooseMinute, source: WatchedSource) -> LooseValues:
    """A minute of a series as the tray takes it."""
    return LooseValues(
        src=minute.src,
        title_zh=source.title_zh,
        title_en=source.title_en,
        key=minute.key,
        unit=minute.unit,
        first_at=from_us(minute.first_us),
        last_at=from_us(minute.last_us),
        value=minute.value,
        count=minute.count,
        is_continuous=True,
        is_clock=minute.is_clock,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LooseValue:
    """The last value of a key in an entry of the tray."""

    key: VitalKey
    value: float | None
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unclaimed:
    """An entry of the tray: one reading of a spot device, or a run of a continuous one."""

    src: SourceId
    title_zh: str
    title_en: str
    from_at: datetime
    to_at: datetime
    cause: UnclaimedCause
    values: tuple[LooseValue, ...]
    count: int


def group_unclaimed(rows: Iterable[LooseValues]) -> list[Unclaimed]:
    """Entries of the tray, newest first: the four numbers of a cuff are one entry."""
    runs: list[list[LooseValues]] = []
    for row in sorted(rows, key=lambda one: (one.src, one.is_continuous, one.is_clock, one.first_at)):
        if runs and _belongs_to(runs[-1], row):
            runs[-1].append(row)
        else:
            runs.append([row])
    return sorted((_entry(run) for run in runs), key=lambda entry: entry.to_at, reverse=True)


def _belongs_to(run: Sequence[LooseValues], row: LooseValues) -> bool:
    known = run[0]
    if (known.src, known.is_continuous, known.is_clock) != (row.src, row.is_continuous, row.is_clock):
        return False
    if row.is_continuous:
        return row.first_at - max(one.last_at for one in run) <= RUN_BREAKS_AFTER
    return row.first_at == known.first_at


def _entry(run: Sequence[LooseValues]) -> Unclaimed:
    last = {row.key: LooseValue(key=row.key, value=row.value, unit=row.unit) for row in run}
    return Unclaimed(
        src=run[0].src,
        title_zh=run[0].title_zh,
        title_en=run[0].title_en,
        from_at=min(row.first_at for row in run),
        to_at=max(row.last_at for row in run),
        cause=UnclaimedCause.CLOCK if run[0].is_clock else UnclaimedCause.UNBOUND,
        values=tuple(last[key] for key in sorted(last)),
        count=sum(row.count for row in run),
    )


class BindingError(CloudError):
    """What this room refuses."""


class BindingUnknown(BindingError):
    """No such patient, source, place or binding, or none that is for the subject: the answer is the same."""

    def __str__(self) -> str:
        return "no such person or device"


class BindingRefused(BindingError):
    """It cannot be done as things stand."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason
