"""Logging in and out, proving again who one is, and turning a cookie into a Subject."""

import secrets
import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import structlog
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from cloud.act import Action, Origin, Outcome, Recorder, Target, TargetKind, act_of_nobody
from cloud.events import Clock
from cloud.identity import queries
from cloud.identity.clients.service import Clients
from cloud.identity.errors import (
    EnrolmentNeeded,
    LoginRefused,
    LoginThrottled,
    NotLoggedIn,
    ProofRefused,
)
from cloud.identity.lock_out import LockOut
from cloud.identity.model import (
    PENDING_LOGIN_LASTS,
    STEP_UP_LASTS,
    Account,
    Locked,
    Role,
    SecondFactorPolicy,
    Session,
    Subject,
    Visitor,
    hash_token,
    new_token,
)
from cloud.identity.proofs.model import Proof, ProofKind
from cloud.identity.proofs.service import Proofs
from cloud.identity.sessions import Sessions
from cloud.store.connection import Database, Pool
from cloud.store.sealing import Sealer

_log = structlog.get_logger()
_LOGINS_AT_ONCE = 2  # each takes 64 MiB while argon2id works
_NAME_LIMIT = 200
_PASSWORD_LIMIT = 1000


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedIn:
    """A session began."""

    account: Account
    token: str
    needs_enrolment: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondFactorAwaited:
    """The password was right; the token opens nothing but the next step."""

    token: str
    kinds: tuple[ProofKind, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SteppedUp:
    """The session goes on under a new token, and the proof holds until then."""

    token: str
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Charged:
    """An attempt that counts as a failure until it is forgiven."""

    name: str | None
    source: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInRules:
    """What an installation asks of those who log in."""

    second_factor: SecondFactorPolicy = SecondFactorPolicy.OFFERED
    hasher: PasswordHasher = field(default_factory=PasswordHasher)


class IdentityService:
    """The use cases of login; safe to call from several threads."""

    def __init__(
        self,
        pool: Pool,
        *,
        sealer: Sealer,
        recorder: Recorder,
        clock: Clock = utc_now,
        rules: SignInRules | None = None,
    ) -> None:
        self.pool = pool
        self._recorder = recorder
        self._clock = clock
        rules = rules or SignInRules()
        self.policy = rules.second_factor
        self.sessions = Sessions(pool, recorder=recorder, clock=clock)
        self.proofs = Proofs(pool, sealer=sealer, recorder=recorder, clock=clock)
        self.lock_out = LockOut(sealer.digest)
        self.clients = Clients(pool, recorder=recorder, clock=clock, lock_out=self.lock_out)
        self._hasher = rules.hasher
        self._slots = threading.BoundedSemaphore(_LOGINS_AT_ONCE)
        # An unknown name costs the same time as a known one.
        self._nobody = self._hasher.hash(secrets.token_urlsafe(16))

    def log_in(self, name: str, password: str, *, visitor: Visitor) -> LoggedIn | SecondFactorAwaited:
        """Check name and password; what follows depends on the account.

        Raises:
            LoginThrottled: too many failures for this name or from this source.
            LoginRefused: they do not belong together.
            AuditUnavailable: nobody could take note, so nobody gets in.
        """
        wanted = name.strip().lower()[:_NAME_LIMIT]
        with self.pool.connection() as connection:
            account = queries.find_account(connection, wanted)
            try:
                charged = self.charge(connection, wanted, visitor=visitor)
            except LoginThrottled:
                self._note_throttled(account, visitor)
                raise
        if not self.verify(account, password) or account is None:
            self._note_failure(account, Outcome.REFUSED)
            _log.info("login_refused")
            raise LoginRefused
        enrolled = self.proofs.enrolled(account)
        with self.pool.connection() as connection:
            account = self._rehash(connection, account, password=password)
            if enrolled.is_any:
                # The account's failures stay: else a known password would make room for guessing codes.
                self.forgive(connection, replace(charged, name=None))
                return self._await_second_factor(connection, account, kinds=enrolled.kinds)
            self.forgive(connection, charged)
            with connection.transaction():
                if not self.hold(connection, account, proofs=()):
                    raise LoginRefused
                return self.open_session(connection, account, visitor=visitor)

    def log_in_with_proof(self, token: str | None, proof: Proof, *, visitor: Visitor) -> LoggedIn:
        """The second step of a login.

        Raises:
            NotLoggedIn: no password was given before, or too long ago.
            LoginThrottled, ProofRefused, AuditUnavailable: as their names say.
        """
        account = self.awaited(token)
        with self.pool.connection() as connection:
            try:
                charged = self.charge(connection, account.name, visitor=visitor)
            except LoginThrottled:
                self._note_throttled(account, visitor)
                raise
            proofs = queries.find_proofs(connection, account.name)
            held = self.proofs.holds(connection, account, proof=proof, token=token or "", visitor=visitor)
            if not held:
                self._note_failure(account, Outcome.REFUSED)
                raise ProofRefused
            self.forgive(connection, charged)
            with connection.transaction():
                if not self.hold(connection, account, proofs=proofs):
                    raise NotLoggedIn
                if not queries.end_pending_login(connection, hash_token(token or "")):
                    raise NotLoggedIn
                return self.open_session(connection, account, visitor=visitor)

    def awaited(self, token: str | None) -> Account:
        """Whose second proof is awaited.

        Raises:
            NotLoggedIn: nobody's.
        """
        if not token:
            raise NotLoggedIn
        with self.pool.connection() as connection:
            account = queries.find_pending_login(connection, hash_token(token), now=self._clock())
        if account is None:
            raise NotLoggedIn
        return account

    def hold(self, connection: Database, account: Account, *, proofs: Sequence[str] | None = None) -> bool:
        """Keep an account as it is until the transaction ends; False when it is not what was judged.

        Who changes a password or a proof, and ends the sessions that rest on the old one, waits for what is
        held, or is seen here: a sign-in in flight does not outlive it.
        """
        now = queries.lock_account(connection, account.name)
        if now is None or now.password_hash != account.password_hash:
            return False
        return proofs is None or queries.find_proofs(connection, account.name) == list(proofs)

    def open_session(
        self, connection: Database, account: Account, *, visitor: Visitor, issuer: str | None = None
    ) -> LoggedIn:
        """Everything was proved: take note, and begin.

        Raises:
            AuditUnavailable: nobody could take note, so nobody gets in.
        """
        self._recorder.begin(account.subject.act(Action.LOG_IN, _target(account), origin=Origin.HTTP))()
        token = self.sessions.begin(connection, account, device=visitor.device, issuer=issuer)
        _log.info("login", person=account.person_id)
        session = queries.find_session(connection, hash_token(token), now=self._clock())
        if session is None:  # the account was disabled in this very moment
            raise LoginRefused
        return LoggedIn(account=account, token=token, needs_enrolment=session.needs_enrolment(self.policy))

    def step_up(self, token: str | None, proof: Proof, *, visitor: Visitor) -> SteppedUp:
        """Prove again who one is: with a second factor, or with the password where there is none.

        Failures count for this session only: whoever knows a name must not be able to bar its owner from
        breaking the glass.

        Raises:
            EnrolmentNeeded, LoginThrottled, NotLoggedIn, ProofRefused, AuditUnavailable: as their names say.
        """
        session = self.session_of(token)
        account, on = session.account, _target(session.account)
        with self.pool.connection() as connection:
            try:
                self.lock_out.charge(connection, Locked.STEP_UP, name=session.session_id, now=self._clock())
            except LoginThrottled:
                self._note_step_up(account, Outcome.THROTTLED)
                raise
        if not self._proof_holds(session, proof, token=token or "", visitor=visitor):
            self._note_step_up(account, Outcome.REFUSED)
            raise ProofRefused
        until = self._clock() + STEP_UP_LASTS
        with self.pool.connection() as connection, connection.transaction():
            self.lock_out.forgive(connection, Locked.STEP_UP, name=session.session_id)
            fresh = self.sessions.renew_token(connection, session, stepped_up_until=until)
            self._recorder.begin(account.subject.act(Action.STEP_UP, on, origin=Origin.HTTP))()
        return SteppedUp(token=fresh, until=until)

    def renew(self, session: Session) -> str:
        """Another token for the same session, after its account's proofs changed; other sessions end."""
        with self.pool.connection() as connection, connection.transaction():
            queries.lock_account(connection, session.account.name)
            queries.revoke_sessions(
                connection, session.account.name, but=session.session_id, now=self._clock()
            )
            return self.sessions.renew_token(connection, session, stepped_up_until=session.stepped_up_until)

    def log_out(self, token: str | None) -> Session | None:
        """End the session of this token; an unknown token is no error."""
        if not token:
            return None
        now = self._clock()
        with self.pool.connection() as connection:
            session = queries.find_session(connection, hash_token(token), now=now)
            queries.revoke_session(connection, hash_token(token), now=now)
        if session is not None:
            account = session.account
            self._recorder.note(account.subject.act(Action.LOG_OUT, _target(account), origin=Origin.HTTP))
        return session

    def session_of(self, token: str | None, *, is_for_enrolment: bool = False) -> Session:
        """The living session of a token.

        Raises:
            NotLoggedIn: there is none.
            EnrolmentNeeded: its account must set up a second factor first, and this is not for that.
        """
        session = self.sessions.find(token)
        if not is_for_enrolment and session.needs_enrolment(self.policy):
            raise EnrolmentNeeded
        return session

    def account_of(self, token: str | None) -> Account:
        """The account of a living session.

        Raises:
            NotLoggedIn, EnrolmentNeeded: as `session_of`.
        """
        return self.session_of(token).account

    def subject_of(self, token: str | None) -> Subject:
        """The subject of a living session.

        Raises:
            NotLoggedIn, EnrolmentNeeded: as `session_of`.
        """
        return self.account_of(token).subject

    def is_stepped_up(self, session: Session, *, is_for_enrolment: bool = False) -> bool:
        """Whether the fresh proof still holds.

        To set up the first second factor, having just come from a provider is proof enough (there is no
        password to ask for), and so is having been sent to set it up.
        """
        now = self._clock()
        if session.is_stepped_up(now):
            return True
        if not is_for_enrolment or session.has_second_factor:
            return False
        just_came = session.issuer is not None and now - session.created_at < STEP_UP_LASTS
        return just_came or session.needs_enrolment(self.policy)

    def verify(self, account: Account | None, password: str) -> bool:
        """Whether it is the password; nobody has none, and costs the same time."""
        stored = self._nobody if account is None else account.password_hash
        with self._slots:
            try:
                return self._hasher.verify(stored, password[:_PASSWORD_LIMIT])
            except (VerificationError, InvalidHashError):
                return False

    def hash_password(self, password: str) -> str:
        """What is kept of a password."""
        with self._slots:
            return self._hasher.hash(password[:_PASSWORD_LIMIT])

    def charge(self, connection: Database, name: str, *, visitor: Visitor) -> Charged:
        """Count an attempt for this name until it is forgiven.

        Raises:
            LoginThrottled: too many failures for this name or from this source.
        """
        charged = self.charge_source(connection, visitor)
        self.lock_out.charge(connection, Locked.ACCOUNT, name=name, now=charged.at)
        return replace(charged, name=name)

    def charge_source(self, connection: Database, visitor: Visitor) -> Charged:
        """Count an attempt that names nobody.

        Raises:
            LoginThrottled: too many failures from this source.
        """
        now = self._clock()
        self.lock_out.charge(connection, Locked.SOURCE, name=visitor.source, now=now)
        return Charged(name=None, source=visitor.source, at=now)

    def forgive(self, connection: Database, charged: Charged) -> None:
        """It was none: forget the failures of its name, and this one of the source."""
        if charged.name is not None:
            self.lock_out.forgive(connection, Locked.ACCOUNT, name=charged.name)
        self.lock_out.refund(connection, Locked.SOURCE, name=charged.source, charged_at=charged.at)

    def _await_second_factor(
        self, connection: Database, account: Account, *, kinds: tuple[ProofKind, ...]
    ) -> SecondFactorAwaited:
        token, ends_at = new_token(), self._clock() + PENDING_LOGIN_LASTS
        with connection.transaction():
            if not self.hold(connection, account):
                raise LoginRefused
            queries.insert_pending_login(connection, hash_token(token), name=account.name, expires_at=ends_at)
        return SecondFactorAwaited(token=token, kinds=kinds)

    def _proof_holds(self, session: Session, proof: Proof, *, token: str, visitor: Visitor) -> bool:
        if proof.kind is ProofKind.PASSWORD:
            return not session.has_second_factor and self.verify(session.account, proof.text)
        with self.pool.connection() as connection:
            return self.proofs.holds(connection, session.account, proof=proof, token=token, visitor=visitor)

    def _note_failure(self, account: Account | None, outcome: Outcome) -> None:
        """What was typed as a name may be a password: only the account that it names is written down."""
        on = _target(account)
        self._recorder.note(act_of_nobody(Action.LOG_IN, on, outcome=outcome, origin=Origin.HTTP))

    def _note_throttled(self, account: Account | None, visitor: Visitor) -> None:
        """The failures that led to it are all written down; what follows while it lasts once in a while."""
        if self.lock_out.strangers.is_news(visitor.source):
            self._note_failure(account, Outcome.THROTTLED)

    def _note_step_up(self, account: Account, outcome: Outcome) -> None:
        on = _target(account)
        self._recorder.note(account.subject.act(Action.STEP_UP, on, origin=Origin.HTTP, outcome=outcome))

    def _rehash(self, connection: Database, account: Account, *, password: str) -> Account:
        """Stronger parameters reach an account when its password is seen, if it still is its password."""
        if not self._hasher.check_needs_rehash(account.password_hash):
            return account
        fresh = self.hash_password(password)
        if not queries.renew_password_hash(connection, account, password_hash=fresh):
            return account
        _log.info("password_rehashed", person=account.person_id)
        return replace(account, password_hash=fresh)


def _target(account: Account | None) -> Target:
    return Target(kind=TargetKind.ACCOUNT, id="unknown" if account is None else account.person_id)


def create_account(
    connection: Database, name: str, *, role: Role, organisation_id: str, display: tuple[str, str]
) -> tuple[Account, str] | None:
    """Create an account with a random password and return both, or None when the name is taken."""
    if queries.account_exists(connection, name):
        return None
    password = secrets.token_urlsafe(12)
    account = Account(
        name=name,
        person_id=f"person-{uuid.uuid4().hex[:12]}",
        organisation_id=organisation_id,
        display_zh=display[0],
        display_en=display[1],
        role=role,
        password_hash=PasswordHasher().hash(password),
    )
    queries.insert_account(connection, account)
    return account, password
