"""Clients: made and ended by administrators, and given tokens for their secret."""

import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from cloud.act import Action, Origin, Outcome, Recorder, Target, TargetKind, act_of_nobody
from cloud.events import Clock
from cloud.identity.clients import queries
from cloud.identity.clients.queries import Client
from cloud.identity.errors import (
    ClientRefused,
    LoginThrottled,
    NotAllowed,
    NotLoggedIn,
    NotThere,
    ScopeRefused,
)
from cloud.identity.lock_out import LockOut
from cloud.identity.model import (
    SCOPES_FOR_CLIENTS,
    Locked,
    Scope,
    Subject,
    Visitor,
    hash_token,
    new_token,
    subject_of_client,
)
from cloud.store.connection import Pool

TOKEN_LASTS = timedelta(minutes=10)
_NOBODYS_HASH = hash_token("")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewClient:
    """A client with the secret that nobody will see again."""

    client: Client
    secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """A token and what it may."""

    token: str
    scopes: tuple[Scope, ...]


class Clients:
    """Use cases of other systems; safe to call from several threads."""

    def __init__(self, pool: Pool, *, recorder: Recorder, clock: Clock, lock_out: LockOut) -> None:
        self._pool = pool
        self._recorder = recorder
        self._clock = clock
        self._lock_out = lock_out

    def create(self, subject: Subject, *, title: str, scopes: Iterable[Scope]) -> NewClient:
        """A client of the subject's organisation.

        Raises:
            NotAllowed: one of the scopes is not for systems.
        """
        asked = frozenset(scopes)
        if subject.organisation is None or not asked <= SCOPES_FOR_CLIENTS:
            raise NotAllowed
        secret = new_token()
        client = Client(
            client_id=f"client-{secrets.token_hex(8)}",
            organisation_id=subject.organisation,
            title=title,
            secret_hash=hash_token(secret),
            scopes=asked,
            created_at=self._clock(),
            created_by=subject.person,
            revoked_at=None,
            used_at=None,
        )
        with self._pool.connection() as connection, connection.transaction():
            queries.insert_client(connection, client)
            self._recorder.begin(
                subject.act(Action.CREATE_CLIENT, _target(client.client_id), origin=Origin.HTTP)
            )()
        return NewClient(client=client, secret=secret)

    def all_for(self, subject: Subject) -> list[Client]:
        """The clients of the subject's organisation."""
        with self._pool.connection() as connection:
            return queries.find_clients(connection, subject)

    def revoke(self, subject: Subject, client_id: str) -> None:
        """End a client; its tokens end with it.

        Raises:
            NotThere: there is none, or it is of another organisation.
        """
        with self._pool.connection() as connection, connection.transaction():
            if not queries.revoke_client(connection, subject, client_id=client_id, now=self._clock()):
                raise NotThere("client")
            self._recorder.begin(subject.act(Action.REVOKE_CLIENT, _target(client_id), origin=Origin.HTTP))()

    def grant(
        self, client_id: str, secret: str, *, scopes: frozenset[Scope] | None, visitor: Visitor
    ) -> Granted:
        """A token for an id and its secret; without `scopes` it may all that the client may.

        Raises:
            ClientRefused, ScopeRefused, LoginThrottled, AuditUnavailable: as their names say.
        """
        client = self._authenticate(client_id, secret, visitor=visitor)
        granted = client.scopes if scopes is None else scopes
        if not granted <= client.scopes:
            raise ScopeRefused
        holder = subject_of_client(client_id, organisation=client.organisation_id, scopes=granted)
        token = new_token()
        self._recorder.begin(holder.act(Action.ISSUE_TOKEN, _target(client_id), origin=Origin.HTTP))()
        with self._pool.connection() as connection:
            queries.insert_token(
                connection,
                hash_token(token),
                client_id=client_id,
                scopes=tuple(granted),
                expires_at=self._clock() + TOKEN_LASTS,
            )
        return Granted(token=token, scopes=tuple(sorted(granted)))

    def revoke_token(self, client_id: str, secret: str, *, token: str, visitor: Visitor) -> None:
        """End a token (RFC 7009); one that is not there, or another's, is no error and not told apart.

        Raises:
            ClientRefused, LoginThrottled, AuditUnavailable: as their names say.
        """
        client = self._authenticate(client_id, secret, visitor=visitor)
        with self._pool.connection() as connection, connection.transaction():
            if queries.revoke_token(
                connection, hash_token(token), client_id=client.client_id, now=self._clock()
            ):
                holder = subject_of_client(
                    client_id, organisation=client.organisation_id, scopes=client.scopes
                )
                self._recorder.begin(
                    holder.act(Action.REVOKE_TOKEN, _target(client_id), origin=Origin.HTTP)
                )()

    def subject_of(self, token: str) -> Subject:
        """The subject of a living token.

        Raises:
            NotLoggedIn: there is none.
        """
        with self._pool.connection() as connection:
            holder = queries.find_token_holder(connection, hash_token(token), now=self._clock())
        if holder is None:
            raise NotLoggedIn
        return subject_of_client(holder.client_id, organisation=holder.organisation_id, scopes=holder.scopes)

    def _authenticate(self, client_id: str, secret: str, *, visitor: Visitor) -> Client:
        now = self._clock()
        with self._pool.connection() as connection:
            client = queries.find_client(connection, client_id)
            on = _target("unknown" if client is None else client_id)
            try:
                self._lock_out.charge(connection, Locked.SOURCE, name=visitor.source, now=now)
                self._lock_out.charge(connection, Locked.CLIENT, name=client_id, now=now)
            except LoginThrottled:
                if self._lock_out.strangers.is_news(visitor.source):
                    self._note_failure(on, Outcome.THROTTLED)
                raise
            expected = _NOBODYS_HASH if client is None else client.secret_hash
            if not hmac.compare_digest(expected, hash_token(secret)) or client is None:
                self._note_failure(on, Outcome.REFUSED)
                raise ClientRefused
            self._lock_out.forgive(connection, Locked.CLIENT, name=client_id)
            self._lock_out.refund(connection, Locked.SOURCE, name=visitor.source, charged_at=now)
        return client

    def _note_failure(self, on: Target, outcome: Outcome) -> None:
        self._recorder.note(act_of_nobody(Action.ISSUE_TOKEN, on, outcome=outcome, origin=Origin.HTTP))


def _target(client_id: str) -> Target:
    return Target(kind=TargetKind.CLIENT, id=client_id)
