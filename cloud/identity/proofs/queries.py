"""SQL of second factors. Each query is about the proofs of one account, by its name."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row, scalar_row

from cloud.store.connection import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Totp:
    """The secret of an authenticator app."""

    totp_id: int
    sealed_secret: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Passkey:
    """A key in a phone, computer or security token."""

    passkey_id: str
    credential_id: bytes
    public_key: bytes
    sign_count: int
    title: str
    relying_party: str
    created_at: datetime
    used_at: datetime | None
    suspended_at: datetime | None


def replace_unconfirmed_totp(connection: Database, name: str, *, sealed_secret: bytes, now: datetime) -> None:
    """Begin to enrol an app; one that was begun before is forgotten."""
    connection.execute(
        "INSERT INTO totp (account_name, sealed_secret, created_at) VALUES (%s, %s, %s) "
        "ON CONFLICT (account_name) WHERE confirmed_at IS NULL "
        "DO UPDATE SET sealed_secret = excluded.sealed_secret, created_at = excluded.created_at",
        (name, sealed_secret, now),
    )


def find_totp(connection: Database, name: str, *, is_confirmed: bool) -> Totp | None:
    """The app of an account, or the one that is being enrolled."""
    with connection.cursor(row_factory=class_row(Totp)) as cursor:
        return cursor.execute(
            "SELECT totp_id, sealed_secret FROM totp "
            "WHERE account_name = %s AND (confirmed_at IS NOT NULL) = %s",
            (name, is_confirmed),
        ).fetchone()


def confirm_totp(connection: Database, name: str, *, totp_id: int, step: int, now: datetime) -> bool:
    """From now on this app is the account's; the one before is forgotten."""
    with connection.transaction():
        connection.execute(
            "DELETE FROM totp WHERE account_name = %s AND confirmed_at IS NOT NULL AND totp_id <> %s",
            (name, totp_id),
        )
        return (
            connection.execute(
                "UPDATE totp SET confirmed_at = %s, last_step = %s "
                "WHERE totp_id = %s AND confirmed_at IS NULL",
                (now, step, totp_id),
            ).rowcount
            == 1
        )


def use_totp_step(connection: Database, totp_id: int, *, step: int) -> bool:
    """Take a code; false when it or a later one was taken before."""
    return (
        connection.execute(
            "UPDATE totp SET last_step = %(step)s WHERE totp_id = %(totp_id)s AND last_step < %(step)s",
            {"step": step, "totp_id": totp_id},
        ).rowcount
        == 1
    )


def delete_totp(connection: Database, name: str) -> bool:
    """Forget the app of an account; false when it has none that was confirmed."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        confirmed: list[bool] = cursor.execute(
            "DELETE FROM totp WHERE account_name = %s RETURNING confirmed_at IS NOT NULL", (name,)
        ).fetchall()
    return any(confirmed)


def replace_recovery_codes(connection: Database, name: str, *, digests: Sequence[bytes]) -> None:
    """New codes; the old ones are worthless."""
    with connection.transaction():
        connection.execute("DELETE FROM recovery_code WHERE account_name = %s", (name,))
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO recovery_code (account_name, digest) VALUES (%s, %s)",
                [(name, digest) for digest in digests],
            )


def use_recovery_code(connection: Database, name: str, *, digests: Sequence[bytes], now: datetime) -> bool:
    """Take a recovery code by its digest under any key; false when there is none, or it was taken before."""
    return (
        connection.execute(
            "UPDATE recovery_code SET used_at = %s "
            "WHERE account_name = %s AND digest = ANY(%s) AND used_at IS NULL",
            (now, name, list(digests)),
        ).rowcount
        == 1
    )


def count_recovery_codes(connection: Database, name: str) -> int:
    """How many are left."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        left: int | None = cursor.execute(
            "SELECT count(*) FROM recovery_code WHERE account_name = %s AND used_at IS NULL", (name,)
        ).fetchone()
    return left or 0


def insert_passkey(connection: Database, name: str, *, passkey: Passkey) -> bool:
    """Keep a passkey; false when its id is known already, whoever's it is."""
    inserted = connection.execute(
        "INSERT INTO passkey (passkey_id, credential_id, account_name, public_key, sign_count, title, "
        "relying_party, created_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s) "
        "ON CONFLICT (credential_id) DO NOTHING",
        (
            passkey.passkey_id,
            passkey.credential_id,
            name,
            passkey.public_key,
            passkey.sign_count,
            passkey.title,
            passkey.relying_party,
            passkey.created_at,
        ),
    )
    return inserted.rowcount == 1


def find_passkeys(connection: Database, name: str) -> list[Passkey]:
    """The passkeys of an account, the oldest first."""
    with connection.cursor(row_factory=class_row(Passkey)) as cursor:
        return cursor.execute(
            "SELECT passkey_id, credential_id, public_key, sign_count, title, relying_party, "
            "created_at, used_at, suspended_at FROM passkey "
            "WHERE account_name = %s ORDER BY created_at, passkey_id",
            (name,),
        ).fetchall()


def use_passkey(connection: Database, passkey_id: str, *, sign_count: int, now: datetime) -> bool:
    """Take a signature. False when its counter is not above the one of before: the passkey is suspended."""
    taken = connection.execute(
        "UPDATE passkey SET sign_count = %(count)s, used_at = %(now)s WHERE passkey_id = %(id)s "
        "AND suspended_at IS NULL AND (%(count)s > sign_count OR (%(count)s = 0 AND sign_count = 0))",
        {"count": sign_count, "now": now, "id": passkey_id},
    )
    if taken.rowcount == 1:
        return True
    connection.execute(
        "UPDATE passkey SET suspended_at = coalesce(suspended_at, %s) WHERE passkey_id = %s",
        (now, passkey_id),
    )
    return False


def delete_passkey(connection: Database, name: str, *, passkey_id: str) -> bool:
    """Forget one passkey of an account."""
    return (
        connection.execute(
            "DELETE FROM passkey WHERE account_name = %s AND passkey_id = %s", (name, passkey_id)
        ).rowcount
        == 1
    )


def delete_proofs(connection: Database, name: str) -> None:
    """Forget every second factor of an account."""
    for table in ("totp", "passkey", "recovery_code"):
        connection.execute(f"DELETE FROM {table} WHERE account_name = %s", (name,))  # noqa: S608


def has_second_factor(connection: Database, name: str) -> bool:
    """Whether an app or a passkey is left; a suspended one counts."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        found: bool | None = cursor.execute(
            "SELECT EXISTS (SELECT FROM totp WHERE account_name = %(name)s AND confirmed_at IS NOT NULL) "
            "OR EXISTS (SELECT FROM passkey WHERE account_name = %(name)s)",
            {"name": name},
        ).fetchone()
    return bool(found)
