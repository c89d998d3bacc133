"""SQL of organisations, accounts and login sessions.

Reading an account is what makes a Subject, so these queries are the only ones without one.
"""

from datetime import datetime

from psycopg.rows import kwargs_row

from cloud.identity.model import Account, Role
from cloud.store.connection import Database


def _account(*, role: str, **columns: str) -> Account:
    return Account(role=Role(role), **columns)


def find_account(connection: Database, name: str) -> Account | None:
    """The account of a login name, if it may log in."""
    with connection.cursor(row_factory=kwargs_row(_account)) as cursor:
        return cursor.execute(
            """
            SELECT a.name, a.person_id, p.organisation_id, p.display_zh, p.display_en, a.role, a.password_hash
              FROM account a JOIN person p USING (person_id)
             WHERE a.name = %s AND a.disabled_at IS NULL
            """,
            (name,),
        ).fetchone()


def find_session_account(connection: Database, token_hash: bytes, *, now: datetime) -> Account | None:
    """The account of a session that is neither over nor revoked."""
    with connection.cursor(row_factory=kwargs_row(_account)) as cursor:
        return cursor.execute(
            """
            SELECT a.name, a.person_id, p.organisation_id, p.display_zh, p.display_en, a.role, a.password_hash
              FROM login_session s
              JOIN account a ON a.name = s.account_name
              JOIN person p USING (person_id)
             WHERE s.token_hash = %s AND s.expires_at > %s AND s.revoked_at IS NULL AND a.disabled_at IS NULL
            """,
            (token_hash, now),
        ).fetchone()


def insert_session(connection: Database, token_hash: bytes, *, name: str, expires_at: datetime) -> None:
    """Begin a session, and forget those of the account that are long over."""
    with connection.transaction():
        connection.execute(
            "DELETE FROM login_session WHERE account_name = %s AND expires_at < now() - interval '30 days'",
            (name,),
        )
        connection.execute(
            "INSERT INTO login_session (token_hash, account_name, expires_at) VALUES (%s, %s, %s)",
            (token_hash, name, expires_at),
        )


def revoke_session(connection: Database, token_hash: bytes, *, now: datetime) -> None:
    """End a session."""
    connection.execute(
        "UPDATE login_session SET revoked_at = %s WHERE token_hash = %s AND revoked_at IS NULL",
        (now, token_hash),
    )


def upsert_organisation(
    connection: Database, organisation_id: str, *, site_id: str, name_zh: str, name_en: str
) -> None:
    """An organisation with its one site."""
    connection.execute(
        "INSERT INTO organisation (organisation_id, name_zh, name_en) VALUES (%s, %s, %s) "
        "ON CONFLICT (organisation_id) DO NOTHING",
        (organisation_id, name_zh, name_en),
    )
    connection.execute(
        "INSERT INTO site (site_id, organisation_id, name_zh, name_en) VALUES (%s, %s, %s, %s) "
        "ON CONFLICT (site_id) DO NOTHING",
        (site_id, organisation_id, name_zh, name_en),
    )


def account_exists(connection: Database, name: str) -> bool:
    """Whether a login name is taken."""
    return connection.execute("SELECT 1 FROM account WHERE name = %s", (name,)).fetchone() is not None


def insert_account(connection: Database, account: Account) -> None:
    """A person and the account of that person."""
    if account.role is Role.SYSTEM:
        raise ValueError("the system does not log in")
    connection.execute(
        "INSERT INTO person (person_id, organisation_id, display_zh, display_en) VALUES (%s, %s, %s, %s)",
        (account.person_id, account.organisation_id, account.display_zh, account.display_en),
    )
    connection.execute(
        "INSERT INTO account (name, person_id, role, password_hash) VALUES (%s, %s, %s, %s)",
        (account.name, account.person_id, account.role, account.password_hash),
    )
