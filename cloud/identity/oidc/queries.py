"""SQL of sign-in through a hospital's provider. Nobody has signed in yet, so there is no Subject."""

from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row, scalar_row

from cloud.identity.model import Role
from cloud.store.connection import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcRequest:
    """A sign-in that was sent to a provider and has not come back."""

    browser_hash: bytes
    issuer: str
    nonce: str
    sealed_secret: bytes
    expires_at: datetime


def insert_request(connection: Database, state_hash: bytes, *, request: OidcRequest) -> None:
    """Remember a sign-in that goes to a provider; forget what never came back."""
    with connection.transaction():
        connection.execute(
            "DELETE FROM oidc_request WHERE expires_at < %s - interval '1 hour'", (request.expires_at,)
        )
        connection.execute(
            "INSERT INTO oidc_request (state_hash, browser_hash, issuer, nonce, sealed_secret, expires_at) "
            "VALUES (%s, %s, %s, %s, %s, %s)",
            (
                state_hash,
                request.browser_hash,
                request.issuer,
                request.nonce,
                request.sealed_secret,
                request.expires_at,
            ),
        )


def take_request(connection: Database, state_hash: bytes) -> OidcRequest | None:
    """The sign-in of this state, once."""
    with connection.cursor(row_factory=class_row(OidcRequest)) as cursor:
        return cursor.execute(
            "DELETE FROM oidc_request WHERE state_hash = %s "
            "RETURNING browser_hash, issuer, nonce, sealed_secret, expires_at",
            (state_hash,),
        ).fetchone()


def find_linked_name(connection: Database, issuer: str, *, subject_id: str) -> str | None:
    """The account that a provider's person has here."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        name: str | None = cursor.execute(
            "SELECT account_name FROM oidc_identity WHERE issuer = %s AND subject_id = %s",
            (issuer, subject_id),
        ).fetchone()
    return name


def insert_link(connection: Database, issuer: str, *, subject_id: str, name: str, now: datetime) -> bool:
    """From now on this account is that person's; false when another became it meanwhile."""
    linked = connection.execute(
        "INSERT INTO oidc_identity (issuer, subject_id, account_name, linked_at) VALUES (%s, %s, %s, %s) "
        "ON CONFLICT DO NOTHING",
        (issuer, subject_id, name, now),
    )
    return linked.rowcount == 1


def replace_role(connection: Database, name: str, *, role: Role) -> None:
    """What the provider says the person is now."""
    connection.execute("UPDATE account SET role = %s WHERE name = %s AND role <> %s", (role, name, role))
