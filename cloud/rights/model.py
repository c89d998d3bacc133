"""Consent, family, emergencies: how people let each other see, and how long each right lasts. Pure."""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Generic, TypeVar

import msgspec

from cloud.act import RecordedAct
from cloud.errors import CloudError
from cloud.identity.model import Purpose, Role, Subject
from cloud.identity.sight import DataClass, Sight

ENCOUNTER_LASTS = timedelta(hours=12)
GLASS_IS_BROKEN_FOR = timedelta(hours=1)
REVIEW_WITHIN = timedelta(hours=72)
CODE_LASTS = timedelta(hours=24)
SHORTEST_REASON = 10
OF_AGE = 18
Thing = TypeVar("Thing")


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedNumber:
    """A whole number that names somebody, of any organisation."""

    kind: str
    text: str
    issuer: str

    def __repr__(self) -> str:
        """Never the number."""
        return f"TypedNumber(kind={self.kind!r})"


class PersonNotThere(CloudError):
    """There is no such person or object, or none for this subject: the answer is the same."""

    def __str__(self) -> str:
        return "no such person"


class RightInvalid(CloudError):
    """What was asked for cannot be. Names the field and the reason."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}"


class RightEnded(CloudError):
    """It was withdrawn, revoked or reviewed before."""

    def __str__(self) -> str:
        return "that was done already"


class AccountThere(CloudError):
    """The patient has an account; a second one does not come silently."""

    def __str__(self) -> str:
        return "the patient has an account; end its link first"


class Capacity(StrEnum):
    """As who somebody consents."""

    PATIENT = "patient"
    GUARDIAN = "guardian"


class Relation(StrEnum):
    """What an account is to a patient."""

    SELF = "self"
    GUARDIAN = "guardian"
    FAMILY = "family"


class Grade(StrEnum):
    """How much a member of the family sees: what is told, the numbers, or everything."""

    NOTICES = "notices"
    NUMBERS = "numbers"
    EVERYTHING = "everything"


class Category(StrEnum):
    """Why somebody looks without another right."""

    LIFE_THREAT = "life_threat"
    UNCONSCIOUS = "unconscious"
    HANDOVER_GAP = "handover_gap"
    PUBLIC_HEALTH = "public_health"
    OTHER = "other"


class Verdict(StrEnum):
    """What a review found."""

    JUSTIFIED = "justified"
    NOT_JUSTIFIED = "not_justified"


class Answer(StrEnum):
    """What somebody said to a text; each is signed by itself."""

    GIVEN = "given"
    WITHDRAWN = "withdrawn"


class SignatureState(StrEnum):
    """Whether what is stored is what was signed; broken means that somebody changed one of the two."""

    SIGNED = "signed"
    UNSIGNED = "unsigned"
    BROKEN = "broken"


class NoticeKind(StrEnum):
    """What a patient is told."""

    BREAK_GLASS = "break_glass"
    BREAK_GLASS_REVIEWED = "break_glass_reviewed"
    CONSENT_RECORDED = "consent_recorded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grantee:
    """To whom: a person, or an organisation; exactly one of the two."""

    person_id: str | None = None
    organisation_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentText:
    """Words to agree to. A changed text is a new version; old ones stay."""

    name: str
    version: int
    language: str
    text: str

    @property
    def sha256(self) -> bytes:
        """What is stored with a consent, so that nobody can change the words afterwards."""
        return sha256(self.text.encode()).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class NewConsent:
    """What somebody agrees to."""

    patient_id: str
    capacity: Capacity
    to: Grantee
    purposes: tuple[Purpose, ...]
    up_to: DataClass
    text_name: str
    text_version: int
    text_language: str
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent(NewConsent):
    """The same as it was recorded; `given_by` is empty where it was given on paper."""

    consent_id: str
    given_by: str
    recorded_by: str
    text_sha256: bytes
    signature: str
    given_at: datetime
    withdrawn_at: datetime | None
    withdrawn_by: str | None
    state: SignatureState = SignatureState.UNSIGNED  # found out at each look, never stored
    proofs: tuple[str, ...] = ()  # files for `qianli signature verify`


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedAnswer:
    """What a signature below a consent, or below its withdrawal, covers; no content: nobody answered."""

    consent_id: str
    patient_id: str
    answer: Answer
    said_by: str = ""
    content: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What the signature of an answer is worth; `file` proves it elsewhere."""

    state: SignatureState
    signature: str = ""
    file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLink:
    """An account that is to see a patient at home. `proof` is what a guardian showed."""

    relation: Relation
    patient_id: str
    grade: Grade
    proof: str = ""
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Link(NewLink):
    """The same as it stands; `person_id` is None until somebody takes it up with the code."""

    link_id: str
    person_id: str | None
    code_ends_at: datetime
    made_at: datetime
    made_by: str
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """A link with the code that takes it up, which is told once and never stored."""

    link_id: str
    code: str = field(repr=False)
    code_ends_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenGlass:
    """Somebody looked in an emergency, and what the review said."""

    break_glass_id: str
    patient_id: str
    person_id: str
    role: str
    organisation_id: str
    category: Category
    reason: str
    opened_at: datetime
    ends_at: datetime
    reviewed_at: datetime | None
    reviewed_by: str | None
    verdict: Verdict | None
    note: str | None

    def is_overdue(self, now: datetime) -> bool:
        """Whether a review should have been there by now."""
        return self.reviewed_at is None and now > self.opened_at + REVIEW_WITHIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What a patient is told, and of what: an emergency, or a consent that staff recorded."""

    notice_id: int
    patient_id: str
    kind: NoticeKind
    written_at: datetime
    about: BrokenGlass | Consent

    @property
    def people(self) -> tuple[str, ...]:
        """Whose names are told with it."""
        if isinstance(self.about, BrokenGlass):
            return (self.about.person_id,)
        return self.about.recorded_by, self.about.to.person_id or ""

    @property
    def organisation(self) -> str:
        """Which place's name is told with it."""
        if isinstance(self.about, BrokenGlass):
            return self.about.organisation_id
        return self.about.to.organisation_id or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """How people and organisations are called, by id (Chinese, English)."""

    people: Mapping[str, tuple[str, str]]
    organisations: Mapping[str, tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """The links of one's own patients, and those that others gave."""

    given: tuple[Link, ...]
    held: tuple[Link, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """Who looked, and how they are called."""

    acts: tuple[RecordedAct, ...]
    names: Names


@dataclass(frozen=True, slots=True, kw_only=True)
class Named(Generic[Thing]):
    """Things, and how those are called who stand in them."""

    things: tuple[Thing, ...]
    names: Names


def newest_texts(texts: Iterable[ConsentText]) -> list[ConsentText]:
    """Of each name and language the newest version: the only one to which somebody can still agree."""
    newest: dict[tuple[str, str], ConsentText] = {}
    for text in sorted(texts, key=lambda one: one.version):
        newest[text.name, text.language] = text
    return sorted(newest.values(), key=lambda one: (one.name, one.language))


_FORMAT = "qianli-consent-1"
# A reader of the file alone must not take it for more than it is (docs/decisions/0009).
_MEANING = (
    "Said in the signed-in session of confirmed_by: by the patient or guardian where the purpose of the "
    "statement is self, otherwise by a member of staff as a witness. Signed by the service with a key that "
    "it keeps for that account; the signer held no key in hand."
)


def answers_of(consent: Consent, *, text: ConsentText) -> tuple[SignedAnswer, SignedAnswer]:
    """What was signed when it was given and when it was withdrawn, from what is stored now.

    The content is JSON with sorted keys and holds the words themselves, so that it can be read by itself.
    """
    given = SignedAnswer(
        consent_id=consent.consent_id,
        patient_id=consent.patient_id,
        answer=Answer.GIVEN,
        said_by=consent.recorded_by,
        content=_given_content(consent, text),
    )
    if consent.withdrawn_at is None:
        nothing = SignedAnswer(
            consent_id=consent.consent_id, patient_id=consent.patient_id, answer=Answer.WITHDRAWN
        )
        return given, nothing
    withdrawn = SignedAnswer(
        consent_id=consent.consent_id,
        patient_id=consent.patient_id,
        answer=Answer.WITHDRAWN,
        said_by=consent.withdrawn_by or "",
        content=msgspec.json.encode(
            {
                "format": _FORMAT,
                "meaning": _MEANING,
                "answer": Answer.WITHDRAWN.value,
                "consent": consent.consent_id,
                "patient": consent.patient_id,
                "confirmed_by": consent.withdrawn_by,
                "at": _written(consent.withdrawn_at),
                "given_sha256": sha256(given.content).hexdigest(),
            },
            order="sorted",
        ),
    )
    return given, withdrawn


def state_of(consent: Consent, given: Proof, withdrawn: Proof) -> SignatureState:
    """Whether a consent is what was signed; a withdrawal that was erased is found too."""
    states = {given.state}
    if consent.withdrawn_at is not None:
        states.add(withdrawn.state)
    elif withdrawn.state is not SignatureState.UNSIGNED:
        states.add(SignatureState.BROKEN)
    if given.signature != consent.signature or SignatureState.BROKEN in states:
        return SignatureState.BROKEN
    return SignatureState.UNSIGNED if SignatureState.UNSIGNED in states else SignatureState.SIGNED


def _given_content(consent: Consent, text: ConsentText) -> bytes:
    return msgspec.json.encode(
        {
            "format": _FORMAT,
            "meaning": _MEANING,
            "answer": Answer.GIVEN.value,
            "consent": consent.consent_id,
            "patient": consent.patient_id,
            "capacity": consent.capacity.value,
            "given_by": consent.given_by,
            "confirmed_by": consent.recorded_by,
            "at": _written(consent.given_at),
            "to_person": consent.to.person_id,
            "to_organisation": consent.to.organisation_id,
            "purposes": sorted(purpose.value for purpose in consent.purposes),
            "up_to": consent.up_to.value,
            "ends_at": None if consent.ends_at is None else _written(consent.ends_at),
            "text_name": f"{consent.text_name}.{consent.text_version}.{consent.text_language}",
            "text": text.text,
            "text_sha256": consent.text_sha256.hex(),
        },
        order="sorted",
    )


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def comes_of_age(born: date) -> datetime:
    """When somebody needs no guardian any more: on the 18th birthday (on 1 March for 29 February)."""
    year = born.year + OF_AGE
    leap_day = (born.month, born.day) == (2, 29) and not (year % 4 == 0 and (year % 100 or year % 400 == 0))
    birthday = date(year, 3, 1) if leap_day else born.replace(year=year)
    return datetime.combine(birthday, time(), tzinfo=UTC)


def end_of_guardianship(born: date | None, *, asked: datetime | None, now: datetime) -> datetime:
    """Until when a guardian may act for a patient.

    Raises:
        RightInvalid: nobody knows how old the patient is, or the patient is of age.
    """
    if born is None:
        raise RightInvalid("relation", "the birth date of the patient must be known")
    of_age_at = comes_of_age(born)
    if of_age_at <= now:
        raise RightInvalid("relation", "the patient is of age")
    return of_age_at if asked is None else min(asked, of_age_at)


def said_now(new: NewConsent, *, by: Subject, consent_id: str, text: ConsentText, now: datetime) -> Consent:
    """A consent as it is recorded, before it is signed."""
    return Consent(
        **{one.name: getattr(new, one.name) for one in fields(NewConsent)},
        consent_id=consent_id,
        given_by=by.person if by.role is Role.RESIDENT else "",
        recorded_by=by.person,
        text_sha256=text.sha256,
        signature="",
        given_at=now,
        withdrawn_at=None,
        withdrawn_by=None,
    )


def glass_of(
    subject: Subject, patient_id: str, *, category: Category, reason: str, now: datetime
) -> BrokenGlass:
    """What somebody does who looks in an emergency now."""
    return BrokenGlass(
        break_glass_id=f"glass-{uuid.uuid4().hex}",
        patient_id=patient_id,
        person_id=subject.person,
        role=subject.role.value,
        organisation_id=subject.organisation or "",
        category=category,
        reason=reason,
        opened_at=now,
        ends_at=now + GLASS_IS_BROKEN_FOR,
        reviewed_at=None,
        reviewed_by=None,
        verdict=None,
        note=None,
    )


def check_gift(new: NewConsent, *, by: Subject, sight: Sight) -> None:
    """Nobody records a consent to oneself or one's own place, nor to more than one sees by right.

    Raises:
        RightInvalid: that is what it would be.
    """
    is_own_place = by.role is not Role.RESIDENT and new.to.organisation_id == by.organisation
    if new.to.person_id == by.person or is_own_place:
        raise RightInvalid("to", "nobody records a consent to oneself, or to the own organisation")
    if not sight.up_to.reaches(new.up_to):
        raise RightInvalid("up_to", f"whoever records it sees no more than {sight.up_to.value}")


def check_ends_later(ends_at: datetime | None, *, now: datetime) -> None:
    """Refuse an end that has passed."""
    if ends_at is not None and ends_at <= now:
        raise RightInvalid("until", "it lies in the past")


def check_reason(reason: str, *, field: str = "reason") -> str:
    """A reason of some length, without white space around it."""
    kept = reason.strip()
    if len(kept) < SHORTEST_REASON:
        raise RightInvalid(field, f"at least {SHORTEST_REASON} characters are needed")
    return kept
