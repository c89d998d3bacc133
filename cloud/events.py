"""The typed events and values in which the rooms of the cloud meet: they know these, never each other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from vitals.gap import Gap, GapCause
from vitals.observation import Flag, Quality, SourceId, VitalKey
from vitals.wave import WaveBlock
from vitals.wire.status import SourceDeclaration
from vitals.wire.topics import Lane


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One value of one source. `late` means: fills history, was never a live value.

    `arrived_at`: the cloud got it; `stored_at`: it is committed, None as long as nobody has said so.
    """

    src: SourceId
    key: VitalKey
    value: float | None
    unit: str
    measured_at: datetime
    received_at: datetime
    arrived_at: datetime
    stored_at: datetime | None
    quality: Quality
    flags: tuple[Flag, ...]
    late: bool
    clock_shift: timedelta | None = timedelta(0)
    """It was measured between `measured_at` and this much later (or earlier); None: no clock tells when."""

    @property
    def credible_at(self) -> datetime:
        """When it was measured, as far as can be: nothing is measured after it has arrived.

        An agent whose clock runs ahead would else look fresh for minutes after its device has died, and
        its old values would outrank the new ones once the clock is put right.
        """
        return min(self.measured_at, self.arrived_at)

    @property
    def has_value(self) -> bool:
        """Whether there is a number that the device itself does not reject."""
        return self.value is not None and self.quality is not Quality.INVALID


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneOf:
    """One of the sequences of an agent's spool."""

    agent: str
    lineage: str
    lane: Lane


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingsHeard:
    """The values of one message, of each key the newest; number `s` of its lane."""

    readings: tuple[Reading, ...]
    heard_at: datetime
    lane: LaneOf
    s: int

    @property
    def is_stored(self) -> bool:
        """Whether it is committed."""
        return all(reading.stored_at is not None for reading in self.readings)

    def as_stored(self, at: datetime) -> "ReadingsHeard":
        """The same, committed."""
        return replace(self, readings=tuple(replace(reading, stored_at=at) for reading in self.readings))


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveHeard:
    """A block of a live wave."""

    agent: str
    src: SourceId
    block: WaveBlock
    late: bool
    heard_at: datetime
    clock_shift: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class GapHeard:
    """A gap, or its end, that an edge agent tells of."""

    agent: str
    gap: Gap


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredUpTo:
    """Everything of a lane up to `s` is committed."""

    lane: LaneOf
    s: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerBack:
    """The broker is there again: what came meanwhile was not heard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentBorn:
    """An agent declared what it serves. `heard_at` is None for a retained message: no sign of life."""

    agent: str
    sources: tuple[SourceDeclaration, ...]
    heard_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentHeard:
    """A sign of life of an agent, with what its beat says of the spool."""

    agent: str
    heard_at: datetime
    depth: int | None = None
    oldest_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentGone:
    """The agent's will, or the agent said that it stops; `heard_at` is None for a retained message."""

    agent: str
    heard_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BindingsChanged:
    """Somebody changed whose these sources are, or tried to."""

    sources: tuple[SourceId, ...]


class Part(StrEnum):
    """The parts of the system that can fail under the whole ward at once."""

    DATABASE = "database"
    BROKER = "broker"
    INGEST = "ingest"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartState:
    """Whether a part works, and since when that is so."""

    part: Part
    ok: bool
    since_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """A source gives nothing for `keys` (empty: for none) since a moment, and why as far as we know."""

    src: SourceId
    keys: tuple[VitalKey, ...]
    cause: GapCause
    since_at: datetime


class MissingReason(StrEnum):
    """Why an input of a score is missing."""

    NEVER = "never"
    EXPIRED = "expired"
    SILENT = "silent"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientScorePart:
    """One input of a score with the value that it used, or the reason that it has none."""

    input: str
    value: float | str | None
    points: int | None
    measured_at: datetime | None
    reason: MissingReason | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientScore:
    """A score of a patient; `total` and `risk` are None unless it is complete."""

    name: str
    total: int | None
    total_min: int
    total_max: int
    risk: str | None
    risk_min: str
    risk_max: str
    missing: tuple[str, ...]
    parts: tuple[PatientScorePart, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreQuestion:
    """What is known of a patient at a moment. `continuous` names the keys that a source sends by itself."""

    readings: tuple[Reading, ...]
    continuous: frozenset[tuple[SourceId, VitalKey]]
    silences: tuple[Silence, ...]
    spo2_scale: int
    now: datetime


CONTINUOUS_WITHIN_S = 60.0
"""A key whose declared cadence is not longer is continuous; any other is a spot measurement."""

Event = (
    ReadingsHeard
    | WaveHeard
    | GapHeard
    | StoredUpTo
    | BrokerBack
    | AgentBorn
    | AgentHeard
    | AgentGone
    | BindingsChanged
)
Deliver = Callable[[Sequence[Event]], None]
Clock = Callable[[], datetime]
