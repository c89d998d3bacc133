"""The one who asks, and what that one may do."""

import secrets
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256

from cloud.act import Act, Action, Origin, Outcome, Target

SESSION_LASTS = timedelta(hours=12)
FAILURES_ALLOWED = 5
FAILURE_WINDOW = timedelta(minutes=5)
_NAMES_REMEMBERED = 10_000


class Role(StrEnum):
    """What a person is here for."""

    CLINICIAN = "clinician"
    NURSE = "nurse"
    ADMINISTRATOR = "administrator"
    AUDITOR = "auditor"
    RESIDENT = "resident"  # a patient, or a member of a patient's family
    CLIENT = "client"  # another system; its token says which scopes
    SYSTEM = "system"


class Scope(StrEnum):
    """A right that a query or a route asks for."""

    READ_PATIENTS = "read_patients"
    EDIT_PATIENTS = "edit_patients"
    BREAK_GLASS = "break_glass"
    SIGN = "sign"
    READ_OWN = "read_own"
    READ_SYSTEM = "read_system"
    READ_PLACES = "read_places"
    MANAGE_PLACES = "manage_places"
    MANAGE_ACCOUNTS = "manage_accounts"
    MANAGE_DEVICES = "manage_devices"
    READ_AUDIT = "read_audit"
    REVIEW_ACCESS = "review_access"


_CARES = frozenset(
    {Scope.READ_PATIENTS, Scope.EDIT_PATIENTS, Scope.BREAK_GLASS, Scope.READ_SYSTEM, Scope.READ_PLACES}
)
SCOPES_BY_ROLE = {
    Role.CLINICIAN: _CARES | {Scope.SIGN},
    Role.NURSE: _CARES,
    # An administrator runs the system and has no reason to look at people.
    Role.ADMINISTRATOR: frozenset(
        {
            Scope.READ_SYSTEM,
            Scope.READ_PLACES,
            Scope.MANAGE_PLACES,
            Scope.MANAGE_ACCOUNTS,
            Scope.MANAGE_DEVICES,
        }
    ),
    Role.AUDITOR: frozenset({Scope.READ_AUDIT, Scope.REVIEW_ACCESS, Scope.READ_PLACES}),
    Role.RESIDENT: frozenset({Scope.READ_OWN}),
    Role.CLIENT: frozenset[Scope](),
    Role.SYSTEM: frozenset(Scope),
}


class Purpose(StrEnum):
    """Why somebody asks."""

    CARE = "care"
    SELF = "self"
    REVIEW = "review"
    OPERATION = "operation"


PURPOSE_BY_ROLE = {
    Role.CLINICIAN: Purpose.CARE,
    Role.NURSE: Purpose.CARE,
    Role.ADMINISTRATOR: Purpose.OPERATION,
    Role.AUDITOR: Purpose.REVIEW,
    Role.RESIDENT: Purpose.SELF,
    Role.CLIENT: Purpose.OPERATION,
    Role.SYSTEM: Purpose.OPERATION,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Who asks. `organisation` is None only for the system itself, which serves all of them."""

    person: str
    role: Role
    organisation: str | None
    scopes: frozenset[Scope]
    purpose: Purpose

    def may_read_patients_of(self, organisation: str) -> bool:
        """Whether patients of this organisation may be shown; unknown means no."""
        within = self.role is Role.SYSTEM or self.organisation == organisation
        return within and Scope.READ_PATIENTS in self.scopes

    def act(self, action: Action, on: Target, *, origin: Origin, outcome: Outcome = Outcome.ALLOWED) -> Act:
        """What this subject did, for the audit."""
        return Act(
            person=self.person,
            role=self.role.value,
            organisation=self.organisation or "",
            purpose=self.purpose.value,
            action=action,
            target=on,
            outcome=outcome,
            origin=origin,
        )


SYSTEM = Subject(
    person="system",
    role=Role.SYSTEM,
    organisation=None,
    scopes=SCOPES_BY_ROLE[Role.SYSTEM],
    purpose=PURPOSE_BY_ROLE[Role.SYSTEM],
)


def subject_of(*, person: str, role: Role, organisation: str) -> Subject:
    """The subject of a logged-in person."""
    return Subject(
        person=person,
        role=role,
        organisation=organisation,
        scopes=SCOPES_BY_ROLE[role],
        purpose=PURPOSE_BY_ROLE[role],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A login name and the person behind it."""

    name: str
    person_id: str
    organisation_id: str
    display_zh: str
    display_en: str
    role: Role
    password_hash: str

    @property
    def subject(self) -> Subject:
        """The subject of this account."""
        return subject_of(person=self.person_id, role=self.role, organisation=self.organisation_id)


def new_token() -> str:
    """The secret of a login session: 256 random bits."""
    return secrets.token_urlsafe(32)


def hash_token(token: str) -> bytes:
    """What the database keeps of a token: a leaked table opens no session."""
    return sha256(token.encode()).digest()


@dataclass(slots=True)
class LoginThrottle:
    """Counts failures per name, known or not, and forgets the oldest names when there are too many."""

    _failures: OrderedDict[str, deque[datetime]] = field(default_factory=OrderedDict)

    def retry_after(self, name: str, *, now: datetime) -> timedelta | None:
        """How long this name must wait, or None when it may try."""
        failures = self._failures.get(name, deque())
        while failures and now - failures[0] >= FAILURE_WINDOW:
            failures.popleft()
        if len(failures) < FAILURES_ALLOWED:
            return None
        return FAILURE_WINDOW - (now - failures[0])

    def note_failure(self, name: str, *, now: datetime) -> None:
        """Remember one failure."""
        self._failures.setdefault(name, deque(maxlen=FAILURES_ALLOWED)).append(now)
        self._failures.move_to_end(name)
        while len(self._failures) > _NAMES_REMEMBERED:
            self._failures.popitem(last=False)

    def note_success(self, name: str) -> None:
        """Forget the failures of a name that logged in."""
        self._failures.pop(name, None)
