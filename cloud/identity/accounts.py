"""What an administrator does with the accounts of the own organisation."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from cloud.act import Action, Origin, Recorder, Target, TargetKind
from cloud.events import Clock
from cloud.identity import queries
from cloud.identity.errors import Conflict, NotThere
from cloud.identity.lock_out import LockOut
from cloud.identity.model import Locked, Subject
from cloud.identity.proofs import queries as proof_queries
from cloud.identity.queries import AccountState
from cloud.store.connection import Database, Pool


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedAccount:
    """An account and until when it waits."""

    state: AccountState
    locked_until: datetime | None


class Accounts:
    """Use cases of administration; safe to call from several threads."""

    def __init__(self, pool: Pool, *, recorder: Recorder, clock: Clock, lock_out: LockOut) -> None:
        self._pool = pool
        self._recorder = recorder
        self._clock = clock
        self._lock_out = lock_out

    def all_for(self, subject: Subject) -> list[ListedAccount]:
        """The accounts of the subject's organisation."""
        with self._pool.connection() as connection:
            states = queries.find_accounts(connection, subject)
            digest_by_name = {one.name: self._lock_out.digest(Locked.ACCOUNT, one.name) for one in states}
            locks = queries.find_locks(connection, list(digest_by_name.values()), now=self._clock())
        return [ListedAccount(state=one, locked_until=locks.get(digest_by_name[one.name])) for one in states]

    def unlock(self, subject: Subject, name: str) -> None:
        """The person may try again at once.

        Raises:
            NotThere: nobody of the subject's organisation.
        """

        def forgive(connection: Database, name: str) -> None:
            self._lock_out.forgive(connection, Locked.ACCOUNT, name=name)

        self._change(subject, name, action=Action.UNLOCK_ACCOUNT, change=forgive)

    def enable(self, subject: Subject, name: str) -> None:
        """The person may log in again; the sessions of before stay ended.

        Raises:
            NotThere: nobody of the subject's organisation.
        """

        def enable(connection: Database, name: str) -> None:
            queries.enable_account(connection, name, now=self._clock())

        self._change(subject, name, action=Action.ENABLE_ACCOUNT, change=enable)

    def reset_second_factor(self, subject: Subject, name: str) -> None:
        """For who lost phone and recovery codes: forget the second factors and end every session.

        Raises:
            NotThere: nobody of the subject's organisation.
            Conflict: it is the subject itself.
        """

        def reset(connection: Database, name: str) -> None:
            if queries.find_person_of(connection, subject, name=name) == subject.person:
                raise Conflict("another administrator must do this")
            queries.lock_account(connection, name)
            proof_queries.delete_proofs(connection, name)
            queries.revoke_sessions(connection, name, but=None, now=self._clock())

        self._change(subject, name, action=Action.REMOVE_SECOND_FACTOR, change=reset)

    def _change(
        self, subject: Subject, name: str, *, action: Action, change: Callable[[Database, str], None]
    ) -> None:
        with self._pool.connection() as connection, connection.transaction():
            person_id = queries.find_person_of(connection, subject, name=name)
            if person_id is None:
                raise NotThere("account")
            change(connection, name)
            on = Target(kind=TargetKind.ACCOUNT, id=person_id)
            self._recorder.begin(subject.act(action, on, origin=Origin.HTTP))()
