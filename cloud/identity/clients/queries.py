"""SQL of systems that ask with tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import kwargs_row

from cloud.identity.model import Scope, Subject
from cloud.store.connection import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A system that was given an id and a secret."""

    client_id: str
    organisation_id: str
    title: str
    secret_hash: bytes
    scopes: frozenset[Scope]
    created_at: datetime
    created_by: str
    revoked_at: datetime | None
    used_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenHolder:
    """Whose token it is, and what it may."""

    client_id: str
    organisation_id: str
    scopes: frozenset[Scope]


_COLUMNS = (
    "client_id, organisation_id, title, secret_hash, scopes, created_at, created_by, revoked_at, used_at"
)


def _client(*, scopes: list[str], **columns: object) -> Client:
    return Client(scopes=frozenset(map(Scope, scopes)), **columns)  # type: ignore[arg-type] # as the columns are


def _holder(*, scopes: list[str], client_id: str, organisation_id: str) -> TokenHolder:
    return TokenHolder(
        client_id=client_id, organisation_id=organisation_id, scopes=frozenset(map(Scope, scopes))
    )


def insert_client(connection: Database, client: Client) -> None:
    """Keep a new client."""
    connection.execute(
        "INSERT INTO api_client (client_id, organisation_id, title, secret_hash, scopes, created_at, "
        "created_by) VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (
            client.client_id,
            client.organisation_id,
            client.title,
            client.secret_hash,
            sorted(client.scopes),
            client.created_at,
            client.created_by,
        ),
    )


def find_clients(connection: Database, subject: Subject) -> list[Client]:
    """The clients of the subject's organisation, the newest first."""
    with connection.cursor(row_factory=kwargs_row(_client)) as cursor:
        return cursor.execute(
            f"SELECT {_COLUMNS} FROM api_client WHERE organisation_id = %s "  # noqa: S608 # own columns
            "ORDER BY created_at DESC, client_id",
            (subject.organisation,),
        ).fetchall()


def revoke_client(connection: Database, subject: Subject, *, client_id: str, now: datetime) -> bool:
    """End a client of the subject's organisation with all its tokens; false when there is none such."""
    with connection.transaction():
        revoked = connection.execute(
            "UPDATE api_client SET revoked_at = coalesce(revoked_at, %s) "
            "WHERE client_id = %s AND organisation_id = %s",
            (now, client_id, subject.organisation),
        )
        if revoked.rowcount != 1:
            return False
        connection.execute(
            "UPDATE api_token SET revoked_at = %s WHERE client_id = %s AND revoked_at IS NULL",
            (now, client_id),
        )
    return True


def find_client(connection: Database, client_id: str) -> Client | None:
    """The client of an id, if it may ask."""
    with connection.cursor(row_factory=kwargs_row(_client)) as cursor:
        return cursor.execute(
            f"SELECT {_COLUMNS} FROM api_client WHERE client_id = %s AND revoked_at IS NULL",  # noqa: S608
            (client_id,),
        ).fetchone()


def insert_token(
    connection: Database, token_hash: bytes, *, client_id: str, scopes: Sequence[Scope], expires_at: datetime
) -> None:
    """Keep a token's digest; forget those of the client that are over."""
    with connection.transaction():
        connection.execute(
            "DELETE FROM api_token WHERE client_id = %s AND expires_at < %s - interval '1 hour'",
            (client_id, expires_at),
        )
        connection.execute(
            "INSERT INTO api_token (token_hash, client_id, scopes, expires_at) VALUES (%s, %s, %s, %s)",
            (token_hash, client_id, sorted(scopes), expires_at),
        )
        connection.execute("UPDATE api_client SET used_at = now() WHERE client_id = %s", (client_id,))


def find_token_holder(connection: Database, token_hash: bytes, *, now: datetime) -> TokenHolder | None:
    """Whose living token it is."""
    with connection.cursor(row_factory=kwargs_row(_holder)) as cursor:
        return cursor.execute(
            "SELECT c.client_id, c.organisation_id, t.scopes "
            "FROM api_token t JOIN api_client c USING (client_id) WHERE t.token_hash = %s "
            "AND t.expires_at > %s AND t.revoked_at IS NULL AND c.revoked_at IS NULL",
            (token_hash, now),
        ).fetchone()


def revoke_token(connection: Database, token_hash: bytes, *, client_id: str, now: datetime) -> bool:
    """End a token of this client."""
    return (
        connection.execute(
            "UPDATE api_token SET revoked_at = %s "
            "WHERE token_hash = %s AND client_id = %s AND revoked_at IS NULL",
            (now, token_hash, client_id),
        ).rowcount
        == 1
    )
