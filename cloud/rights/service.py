"""Consent, family, emergencies, and who looked."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

import structlog

from cloud.act import Act, Action, Memory, Origin, Outcome, Recorder, TargetKind, target
from cloud.identity.codes import hash_code, new_code
from cloud.identity.errors import NotAllowed
from cloud.identity.joining.model import Invited
from cloud.identity.joining.service import NumbersOf, hold_if_known
from cloud.identity.model import SYSTEM, Role, Scope, Subject
from cloud.identity.queries import find_sight, find_sights
from cloud.identity.sight import LASTING, Sight
from cloud.rights import queries
from cloud.rights.model import (
    CODE_LASTS,
    ENCOUNTER_LASTS,
    AccountThere,
    BrokenGlass,
    Capacity,
    Category,
    Consent,
    ConsentText,
    Family,
    Grade,
    Invitation,
    Link,
    Looks,
    Named,
    Names,
    NewConsent,
    NewLink,
    Notice,
    NoticeKind,
    PersonNotThere,
    Proof,
    Relation,
    RightEnded,
    RightInvalid,
    SignatureState,
    SignedAnswer,
    TypedNumber,
    Verdict,
    answers_of,
    check_ends_later,
    check_gift,
    check_reason,
    end_of_guardianship,
    glass_of,
    newest_texts,
    said_now,
    state_of,
)
from cloud.store.connection import Database, Pool

_log = structlog.get_logger()
_TEXTS = Path(__file__).parent / "consent_texts"
_GIVES_SIGHT = frozenset({Role.CLINICIAN, Role.NURSE, Role.RESIDENT})  # never another system
_MEETS_PEOPLE = frozenset({Role.CLINICIAN, Role.NURSE, Role.CLIENT})

FindByNumber = Callable[[Database, Subject, TypedNumber], Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """What is known by numbers: who has one, and which some patients have."""

    find: FindByNumber
    of: NumbersOf


class ConsentSigner(Protocol):
    """Who signs what somebody said to a text, and finds out later whether it still is that."""

    def sign(self, connection: Database, subject: Subject, answer: SignedAnswer) -> str:
        """Sign in the caller's transaction; the signature as text, empty where no person can sign."""

    def prove(self, connection: Database, subject: Subject, answer: SignedAnswer) -> Proof:
        """What was signed, held against what is stored."""


def read_consent_texts(folder: Path = _TEXTS) -> tuple[ConsentText, ...]:
    """Every version of every text: NAME.VERSION.LANGUAGE.txt."""
    texts = []
    for path in sorted(folder.glob("*.txt")):
        name, version, language, _ = path.name.split(".")
        text = path.read_bytes().decode()
        texts.append(ConsentText(name=name, version=int(version), language=language, text=text))
    return tuple(texts)


class EncounterBook:
    """Notes who has whom before them (for the rooms that identify people)."""

    def open(self, connection: Database, subject: Subject, patient_id: str) -> None:
        """A right to see this person for twelve hours, within the caller's transaction."""
        if subject.role in _MEETS_PEOPLE and Scope.READ_PATIENTS in subject.scopes:
            queries.insert_encounter(connection, subject, patient_id, lasts=ENCOUNTER_LASTS)


class InvitationBook:
    """Links that somebody without an account takes up (for `cloud.identity.joining`)."""

    def hold(self, connection: Database, code: str) -> Invited | None:
        """What waits for this code, kept from everybody else until the transaction ends."""
        return queries.hold_waiting_link(connection, SYSTEM, hash_code(code))

    def count_wrong_try(self, connection: Database, invited: Invited) -> None:
        """Somebody had the code and did not know the patient; too many end it."""
        queries.count_wrong_try(connection, invited.link_id)

    def take_up(self, connection: Database, subject: Subject, code: str) -> None:
        """The link is the subject's."""
        if queries.take_up_link(connection, subject, hash_code(code)) is None:
            raise PersonNotThere


class RightsService:
    """Use cases of consent, family and emergencies; safe to call from several threads.

    What is done or shown is recorded first; without its entry a change is rolled back (`AuditUnavailable`).
    """

    def __init__(
        self,
        pool: Pool,
        *,
        recorder: Recorder,
        memory: Memory,
        numbers: Numbers,
        signer: ConsentSigner,
    ) -> None:
        self._pool = pool
        self._recorder = recorder
        self._memory = memory
        self._numbers = numbers
        self._signer = signer
        self._texts = read_consent_texts()

    def consent_texts(self) -> list[ConsentText]:
        """The words to which somebody can agree today."""
        return newest_texts(self._texts)

    def give_consent(self, subject: Subject, new: NewConsent) -> Consent:
        """Let a person or an organisation see a patient.

        The patient's own account or the guardian's gives it; staff who see the patient record one on paper.

        Raises:
            PersonNotThere: no such patient, or none for this subject.
            NotAllowed: the subject's own right does not last.
            RightInvalid: the text is not today's, the receiver is unknown or the subject, it reaches further
                than the subject's own right, or the end has passed.
        """
        text = self._newest(new)
        with self._pool.connection() as connection, connection.transaction():
            sight = self._require_gift(connection, subject, new.patient_id)
            if not queries.grantee_exists(connection, new.to):
                raise RightInvalid("to", "nobody has this id")
            check_gift(new, by=subject, sight=sight)
            now = queries.find_now(connection)
            check_ends_later(new.ends_at, now=now)
            own = subject.role is Role.RESIDENT
            if own and new.capacity is not self._capacity(connection, subject, new.patient_id):
                raise RightInvalid("capacity", "this account is not that to the patient")
            consent_id = f"consent-{uuid.uuid4().hex}"
            said = said_now(new, by=subject, consent_id=consent_id, text=text, now=now)
            given, _ = answers_of(said, text=text)
            consent = replace(said, signature=self._signer.sign(connection, subject, given))
            queries.insert_consent(connection, consent)
            if not own:
                queries.insert_notice(
                    connection, new.patient_id, kind=NoticeKind.CONSENT_RECORDED, about=consent_id
                )
            self._record(subject, Action.GIVE_CONSENT, new.patient_id, sight=sight)
            proven = self._proven(connection, subject, consent)
        _log.info("consent_given", consent=consent_id, patient=new.patient_id)
        return proven

    def withdraw_consent(self, subject: Subject, consent_id: str, *, of_patient: str | None = None) -> None:
        """Take a consent back: from now on nobody sees by it.

        Raises:
            PersonNotThere: no such consent, or none of this subject's patients.
            RightEnded: it was withdrawn before.
        """
        with self._pool.connection() as connection, connection.transaction():
            consent = None if "\0" in consent_id else queries.find_consent(connection, subject, consent_id)
            if consent is None or of_patient not in (None, consent.patient_id):
                raise PersonNotThere
            sight = self._require_say(connection, subject, consent.patient_id)
            if not queries.withdraw_consent(connection, consent_id, by=subject.person):
                raise RightEnded
            self._sign_withdrawal(connection, subject, consent)
            self._record(subject, Action.WITHDRAW_CONSENT, consent.patient_id, sight=sight)
        _log.info("consent_withdrawn", consent=consent_id)

    def consents_of(self, subject: Subject, patient_id: str) -> Named[Consent]:
        """What was agreed to for a patient, also what was withdrawn.

        Raises:
            PersonNotThere: no such patient, or none for this subject.
        """
        with self._pool.connection() as connection:
            sight = _require_sight(connection, subject, patient_id)
            ids = queries.find_same_ids(connection, subject, patient_id)
            found = self._named_consents(connection, subject, ids)
        self._record(subject, Action.READ_CONSENTS, patient_id, sight=sight)
        return found

    def own_consents(self, subject: Subject) -> Named[Consent]:
        """The same for everybody whose account this is, or whose guardian's."""
        with self._pool.connection() as connection:
            ids = queries.find_own_ids(connection, subject)
            found = self._named_consents(connection, subject, ids)
            self._record_own(connection, subject, Action.READ_CONSENTS, ids)
        return found

    def invite(self, subject: Subject, new: NewLink) -> Invitation:
        """Make a code with which an account is linked to a patient; whoever makes it hands it over.

        Staff who see the patient link the patient's own account, or a minor's guardian by proof; the patient
        (or the guardian) links the family.

        Raises:
            PersonNotThere: no such patient, or none for this subject.
            NotAllowed: not this relation by this subject, or the subject's own right does not last.
            AccountThere: the patient has an account.
            RightInvalid: no proof, of age, or an end that has passed.
        """
        is_own = subject.role is Role.RESIDENT
        if is_own is not (new.relation is Relation.FAMILY):
            raise NotAllowed
        with self._pool.connection() as connection, connection.transaction():
            sight = self._require_gift(connection, subject, new.patient_id)
            now = queries.find_now(connection)
            check_ends_later(new.ends_at, now=now)
            checked = self._checked(connection, subject, new, now=now)
            if new.relation is Relation.SELF:
                self._make_room(connection, subject, new.patient_id)
            link_id, code = f"link-{uuid.uuid4().hex}", new_code()
            queries.insert_link(
                connection,
                link_id,
                checked,
                code_hash=hash_code(code),
                by=subject.person,
            )
            self._record(subject, Action.INVITE_FAMILY, new.patient_id, sight=sight)
        return Invitation(link_id=link_id, code=code, code_ends_at=now + CODE_LASTS)

    def accept(self, subject: Subject, code: str, *, known: str) -> Link:
        """Take up a link with its code: once, by one account, that knows the patient as whoever joins does.

        Raises:
            PersonNotThere: no link waits with this code, or the patient is not known; five of those end it.
        """
        link: Link | None = None
        with self._pool.connection() as connection, connection.transaction():
            book, numbers_of = InvitationBook(), self._numbers.of
            invited, is_known = hold_if_known(connection, book, numbers_of, code=code, known=known)
            if invited is not None and is_known:
                book.take_up(connection, subject, code)
                link = queries.find_link(connection, subject, invited.link_id)
                self._record(subject, Action.ACCEPT_INVITATION, invited.patient_id, sight=None)
        if link is None:
            self._note_refusal(subject, invited)
            raise PersonNotThere
        _log.info("family_linked", link=link.link_id, relation=link.relation.value)
        return link

    def _note_refusal(self, subject: Subject, invited: Invited | None) -> None:
        """Where the code was right, the patient can read that somebody tried."""
        if invited is not None:
            on = target(TargetKind.PATIENT, invited.patient_id)
            act = subject.act(Action.ACCEPT_INVITATION, on, origin=Origin.HTTP, outcome=Outcome.REFUSED)
            self._recorder.note(act)

    def revoke(self, subject: Subject, link_id: str, *, of_patient: str | None = None) -> None:
        """End a link now. The patient's account ends those of the family, everybody the own one, staff any.

        Raises:
            PersonNotThere: no such link, or none for this subject.
            RightEnded: it was revoked before.
        """
        with self._pool.connection() as connection, connection.transaction():
            link = None if "\0" in link_id else queries.find_link(connection, subject, link_id)
            if link is None or of_patient not in (None, link.patient_id):
                raise PersonNotThere
            sight = find_sight(connection, subject, link.patient_id)
            is_held = link.person_id == subject.person
            if not is_held:
                self._require_say(connection, subject, link.patient_id)
                if subject.role is Role.RESIDENT and link.relation is not Relation.FAMILY:
                    raise PersonNotThere
            if not queries.revoke_link(connection, link_id, by=subject.person):
                raise RightEnded
            self._record(subject, Action.REVOKE_FAMILY, link.patient_id, sight=sight)
        _log.info("family_link_revoked", link=link_id)

    def own_family(self, subject: Subject) -> Family:
        """Who may see one's own patients, and whom one may see."""
        with self._pool.connection() as connection:
            ids = queries.find_own_ids(connection, subject)
            given = queries.find_links(connection, subject, ids)
            held = queries.find_held_links(connection, subject)
            self._record_own(
                connection, subject, Action.READ_FAMILY, [*ids, *(link.patient_id for link in held)]
            )
        return Family(given=tuple(given), held=tuple(held))

    def family_of(self, subject: Subject, patient_id: str) -> list[Link]:
        """Whose accounts may see a patient.

        Raises:
            PersonNotThere: no such patient, or none for this subject.
        """
        with self._pool.connection() as connection:
            sight = _require_sight(connection, subject, patient_id)
            ids = queries.find_same_ids(connection, subject, patient_id)
            links = queries.find_links(connection, subject, ids)
        self._record(subject, Action.READ_FAMILY, patient_id, sight=sight)
        return links

    def break_glass(
        self, subject: Subject, patient_id: str, *, category: Category, reason: str
    ) -> BrokenGlass:
        """See a patient of the own organisation for an hour, with a reason; the patient is told.

        Raises:
            PersonNotThere: the organisation has no such patient.
            RightInvalid: the reason is too short.
        """
        _require_glass(subject)
        kept = check_reason(reason)
        with self._pool.connection() as connection, connection.transaction():
            if "\0" in patient_id or not queries.is_of_organisation(connection, subject, patient_id):
                raise PersonNotThere
            return self._break(connection, subject, patient_id, category=category, reason=kept)

    def break_glass_by_number(
        self, subject: Subject, number: TypedNumber, *, category: Category, reason: str
    ) -> list[BrokenGlass]:
        """The same for everybody, of any organisation, whom a whole number names.

        Raises:
            PersonNotThere: nobody has this number.
            RightInvalid: the reason is too short.
        """
        _require_glass(subject)
        kept = check_reason(reason)
        with self._pool.connection() as connection, connection.transaction():
            found = self._numbers.find(connection, subject, number)
            if not found:
                raise PersonNotThere
            return [
                self._break(connection, subject, patient_id, category=category, reason=kept)
                for patient_id in found
            ]

    def list_broken_glass(self, subject: Subject, *, is_reviewed: bool) -> Named[BrokenGlass]:
        """What waits for a review in the organisation, or was reviewed."""
        with self._pool.connection() as connection:
            found = queries.find_broken_glass(connection, subject, is_reviewed=is_reviewed)
            names = self._names(connection, [one.person_id for one in found], [subject.organisation or ""])
        on = target(TargetKind.BREAK_GLASS, "reviewed" if is_reviewed else "open")
        self._recorder.begin(subject.act(Action.LIST_BREAK_GLASS, on, origin=Origin.HTTP))()
        return Named(things=tuple(found), names=names)

    def review(self, subject: Subject, break_glass_id: str, *, verdict: Verdict, note: str) -> BrokenGlass:
        """Say whether it was in order; the patient is told that too.

        Raises:
            PersonNotThere: the organisation has no such emergency.
            NotAllowed: it is one's own.
            RightEnded: it was reviewed before.
            RightInvalid: the note is too short.
        """
        kept = check_reason(note, field="note")
        with self._pool.connection() as connection, connection.transaction():
            found = self._find_glass(connection, subject, break_glass_id)
            if found.person_id == subject.person:
                raise NotAllowed
            if found.reviewed_at is not None:
                raise RightEnded
            queries.review_broken_glass(
                connection, break_glass_id, verdict=verdict, note=kept, by=subject.person
            )
            queries.insert_notice(
                connection, found.patient_id, kind=NoticeKind.BREAK_GLASS_REVIEWED, about=break_glass_id
            )
            reviewed = self._find_glass(connection, subject, break_glass_id)
            on = target(TargetKind.BREAK_GLASS, break_glass_id)
            about = target(TargetKind.PATIENT, found.patient_id)
            acts = [subject.act(Action.REVIEW_BREAK_GLASS, each, origin=Origin.HTTP) for each in (on, about)]
            self._recorder.begin(*acts)()
        _log.info("break_glass_reviewed", break_glass=break_glass_id, verdict=verdict.value)
        return reviewed

    def notices(self, subject: Subject, *, after: int = 0) -> Named[Notice]:
        """What this account is told of its patients, after a notice that it has.

        A page asks every half minute; where it has everything nothing is told, and nothing recorded.
        """
        with self._pool.connection() as connection, connection.transaction():
            found = queries.find_notices(connection, subject, after=after)
            people = [person for notice in found for person in notice.people]
            names = self._names(connection, people, [notice.organisation for notice in found])
            queries.note_told(connection, [notice.notice_id for notice in found])
            told_of = [notice.patient_id for notice in found]
            if told_of or not after:
                self._record_own(connection, subject, Action.READ_NOTICES, told_of)
        return Named(things=tuple(found), names=names)

    def own_looks(self, subject: Subject, *, before: int | None, limit: int) -> Looks:
        """Who looked at those whose account this is, or whose guardian's."""
        with self._pool.connection() as connection:
            ids = queries.find_own_ids(connection, subject)
        looks = self._looks(ids, before=before, limit=limit)
        with self._pool.connection() as connection:
            self._record_own(connection, subject, Action.READ_LOOKS, ids)
        return looks

    def looks_at(self, subject: Subject, patient_id: str, *, before: int | None, limit: int) -> Looks:
        """Who looked at a person whom the subject may see.

        Raises:
            PersonNotThere: no such patient, or none for this subject.
        """
        with self._pool.connection() as connection:
            sight = _require_sight(connection, subject, patient_id)
            ids = queries.find_same_ids(connection, subject, patient_id)
        looks = self._looks(ids, before=before, limit=limit)
        self._record(subject, Action.READ_LOOKS, patient_id, sight=sight)
        return looks

    def _newest(self, new: NewConsent) -> ConsentText:
        asked = new.text_name, new.text_version, new.text_language
        for text in self.consent_texts():
            if (text.name, text.version, text.language) == asked:
                return text
        raise RightInvalid("text", "this is not the text of today")

    def _require_say(self, connection: Database, subject: Subject, patient_id: str) -> Sight:
        """Staff speak for a patient whom they see; an account for its own patients only."""
        sight = _require_sight(connection, subject, patient_id)
        if subject.role is Role.RESIDENT and patient_id not in queries.find_own_ids(connection, subject):
            raise PersonNotThere
        return sight

    def _require_gift(self, connection: Database, subject: Subject, patient_id: str) -> Sight:
        """The same, and only by a right that lasts: an hour with a record must not become forever."""
        self._require_say(connection, subject, patient_id)
        sight = find_sight(connection, subject, patient_id, by=LASTING)
        if sight is None or subject.role not in _GIVES_SIGHT:
            raise NotAllowed
        return sight

    def _capacity(self, connection: Database, subject: Subject, patient_id: str) -> Capacity:
        ids = queries.find_same_ids(connection, subject, patient_id)
        relations = {
            link.relation for link in queries.find_held_links(connection, subject) if link.patient_id in ids
        }
        return Capacity.PATIENT if Relation.SELF in relations else Capacity.GUARDIAN

    def _checked(self, connection: Database, subject: Subject, new: NewLink, *, now: datetime) -> NewLink:
        if new.relation is not Relation.GUARDIAN:
            return new
        born = queries.find_birth_date(connection, subject, new.patient_id)
        return NewLink(
            relation=new.relation,
            patient_id=new.patient_id,
            grade=Grade.EVERYTHING,
            proof=check_reason(new.proof, field="proof"),
            ends_at=end_of_guardianship(born, asked=new.ends_at, now=now),
        )

    def _make_room(self, connection: Database, subject: Subject, patient_id: str) -> None:
        """One account for a patient, and one code that waits for it: an older one is worth nothing now."""
        ids = queries.find_same_ids(connection, subject, patient_id)
        queries.hold_patients(connection, ids)
        if queries.has_own_account(connection, subject, ids):
            raise AccountThere
        queries.revoke_idle_own_links(connection, ids, by=subject.person)

    def _break(
        self, connection: Database, subject: Subject, patient_id: str, *, category: Category, reason: str
    ) -> BrokenGlass:
        now = queries.find_now(connection)
        glass = glass_of(subject, patient_id, category=category, reason=reason, now=now)
        queries.insert_broken_glass(connection, glass)
        sight = find_sight(connection, subject, patient_id)
        self._record(subject, Action.BREAK_GLASS, patient_id, sight=sight)
        _log.warning("glass_broken", break_glass=glass.break_glass_id, category=category.value)
        return glass

    def _find_glass(self, connection: Database, subject: Subject, break_glass_id: str) -> BrokenGlass:
        if "\0" in break_glass_id:  # the database has no text with NUL
            raise PersonNotThere
        found = queries.find_one_broken_glass(connection, subject, break_glass_id)
        if found is None:
            raise PersonNotThere
        return found

    def _looks(self, patient_ids: Sequence[str], *, before: int | None, limit: int) -> Looks:
        """Holds no connection while the memory takes one: many who ask at once would wait for each other."""
        acts = self._memory.find_acts_about(patient_ids, before=before, limit=limit)
        people, organisations = [one.act.person for one in acts], [one.act.organisation for one in acts]
        with self._pool.connection() as connection:
            names = self._names(connection, people, organisations)
        return Looks(acts=tuple(acts), names=names)

    def _named_consents(
        self, connection: Database, subject: Subject, patient_ids: Sequence[str]
    ) -> Named[Consent]:
        found = queries.find_consents(connection, subject, patient_ids)
        people = [one.to.person_id or "" for one in found]
        names = self._names(connection, people, [one.to.organisation_id or "" for one in found])
        proven = tuple(self._proven(connection, subject, one) for one in found)
        return Named(things=proven, names=names)

    def _sign_withdrawal(self, connection: Database, subject: Subject, consent: Consent) -> None:
        """Not read again: who saw the patient by this consent alone sees nothing any more."""
        text = self._text_of(consent)
        if text is not None:
            now = queries.find_now(connection)
            ended = replace(consent, withdrawn_at=now, withdrawn_by=subject.person)
            self._signer.sign(connection, subject, answers_of(ended, text=text)[1])

    def _proven(self, connection: Database, subject: Subject, consent: Consent) -> Consent:
        """The same, with what its signatures are worth now; without its words nothing is proved."""
        text = self._text_of(consent)
        if text is None:
            unproved = SignatureState.BROKEN if consent.signature else SignatureState.UNSIGNED
            return replace(consent, state=unproved)
        proofs = [self._signer.prove(connection, subject, one) for one in answers_of(consent, text=text)]
        state = state_of(consent, *proofs)
        files = tuple(one.file for one in proofs if one.file)
        return replace(consent, state=state, proofs=files if state is SignatureState.SIGNED else ())

    def _text_of(self, consent: Consent) -> ConsentText | None:
        named = consent.text_name, consent.text_version, consent.text_language
        found = (one for one in self._texts if (one.name, one.version, one.language) == named)
        return next(found, None)

    def _names(self, connection: Database, people: Sequence[str], organisations: Sequence[str]) -> Names:
        return queries.find_names(
            connection, people=sorted(set(people)), organisations=sorted(set(organisations))
        )

    def _record(self, subject: Subject, action: Action, patient_id: str, *, sight: Sight | None) -> None:
        """Wait until it stands in the audit."""
        self._recorder.begin(_act(subject, action, patient_id, basis="" if sight is None else sight.basis))()

    def _record_own(
        self, connection: Database, subject: Subject, action: Action, patient_ids: Sequence[str]
    ) -> None:
        """One entry for each of one's own patients, or one for the account that has none."""
        ids = list(dict.fromkeys(patient_ids))
        sights = find_sights(connection, subject, ids)
        acts = [_act(subject, action, one, basis=sights[one].basis if one in sights else "") for one in ids]
        none = subject.act(action, target(TargetKind.ACCOUNT, subject.person), origin=Origin.HTTP)
        self._recorder.begin(*(acts or [none]))()


def _act(subject: Subject, action: Action, patient_id: str, *, basis: str) -> Act:
    on = target(TargetKind.PATIENT, patient_id)
    return subject.act(action, on, origin=Origin.HTTP, basis=str(basis))


def _require_sight(connection: Database, subject: Subject, patient_id: str) -> Sight:
    sight = find_sight(connection, subject, patient_id)
    if sight is None:
        raise PersonNotThere
    return sight


def _require_glass(subject: Subject) -> None:
    if Scope.BREAK_GLASS not in subject.scopes or subject.organisation is None:
        raise NotAllowed
