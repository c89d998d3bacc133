"""The hub: one state, many viewers. It lives in the event loop, so nothing here needs a lock."""

import asyncio
import secrets
import threading
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TypeGuard

import structlog

from cloud.events import (
    AgentBorn,
    BindingsChanged,
    BrokerBack,
    Clock,
    Event,
    GapHeard,
    LaneOf,
    PartState,
    PatientScore,
    Reading,
    ReadingsHeard,
    ScoreQuestion,
    Silence,
    StoredUpTo,
    WaveHeard,
)
from cloud.identity.model import Subject
from cloud.identity.sight import Sight
from cloud.live import frames
from cloud.live.model import Mark, Patient, Source, Ward, WardState, WaveJournal, declared_source
from cloud.waves.frames import encode_wave
from vitals.observation import SourceId
from vitals.wire.batch import from_ms
from vitals.wire.status import WaveDeclaration

_log = structlog.get_logger()
_TEXTS_WAITING = 500
_WAVES_WAITING = 120
_EVENTS_HELD = 2000
_UNSTORED_OF_A_LANE = 500
_BLOCKS_REMEMBERED = 8

TellShown = Callable[[Mapping[str, Sight]], None]
Judge = Callable[[ScoreQuestion], PatientScore]


class Viewer:
    """One watching browser: a bounded queue that gives up waves first, and then the viewer itself."""

    def __init__(
        self,
        subject: Subject,
        *,
        sights: Mapping[str, Sight],
        already_told: Iterable[str],
        tell_shown: TellShown,
    ) -> None:
        self.subject = subject
        self.sights = dict(sights)
        self._tell_shown = tell_shown
        self._shown = set(already_told)
        self.overrun = asyncio.Event()
        self.dropped_waves = 0
        self._watched: frozenset[str] | None = None
        self._frames: deque[str | bytes] = deque()
        self._texts = 0
        self._ready = asyncio.Event()
        self.missed: Iterator[bytes] = iter(())

    def note_shown(self, patients: Iterable[str]) -> None:
        """These are shown now; tell of those who were not before."""
        new = {
            patient_id: self.sights[patient_id] for patient_id in patients if patient_id not in self._shown
        }
        self._shown.update(new)
        if new:
            self._tell_shown(new)

    def place_sights(self, sights: Mapping[str, Sight]) -> bool:
        """Whom the viewer may see from now on; tells whether that is something new.

        Whatever waits of somebody who may no longer be seen is not sent any more: everything that waits goes,
        for the hello that follows holds the whole state.
        """
        if sights == self.sights:
            return False
        if not self.sights.keys() <= sights.keys():
            self._frames.clear()
            self._texts = 0
        self._shown &= sights.keys()
        self.sights = dict(sights)
        return True

    def watch(self, patients: frozenset[str] | None) -> None:
        """Receive waves of these patients only; None means all."""
        self._watched = patients

    def wants_waves_of(self, patient_id: str) -> bool:
        """Whether waves of a patient are asked for."""
        return self._watched is None or patient_id in self._watched

    def put_text(self, frame: str) -> None:
        """Values, silences, scores and ticks are never dropped: too many waiting end the connection."""
        self._frames.append(frame)
        self._texts += 1
        if self._texts > _TEXTS_WAITING:
            self.overrun.set()
        self._ready.set()

    def put_wave(self, frame: bytes) -> None:
        """The oldest wave makes room for the newest."""
        if len(self._frames) - self._texts >= _WAVES_WAITING:
            oldest = next(idx for idx, waiting in enumerate(self._frames) if isinstance(waiting, bytes))
            del self._frames[oldest]
            self.dropped_waves += 1
        self._frames.append(frame)
        self._ready.set()

    async def next_frame(self) -> str | bytes:
        """The next frame, when there is one; waves that were missed come when nothing new waits."""
        while not self._frames:
            missed = next(self.missed, None)
            if missed is not None:
                await asyncio.sleep(0)  # many may have come back at once: each in turn
                return missed
            self._ready.clear()
            await self._ready.wait()
        frame = self._frames.popleft()
        self._texts -= isinstance(frame, str)
        return frame


class Hub:
    """Takes events, keeps the state, tells every viewer what concerns it."""

    def __init__(self, *, judge: Judge, clock: Clock, display_delay_ms: int) -> None:
        self._judge = judge
        self._clock = clock
        self._display_delay_ms = display_delay_ms
        self._viewers: set[Viewer] = set()
        self._holds: Counter[SourceId] = Counter()
        self._holds_lock = threading.Lock()
        self._held: deque[ReadingsHeard | WaveHeard] = deque(maxlen=_EVENTS_HELD)
        self._unstored: dict[LaneOf, dict[int, tuple[Reading, ...]]] = {}
        self._journal = WaveJournal(secrets.token_hex(4))
        self._blocks: dict[tuple[SourceId, str], deque[int]] = {}
        self._changed: list[SourceId] = []
        self._declared: frozenset[SourceId] = frozenset()
        self._has_told_declared = False
        self.has_to_read = asyncio.Event()
        self.state = WardState()

    def hold(self, sources: Collection[SourceId]) -> None:
        """Keep back what these send from now on: whose they are is being changed. From any thread."""
        with self._holds_lock:
            self._holds.update(sources)

    def take_changed(self) -> list[SourceId]:
        """Sources whose bindings may have changed; bindings and values are to be read after this is asked."""
        changed, self._changed = self._changed, []
        self.has_to_read.clear()
        return changed

    def release(self, sources: Collection[SourceId]) -> None:
        """Show what was kept back as the bindings are now, unless another change goes on."""
        self._let_go(sources)
        self._replay()

    def _let_go(self, sources: Collection[SourceId]) -> None:
        with self._holds_lock:
            self._holds.subtract(sources)
            self._holds = +self._holds

    def _replay(self) -> None:
        waiting = list(self._held)
        self._held.clear()
        for event in waiting:
            self.take(event)

    def load(self, ward: Ward, *, sources: list[Source], latest: list[Reading]) -> None:
        """What the database knows at the start."""
        self.state.place_ward(ward)
        self.state.declare(sources)
        self.state.take(latest)
        self.rescore()

    def add_viewer(self, viewer: Viewer, *, away_since: Mark | None = None) -> None:
        """A viewer comes: it is told everything, then what is new, and the waves it missed if it was away."""
        self._greet(viewer)
        if away_since is not None:
            viewer.missed = self._missed_by(viewer, self._journal.after(away_since))
        self._viewers.add(viewer)

    def patient_ids(self) -> list[str]:
        """Everybody on the wall, for the question whom a viewer may see."""
        return [patient.patient_id for patient in self.state.ward.patients]

    def viewers(self) -> tuple[Viewer, ...]:
        """Who watches now."""
        return tuple(self._viewers)

    def place_sights(self, viewer: Viewer, sights: Mapping[str, Sight]) -> None:
        """Whom a viewer may see now; when that changed the viewer is told everything anew."""
        if viewer in self._viewers and viewer.place_sights(sights):
            self._greet(viewer)

    def remove_viewer(self, viewer: Viewer) -> None:
        """A viewer goes."""
        self._viewers.discard(viewer)
        if viewer.dropped_waves:
            _log.info("viewer_was_slow", dropped_waves=viewer.dropped_waves)

    def believe(self, event: Event) -> Event | None:
        """The event as far as it comes from the agent whose sources it speaks of; None: nothing of it."""
        match event:
            case ReadingsHeard():
                agent = event.lane.agent
                return event if all(self.state.serves(agent, one.src) for one in event.readings) else None
            case WaveHeard():
                return event if self.state.serves(event.agent, event.src) else None
            case GapHeard():
                return event if self.state.serves(event.agent, event.gap.src) else None
            case AgentBorn():
                own = [one for one in event.sources if not self.state.is_foreign(event.agent, one.src)]
                return replace(event, sources=tuple(own))
        return event

    def take(self, event: Event) -> None:
        """Learn from an event and tell those whom it concerns."""
        match event:
            case ReadingsHeard():
                self._take_readings(event)
            case WaveHeard():
                self._take_wave(event)
            case StoredUpTo():
                self._take_stored(event)
            case BindingsChanged():
                self._changed.extend(event.sources)
                self.has_to_read.set()
            case BrokerBack():
                self.has_to_read.set()
            case AgentBorn():
                sources = [declared_source(entry, agent=event.agent) for entry in event.sources]
                self._declared |= self.state.declare(sources)
                if not self._has_told_declared:
                    self._tell_declared()
            case _:
                pass

    def place_ward(self, ward: Ward, *, latest: list[Reading], settled: Collection[SourceId] = ()) -> None:
        """Patients or bindings as the database has them; viewers hear of it when something changed.

        `settled`: changes that were over when this was read. What is read of a source while another change of
        it goes on is not believed: it is read again when that is over.
        """
        self._let_go(settled)
        believed = [reading for reading in latest if self._holds[reading.src] <= 0]
        if ward != self.state.ward:
            self.state.place_ward(ward)
            self.state.take(believed)
            self.rescore()
            self._greet_all()
        else:
            self._tell_news(believed)
        self._replay()

    def take_silences(self, silences: Mapping[SourceId, tuple[Silence, ...]]) -> None:
        """All silences as they are now."""
        for patient_id in self.state.take_silences(silences):
            frame = frames.encode_silence(patient_id, self.state.silences_of(patient_id))
            self._tell(patient_id, frame)

    def rescore(self) -> None:
        """Judge everybody anew: values age even when none arrives."""
        for patient in self.state.ward.patients:
            self._rescore(patient)

    def tick(self, parts: tuple[PartState, ...]) -> None:
        """A sign of life, after what sources said of themselves since the last one."""
        self._tell_declared()
        self._has_told_declared = False
        frame = frames.encode_tick(parts, now=self._clock(), mark=self._journal.mark)
        for viewer in self._viewers:
            viewer.put_text(frame)

    def _take_readings(self, event: ReadingsHeard) -> None:
        if not event.is_stored:
            waiting = self._unstored.setdefault(event.lane, {})
            waiting[event.s] = event.readings
            if len(waiting) > _UNSTORED_OF_A_LANE:
                del waiting[next(iter(waiting))]
        self._tell_news(self._hold_back(event))

    def _take_stored(self, event: StoredUpTo) -> None:
        """Tell of what was shown and is stored now; what nothing but the database can place is read there."""
        waiting = self._unstored.get(event.lane, {})
        stored = [waiting.pop(s) for s in [s for s in waiting if s <= event.s]]
        if not waiting:
            self._unstored.pop(event.lane, None)
        self._held = deque(
            (held.as_stored(event.at) if _is_of(held, event) else held for held in self._held), _EVENTS_HELD
        )
        readings = [reading for together in stored for reading in together]
        if any(reading.clock_shift is None for reading in readings):
            self.has_to_read.set()
        for patient_id, marked in self.state.mark_stored(readings, at=event.at).items():
            self._tell(patient_id, frames.encode_stored(patient_id, marked))

    def _tell_news(self, readings_now: Iterable[Reading]) -> None:
        for patient_id, readings in self.state.take(readings_now).items():
            self._tell(patient_id, frames.encode_values(patient_id, readings))
            patient = self.state.patient(patient_id)
            if patient is not None:
                self._rescore(patient)

    def _hold_back(self, event: ReadingsHeard) -> tuple[Reading, ...]:
        """What may be shown now; the rest is kept."""
        held = tuple(reading for reading in event.readings if self._holds[reading.src] > 0)
        if not held:
            return event.readings
        self._held.append(replace(event, readings=held))
        return tuple(reading for reading in event.readings if reading not in held)

    def _take_wave(self, event: WaveHeard) -> None:
        if self._holds[event.src] > 0:
            self._held.append(event)
            return
        blocks = self._blocks.setdefault((event.src, event.block.stream), deque(maxlen=_BLOCKS_REMEMBERED))
        if event.block.t0_us in blocks:
            return  # sent again by an agent that has not heard that we have it
        blocks.append(event.block.t0_us)
        if not event.late:
            self._journal.add(event)
        owned = self._owned(event)
        if owned is None:
            return
        patient_id, declared = owned
        frame = _wave_frame(patient_id, event, declared)
        for viewer in self._viewers_of(patient_id):
            if viewer.wants_waves_of(patient_id):
                viewer.put_wave(frame)

    def _owned(self, event: WaveHeard) -> tuple[str, WaveDeclaration] | None:
        """Whose a wave is, and how it is to be read; None if nobody may be shown it."""
        begins_at, ends_at = (from_ms(us // 1000) for us in (event.block.t0_us, event.block.end_us))
        moments = (begins_at, ends_at, begins_at + event.clock_shift, ends_at + event.clock_shift)
        patient_id = self.state.owner_of(event.src, *moments)
        declared = self.state.wave_of(event.src, event.block.stream)
        patient = None if patient_id is None else self.state.patient(patient_id)
        return None if patient is None or declared is None else (patient.patient_id, declared)

    def _missed_by(self, viewer: Viewer, waves: Iterable[WaveHeard]) -> Iterator[bytes]:
        """Made one by one when they are sent: bindings and rights count as they are then."""
        for wave in waves:
            owned = None if self._holds[wave.src] > 0 else self._owned(wave)
            if owned is not None and owned[0] in viewer.sights and viewer.wants_waves_of(owned[0]):
                yield _wave_frame(owned[0], wave, owned[1])

    def _rescore(self, patient: Patient) -> None:
        now = self._clock()
        score = self._judge(self.state.question_for(patient, now=now))
        if score != self.state.scores.get(patient.patient_id):
            self.state.scores[patient.patient_id] = score
            self._tell(patient.patient_id, frames.encode_score(patient.patient_id, score, now=now))

    def _tell(self, patient_id: str, frame: str) -> None:
        for viewer in self._viewers_of(patient_id):
            viewer.put_text(frame)

    def _viewers_of(self, patient_id: str) -> list[Viewer]:
        return [viewer for viewer in self._viewers if patient_id in viewer.sights]

    def _tell_declared(self) -> None:
        """To those who see the patients concerned, at once and then with the tick.

        An agent that says something else of itself a hundred times a second must not cut off every wall.
        """
        if not self._declared:
            return
        concerned = {
            patient_id
            for patient_id in self.patient_ids()
            if not self._declared.isdisjoint(self.state.sources_of(patient_id))
        }
        self._declared, self._has_told_declared = frozenset(), True
        for viewer in self._viewers:
            if not concerned.isdisjoint(viewer.sights):
                self._greet(viewer)

    def _greet_all(self) -> None:
        for viewer in self._viewers:
            self._greet(viewer)

    def _greet(self, viewer: Viewer) -> None:
        patients = [
            patient.masked_for(viewer.sights[patient.patient_id])
            for patient in self.state.ward.patients
            if patient.patient_id in viewer.sights
        ]
        viewer.note_shown(patient.patient_id for patient in patients)
        now = self._clock()
        delay_ms, mark = self._display_delay_ms, self._journal.mark
        viewer.put_text(frames.encode_hello(self.state, patients, now=now, delay_ms=delay_ms, mark=mark))


def _is_of(held: ReadingsHeard | WaveHeard, stored: StoredUpTo) -> TypeGuard[ReadingsHeard]:
    return isinstance(held, ReadingsHeard) and held.lane == stored.lane and held.s <= stored.s


def _wave_frame(patient_id: str, wave: WaveHeard, declared: WaveDeclaration) -> bytes:
    return encode_wave(patient_id, wave.src, wave.block, declared=declared, late=wave.late)
