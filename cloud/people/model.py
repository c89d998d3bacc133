"""A person as the registers know one, and the rules by which two turn out to be one."""

import re
import unicodedata
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path

from cloud.act import Act, Action, Origin, TargetKind, target
from cloud.errors import CloudError
from cloud.identity.model import Subject
from cloud.identity.sight import Content, Sight, shown_name
from cloud.store.sealing import SealedColumn
from vitals.identifiers.identifier import Identifier, IdentifierKind, InvalidReason, Parsed
from vitals.identifiers.parse import parse_as, parse_identifier
from vitals.identifiers.resident_id import birth_date_of, sex_of

UNKNOWN_ZH, UNKNOWN_EN = "无名氏", "Unknown person"


class PersonUnknown(CloudError):
    """There is no such person, or none whom the subject may see: the answer is the same."""

    def __str__(self) -> str:
        return "no such person"


class PersonInvalid(CloudError):
    """What was said of a person cannot be. Names the field and the reason, never the number."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}"


class MergeRefused(CloudError):
    """Two patients cannot be joined, or are not joined."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class IdentifierKeyLost(CloudError):
    """The digests in the database are not of this key file: nobody would be found any more."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return (
            f"the identifiers in the database were made with another key than {self.path}: "
            "restore that file from the backup of its data folder"
        )


class Sex(StrEnum):
    """As registered."""

    MALE = "male"
    FEMALE = "female"
    UNKNOWN = "unknown"


class Standing(StrEnum):
    """Whether an identifier resolves to its patient, or another one of the organisation held it before."""

    HELD = "held"
    CLAIMED = "claimed"


class MergeRule(StrEnum):
    """Which rule merged, where no person decided."""

    SAME_IDENTIFIER = "same_identifier"


class CandidateRule(StrEnum):
    """Why two patients may be one person."""

    SAME_IDENTIFIER = "same_identifier"
    SAME_NAME_AND_BIRTH_DATE = "same_name_and_birth_date"
    ONE_WRONG_CHARACTER = "one_wrong_character"


class Registered(StrEnum):
    """What became of a registration."""

    CREATED = "created"
    MERGED = "merged"
    ALREADY_THERE = "already_there"


class Outcome(StrEnum):
    """What became of a search by a number."""

    FOUND = "found"
    NOT_THERE = "not_there"
    AMBIGUOUS = "ambiguous"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who it is, without any number."""

    patient_id: str
    organisation_id: str
    site_id: str
    bed: str
    name_zh: str
    name_en: str
    match_name: str
    birth_date: date | None
    sex: Sex

    def masked_for(self, sight: Sight | None) -> "Person":
        """As much of it as a right shows; without one the first character of the name."""
        knows_birth = sight is not None and sight.shows(Content.BIRTH_DATE)
        return replace(
            self,
            name_zh=shown_name(self.name_zh, sight),
            name_en=shown_name(self.name_en, sight),
            match_name=shown_name(self.match_name, sight),
            birth_date=self.birth_date if knows_birth else None,
        )

    def resembles(self, other: "Person") -> bool:
        """Whether name or birth date are known and equal."""
        same_name = bool(self.match_name) and self.match_name == other.match_name
        return same_name or (self.birth_date is not None and self.birth_date == other.birth_date)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentifierKey:
    """By what an identifier is found."""

    kind: IdentifierKind
    issuer: str
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredIdentifier:
    """One row: the patient whom it was registered for, and how it stands."""

    patient_id: str
    key: IdentifierKey
    sealed: bytes
    standing: Standing
    added_at: datetime
    added_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonIdentifier:
    """What a page may show of an identifier."""

    kind: IdentifierKind
    issuer: str
    display: str
    standing: Standing
    patient_id: str
    added_at: datetime
    added_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """One entry of the history: who joined whom, when, why, and who took it back."""

    merged_id: str
    survivor_id: str
    merged_at: datetime
    merged_by: str
    reason: str
    rule: MergeRule | None
    unmerged_at: datetime | None = None
    unmerged_by: str | None = None
    unmerge_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonRecord:
    """A person with everything that was merged into it, and by which right it is seen."""

    sight: Sight
    person: Person
    merged_ids: tuple[str, ...]
    identifiers: tuple[PersonIdentifier, ...]
    merges: tuple[Merge, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Somebody who may be the same person, and why; masked where there is no right to see them."""

    person: Person
    rules: tuple[CandidateRule, ...]
    sight: Sight | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A person whom a number names. `claimed_too`: another patient says that the number is theirs."""

    person: Person
    reading: Identifier
    claimed_too: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """The answer to a typed or scanned number; `near` are people whose number differs in one character."""

    outcome: Outcome
    readings: tuple[Identifier, ...] = ()
    found: tuple[Found, ...] = ()
    reason: InvalidReason | None = None
    near: tuple[Person, ...] = ()

    @property
    def people(self) -> list[str]:
        """Everybody in it."""
        return [one.person.patient_id for one in self.found] + [person.patient_id for person in self.near]

    def masked_for(self, sights: Mapping[str, Sight]) -> "Resolution":
        """As much of everybody as a right shows."""
        return replace(
            self,
            found=tuple(
                replace(one, person=one.person.masked_for(sights.get(one.person.patient_id)))
                for one in self.found
            ),
            near=tuple(person.masked_for(sights.get(person.patient_id)) for person in self.near),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedIdentifier:
    """A number as somebody typed or scanned it. `issuer` may stay empty for one's own organisation."""

    kind: IdentifierKind
    text: str = field(repr=False)
    issuer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What became of a registration, and who else may be the same person."""

    outcome: Registered
    record: PersonRecord
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPerson:
    """What somebody who registers a person knows. `registration` is the name that an offline place gives."""

    name_zh: str = ""
    name_en: str = ""
    pinyin: str = ""
    birth_date: date | None = None
    sex: Sex = Sex.UNKNOWN
    site_id: str | None = None
    registration: str | None = None
    identifiers: tuple[TypedIdentifier, ...] = ()
    is_unknown: bool = False


def clean_name(name: str) -> str:
    """One spelling for what looks the same: full-width letters narrow, white space single."""
    return " ".join(unicodedata.normalize("NFKC", name).split())


def match_name(name_zh: str, name_en: str) -> str:
    """By what two names are the same: as the column of this name has it (migration 0003)."""
    return re.sub(r"[\s·•・]", "", name_zh or name_en).lower()


def born_on(identifiers: Sequence[Identifier]) -> date | None:
    """The birth date that the resident number among them tells."""
    numbers = (found.value for found in identifiers if found.kind is IdentifierKind.RESIDENT_ID)
    return next((birth_date_of(number) for number in numbers), None)


def sex_from(identifiers: Sequence[Identifier]) -> Sex:
    """The sex that the resident number among them tells."""
    numbers = (found.value for found in identifiers if found.kind is IdentifierKind.RESIDENT_ID)
    return next((Sex(sex_of(number).value) for number in numbers), Sex.UNKNOWN)


def may_merge_by_rule(
    one: Person, other: Person, *, shared: Sequence[IdentifierKey], resident_ids: frozenset[bytes]
) -> bool:
    """Whether two patients with a common identifier are one person without anybody looking.

    Name and birth date must be known and equal, the sexes must not contradict, and together the two may have
    one resident number at most. A temporary number names nobody for good, so it proves nothing.
    """
    if all(key.kind is IdentifierKind.TEMPORARY for key in shared):
        return False
    sexes = {one.sex, other.sex} - {Sex.UNKNOWN}
    same_name = bool(one.match_name) and one.match_name == other.match_name
    same_birth = one.birth_date is not None and one.birth_date == other.birth_date
    return same_name and same_birth and len(sexes) < 2 and len(resident_ids) < 2


def digested_text(kind: IdentifierKind, issuer: str, value: str) -> str:
    """What an identifier's digest is made of."""
    return f"{kind.value}\0{issuer}\0{value}"


def sealing_context(patient_id: str, kind: IdentifierKind, issuer: str) -> str:
    """The row that a sealed number belongs to."""
    return f"{patient_id}\0{kind.value}\0{issuer}"


def _number_context(patient_id: str, kind: str, issuer: str) -> str:
    return sealing_context(patient_id, IdentifierKind(kind), issuer)


SEALED_NUMBERS = SealedColumn(
    table="person_identifier",
    column="sealed",
    key="identifier_id",
    named_by=("patient_id", "kind", "issuer"),
    context=_number_context,
)


def new_person(
    new: NewPerson, *, site_id: str, organisation_id: str, identifiers: Sequence[Identifier]
) -> Person:
    """What is said, completed by what the numbers tell.

    Raises:
        PersonInvalid: without a name, or with a birth date that the resident number contradicts.
    """
    name_zh = clean_name(new.name_zh) or (UNKNOWN_ZH if new.is_unknown else "")
    name_en = clean_name(new.name_en) or (UNKNOWN_EN if new.is_unknown else "")
    if not name_zh and not name_en:
        raise PersonInvalid("name_zh", "a name is needed, or that the person is unknown")
    check_birth_date(new.birth_date, identifiers)
    return Person(
        patient_id=f"p-{uuid.uuid4().hex}",
        organisation_id=organisation_id,
        site_id=site_id,
        bed="",
        name_zh=name_zh,
        name_en=name_en,
        match_name=match_name(name_zh, name_en),
        birth_date=new.birth_date or born_on(identifiers),
        sex=sex_from(identifiers) if new.sex is Sex.UNKNOWN else new.sex,
    )


def check_birth_date(birth_date: date | None, identifiers: Sequence[Identifier]) -> None:
    """Refuse a birth date that the resident number contradicts."""
    told = born_on(identifiers)
    if birth_date is not None and told is not None and told != birth_date:
        raise PersonInvalid("birth_date", "the resident number tells another one")


def acts_about(subject: Subject, action: Action, *patient_ids: str, basis: str) -> list[Act]:
    """One act for each patient, so that each can be told who looked and by which right."""
    return [
        subject.act(action, target(TargetKind.PATIENT, patient_id), origin=Origin.HTTP, basis=str(basis))
        for patient_id in dict.fromkeys(patient_ids)
    ]


def acts_seen(
    subject: Subject, action: Action, patient_ids: Sequence[str], *, sights: Mapping[str, Sight]
) -> list[Act]:
    """The same where each is seen by another right; without one only a masked name was shown."""
    acts: list[Act] = []
    for patient_id in dict.fromkeys(patient_ids):
        sight = sights.get(patient_id)
        acts += acts_about(subject, action, patient_id, basis="" if sight is None else sight.basis)
    return acts


def acts_of_candidates(subject: Subject, candidates: Iterable[Candidate]) -> list[Act]:
    """One act for each candidate."""
    sights = {one.person.patient_id: one.sight for one in candidates}
    known = {patient_id: sight for patient_id, sight in sights.items() if sight is not None}
    return acts_seen(subject, Action.FIND_CANDIDATES, list(sights), sights=known)


def act_of_finding_nobody(subject: Subject, *, kinds: set[IdentifierKind]) -> Act:
    """As what the number was asked for, never the number."""
    on = target(TargetKind.IDENTIFIER, ",".join(sorted(kinds)) or "unread")
    return subject.act(Action.FIND_PERSON, on, origin=Origin.HTTP)


def resident_ids(keys: Iterable[IdentifierKey]) -> frozenset[bytes]:
    """Those of national identity numbers."""
    return frozenset(key.digest for key in keys if key.kind is IdentifierKind.RESIDENT_ID)


def read_number(
    subject: Subject, text: str, *, kind: IdentifierKind | None, issuer: str, today: date
) -> Parsed:
    """A typed number; a record number of nobody else is of the own organisation."""
    own = subject.organisation or ""
    if kind is None:
        return parse_identifier(text, today=today, organisation=own)
    if kind is IdentifierKind.HOSPITAL_RECORD:
        issuer = issuer or own
    return parse_as(kind, text, today=today, issuer=issuer)
