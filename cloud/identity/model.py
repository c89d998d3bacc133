"""The one who asks, and what that one may do."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256

from cloud.act import Act, Action, Origin, Outcome, Target

SESSION_LASTS = timedelta(hours=12)
SESSION_IDLES = timedelta(hours=1)  # an open wall asks for its session every 10 s
STEP_UP_LASTS = timedelta(minutes=5)
PENDING_LOGIN_LASTS = timedelta(minutes=5)
CHALLENGE_LASTS = timedelta(minutes=2)


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


# What a system may be given: what needs a person (signing, breaking the glass, reviewing) is not among it.
SCOPES_FOR_CLIENTS = frozenset(
    {Scope.READ_PATIENTS, Scope.EDIT_PATIENTS, Scope.READ_SYSTEM, Scope.MANAGE_DEVICES, Scope.READ_AUDIT}
)
STAFF = frozenset({Role.CLINICIAN, Role.NURSE, Role.ADMINISTRATOR, Role.AUDITOR})


class SecondFactorPolicy(StrEnum):
    """Whether staff must have a second factor."""

    OFFERED = "offered"
    REQUIRED = "required"


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

    @property
    def may_read_people(self) -> bool:
        """Whether this subject reads of people at all; its rights say of whom (`cloud.identity.sight`)."""
        return not self.scopes.isdisjoint({Scope.READ_PATIENTS, Scope.READ_OWN})

    def act(
        self,
        action: Action,
        on: Target,
        *,
        origin: Origin,
        outcome: Outcome = Outcome.ALLOWED,
        basis: str = "",
    ) -> Act:
        """What this subject did, for the audit; `basis` is the right by which a person was seen."""
        return Act(
            person=self.person,
            role=self.role.value,
            organisation=self.organisation or "",
            purpose=self.purpose.value,
            action=action,
            target=on,
            outcome=outcome,
            origin=origin,
            basis=basis,
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


def subject_of_client(client_id: str, *, organisation: str, scopes: frozenset[Scope]) -> Subject:
    """The subject of another system: never more than what its token says."""
    return Subject(
        person=client_id,
        role=Role.CLIENT,
        organisation=organisation,
        scopes=scopes & SCOPES_FOR_CLIENTS,
        purpose=PURPOSE_BY_ROLE[Role.CLIENT],
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One login of one account. `issuer` is the hospital's provider that vouched for it, if one did."""

    session_id: str
    account: Account
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    device: str
    issuer: str | None
    stepped_up_until: datetime | None
    has_second_factor: bool

    def needs_enrolment(self, policy: SecondFactorPolicy) -> bool:
        """Whether a second factor must be set up before anything else; a provider sees to its own."""
        return self.must_have_one(policy) and not self.has_second_factor

    def must_have_one(self, policy: SecondFactorPolicy) -> bool:
        """Whether the policy asks a second factor of this session's account."""
        if policy is SecondFactorPolicy.OFFERED or self.issuer is not None:
            return False
        return self.account.role in STAFF

    def is_stepped_up(self, now: datetime) -> bool:
        """Whether the fresh proof still holds."""
        return self.stepped_up_until is not None and now < self.stepped_up_until


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """How a session begins."""

    device: str = ""
    issuer: str | None = None
    at: datetime | None = None  # default: the database's clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Where a request comes from: what rate limits and passkeys must know of it."""

    source: str  # an address; never stored readable
    device: str
    host: str  # with port, as the browser wrote it; the guard let it pass
    scheme: str

    @property
    def origin(self) -> str:
        """The origin of our own pages for this visitor."""
        return f"{self.scheme}://{self.host}"


class Locked(StrEnum):
    """What is locked out."""

    ACCOUNT = "account"
    CLIENT = "client"
    SOURCE = "source"
    STEP_UP = "step_up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """So many failures are free; then one waits `first`, after each further one twice as long."""

    allowed: int
    first: timedelta
    longest: timedelta
    forgotten_after: timedelta

    def wait_after(self, failures: int) -> timedelta | None:
        """How long the next attempt waits after so many failures in a row."""
        beyond = failures - self.allowed
        return None if beyond < 0 else min(self.longest, self.first * 2 ** min(beyond, 20))


def new_token() -> str:
    """The secret of a session, a client or a token: 256 random bits."""
    return secrets.token_urlsafe(32)


def hash_token(token: str) -> bytes:
    """What the database keeps of a token: a leaked table opens no session."""
    return sha256(token.encode()).digest()
