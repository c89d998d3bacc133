"""An account for somebody who was handed a code: a patient, a guardian, or a member of the family."""

import uuid
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from cloud.act import Action, Origin, Outcome, Recorder, Target, TargetKind, act_of_nobody
from cloud.identity import queries
from cloud.identity.errors import CodeRefused, Conflict
from cloud.identity.joining.model import Applicant, Invited, knows_patient
from cloud.identity.model import Account, Role, Subject, Visitor
from cloud.identity.passwords.model import check_login_name, check_password
from cloud.identity.service import IdentityService, LoggedIn
from cloud.store.connection import Database

_log = structlog.get_logger()

NumbersOf = Callable[[Database, Sequence[str]], Sequence[str]]


class Invitations(Protocol):
    """Whose codes they are. Everything happens in the caller's transaction."""

    def hold(self, connection: Database, code: str) -> Invited | None:
        """What waits for this code, kept from everybody else; None where nothing does."""

    def count_wrong_try(self, connection: Database, invited: Invited) -> None:
        """Somebody had the code and did not know the patient; too many end it."""

    def take_up(self, connection: Database, subject: Subject, code: str) -> None:
        """The account has what the code is for."""


def hold_if_known(
    connection: Database, invitations: Invitations, numbers_of: NumbersOf, *, code: str, known: str
) -> tuple[Invited | None, bool]:
    """What waits for a code, and whether the patient is known; an answer that is wrong is counted.

    The count is the caller's transaction's, which must not be rolled back by the refusal.
    """
    invited = invitations.hold(connection, code)
    if invited is None:
        return None, False
    numbers = numbers_of(connection, invited.patient_ids)
    is_known = knows_patient(known, births=invited.births, numbers=numbers)
    if not is_known:
        invitations.count_wrong_try(connection, invited)
    return invited, is_known


class Joining:
    """The use case of joining; safe to call from several threads."""

    def __init__(
        self,
        identity: IdentityService,
        *,
        invitations: Invitations,
        numbers_of: NumbersOf,
        recorder: Recorder,
    ) -> None:
        self._identity = identity
        self._invitations = invitations
        self._numbers_of = numbers_of
        self._recorder = recorder

    def join(self, wish: Applicant, *, visitor: Visitor) -> LoggedIn:
        """Make the account and log it in.

        A code that never was, was used, ended or was withdrawn, and a patient who is not known, are answered
        alike and after the same work. Only whoever has both right learns that a name is taken.

        Raises:
            ChoiceRefused: the name or the password cannot be.
            LoginThrottled: too many failures from this source.
            CodeRefused: code and patient do not belong together.
            Conflict: the name is taken.
        """
        name = check_login_name(wish.name)
        check_password(wish.password, name=name)
        pool = self._identity.pool
        with pool.connection() as connection:
            charged = self._identity.charge_source(connection, visitor)
        password_hash = self._identity.hash_password(wish.password)
        with pool.connection() as connection, connection.transaction():
            invited, is_known = hold_if_known(
                connection, self._invitations, self._numbers_of, code=wish.code, known=wish.known
            )
            account = None
            if invited is not None and is_known:
                account = self._create(
                    connection, wish, name=name, password_hash=password_hash, invited=invited
                )
        if account is None:
            self._note_refusal(invited)
            raise CodeRefused
        _log.info("account_joined", person=account.person_id)
        with pool.connection() as connection:
            self._identity.forgive(connection, charged)
            return self._identity.open_session(connection, account, visitor=visitor)

    def _create(
        self, connection: Database, wish: Applicant, *, name: str, password_hash: str, invited: Invited
    ) -> Account:
        account = Account(
            name=name,
            person_id=f"person-{uuid.uuid4().hex[:12]}",
            organisation_id=invited.organisation_id,
            display_zh=wish.display.strip(),
            display_en=wish.display.strip(),
            role=Role.RESIDENT,
            password_hash=password_hash,
        )
        if not queries.add_account(connection, account):
            raise Conflict("this login name is taken")
        self._invitations.take_up(connection, account.subject, wish.code)
        on_account = Target(kind=TargetKind.ACCOUNT, id=account.person_id)
        on_patient = Target(kind=TargetKind.PATIENT, id=invited.patient_id)
        self._recorder.begin(
            account.subject.act(Action.CREATE_ACCOUNT, on_account, origin=Origin.HTTP),
            account.subject.act(Action.ACCEPT_INVITATION, on_patient, origin=Origin.HTTP),
        )()
        return account

    def _note_refusal(self, invited: Invited | None) -> None:
        """Where the code was right, the patient can read that somebody tried."""
        on = Target(kind=TargetKind.ACCOUNT, id="unknown")
        if invited is not None:
            on = Target(kind=TargetKind.PATIENT, id=invited.patient_id)
        act = act_of_nobody(Action.ACCEPT_INVITATION, on, outcome=Outcome.REFUSED, origin=Origin.HTTP)
        self._recorder.note(act)
