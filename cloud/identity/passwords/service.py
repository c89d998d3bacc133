"""Changing one's password, and replacing one that was lost."""

import structlog

from cloud.act import Act, Action, Origin, Outcome, Recorder, Target, TargetKind, act_of_nobody
from cloud.events import Clock
from cloud.identity import queries as identity_queries
from cloud.identity.codes import hash_code, new_code
from cloud.identity.errors import ChoiceRefused, CodeRefused, Conflict, NotThere, ProofRefused
from cloud.identity.model import Account, Session, Subject, Visitor, new_token
from cloud.identity.passwords import queries
from cloud.identity.passwords.model import RESET_LASTS, Reset, check_password
from cloud.identity.service import IdentityService
from cloud.store.connection import Database

_log = structlog.get_logger()


class Passwords:
    """Use cases of passwords; safe to call from several threads."""

    def __init__(self, identity: IdentityService, *, recorder: Recorder, clock: Clock) -> None:
        self._identity = identity
        self._pool = identity.pool
        self._recorder = recorder
        self._clock = clock

    def change(self, session: Session, *, old: str, new: str, visitor: Visitor) -> str:
        """Take a new password; every other session ends, and this one goes on under the token returned.

        Raises:
            ChoiceRefused: the new one cannot be.
            LoginThrottled: too many wrong ones.
            ProofRefused: the old one is wrong.
        """
        account = session.account
        check_password(new, name=account.name)
        if new == old:
            raise ChoiceRefused("password", "it is the one of now")
        with self._pool.connection() as connection:
            charged = self._identity.charge(connection, account.name, visitor=visitor)
        if not self._identity.verify(account, old):
            self._recorder.note(_change_by(account, Outcome.REFUSED))
            raise ProofRefused
        fresh = self._identity.hash_password(new)
        with self._pool.connection() as connection, connection.transaction():
            if not self._identity.hold(connection, account):
                raise ProofRefused
            self._replace(connection, account, password_hash=fresh, but=session.session_id)
            token = self._identity.sessions.renew_token(
                connection, session, stepped_up_until=session.stepped_up_until
            )
            self._identity.forgive(connection, charged)
            self._recorder.begin(_change_by(account))()
        _log.info("password_changed", person=account.person_id)
        return token

    def begin_reset(self, subject: Subject, name: str) -> Reset:
        """End a password that was lost or became known, with every session; returns a code for a new one.

        Second factors stay: the code alone opens nothing where there is one.

        Raises:
            NotThere: nobody of the subject's organisation.
            Conflict: it is the subject's own, or a hospital's sign-in vouches for the account.
        """
        code, ends_at = new_code(), self._clock() + RESET_LASTS
        nobodys = self._identity.hash_password(new_token())
        with self._pool.connection() as connection, connection.transaction():
            person_id = identity_queries.find_person_of(connection, subject, name=name)
            if person_id is None:
                raise NotThere("account")
            if person_id == subject.person:
                raise Conflict("another administrator must do this")
            if queries.signs_in_elsewhere(connection, name):
                raise Conflict("this account signs in through its hospital and has no password here")
            queries.put_reset(connection, subject, name=name, code_hash=hash_code(code), ends_at=ends_at)
            identity_queries.replace_password_hash(connection, name, password_hash=nobodys)
            identity_queries.revoke_sessions(connection, name, but=None, now=self._clock())
            queries.delete_pending_logins(connection, name)
            on = Target(kind=TargetKind.ACCOUNT, id=person_id)
            self._recorder.begin(subject.act(Action.RESET_PASSWORD, on, origin=Origin.HTTP))()
        _log.info("password_reset_begun", person=person_id, by=subject.person)
        return Reset(code=code, ends_at=ends_at)

    def finish_reset(self, name: str, *, code: str, new: str, visitor: Visitor) -> None:
        """Choose a password with a code. What was wrong is not said, and every refusal costs the same time.

        Raises:
            ChoiceRefused: the password cannot be.
            LoginThrottled: too many wrong codes.
            CodeRefused: no such account, or no such code waits for it.
        """
        wanted = name.strip().lower()
        check_password(new, name=wanted)
        with self._pool.connection() as connection:
            charged = self._identity.charge(connection, wanted, visitor=visitor)
        fresh = self._identity.hash_password(new)
        with self._pool.connection() as connection, connection.transaction():
            account = identity_queries.find_account(connection, wanted)
            is_right = queries.take_reset(connection, wanted, code_hash=hash_code(code), now=self._clock())
            if account is not None and is_right:
                self._replace(connection, account, password_hash=fresh, but=None)
                self._identity.forgive(connection, charged)
                self._recorder.begin(_change_by(account))()
        if account is None or not is_right:
            self._note_nobody(account)
            raise CodeRefused
        _log.info("password_reset", person=account.person_id)

    def _replace(
        self, connection: Database, account: Account, *, password_hash: str, but: str | None
    ) -> None:
        identity_queries.replace_password_hash(connection, account.name, password_hash=password_hash)
        identity_queries.revoke_sessions(connection, account.name, but=but, now=self._clock())
        queries.delete_pending_logins(connection, account.name)
        queries.delete_reset(connection, account.name)

    def _note_nobody(self, account: Account | None) -> None:
        """What was typed as a name may be a password: only the account that it names is written down."""
        on = Target(kind=TargetKind.ACCOUNT, id="unknown") if account is None else _on(account)
        act = act_of_nobody(Action.CHANGE_PASSWORD, on, outcome=Outcome.REFUSED, origin=Origin.HTTP)
        self._recorder.note(act)


def _change_by(account: Account, outcome: Outcome = Outcome.ALLOWED) -> Act:
    return account.subject.act(Action.CHANGE_PASSWORD, _on(account), origin=Origin.HTTP, outcome=outcome)


def _on(account: Account) -> Target:
    return Target(kind=TargetKind.ACCOUNT, id=account.person_id)
