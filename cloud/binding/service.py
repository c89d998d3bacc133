"""Beginning, ending and putting right: the one writing path, under the lock of the source.

The wall is told before a change begins to show nothing of the source, and after it to look again: what
was measured after a hand-over is not shown on the person before it, not even for the moment of the commit.
"""

import uuid
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from cloud.act import Act, Action, Origin, Recorder, TargetKind, target
from cloud.binding import queries
from cloud.binding.model import (
    ENDED_BY_HAND,
    ONCE_LASTS,
    ONE_MS,
    Binding,
    BindingOrigin,
    BindingRefused,
    BindingUnknown,
    BoundPatient,
    Correction,
    Device,
    Ending,
    EndReason,
    NewBinding,
    Span,
    Unclaimed,
    group_unclaimed,
)
from cloud.events import Clock
from cloud.identity.errors import NotAllowed
from cloud.identity.model import SYSTEM, Scope, Subject
from cloud.identity.queries import find_sight
from cloud.series.stores.choice import choose_series
from cloud.store.connection import Database, Pool
from vitals.observation import SourceId

_ATTEMPTS = 5
_CODE_PREFIX = "qianli:device:"


class Wall(Protocol):
    """Who shows values as they come. Safe to call from any thread."""

    def hold(self, sources: Collection[SourceId]) -> None:
        """Show nothing of these until they are settled."""

    def settle(self, sources: Collection[SourceId]) -> None:
        """Look at the bindings again, then show what waited as it belongs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A source for a patient from now on."""

    src: SourceId
    patient_id: str
    origin: BindingOrigin
    origin_id: str = ""
    is_once: bool = False
    lasts: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A binding that holds, and what was done for it."""

    binding_id: int
    acts: tuple[Act, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Everything that was bound to a patient, and what was put right."""

    bindings: tuple[Binding, ...]
    corrections: tuple[Correction, ...]


def give_source(
    connection: Database, subject: Subject, wish: Wish, *, clock: Clock, origin: Origin = Origin.HTTP
) -> Bound:
    """Give a source to a patient, taking it from whoever has it; the caller's transaction goes on.

    The moment is taken under the lock and follows every earlier binding, so that each instant has one holder.
    """
    queries.lock_sources(connection, [wish.src])
    written_at = clock()
    last = queries.find_last_of(connection, SYSTEM, wish.src)
    at = next_moment(written_at, after=last)
    acts: list[Act] = []
    if last is not None and last.is_current(at):
        if last.patient_id == wish.patient_id and not (wish.is_once or last.is_once):
            return Bound(binding_id=last.binding_id, acts=())
        same = last.patient_id == wish.patient_id
        reason = EndReason.REPLACED if same else EndReason.HAND_OVER
        ending = Ending(at=at, reason=reason, by=subject.person)
        queries.end_binding(connection, last.binding_id, ending, written_at=written_at)
        acts.append(_binding_act(subject, Action.END_BINDING, wish.src, last.patient_id, origin=origin))
    new = NewBinding(
        src=wish.src,
        patient_id=wish.patient_id,
        begins_at=at,
        ends_at=None if wish.lasts is None else at + wish.lasts,
        end_reason=None if wish.lasts is None else EndReason.IDLE,
        origin=wish.origin,
        origin_id=wish.origin_id,
        is_once=wish.is_once,
        begun_at=written_at,
        begun_by=subject.person,
    )
    binding_id = queries.insert_binding(connection, new)
    acts.append(_binding_act(subject, Action.BEGIN_BINDING, wish.src, wish.patient_id, origin=origin))
    return Bound(binding_id=binding_id, acts=tuple(acts))


def bind_from_ward_file(connection: Database, src: SourceId, patient_id: str, now: datetime) -> list[Act]:
    """Bind a known sensor as a ward file says, unless a person has decided since; returns what was done.

    A ward file is read again at every start: what was given, handed over or taken back by hand stays so.
    """
    queries.lock_sources(connection, [src])
    last = queries.find_last_of(connection, SYSTEM, src)
    if last is not None and not _is_of_ward_file(last):
        return []
    wish = Wish(src=src, patient_id=patient_id, origin=BindingOrigin.WARD_FILE)
    return list(give_source(connection, SYSTEM, wish, clock=lambda: now, origin=Origin.COMMAND).acts)


def _is_of_ward_file(last: Binding) -> bool:
    return last.origin is BindingOrigin.WARD_FILE and last.ended_by in (None, SYSTEM.person)


def next_moment(now: datetime, *, after: Binding | None) -> datetime:
    """The whole millisecond from which a change holds: the wire knows no less, and no interval is empty.

    Rounded up: what was shown until now was measured before it.
    """
    rounded = now + (-timedelta(microseconds=now.microsecond) % ONE_MS)
    return rounded if after is None else max(rounded, after.begins_at + ONE_MS)


class BindingService:
    """Use cases of bindings; safe to call from several threads.

    What is done is recorded in the same transaction's time: without its entry it is rolled back.
    """

    def __init__(self, pool: Pool, *, recorder: Recorder, wall: Wall, clock: Clock) -> None:
        self._pool = pool
        self._recorder = recorder
        self._wall = wall
        self._clock = clock
        self.once_sources: set[SourceId] = set()

    def begin_scanned(
        self,
        subject: Subject,
        code: str,
        *,
        patient_id: str,
        is_once: bool = False,
        lasts: timedelta | None = None,
    ) -> Binding:
        """Bind the device whose code was scanned.

        `is_once`: for one reading only; the binding ends with it, or after `lasts`.

        Raises:
            BindingUnknown: the device or the patient is not there, or not for this subject.
        """
        src = SourceId(code.strip().removeprefix(_CODE_PREFIX))
        self._check_sources(subject, [src])
        if is_once:
            self.once_sources.add(src)
            lasts = lasts or ONCE_LASTS
        with self._changing(subject, [src]) as connection:
            patient = self._patient(connection, subject, patient_id)
            wish = Wish(
                src=src,
                patient_id=patient.patient_id,
                origin=BindingOrigin.SCAN,
                is_once=is_once,
                lasts=lasts,
            )
            return self._give(connection, subject, [wish])[0]

    def begin_for_household(self, subject: Subject, code: str, *, members: Sequence[str]) -> Binding:
        """Bind a device that people share: to the first of them; the others claim what is theirs."""
        src = SourceId(code.strip().removeprefix(_CODE_PREFIX))
        self._check_sources(subject, [src])
        household_id = f"h-{uuid.uuid4().hex}"
        with self._changing(subject, [src]) as connection:
            people = [self._patient(connection, subject, member) for member in members]
            ids = list(dict.fromkeys(one.patient_id for one in people))
            queries.insert_household(
                connection, household_id, organisation_id=people[0].organisation_id, members=ids
            )
            wish = Wish(src=src, patient_id=ids[0], origin=BindingOrigin.HOUSEHOLD, origin_id=household_id)
            return self._give(connection, subject, [wish])[0]

    def begin_for_trip(
        self, subject: Subject, trip_id: str, *, patient_id: str, sources: Sequence[SourceId]
    ) -> list[Binding]:
        """Bind the devices of a vehicle to the one who is in it, until the trip ends."""
        self._check_sources(subject, sources)
        with self._changing(subject, sources) as connection:
            patient = self._patient(connection, subject, patient_id)
            wishes = [
                Wish(src=src, patient_id=patient.patient_id, origin=BindingOrigin.TRIP, origin_id=trip_id)
                for src in sources
            ]
            return self._give(connection, subject, wishes)

    def begin_in_bed(self, subject: Subject, location_id: str, *, patient_id: str) -> list[Binding]:
        """Put a patient into a bed: its devices are theirs while they lie there.

        What came with the patient's former bed is theirs no longer.

        Raises:
            BindingUnknown: the place or the patient is not there, or not for this subject.
            BindingRefused: somebody lies in that bed.
        """
        sources = self._sources_of_move(subject, location_id, patient_id)
        with self._changing(subject, sources, place=location_id) as connection:
            patient = self._patient(connection, subject, patient_id)
            bed = queries.find_bed(connection, subject, location_id)
            if bed is None:
                raise BindingUnknown
            fixed, there = bed
            if set(there) - set(patient.records):
                raise BindingRefused("somebody lies in that bed")
            queries.lock_patients(connection, patient.records)
            left = [
                one
                for one in self._current(connection, subject, patient)
                if one.origin is BindingOrigin.BED and one.origin_id != location_id
            ]
            if not {*fixed, *(one.src for one in left)} <= set(sources):
                raise BindingRefused("the devices of this bed are changing at this moment; try again")
            acts = self._end_all(connection, subject, left, reason=EndReason.MOVED)
            for joined in set(patient.records) - {patient.patient_id}:
                self._place(connection, subject, joined, location_id=None)
            if patient.location_id != location_id:
                self._place(connection, subject, patient.patient_id, location_id=location_id)
                acts.append(_patient_act(subject, Action.MOVE_PATIENT, patient.patient_id))
            wishes = [
                Wish(src=src, patient_id=patient.patient_id, origin=BindingOrigin.BED, origin_id=location_id)
                for src in fixed
            ]
            return self._give(connection, subject, wishes, acts=acts)

    def end(self, subject: Subject, binding_id: int, *, reason: EndReason) -> Binding:
        """End a binding now; for a wrong person it never was, and what it measured goes to the tray.

        Raises:
            BindingUnknown: it is not there, or its patient is not for this subject.
            BindingRefused: it has ended already, or the reason is not one that a person gives.
        """
        _require_edit(subject)
        if reason not in ENDED_BY_HAND:
            raise BindingRefused(f"{reason} is not a reason that a person gives")
        known = self._find(subject, binding_id)
        with self._changing(subject, [known.src]) as connection:
            binding = queries.find_binding(connection, subject, binding_id)
            if binding is None:
                raise BindingUnknown
            if not binding.is_current(self._clock()):
                raise BindingRefused("this binding has ended already")
            acts = self._end_all(connection, subject, [binding], reason=reason)
            ended = queries.find_binding(connection, subject, binding_id)
            assert ended is not None  # noqa: S101 - under its lock
            if reason is EndReason.WRONG_PERSON:
                span = Span(src=ended.src, begins_at=ended.begins_at, ends_at=ended.ends_at)
                correction = self._correction(subject, span, reason=reason.value)
                self._take_away(connection, ended, replace(correction, from_patient=ended.patient_id))
            self._recorder.begin(*acts)()
            return ended

    def end_trip(self, subject: Subject, trip_id: str) -> list[Binding]:
        """End everything that a trip bound, at one moment."""
        _require_edit(subject)
        origin = (BindingOrigin.TRIP.value, trip_id)
        with self._pool.connection() as connection:
            known = queries.find_current(connection, subject, now=self._clock(), origin=origin)
        with self._changing(subject, [one.src for one in known]) as connection:
            current = queries.find_current(connection, subject, now=self._clock(), origin=origin)
            ended = [one for one in current if one.src in {known_one.src for known_one in known}]
            self._recorder.begin(*self._end_all(connection, subject, ended, reason=EndReason.END_OF_TRIP))()
            return self._read_again(connection, subject, ended)

    def discharge(self, subject: Subject, patient_id: str) -> list[Binding]:
        """End everything that is bound to a patient and empty the bed, at one moment.

        Raises:
            BindingUnknown: not there, or not for this subject.
        """
        _require_edit(subject)
        for _ in range(_ATTEMPTS):
            with self._pool.connection() as connection:
                patient = self._patient(connection, subject, patient_id)
                known = {one.src for one in self._current(connection, subject, patient)}
            with self._changing(subject, known) as connection:
                patient = self._patient(connection, subject, patient_id)
                queries.lock_patients(connection, patient.records, wholly=True)
                current = self._current(connection, subject, patient)
                if not {one.src for one in current} <= known:
                    continue  # another began meanwhile
                acts = self._end_all(connection, subject, current, reason=EndReason.DISCHARGE)
                for record in patient.records:
                    self._place(connection, subject, record, location_id=None)
                acts.append(_patient_act(subject, Action.DISCHARGE_PATIENT, patient.patient_id))
                self._recorder.begin(*acts)()
                return self._read_again(connection, subject, current)
        raise BindingRefused("sensors are being bound to this person at this moment; try again")

    def read(self, subject: Subject, patient_id: str) -> Record:
        """What is and was bound to a patient.

        Raises:
            BindingUnknown: not there, or not for this subject.
        """
        with self._pool.connection() as connection:
            patient = self._patient(connection, subject, patient_id)
            sight = find_sight(connection, subject, patient.patient_id)
            record = self._record(connection, subject, patient)
        # The system sees without a right of its own.
        basis = "" if sight is None else sight.basis.value
        on = target(TargetKind.PATIENT, patient.patient_id)
        self._recorder.begin(subject.act(Action.READ_BINDINGS, on, origin=Origin.HTTP, basis=basis))()
        return record

    def find_devices(self, subject: Subject) -> list[Device]:
        """The devices of the subject's organisation; nothing about people."""
        with self._pool.connection() as connection:
            return queries.find_devices(connection, subject, now=self._clock())

    def find_unclaimed(self, subject: Subject, *, hours: int) -> list[Unclaimed]:
        """What was measured in the last hours and belongs to nobody."""
        now = self._clock()
        within = (now - timedelta(hours=hours), now)
        with self._pool.connection() as connection:
            rows = queries.find_unclaimed(
                connection, subject, within=within, series=choose_series(connection)
            )
        on = target(TargetKind.WARD, subject.organisation or "")
        self._recorder.begin(subject.act(Action.READ_UNCLAIMED, on, origin=Origin.HTTP))()
        return group_unclaimed(rows)

    def claim(self, subject: Subject, span: Span, *, patient_id: str, reason: str) -> Record:
        """Give what nobody owns to a patient: a binding in the past. The span's end belongs to it.

        Raises:
            BindingUnknown: the source or the patient is not there, or not for this subject.
            BindingRefused: somebody owns a value of it, or it is not over.
        """
        span = self._past(span)
        self._check_sources(subject, [span.src])
        with self._changing(subject, [span.src]) as connection:
            patient = self._patient(connection, subject, patient_id)
            if queries.count_settled(
                connection, SYSTEM, span, but_of=patient.records, series=choose_series(connection)
            ):
                raise BindingRefused("somebody owns values of this time: correct the binding instead")
            correction = replace(
                self._correction(subject, span, reason=reason), to_patient=patient.patient_id
            )
            free, taken = [span], []
            for binding in queries.find_overlapping(connection, SYSTEM, span):
                own = Span(src=span.src, begins_at=binding.begins_at, ends_at=binding.ends_at)
                free = [left for part in free for left in part.without(own)]
                if binding.patient_id not in patient.records:
                    made = replace(correction, from_patient=binding.patient_id)
                    taken.append(self._take_away(connection, binding, made))
            for part in (*free, *taken):
                self._give_span(connection, subject, part, patient.patient_id)
            for part in free:
                queries.insert_correction(connection, _within(correction, part))
            if queries.vouch_for_times(connection, span, series=choose_series(connection)) and not (
                free or taken
            ):
                queries.insert_correction(connection, correction)
            acts = [_binding_act(subject, Action.CLAIM_MEASUREMENT, span.src, patient.patient_id)]
            self._recorder.begin(*acts)()
            return self._record(connection, subject, patient)

    def dismiss(self, subject: Subject, span: Span, *, reason: str) -> None:
        """Keep values out of the tray; they stay stored.

        Raises:
            BindingUnknown: the source is not there, or not for this subject.
        """
        span = self._past(span)
        self._check_sources(subject, [span.src])
        with self._pool.connection() as connection, connection.transaction():
            queries.insert_dismissal(connection, span, reason=reason, at=self._clock(), by=subject.person)
            on = target(TargetKind.SOURCE, span.src)
            self._recorder.begin(subject.act(Action.DISMISS_MEASUREMENT, on, origin=Origin.HTTP))()

    def correct(
        self, subject: Subject, span: Span, *, from_patient: str, to_patient: str | None, reason: str
    ) -> Record:
        """Take a span from the person who had it wrongly, for another or (None) for the tray.

        Returns the record of the one from whom it was taken. Both records tell of it.

        Raises:
            BindingUnknown: the source or a patient is not there, not for this subject, or never had it.
        """
        span = self._past(span) if span.ends_at is not None else span
        self._check_sources(subject, [span.src])
        with self._changing(subject, [span.src]) as connection:
            loser = self._patient(connection, subject, from_patient)
            winner = None if to_patient is None else self._patient(connection, subject, to_patient)
            if winner == loser:
                raise BindingRefused("it is the same person")
            had = [
                one
                for one in queries.find_overlapping(connection, subject, span)
                if one.patient_id in loser.records
            ]
            if not had:
                raise BindingUnknown
            correction = self._correction(subject, span, reason=reason)
            for binding in had:
                made = replace(
                    correction,
                    from_patient=binding.patient_id,
                    to_patient=None if winner is None else winner.patient_id,
                )
                cut = self._take_away(connection, binding, made)
                if winner is not None:
                    self._give_span(connection, subject, cut, winner.patient_id)
            people = [loser.patient_id] if winner is None else [loser.patient_id, winner.patient_id]
            self._recorder.begin(
                *(_binding_act(subject, Action.CORRECT_BINDING, span.src, one) for one in people)
            )()
            return self._record(connection, subject, loser)

    def settle_once(self, src: SourceId) -> None:
        """End what was scanned for one reading and has it (see `queries.end_once_read`)."""
        with self._changing(SYSTEM, [src]) as connection:
            ended = queries.end_once_read(connection, SYSTEM, src, now=self._clock())
            acts = [
                _binding_act(SYSTEM, Action.END_BINDING, src, patient_id, origin=Origin.COMMAND)
                for _, patient_id in ended
            ]
        self._recorder.note(*acts)

    @contextmanager
    def _changing(
        self, subject: Subject, sources: Collection[SourceId], *, place: str | None = None
    ) -> Iterator[Database]:
        """A transaction that holds these sources, while the wall shows nothing of them."""
        _require_edit(subject)
        self._wall.hold(sources)
        try:
            with self._pool.connection() as connection, connection.transaction():
                queries.lock_sources(connection, [*sources, *([] if place is None else [f"place:{place}"])])
                yield connection
        finally:
            self._wall.settle(sources)

    def _give(
        self, connection: Database, subject: Subject, wishes: Sequence[Wish], *, acts: Sequence[Act] = ()
    ) -> list[Binding]:
        bound = [give_source(connection, subject, wish, clock=self._clock) for wish in wishes]
        self._recorder.begin(*acts, *(act for one in bound for act in one.acts))()
        found = (queries.find_binding(connection, subject, one.binding_id) for one in bound)
        return [binding for binding in found if binding is not None]

    def _end_all(
        self, connection: Database, subject: Subject, bindings: Sequence[Binding], *, reason: EndReason
    ) -> list[Act]:
        """End these at one moment, the same for all of them."""
        written_at = self._clock()
        at = max((next_moment(written_at, after=one) for one in bindings), default=written_at)
        for binding in bindings:
            ending = Ending(at=at, reason=reason, by=subject.person)
            queries.end_binding(connection, binding.binding_id, ending, written_at=written_at)
        return [_binding_act(subject, Action.END_BINDING, one.src, one.patient_id) for one in bindings]

    def _take_away(self, connection: Database, binding: Binding, correction: Correction) -> Span:
        had = Span(src=binding.src, begins_at=binding.begins_at, ends_at=binding.ends_at)
        cut = had.overlap(correction.begins_at, correction.ends_at)
        assert cut is not None  # noqa: S101 - it was found by its overlap
        queries.replace_span(connection, binding, had.without(cut))
        queries.insert_correction(connection, _within(correction, cut))
        return cut

    def _give_span(self, connection: Database, subject: Subject, span: Span, patient_id: str) -> None:
        new = NewBinding(
            src=span.src,
            patient_id=patient_id,
            begins_at=span.begins_at,
            ends_at=span.ends_at,
            origin=BindingOrigin.RETRO,
            begun_at=self._clock(),
            begun_by=subject.person,
        )
        queries.insert_binding(connection, new)

    def _correction(self, subject: Subject, span: Span, *, reason: str) -> Correction:
        return Correction(
            src=span.src,
            begins_at=span.begins_at,
            ends_at=span.ends_at,
            from_patient=None,
            to_patient=None,
            reason=reason,
            corrected_at=self._clock(),
            corrected_by=subject.person,
        )

    def _past(self, span: Span) -> Span:
        """The same with its last millisecond inside."""
        if span.ends_at is None or span.ends_at < span.begins_at or span.ends_at > self._clock():
            raise BindingRefused("the time must be over, and its end not before its beginning")
        return replace(span, ends_at=span.ends_at + ONE_MS)

    def _place(
        self, connection: Database, subject: Subject, patient_id: str, *, location_id: str | None
    ) -> None:
        queries.place_patient(
            connection, patient_id, location_id=location_id, at=self._clock(), by=subject.person
        )

    def _sources_of_move(self, subject: Subject, location_id: str, patient_id: str) -> list[SourceId]:
        """The sources that change when a patient is put into a bed."""
        _require_edit(subject)
        if "\0" in location_id:  # the database has no text with NUL
            raise BindingUnknown
        with self._pool.connection() as connection:
            patient = self._patient(connection, subject, patient_id)
            bed = queries.find_bed(connection, subject, location_id)
            if bed is None:
                raise BindingUnknown
            had = self._current(connection, subject, patient)
        return [*bed[0], *(one.src for one in had if one.origin is BindingOrigin.BED)]

    def _current(self, connection: Database, subject: Subject, patient: BoundPatient) -> list[Binding]:
        return queries.find_current(connection, subject, now=self._clock(), records=patient.records)

    def _find(self, subject: Subject, binding_id: int) -> Binding:
        with self._pool.connection() as connection:
            binding = queries.find_binding(connection, subject, binding_id)
        if binding is None:
            raise BindingUnknown
        return binding

    def _read_again(
        self, connection: Database, subject: Subject, bindings: Sequence[Binding]
    ) -> list[Binding]:
        found = (queries.find_binding(connection, subject, one.binding_id) for one in bindings)
        return [binding for binding in found if binding is not None]

    def _record(self, connection: Database, subject: Subject, patient: BoundPatient) -> Record:
        return Record(
            bindings=tuple(queries.find_bindings(connection, subject, patient.records)),
            corrections=tuple(queries.find_corrections(connection, subject, patient)),
        )

    def _patient(self, connection: Database, subject: Subject, patient_id: str) -> BoundPatient:
        # The database has no text with NUL.
        found = None if "\0" in patient_id else queries.find_patient(connection, subject, patient_id)
        if found is None:
            raise BindingUnknown
        return found

    def _check_sources(self, subject: Subject, sources: Sequence[SourceId]) -> None:
        """Before anything is held: a stranger must not even make somebody's values wait."""
        _require_edit(subject)
        with self._pool.connection() as connection:
            for src in sources:
                # The database has no text with NUL.
                if "\0" in src or not queries.find_devices(connection, subject, now=self._clock(), src=src):
                    raise BindingUnknown


def _within(correction: Correction, span: Span) -> Correction:
    return replace(correction, begins_at=span.begins_at, ends_at=span.ends_at)


def _binding_act(
    subject: Subject, action: Action, src: SourceId, patient_id: str, *, origin: Origin = Origin.HTTP
) -> Act:
    return subject.act(action, target(TargetKind.BINDING, f"{src}:{patient_id}"), origin=origin)


def _patient_act(subject: Subject, action: Action, patient_id: str) -> Act:
    return subject.act(action, target(TargetKind.PATIENT, patient_id), origin=Origin.HTTP)


def _require_edit(subject: Subject) -> None:
    if Scope.EDIT_PATIENTS not in subject.scopes:
        raise NotAllowed
