"""Codes that open once, certificates and their state; pure."""

import hashlib
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum

from cloud.errors import CloudError
from vitals.wire.invitation import EnrolmentCode

CODE_LASTS = timedelta(minutes=15)
FAILURES_PER_CALLER = 5
FAILURES_OF_ALL = 200
FAILURE_WINDOW = timedelta(minutes=5)
_CALLERS_REMEMBERED = 10_000


class EnrolmentError(CloudError):
    """Base of this room's errors."""


class AgentNameInvalid(EnrolmentError):
    """An agent cannot be called so."""

    def __str__(self) -> str:
        return "an agent's name has lower-case letters, digits and hyphens only, at most 41"


class AgentNameTaken(EnrolmentError):
    """The name belongs to an agent elsewhere."""

    def __str__(self) -> str:
        return "this name is taken; choose another"


class SiteUnknown(EnrolmentError):
    """No such site in the asker's organisation."""

    def __str__(self) -> str:
        return "no such site"


class AgentUnknown(EnrolmentError):
    """No such agent in the asker's organisation."""

    def __str__(self) -> str:
        return "no such agent"


class CodeRefused(EnrolmentError):
    """The code is wrong, used, or too old: which of these is not told."""

    def __str__(self) -> str:
        return "this code does not open: it is wrong, was used already, or is older than 15 minutes"


class EnrolmentThrottled(EnrolmentError):
    """Too many wrong codes."""

    def __str__(self) -> str:
        return "too many wrong codes; try again in five minutes"


class CertificateRefused(EnrolmentError):
    """The certificate of a connection is none of ours, is revoked, or is over."""

    def __str__(self) -> str:
        return "this certificate is not accepted; enrol again"


class Occasion(StrEnum):
    """Why a certificate was issued."""

    ENROLMENT = "enrolment"
    RENEWAL = "renewal"


class CertificateState(StrEnum):
    """What a certificate is worth now."""

    VALID = "valid"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedCertificate:
    """A certificate as the register knows it."""

    serial: str
    agent: str
    occasion: Occasion
    issued_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None

    def state(self, now: datetime) -> CertificateState:
        """What it is worth at a moment."""
        if self.revoked_at is not None:
            return CertificateState.REVOKED
        return CertificateState.EXPIRED if now >= self.expires_at else CertificateState.VALID


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedAgent:
    """An agent with its newest certificate, if it ever had one."""

    agent: str
    site_id: str
    is_online: bool
    last_seen_at: datetime | None
    certificate: IssuedCertificate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Which agent of which site is to be let in; None is the first site of the asker's organisation."""

    agent: str
    site_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeCode:
    """A code that lets in one agent once. The code itself is shown once and never kept."""

    code: EnrolmentCode
    agent: str
    site_id: str
    made_by: str
    made_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolledAgent:
    """What a holder of a good certificate is: an agent of a site of an organisation."""

    agent: str
    site_id: str
    organisation_id: str


def hash_code(code: EnrolmentCode) -> bytes:
    """What the database keeps of a code: slow to guess even for who has the table."""
    return hashlib.scrypt(
        code.secret.encode(), salt=code.fingerprint.encode(), n=2**14, r=8, p=1, maxmem=2**25, dklen=32
    )


def serial_text(serial: int) -> str:
    """A serial number as the register writes it."""
    return f"{serial:x}"


@dataclass(slots=True)
class FailureCount:
    """Counts wrong codes per caller and of all, and forgets the oldest callers when there are too many."""

    _by_caller: OrderedDict[str, deque[datetime]] = field(default_factory=OrderedDict)
    _of_all: deque[datetime] = field(default_factory=lambda: deque(maxlen=FAILURES_OF_ALL))

    def is_too_many(self, caller: str, *, now: datetime) -> bool:
        """Whether a caller must wait."""
        failures = self._by_caller.get(caller, deque())
        _forget(failures, now)
        _forget(self._of_all, now)
        return len(failures) >= FAILURES_PER_CALLER or len(self._of_all) >= FAILURES_OF_ALL

    def note(self, caller: str, *, now: datetime) -> None:
        """Remember one failure."""
        self._of_all.append(now)
        self._by_caller.setdefault(caller, deque(maxlen=FAILURES_PER_CALLER)).append(now)
        self._by_caller.move_to_end(caller)
        while len(self._by_caller) > _CALLERS_REMEMBERED:
            self._by_caller.popitem(last=False)

    def take_back(self, caller: str, *, now: datetime) -> None:
        """What was noted at that moment was no failure after all."""
        for failures in (self._of_all, self._by_caller.get(caller, deque())):
            if now in failures:
                failures.remove(now)


def _forget(failures: deque[datetime], now: datetime) -> None:
    while failures and now - failures[0] >= FAILURE_WINDOW:
        failures.popleft()


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundPerson:
    """What an agent may know of whom its sensor is on: enough to judge a value, and no name."""

    binding: str
    src: str
    age_years: int | None
    spo2_scale: int


def age_in_years(birth_date: date, today: date) -> int:
    """Full years; born on 29 February, one is older on 1 March of other years."""
    had_birthday = (today.month, today.day) >= (birth_date.month, birth_date.day)
    return today.year - birth_date.year - (not had_birthday)
