"""Finding, registering, joining and separating people."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

import structlog

from cloud.act import Action, Recorder
from cloud.events import Clock
from cloud.identity.errors import NotAllowed
from cloud.identity.model import SYSTEM, Scope, Subject
from cloud.identity.queries import find_sight, find_sights
from cloud.identity.sight import BUT_EMERGENCIES, Content, Sight, shown_number
from cloud.people import queries
from cloud.people.model import (
    Candidate,
    CandidateRule,
    Found,
    IdentifierKey,
    IdentifierKeyLost,
    Merge,
    MergeRefused,
    MergeRule,
    NewPerson,
    Outcome,
    Person,
    PersonIdentifier,
    PersonInvalid,
    PersonRecord,
    PersonUnknown,
    Registered,
    Registration,
    Resolution,
    Standing,
    StoredIdentifier,
    TypedIdentifier,
    act_of_finding_nobody,
    acts_about,
    acts_of_candidates,
    acts_seen,
    born_on,
    check_birth_date,
    digested_text,
    may_merge_by_rule,
    new_person,
    read_number,
    resident_ids,
    sealing_context,
    sex_from,
)
from cloud.people.queries import Place
from cloud.store.connection import Database, Pool
from cloud.store.sealing import KeyFile, Sealer, open_ring
from cloud.store.suite import Suite
from vitals.identifiers.identifier import (
    Identifier,
    IdentifierAmbiguous,
    IdentifierInvalid,
    IdentifierKind,
)
from vitals.identifiers.near import correct_resident_id, near_identifiers
from vitals.identifiers.temporary import temporary_identifier

_log = structlog.get_logger()
KEY_FILE = Path("keys") / "identifier.key"


def open_sealer(connection: Database, *, home: Path, suite: Suite = Suite.ED25519) -> Sealer:
    """The sealer of this data folder; its key is made when there is none yet.

    Raises:
        IdentifierKeyLost: the database was filled with another key.
        KeyFileInvalid: the file cannot be used.
    """
    file = KeyFile(home / KEY_FILE)
    keys = file.read()
    fingerprint, is_filled = queries.find_key_state(connection, SYSTEM)
    if keys is None and is_filled:
        raise IdentifierKeyLost(file.path)
    sealer = open_ring(file, file.create(suite) if keys is None else keys)
    if fingerprint is None or not sealer.use(fingerprint):
        if is_filled:
            raise IdentifierKeyLost(file.path)
        queries.replace_fingerprint(connection, sealer.fingerprint)
    return sealer


class Encounters(Protocol):
    """Who notes that somebody has a person before them, which is a right to see this person for a while."""

    def open(self, connection: Database, subject: Subject, patient_id: str) -> None:
        """From now on, within the caller's transaction."""


class PeopleService:
    """Use cases of patient identity; safe to call from several threads.

    Whoever types or scans a whole number has its owner before them: that opens an encounter.

    What is shown or done is recorded first; without its entry nothing is shown (`AuditUnavailable`), and a
    change is rolled back.
    """

    def __init__(
        self, pool: Pool, *, sealer: Sealer, encounters: Encounters, recorder: Recorder, clock: Clock
    ) -> None:
        self._pool = pool
        self._encounters = encounters
        self._sealer = sealer
        self._recorder = recorder
        self._clock = clock

    def resolve(
        self, subject: Subject, text: str, *, kind: IdentifierKind | None = None, issuer: str = ""
    ) -> Resolution:
        """Whom a typed or scanned number names. One person, or an answer that says why not one."""
        with self._pool.connection() as connection, connection.transaction():
            today = self._today(queries.find_place(connection, subject, None))
            parsed = read_number(subject, text, kind=kind, issuer=issuer, today=today)
            if isinstance(parsed, IdentifierInvalid):
                resolution = self._refuse(connection, subject, text, invalid=parsed, today=today)
            else:
                readings = parsed.readings if isinstance(parsed, IdentifierAmbiguous) else (parsed,)
                resolution = self._find(connection, subject, readings)
            if resolution.outcome is Outcome.FOUND:
                for one in resolution.found:
                    self._encounters.open(connection, subject, one.person.patient_id)
            shown = resolution.people
            sights = find_sights(connection, subject, shown)
            kinds = {kind} if kind is not None else {reading.kind for reading in resolution.readings}
            acts = acts_seen(subject, Action.FIND_PERSON, shown, sights=sights)
            self._recorder.begin(*(acts or [act_of_finding_nobody(subject, kinds=kinds)]))()
        return resolution.masked_for(sights)

    def find_everywhere(self, connection: Database, subject: Subject, typed: TypedIdentifier) -> list[str]:
        """The patients of any organisation whom a whole number names, for somebody who breaks the glass.

        Raises:
            PersonInvalid: the number cannot be.
        """
        (identifier,) = self._parse_all(subject, [typed], today=self._today(None))
        return queries.find_everywhere(connection, subject, self._keys(identifier))

    def _find(self, connection: Database, subject: Subject, readings: tuple[Identifier, ...]) -> Resolution:
        reading_by_key = {key: reading for reading in readings for key in self._keys(reading)}
        holders = queries.find_holders(connection, subject, list(reading_by_key))
        found = tuple(
            Found(person=person, reading=reading_by_key[key], claimed_too=claimed)
            for person, key, claimed in holders
        )
        if len(readings) > 1 and found:
            outcome = Outcome.AMBIGUOUS
        else:
            outcome = Outcome.FOUND if found else Outcome.NOT_THERE
        return Resolution(outcome=outcome, readings=readings, found=found)

    def read(self, subject: Subject, patient_id: str) -> PersonRecord:
        """A person by any id that means it.

        Raises:
            PersonUnknown: not there, or not for this subject.
        """
        with self._pool.connection() as connection:
            record = self._record(connection, subject, patient_id)
        shown = patient_id, record.person.patient_id
        self._recorder.begin(*acts_about(subject, Action.READ_PERSON, *shown, basis=record.sight.basis))()
        return record

    def find_candidates(self, subject: Subject, patient_id: str) -> tuple[Candidate, ...]:
        """Who may be the same person.

        Raises:
            PersonUnknown: not there, or not for this subject.
        """
        with self._pool.connection() as connection:
            record = self._record(connection, subject, patient_id)
            candidates = self._candidates(connection, subject, record)
        own = patient_id, record.person.patient_id
        acts = acts_about(subject, Action.FIND_CANDIDATES, *own, basis=record.sight.basis)
        self._recorder.begin(*acts, *acts_of_candidates(subject, candidates))()
        return candidates

    def register(self, subject: Subject, new: NewPerson) -> Registration:
        """Register a person, or find that it is there already.

        An identifier that another patient holds makes a candidate; it makes a merge only where
        `may_merge_by_rule` allows it. The same `registration` twice registers once.

        Raises:
            PersonInvalid: a field cannot be.
            PersonUnknown: the site is none of the subject's organisation.
        """
        _require_edit(subject)
        with self._pool.connection() as connection, connection.transaction():
            self._hold_key(connection)
            if new.registration is not None:
                known = queries.find_registered(connection, subject, new.registration)
                if known is not None:
                    self._encounters.open(connection, subject, known)
                    return self._answer_known(connection, subject, known)
            place = queries.find_place(connection, subject, new.site_id)
            if place is None:
                raise PersonUnknown
            today = self._today(place)
            identifiers = self._parse_all(subject, new.identifiers, today=today)
            if new.birth_date is not None and new.birth_date > today:
                raise PersonInvalid("birth_date", "it lies in the future")
            person = new_person(
                new,
                site_id=place.site_id,
                organisation_id=place.organisation_id,
                identifiers=identifiers,
            )
            if new.registration is None:
                known = self._same_person(connection, subject, person, identifiers)
                if known is not None:
                    return self._answer_known(connection, subject, known)
            outcome = self._create(connection, subject, new, person=person, identifiers=identifiers)
            answer = self._answer(connection, subject, person.patient_id, outcome=outcome)
            basis = answer.record.sight.basis
            acts = acts_about(subject, Action.CREATE_PATIENT, person.patient_id, basis=basis)
            if outcome is Registered.MERGED:
                survivor = answer.record.person.patient_id
                acts += acts_about(subject, Action.MERGE_PATIENT, person.patient_id, survivor, basis=basis)
            self._recorder.begin(*acts, *acts_of_candidates(subject, answer.candidates))()
        _log.info("person_registered", patient=person.patient_id, by=subject.person, outcome=outcome.value)
        return answer

    def add_identifier(
        self, subject: Subject, patient_id: str, typed: TypedIdentifier
    ) -> tuple[PersonRecord, Standing]:
        """Give a person one more identifier; if another holds it, it is a claim and makes a candidate.

        Raises:
            PersonUnknown: not there, or not for this subject.
            PersonInvalid: the number cannot be, or tells another birth date.
        """
        _require_edit(subject)
        with self._pool.connection() as connection, connection.transaction():
            self._hold_key(connection)
            record = self._record(connection, subject, patient_id)
            place = queries.find_place(connection, subject, record.person.site_id)
            (identifier,) = self._parse_all(subject, [typed], today=self._today(place))
            check_birth_date(record.person.birth_date, [identifier])
            survivor = record.person.patient_id
            standing = self._standing_in(connection, subject, [survivor, *record.merged_ids], identifier)
            if standing is None:
                standing = self._add(connection, subject, record.person, identifier)
                queries.fill_in_person(
                    connection, survivor, birth_date=born_on([identifier]), sex=sex_from([identifier])
                )
            record = self._record(connection, subject, survivor)
            basis = record.sight.basis
            self._recorder.begin(
                *acts_about(subject, Action.ADD_IDENTIFIER, patient_id, survivor, basis=basis)
            )()
        _log.info("identifier_added", patient=survivor, kind=identifier.kind.value, standing=standing.value)
        return record, standing

    def merge(self, subject: Subject, patient_id: str, *, into: str, reason: str) -> PersonRecord:
        """Let a patient mean another from now on. Nothing moves: both keep what they have.

        Raises:
            PersonUnknown: one of them is not there, or not for this subject.
            NotAllowed: one of them is seen in an emergency only, or without its name.
            MergeRefused: one of them was merged already, or they are one.
            PersonInvalid: no reason is given.
        """
        _require_edit(subject)
        _require_reason(reason)
        with self._pool.connection() as connection, connection.transaction():
            _require_judgement(connection, subject, patient_id, into)
            self._link(
                connection,
                subject,
                Merge(
                    merged_id=patient_id,
                    survivor_id=into,
                    merged_at=self._clock(),
                    merged_by=subject.person,
                    reason=reason.strip(),
                    rule=None,
                ),
            )
            record = self._record(connection, subject, into)
            basis = record.sight.basis
            self._recorder.begin(*acts_about(subject, Action.MERGE_PATIENT, patient_id, into, basis=basis))()
        _log.info("person_merged", patient=patient_id, into=into, by=subject.person)
        return record

    def unmerge(self, subject: Subject, patient_id: str, *, reason: str) -> PersonRecord:
        """Take back the merge of a patient, which is then exactly what it was.

        Raises:
            PersonUnknown: not there, or not for this subject.
            NotAllowed: it is seen in an emergency only, or without its name.
            MergeRefused: it is not merged.
            PersonInvalid: no reason is given.
        """
        _require_edit(subject)
        _require_reason(reason)
        with self._pool.connection() as connection, connection.transaction():
            if "\0" in patient_id or patient_id not in queries.lock_survivors(
                connection, subject, [patient_id]
            ):
                raise PersonUnknown
            _require_judgement(connection, subject, patient_id)
            survivor = queries.end_merge(
                connection, patient_id, at=self._clock(), by=subject.person, reason=reason.strip()
            )
            if survivor is None:
                raise MergeRefused("this patient is not merged into another")
            # Whoever separates two people saw both until now, and must be able to put it right.
            for separated in (patient_id, survivor):
                if find_sight(connection, subject, separated) is None:
                    self._encounters.open(connection, subject, separated)
            record = self._record(connection, subject, patient_id)
            basis = record.sight.basis
            self._recorder.begin(
                *acts_about(subject, Action.UNMERGE_PATIENT, patient_id, survivor, basis=basis)
            )()
        _log.info("person_unmerged", patient=patient_id, by=subject.person)
        return record

    def list_numbers(
        self, connection: Database, subject: Subject, patient_ids: Sequence[str], *, is_open: bool
    ) -> list[tuple[str, str, str]]:
        """Kind, issuer and number of each identifier, masked unless `is_open`; the caller records it."""
        stored = queries.find_identifiers(connection, subject, patient_ids)
        opened = [self._open(one) for one in stored]
        return [(one.kind.value, one.issuer, one.value if is_open else one.display) for one in opened]

    def _today(self, place: Place | None) -> date:
        return self._clock().astimezone(ZoneInfo("UTC" if place is None else place.zone)).date()

    def _hold_key(self, connection: Database) -> None:
        """Learn which key the digests are of, and let nobody change that before the transaction ends."""
        fingerprint = queries.hold_fingerprint(connection)
        if fingerprint is None or not self._sealer.use(fingerprint):
            raise IdentifierKeyLost(KEY_FILE)

    def _key(self, identifier: Identifier) -> IdentifierKey:
        """The key that is stored now; only while it is held."""
        text = digested_text(identifier.kind, identifier.issuer, identifier.value)
        return IdentifierKey(kind=identifier.kind, issuer=identifier.issuer, digest=self._sealer.digest(text))

    def _keys(self, identifier: Identifier) -> list[IdentifierKey]:
        """Every key by which it may be found, also while digests move from one key to the next."""
        text = digested_text(identifier.kind, identifier.issuer, identifier.value)
        return [
            IdentifierKey(kind=identifier.kind, issuer=identifier.issuer, digest=digest)
            for digest in self._sealer.digests(text)
        ]

    def _refuse(
        self, connection: Database, subject: Subject, text: str, *, invalid: IdentifierInvalid, today: date
    ) -> Resolution:
        corrections: tuple[Identifier, ...] = ()
        if invalid.kind is IdentifierKind.RESIDENT_ID:
            corrections = correct_resident_id(text, today=today)
        keys = [key for correction in corrections for key in self._keys(correction)]
        near = queries.find_people_with(connection, subject, keys) if keys else []
        return Resolution(outcome=Outcome.INVALID, reason=invalid.reason, near=tuple(near))

    def _parse_all(
        self, subject: Subject, typed: Sequence[TypedIdentifier], *, today: date
    ) -> tuple[Identifier, ...]:
        parsed: list[Identifier] = []
        for idx, one in enumerate(typed):
            read = read_number(subject, one.text, kind=one.kind, issuer=one.issuer, today=today)
            if isinstance(read, IdentifierInvalid):
                raise PersonInvalid(f"identifiers[{idx}]", read.reason.value)
            if isinstance(read, Identifier) and read not in parsed:
                parsed.append(read)
        # One order for all, so that two registrations never wait for each other.
        return tuple(sorted(parsed, key=lambda read: (read.kind, read.issuer, read.value)))

    def _same_person(
        self, connection: Database, subject: Subject, person: Person, identifiers: Sequence[Identifier]
    ) -> str | None:
        """Which other patient is the same person by rule."""
        keys = [self._key(identifier) for identifier in identifiers]
        holders = [
            (holder, key)
            for holder, key, _ in queries.find_holders(connection, subject, keys)
            if holder.patient_id != person.patient_id
        ]
        if len({holder.patient_id for holder, _ in holders}) != 1:
            return None
        holder = holders[0][0]
        self._encounters.open(connection, subject, holder.patient_id)
        record = self._record(connection, subject, holder.patient_id)
        held = queries.find_identifiers(connection, subject, [holder.patient_id, *record.merged_ids])
        is_same = may_merge_by_rule(
            person,
            holder,
            shared=[key for _, key in holders],
            resident_ids=resident_ids([*keys, *(stored.key for stored in held)]),
        )
        return holder.patient_id if is_same else None

    def _create(
        self, connection: Database, subject: Subject, new: NewPerson, *, person: Person,
        identifiers: Sequence[Identifier],
    ) -> Registered:  # fmt: skip
        pinyin = (new.pinyin or person.name_en or person.name_zh).lower()
        queries.insert_person(connection, person, pinyin=pinyin, at=self._clock(), by=subject.person)
        self._encounters.open(connection, subject, person.patient_id)
        if new.registration is not None:
            queries.insert_registration(
                connection,
                new.registration,
                organisation_id=person.organisation_id,
                patient_id=person.patient_id,
            )
        standings = [self._add(connection, subject, person, identifier) for identifier in identifiers]
        if new.is_unknown:
            self._add_temporary(connection, subject, person)
        if Standing.CLAIMED not in standings:
            return Registered.CREATED
        known = self._same_person(connection, subject, person, identifiers)
        if known is None:
            return Registered.CREATED
        merge = Merge(
            merged_id=person.patient_id,
            survivor_id=known,
            merged_at=self._clock(),
            merged_by=subject.person,
            reason="same identifier, name and birth date",
            rule=MergeRule.SAME_IDENTIFIER,
        )
        try:
            self._link(connection, subject, merge)
        except MergeRefused:
            # Somebody merged the other one in this moment: then somebody is looking, and it is a candidate.
            return Registered.CREATED
        return Registered.MERGED

    def _add(
        self, connection: Database, subject: Subject, person: Person, identifier: Identifier
    ) -> Standing:
        """Held if nobody of the organisation holds it, else claimed."""
        stored = StoredIdentifier(
            patient_id=person.patient_id,
            key=self._key(identifier),
            sealed=self._sealer.seal(
                identifier.value,
                context=sealing_context(person.patient_id, identifier.kind, identifier.issuer),
            ),
            standing=Standing.HELD,
            added_at=self._clock(),
            added_by=subject.person,
        )
        organisation_id = person.organisation_id
        if queries.insert_identifier(connection, stored, organisation_id=organisation_id):
            return Standing.HELD
        claimed = replace(stored, standing=Standing.CLAIMED)
        queries.insert_identifier(connection, claimed, organisation_id=organisation_id)
        return Standing.CLAIMED

    def _add_temporary(self, connection: Database, subject: Subject, person: Person) -> None:
        """The next number of the site that nobody has: places without a connection may have given some."""
        on = self._today(queries.find_place(connection, subject, person.site_id))
        while True:
            number = queries.take_temporary_number(
                connection, organisation_id=person.organisation_id, site=person.site_id, on=on
            )
            identifier = temporary_identifier(site=person.site_id, on=on, number=number)
            if not queries.find_holders(connection, subject, [self._key(identifier)]):
                break
        self._add(connection, subject, person, identifier)

    def _standing_in(
        self, connection: Database, subject: Subject, patient_ids: Sequence[str], identifier: Identifier
    ) -> Standing | None:
        """How an identifier stands among those that these patients have already."""
        key = self._key(identifier)
        stored = queries.find_identifiers(connection, subject, patient_ids)
        standings = [one.standing for one in stored if one.key == key]
        return min(standings, key=lambda standing: standing is Standing.CLAIMED, default=None)

    def _link(self, connection: Database, subject: Subject, merge: Merge) -> None:
        """Join two patients, both held until the transaction ends."""
        both = [merge.merged_id, merge.survivor_id]
        if any("\0" in patient_id for patient_id in both):
            raise PersonUnknown
        standing = queries.lock_survivors(connection, subject, both)
        survivor = queries.find_person(connection, subject, merge.survivor_id)
        if survivor is None or not standing.keys() >= set(both):
            raise PersonUnknown
        if merge.merged_id == merge.survivor_id:
            raise MergeRefused("a patient cannot be merged into itself")
        if not all(standing.values()):
            raise MergeRefused("one of the two is merged already: take the one whom it means now")
        queries.insert_merge(connection, merge, organisation_id=survivor.organisation_id)

    def _answer_known(self, connection: Database, subject: Subject, patient_id: str) -> Registration:
        answer = self._answer(connection, subject, patient_id, outcome=Registered.ALREADY_THERE)
        record = answer.record
        acts = acts_about(subject, Action.READ_PERSON, record.person.patient_id, basis=record.sight.basis)
        self._recorder.begin(*acts, *acts_of_candidates(subject, answer.candidates))()
        return answer

    def _answer(
        self, connection: Database, subject: Subject, patient_id: str, *, outcome: Registered
    ) -> Registration:
        record = self._record(connection, subject, patient_id)
        candidates = self._candidates(connection, subject, record)
        return Registration(outcome=outcome, record=record, candidates=candidates)

    def _record(self, connection: Database, subject: Subject, patient_id: str) -> PersonRecord:
        sight = find_sight(connection, subject, patient_id)
        person = None if sight is None else queries.find_person(connection, subject, patient_id)
        if person is None or sight is None:
            raise PersonUnknown
        merged = queries.find_merged_ids(connection, subject, person.patient_id)
        group = [person.patient_id, *merged]
        stored = queries.find_identifiers(connection, subject, group)
        return PersonRecord(
            sight=sight,
            person=person,
            merged_ids=tuple(merged),
            identifiers=tuple(self._show(one, sight) for one in stored),
            merges=tuple(queries.find_merges(connection, subject, group)),
        )

    def _open(self, stored: StoredIdentifier) -> Identifier:
        context = sealing_context(stored.patient_id, stored.key.kind, stored.key.issuer)
        value = self._sealer.unseal(stored.sealed, context=context)
        return Identifier(kind=stored.key.kind, issuer=stored.key.issuer, value=value)

    def _show(self, stored: StoredIdentifier, sight: Sight) -> PersonIdentifier:
        return PersonIdentifier(
            kind=stored.key.kind,
            issuer=stored.key.issuer,
            display=shown_number(self._open(stored).display, sight),
            standing=stored.standing,
            patient_id=stored.patient_id,
            added_at=stored.added_at,
            added_by=stored.added_by,
        )

    def _candidates(
        self, connection: Database, subject: Subject, record: PersonRecord
    ) -> tuple[Candidate, ...]:
        group = [record.person.patient_id, *record.merged_ids]
        stored = queries.find_identifiers(connection, subject, group)
        today = self._today(queries.find_place(connection, subject, record.person.site_id))
        opened = [self._open(one) for one in stored]
        near = [
            key for one in opened for other in near_identifiers(one, today=today) for key in self._keys(other)
        ]
        rules: dict[str, tuple[Person, list[CandidateRule]]] = {}

        def note(people: Iterable[Person], rule: CandidateRule) -> None:
            for person in people:
                if person.patient_id != record.person.patient_id:
                    rules.setdefault(person.patient_id, (person, []))[1].append(rule)

        same = queries.find_people_with(
            connection, subject, [key for one in opened for key in self._keys(one)]
        )
        note(same, CandidateRule.SAME_IDENTIFIER)
        namesakes = queries.find_namesakes(connection, subject, group)
        note(namesakes, CandidateRule.SAME_NAME_AND_BIRTH_DATE)
        close = queries.find_people_with(connection, subject, near)
        note((one for one in close if record.person.resembles(one)), CandidateRule.ONE_WRONG_CHARACTER)
        sights = find_sights(connection, subject, list(rules))
        return tuple(
            Candidate(
                person=person.masked_for(sights.get(patient_id)),
                rules=tuple(why),
                sight=sights.get(patient_id),
            )
            for patient_id, (person, why) in rules.items()
        )


def _require_edit(subject: Subject) -> None:
    if Scope.EDIT_PATIENTS not in subject.scopes or subject.organisation is None:
        raise NotAllowed


def _require_judgement(connection: Database, subject: Subject, *patient_ids: str) -> None:
    """Who two records are decides who sees them: what shows no name, or an emergency, is not enough."""
    asked = [one for one in patient_ids if "\0" not in one]
    judged = find_sights(connection, subject, asked, by=BUT_EMERGENCIES)
    for one in find_sights(connection, subject, asked):
        if one not in judged or not judged[one].shows(Content.NAME):
            raise NotAllowed


def _require_reason(reason: str) -> None:
    if not reason.strip():
        raise PersonInvalid("reason", "a reason is needed")
