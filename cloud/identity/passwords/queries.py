"""SQL of codes that replace a lost password.

Whoever uses a code is nobody yet, so only the making of one has a Subject.
"""

from datetime import datetime

from cloud.identity.codes import MOST_WRONG_TRIES
from cloud.identity.model import Subject
from cloud.store.connection import Database


def put_reset(
    connection: Database, subject: Subject, *, name: str, code_hash: bytes, ends_at: datetime
) -> None:
    """A code for this account; one of before is worth nothing any more."""
    connection.execute(
        """
        INSERT INTO password_reset (account_name, code_hash, ends_at, made_by)
        VALUES (%(name)s, %(code)s, %(ends_at)s, %(by)s)
        ON CONFLICT (account_name) DO UPDATE
           SET code_hash = %(code)s, ends_at = %(ends_at)s, made_by = %(by)s, wrong_tries = 0
        """,
        {"name": name, "code": code_hash, "ends_at": ends_at, "by": subject.person},
    )


def take_reset(connection: Database, name: str, *, code_hash: bytes, now: datetime) -> bool:
    """Use a code up; False where none waits. A wrong try counts against the code that waits."""
    taken = connection.execute(
        "DELETE FROM password_reset r USING account a "
        "WHERE a.name = r.account_name AND a.disabled_at IS NULL "
        "AND r.account_name = %s AND r.code_hash = %s AND r.ends_at > %s AND r.wrong_tries < %s",
        (name, code_hash, now, MOST_WRONG_TRIES),
    )
    if taken.rowcount == 1:
        return True
    connection.execute("SET LOCAL synchronous_commit = off")  # it takes no longer where a code waits
    connection.execute(
        "UPDATE password_reset SET wrong_tries = wrong_tries + 1 WHERE account_name = %s", (name,)
    )
    return False


def delete_reset(connection: Database, name: str) -> None:
    """Nothing is to be replaced any more."""
    connection.execute("DELETE FROM password_reset WHERE account_name = %s", (name,))


def delete_pending_logins(connection: Database, name: str) -> None:
    """Who has given the old password gets no further by it."""
    connection.execute("DELETE FROM pending_login WHERE account_name = %s", (name,))


def signs_in_elsewhere(connection: Database, name: str) -> bool:
    """Whether a hospital's own sign-in vouches for the account, so that it has no password here."""
    row = connection.execute("SELECT FROM oidc_identity WHERE account_name = %s LIMIT 1", (name,)).fetchone()
    return row is not None
