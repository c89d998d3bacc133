"""The state of the ward: who is bound to which source, and the latest value of each. Pure."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from cloud.events import CONTINUOUS_WITHIN_S, PatientScore, Reading, ScoreQuestion, Silence, WaveHeard
from cloud.identity.sight import Content, Sight, mask_name
from vitals.gap import GapCause
from vitals.observation import SourceId, VitalKey
from vitals.wire.status import SourceDeclaration, WaveDeclaration


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """Who lies where."""

    patient_id: str
    organisation_id: str
    bed: str
    name_zh: str
    name_en: str
    composite_zh: str
    composite_en: str
    spo2_scale: int

    def masked_for(self, sight: Sight) -> "Patient":
        """As much of it as a right shows."""
        if sight.shows(Content.NAME):
            return self
        return replace(self, name_zh=mask_name(self.name_zh), name_en=mask_name(self.name_en))


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A sensor as it declared itself; `driver` is empty until it did."""

    src: SourceId
    agent: str | None
    driver: str
    title_zh: str
    title_en: str
    simulated: bool
    cadence: dict[VitalKey, float]
    waves: list[WaveDeclaration]


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """Whose a sensor is from a moment, and until when."""

    src: SourceId
    patient_id: str
    begins_at: datetime
    ends_at: datetime | None
    is_once: bool = False
    is_current: bool | None = None
    agent: str | None = None

    def covers(self, *moments: datetime) -> bool:
        """Whether something measured between these moments belongs to the patient."""
        return self.begins_at <= min(moments) and (self.ends_at is None or max(moments) < self.ends_at)

    @property
    def holds(self) -> bool:
        """Whether the sensor is the patient's now; the database knows it of those that have an end."""
        return self.ends_at is None if self.is_current is None else self.is_current


@dataclass(frozen=True, slots=True, kw_only=True)
class Ward:
    """What people decided: patients in the order of the wall, and bindings that still matter."""

    patients: tuple[Patient, ...] = ()
    bindings: tuple[Binding, ...] = ()


def declared_source(declared: SourceDeclaration, *, agent: str) -> Source:
    """A source from a birth message."""
    return Source(
        src=declared.src,
        agent=agent,
        driver=declared.driver,
        title_zh=declared.title_zh,
        title_en=declared.title_en,
        simulated=declared.simulated,
        cadence=dict(declared.cadence),
        waves=list(declared.waves),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How far somebody has heard: whose numbers, and the last of them."""

    journal: str
    upto: int


class WaveJournal:
    """The last seconds of live waves, numbered, for viewers that were away for a moment.

    As long as a page can still draw them; fewer if they are more samples than `most_samples`. Whose they are
    is asked when they are given away, not when they are kept: a binding may have been put right meanwhile.
    """

    def __init__(self, name: str, *, lasts_s: float = 16.0, most_samples: int = 16_000_000) -> None:
        self._name = name
        self._lasts = timedelta(seconds=lasts_s)
        self._most_samples = most_samples
        self._kept: deque[WaveHeard] = deque()
        self._samples = 0
        self._upto = 0

    @property
    def mark(self) -> Mark:
        """Who has heard everything until now."""
        return Mark(journal=self._name, upto=self._upto)

    def add(self, wave: WaveHeard) -> None:
        """Keep a wave, and let go of what is too old or too much."""
        self._upto += 1
        self._kept.append(wave)
        self._samples += len(wave.block.samples)
        while self._kept[0].heard_at < wave.heard_at - self._lasts or self._samples > self._most_samples:
            self._samples -= len(self._kept.popleft().block.samples)

    def after(self, mark: Mark) -> tuple[WaveHeard, ...]:
        """What came after a mark and is still there; nothing if the mark is of another journal."""
        missed = self._upto - mark.upto
        if mark.journal != self._name or missed <= 0:
            return ()
        return tuple(self._kept)[-missed:]


Latest = dict[tuple[SourceId, VitalKey], Reading]


@dataclass(slots=True)
class WardState:
    """Everything that a screen shows, as far as it is known. The latest value is the latest measured."""

    ward: Ward = field(default_factory=Ward)
    sources: dict[SourceId, Source] = field(default_factory=dict)
    silences: dict[SourceId, tuple[Silence, ...]] = field(default_factory=dict)
    scores: dict[str, PatientScore] = field(default_factory=dict)
    _latest: dict[str, Latest] = field(default_factory=dict)
    _patients: dict[str, Patient] = field(default_factory=dict)
    _by_source: dict[SourceId, list[Binding]] = field(default_factory=dict)
    _by_patient: dict[str, list[Binding]] = field(default_factory=dict)

    def patient(self, patient_id: str) -> Patient | None:
        """A patient of the ward."""
        return self._patients.get(patient_id)

    def place_ward(self, ward: Ward) -> None:
        """New patients or bindings; values that are not a patient's any more are forgotten."""
        self.ward = ward
        self._patients = {patient.patient_id: patient for patient in ward.patients}
        self._by_source, self._by_patient = {}, {}
        for binding in ward.bindings:
            self._by_source.setdefault(binding.src, []).append(binding)
            self._by_patient.setdefault(binding.patient_id, []).append(binding)
        for patient in ward.patients:
            bound = self.sources_of(patient.patient_id)
            known = self._latest.get(patient.patient_id, {})
            self._latest[patient.patient_id] = {
                name: reading
                for name, reading in known.items()
                if name[0] in bound and self._owner(reading) == patient.patient_id
            }

    def declare(self, sources: Iterable[Source]) -> frozenset[SourceId]:
        """Learn how sources describe themselves; tells of which that is new."""
        changed = set()
        for source in sources:
            known = self.sources.get(source.src)
            foreign = known is not None and known.agent not in (None, source.agent)
            if not foreign and known != source:
                self.sources[source.src] = source
                changed.add(source.src)
        return frozenset(changed)

    def owner_of(self, src: SourceId, *moments: datetime) -> str | None:
        """Whose a measurement is that was made between these moments."""
        bound = self._by_source.get(src, ())
        return next((entry.patient_id for entry in bound if entry.covers(*moments)), None)

    def _owner(self, reading: Reading) -> str | None:
        if reading.clock_shift is None:
            return None
        return self.owner_of(reading.src, reading.measured_at, reading.measured_at + reading.clock_shift)

    def sources_of(self, patient_id: str) -> tuple[SourceId, ...]:
        """Sensors that are a patient's now, and those that gave the one reading that was asked of them."""
        own = self._by_patient.get(patient_id, ())
        return tuple(dict.fromkeys(entry.src for entry in own if entry.holds or entry.is_once))

    def take(self, readings: Iterable[Reading]) -> dict[str, list[Reading]]:
        """The readings that are news: by patient, each newer than what was known of its source and key."""
        news: dict[str, list[Reading]] = {}
        for reading in readings:
            patient_id = self._owner(reading)
            if patient_id is None or reading.src not in self.sources_of(patient_id):
                continue
            latest = self._latest.setdefault(patient_id, {})
            known = latest.get((reading.src, reading.key))
            if known is None or reading.credible_at > known.credible_at or _is_stored_now(known, reading):
                latest[reading.src, reading.key] = reading
                news.setdefault(patient_id, []).append(reading)
        return news

    def mark_stored(self, readings: Iterable[Reading], *, at: datetime) -> dict[str, list[Reading]]:
        """These are committed; returns by patient those that are still the latest."""
        marked: dict[str, list[Reading]] = {}
        for reading in readings:
            patient_id = self._owner(reading)
            latest = {} if patient_id is None else self._latest.get(patient_id, {})
            known = latest.get((reading.src, reading.key))
            if patient_id is None or known is None or known.measured_at != reading.measured_at:
                continue
            latest[reading.src, reading.key] = replace(known, stored_at=at)
            marked.setdefault(patient_id, []).append(latest[reading.src, reading.key])
        return marked

    def serves(self, agent: str, src: SourceId) -> bool:
        """Whether a source is this agent's, as the database says, or else as the first who declared it."""
        return self._agent_of(src) == agent

    def is_foreign(self, agent: str, src: SourceId) -> bool:
        """Whether a source is another agent's."""
        return self._agent_of(src) not in (None, agent)

    def _agent_of(self, src: SourceId) -> str | None:
        claimed = next((entry.agent for entry in self._by_source.get(src, ()) if entry.agent), None)
        declared = self.sources.get(src)
        return claimed or (None if declared is None else declared.agent)

    def readings_of(self, patient_id: str) -> tuple[Reading, ...]:
        """The latest readings of a patient."""
        return tuple(self._latest.get(patient_id, {}).values())

    def silences_of(self, patient_id: str) -> tuple[Silence, ...]:
        """The silences of a patient's sensors, and of those that were taken away."""
        own = self.sources_of(patient_id)
        ended: dict[SourceId, datetime] = {}
        for entry in self._by_patient.get(patient_id, ()):
            if entry.src not in own and entry.ends_at is not None:
                ended[entry.src] = max(entry.ends_at, ended.get(entry.src, entry.ends_at))
        return (
            *(silence for src in own for silence in self.silences.get(src, ())),
            *(
                Silence(src=src, keys=(), cause=GapCause.UNBOUND, since_at=ended_at)
                for src, ended_at in ended.items()
            ),
        )

    def take_silences(self, silences: Mapping[SourceId, tuple[Silence, ...]]) -> list[str]:
        """The silences of all sources; returns the patients for whom something changed."""
        before = {entry.patient_id: self.silences_of(entry.patient_id) for entry in self.ward.patients}
        self.silences = dict(silences)
        return [patient_id for patient_id, known in before.items() if self.silences_of(patient_id) != known]

    def question_for(self, patient: Patient, *, now: datetime) -> ScoreQuestion:
        """What a score is asked about a patient."""
        continuous = {
            (src, key)
            for src in self.sources_of(patient.patient_id)
            if src in self.sources
            for key, cadence_s in self.sources[src].cadence.items()
            if cadence_s <= CONTINUOUS_WITHIN_S
        }
        return ScoreQuestion(
            readings=self.readings_of(patient.patient_id),
            continuous=frozenset(continuous),
            silences=self.silences_of(patient.patient_id),
            spo2_scale=patient.spo2_scale,
            now=now,
        )

    def wave_of(self, src: SourceId, stream: VitalKey) -> WaveDeclaration | None:
        """How to read a stream, once it is declared."""
        source = self.sources.get(src)
        waves: Sequence[WaveDeclaration] = [] if source is None else source.waves
        return next((wave for wave in waves if wave.stream == stream), None)


def _is_stored_now(known: Reading, reading: Reading) -> bool:
    is_same = known.measured_at == reading.measured_at and known.value == reading.value
    return is_same and known.stored_at is None and reading.stored_at is not None
