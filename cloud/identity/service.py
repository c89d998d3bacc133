"""Logging in and out, and turning a cookie into a Subject."""

import secrets
import threading
import uuid
from datetime import UTC, datetime

import structlog
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from cloud.act import Action, Origin, Outcome, Recorder, Target, TargetKind, act_of_nobody
from cloud.events import Clock
from cloud.identity import queries
from cloud.identity.errors import LoginRefused, LoginThrottled, NotLoggedIn
from cloud.identity.model import SESSION_LASTS, Account, LoginThrottle, Role, Subject, hash_token, new_token
from cloud.store.connection import Database, Pool

_log = structlog.get_logger()
_LOGINS_AT_ONCE = 2  # each takes 64 MiB while argon2id works
_NAME_LIMIT = 200
_PASSWORD_LIMIT = 1000


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


class IdentityService:
    """The use cases of login; safe to call from several threads."""

    def __init__(
        self,
        pool: Pool,
        *,
        recorder: Recorder,
        clock: Clock = utc_now,
        hasher: PasswordHasher | None = None,
    ) -> None:
        self._pool = pool
        self._recorder = recorder
        self._clock = clock
        self._hasher = hasher or PasswordHasher()
        self._throttle = LoginThrottle()
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(_LOGINS_AT_ONCE)
        # An unknown name costs the same time as a known one.
        self._nobody = self._hasher.hash(secrets.token_urlsafe(16))

    def log_in(self, name: str, password: str) -> tuple[Account, str]:
        """Check name and password; returns the account and the new session's token.

        Raises:
            LoginThrottled: too many failures for this name.
            LoginRefused: they do not belong together.
            AuditUnavailable: nobody could take note, so nobody gets in.
        """
        wanted = name.strip().lower()[:_NAME_LIMIT]
        now = self._clock()
        with self._lock:
            wait = self._throttle.retry_after(wanted, now=now)
        with self._pool.connection() as connection:
            account = queries.find_account(connection, wanted)
        if wait is not None:
            self._note_failure(account, Outcome.THROTTLED)
            raise LoginThrottled(wait)
        if not self._verify(account, password) or account is None:
            with self._lock:
                self._throttle.note_failure(wanted, now=now)
            self._note_failure(account, Outcome.REFUSED)
            _log.info("login_refused")
            raise LoginRefused
        with self._lock:
            self._throttle.note_success(wanted)
        self._recorder.begin(account.subject.act(Action.LOG_IN, _target(account), origin=Origin.HTTP))()
        token = new_token()
        with self._pool.connection() as connection:
            queries.insert_session(
                connection, hash_token(token), name=account.name, expires_at=now + SESSION_LASTS
            )
        _log.info("login", person=account.person_id)
        return account, token

    def _note_failure(self, account: Account | None, outcome: Outcome) -> None:
        """What was typed as a name may be a password: only the account that it names is written down."""
        on = _target(account)
        self._recorder.note(act_of_nobody(Action.LOG_IN, on, outcome=outcome, origin=Origin.HTTP))

    def _verify(self, account: Account | None, password: str) -> bool:
        stored = self._nobody if account is None else account.password_hash
        with self._slots:
            try:
                return self._hasher.verify(stored, password[:_PASSWORD_LIMIT])
            except (VerificationError, InvalidHashError):
                return False

    def log_out(self, token: str | None) -> None:
        """End the session of this token; an unknown token is no error."""
        if not token:
            return
        with self._pool.connection() as connection:
            account = queries.find_session_account(connection, hash_token(token), now=self._clock())
            queries.revoke_session(connection, hash_token(token), now=self._clock())
        if account is not None:
            self._recorder.note(account.subject.act(Action.LOG_OUT, _target(account), origin=Origin.HTTP))

    def account_of(self, token: str | None) -> Account:
        """The account of a living session.

        Raises:
            NotLoggedIn: there is none.
        """
        if not token:
            raise NotLoggedIn
        with self._pool.connection() as connection:
            account = queries.find_session_account(connection, hash_token(token), now=self._clock())
        if account is None:
            raise NotLoggedIn
        return account

    def subject_of(self, token: str | None) -> Subject:
        """The subject of a living session.

        Raises:
            NotLoggedIn: there is none.
        """
        return self.account_of(token).subject


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
