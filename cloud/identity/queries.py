"""SQL of organisations, accounts, sessions, proofs, tokens and rights.

Reading an account is what makes a Subject, so most of these queries have none; those by which one account
looks at others take it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter

from psycopg.errors import UniqueViolation
from psycopg.rows import class_row, kwargs_row, scalar_row

from cloud.identity.model import (
    SESSION_IDLES,
    Account,
    Limit,
    Locked,
    Opening,
    Role,
    Session,
    Subject,
)
from cloud.identity.sight import Basis, Sight, join_rights
from cloud.store.connection import Database

_ACCOUNT = "a.name, a.person_id, p.organisation_id, p.display_zh, p.display_en, a.role, a.password_hash"
# A suspended passkey counts: else a copy of it would be a way to do without.
_HAS_SECOND_FACTOR = """(
    EXISTS (SELECT FROM totp t WHERE t.account_name = a.name AND t.confirmed_at IS NOT NULL)
    OR EXISTS (SELECT FROM passkey k WHERE k.account_name = a.name))"""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountState:
    """An account as an administrator sees it."""

    name: str
    person_id: str
    display_zh: str
    display_en: str
    role: str
    disabled_at: datetime | None
    has_second_factor: bool


def _account(*, role: str, **columns: str) -> Account:
    return Account(role=Role(role), **columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class _SessionRow:
    session_id: str
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    device: str
    issuer: str | None
    stepped_up_until: datetime | None
    has_second_factor: bool
    name: str
    person_id: str
    organisation_id: str
    display_zh: str
    display_en: str
    role: str
    password_hash: str

    def session(self) -> Session:
        return Session(
            session_id=self.session_id,
            created_at=self.created_at,
            seen_at=self.seen_at,
            expires_at=self.expires_at,
            device=self.device,
            issuer=self.issuer,
            stepped_up_until=self.stepped_up_until,
            has_second_factor=self.has_second_factor,
            account=Account(
                name=self.name,
                person_id=self.person_id,
                organisation_id=self.organisation_id,
                display_zh=self.display_zh,
                display_en=self.display_en,
                role=Role(self.role),
                password_hash=self.password_hash,
            ),
        )


def find_account(connection: Database, name: str) -> Account | None:
    """The account of a login name, if it may log in."""
    with connection.cursor(row_factory=kwargs_row(_account)) as cursor:
        return cursor.execute(
            f"SELECT {_ACCOUNT} FROM account a JOIN person p USING (person_id) "  # noqa: S608 # own columns
            "WHERE a.name = %s AND a.disabled_at IS NULL",
            (name,),
        ).fetchone()


def lock_account(connection: Database, name: str) -> Account | None:
    """The same, and until the transaction ends nobody changes its password or its proofs."""
    with connection.cursor(row_factory=kwargs_row(_account)) as cursor:
        return cursor.execute(
            f"SELECT {_ACCOUNT} FROM account a JOIN person p USING (person_id) "  # noqa: S608 # own columns
            "WHERE a.name = %s AND a.disabled_at IS NULL FOR UPDATE OF a",
            (name,),
        ).fetchone()


def find_proofs(connection: Database, name: str) -> list[str]:
    """Which second factors an account has, by their ids."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(
            "SELECT 'totp-' || totp_id FROM totp WHERE account_name = %(name)s AND confirmed_at IS NOT NULL "
            "UNION ALL SELECT passkey_id FROM passkey WHERE account_name = %(name)s ORDER BY 1",
            {"name": name},
        ).fetchall()


def replace_password_hash(connection: Database, name: str, *, password_hash: str) -> None:
    """Another password."""
    connection.execute("UPDATE account SET password_hash = %s WHERE name = %s", (password_hash, name))


def renew_password_hash(connection: Database, account: Account, *, password_hash: str) -> bool:
    """Keep the same password under newer parameters; False when it is another by now."""
    renewed = connection.execute(
        "UPDATE account SET password_hash = %s WHERE name = %s AND password_hash = %s",
        (password_hash, account.name, account.password_hash),
    )
    return renewed.rowcount == 1


def find_session(connection: Database, token_hash: bytes, *, now: datetime) -> Session | None:
    """A session that is neither over, idle nor revoked, of an account that may log in."""
    with connection.cursor(row_factory=class_row(_SessionRow)) as cursor:
        row = cursor.execute(
            f"""
            SELECT {_ACCOUNT}, s.session_id, s.created_at, s.seen_at, s.expires_at, s.device, s.issuer,
                   s.stepped_up_until, {_HAS_SECOND_FACTOR} AS has_second_factor
              FROM login_session s
              JOIN account a ON a.name = s.account_name
              JOIN person p USING (person_id)
             WHERE s.token_hash = %s AND s.expires_at > %s AND s.seen_at > %s
               AND s.revoked_at IS NULL AND a.disabled_at IS NULL
            """,  # noqa: S608 # own columns
            (token_hash, now, now - SESSION_IDLES),
        ).fetchone()
    return None if row is None else row.session()


def touch_session(connection: Database, session_id: str, *, now: datetime) -> None:
    """The session was used."""
    connection.execute(
        "UPDATE login_session SET seen_at = greatest(seen_at, %s) WHERE session_id = %s", (now, session_id)
    )


def insert_session(
    connection: Database,
    token_hash: bytes,
    *,
    name: str,
    expires_at: datetime,
    opening: Opening = Opening(),  # noqa: B008 # frozen
) -> None:
    """Begin a session, and forget those of the account that are long over."""
    with connection.transaction():
        connection.execute(
            "DELETE FROM login_session WHERE account_name = %s AND expires_at < now() - interval '30 days'",
            (name,),
        )
        connection.execute(
            "INSERT INTO login_session "
            "(token_hash, account_name, created_at, seen_at, expires_at, device, issuer) VALUES "
            "(%(token_hash)s, %(name)s, coalesce(%(at)s, now()), coalesce(%(at)s, now()), "
            "%(expires_at)s, %(device)s, %(issuer)s)",
            {
                "token_hash": token_hash,
                "name": name,
                "at": opening.at,
                "expires_at": expires_at,
                "device": opening.device,
                "issuer": opening.issuer,
            },
        )


def replace_session_token(
    connection: Database, session_id: str, *, token_hash: bytes, stepped_up_until: datetime | None
) -> None:
    """From now on another token is the session's."""
    connection.execute(
        "UPDATE login_session SET token_hash = %s, stepped_up_until = %s WHERE session_id = %s",
        (token_hash, stepped_up_until, session_id),
    )


def revoke_session(connection: Database, token_hash: bytes, *, now: datetime) -> None:
    """End a session."""
    connection.execute(
        "UPDATE login_session SET revoked_at = %s WHERE token_hash = %s AND revoked_at IS NULL",
        (now, token_hash),
    )


def find_sessions(connection: Database, name: str, *, now: datetime) -> list[Session]:
    """All living sessions of an account, the newest first."""
    with connection.cursor(row_factory=class_row(_SessionRow)) as cursor:
        rows = cursor.execute(
            f"""
            SELECT {_ACCOUNT}, s.session_id, s.created_at, s.seen_at, s.expires_at, s.device, s.issuer,
                   s.stepped_up_until, {_HAS_SECOND_FACTOR} AS has_second_factor
              FROM login_session s
              JOIN account a ON a.name = s.account_name
              JOIN person p USING (person_id)
             WHERE a.name = %s AND s.expires_at > %s AND s.seen_at > %s AND s.revoked_at IS NULL
             ORDER BY s.created_at DESC, s.session_id
            """,  # noqa: S608 # own columns
            (name, now, now - SESSION_IDLES),
        ).fetchall()
    return [row.session() for row in rows]


def revoke_one_session(connection: Database, name: str, *, session_id: str, now: datetime) -> bool:
    """End a session by its id, if it is of this account and lives."""
    ended = connection.execute(
        "UPDATE login_session SET revoked_at = %s "
        "WHERE session_id = %s AND account_name = %s AND revoked_at IS NULL",
        (now, session_id, name),
    )
    return ended.rowcount == 1


def revoke_sessions(connection: Database, name: str, *, but: str | None, now: datetime) -> int:
    """End all sessions of an account, but perhaps one, and how many these were."""
    return connection.execute(
        "UPDATE login_session SET revoked_at = %(now)s WHERE account_name = %(name)s "
        "AND revoked_at IS NULL AND expires_at > %(now)s AND session_id IS DISTINCT FROM %(but)s",
        {"now": now, "name": name, "but": but},
    ).rowcount


def insert_pending_login(connection: Database, token_hash: bytes, *, name: str, expires_at: datetime) -> None:
    """Remember that the password was right; forget what nobody finished."""
    with connection.transaction():
        connection.execute(
            "DELETE FROM pending_login WHERE expires_at < %s - interval '1 hour'", (expires_at,)
        )
        connection.execute(
            "INSERT INTO pending_login (token_hash, account_name, expires_at) VALUES (%s, %s, %s)",
            (token_hash, name, expires_at),
        )


def find_pending_login(connection: Database, token_hash: bytes, *, now: datetime) -> Account | None:
    """Whose second proof is awaited."""
    with connection.cursor(row_factory=kwargs_row(_account)) as cursor:
        return cursor.execute(
            f"""
            SELECT {_ACCOUNT} FROM pending_login l
              JOIN account a ON a.name = l.account_name JOIN person p USING (person_id)
             WHERE l.token_hash = %s AND l.expires_at > %s AND a.disabled_at IS NULL
            """,  # noqa: S608 # own columns
            (token_hash, now),
        ).fetchone()


def end_pending_login(connection: Database, token_hash: bytes) -> bool:
    """Take a pending login away; false when somebody else took it."""
    return connection.execute("DELETE FROM pending_login WHERE token_hash = %s", (token_hash,)).rowcount == 1


def keep_challenge(connection: Database, token_hash: bytes, *, challenge: bytes, until: datetime) -> None:
    """The challenge that a passkey must sign, beside the session or pending login it was made for."""
    for table in ("login_session", "pending_login"):
        connection.execute(
            f"UPDATE {table} SET challenge = %s, challenge_until = %s WHERE token_hash = %s",  # noqa: S608
            (challenge, until, token_hash),
        )


def take_challenge(connection: Database, token_hash: bytes, *, now: datetime) -> bytes | None:
    """The challenge, once."""
    for table in ("login_session", "pending_login"):
        with connection.transaction(), connection.cursor(row_factory=scalar_row) as cursor:
            challenge: bytes | None = cursor.execute(
                f"SELECT challenge FROM {table} "  # noqa: S608
                "WHERE token_hash = %s AND challenge_until > %s FOR UPDATE",
                (token_hash, now),
            ).fetchone()
            if challenge is not None:
                connection.execute(
                    f"UPDATE {table} SET challenge = NULL WHERE token_hash = %s",  # noqa: S608
                    (token_hash,),
                )
                return challenge
    return None


def charge_attempt(
    connection: Database, kind: Locked, *, digest: bytes, limit: Limit, now: datetime
) -> datetime | None:
    """Count one attempt; or, while it is locked, count nothing and say until when."""
    with connection.transaction(), connection.cursor(row_factory=scalar_row) as cursor:
        cursor.execute(
            "DELETE FROM sign_in_failure WHERE (kind, digest) IN (SELECT kind, digest FROM sign_in_failure "
            "WHERE failed_at < %s ORDER BY failed_at LIMIT 20 FOR UPDATE SKIP LOCKED)",
            (now - timedelta(hours=24),),
        )
        failures = cursor.execute(
            """
            INSERT INTO sign_in_failure AS f (kind, digest, failures, failed_at)
            VALUES (%(kind)s, %(digest)s, 1, %(now)s)
            ON CONFLICT (kind, digest) DO UPDATE
               SET failures = CASE WHEN f.failed_at < %(forgotten)s THEN 1 ELSE f.failures + 1 END,
                   failed_at = %(now)s
             WHERE f.locked_until IS NULL OR f.locked_until <= %(now)s
            RETURNING failures
            """,
            {
                "kind": kind,
                "digest": digest,
                "now": now,
                "forgotten": now - limit.forgotten_after,
            },
        ).fetchone()
        where = {"kind": kind, "digest": digest}
        if failures is None:
            until: datetime | None = cursor.execute(
                "SELECT locked_until FROM sign_in_failure WHERE kind = %(kind)s AND digest = %(digest)s",
                where,
            ).fetchone()
            return until
        wait = limit.wait_after(failures)
        cursor.execute(
            "UPDATE sign_in_failure SET locked_until = %(until)s "
            "WHERE kind = %(kind)s AND digest = %(digest)s",
            {**where, "until": None if wait is None else now + wait},
        )
    return None


def forget_failures(connection: Database, kind: Locked, *, digest: bytes) -> None:
    """Begin anew."""
    connection.execute("DELETE FROM sign_in_failure WHERE kind = %s AND digest = %s", (kind, digest))


def refund_attempt(
    connection: Database, kind: Locked, *, digest: bytes, limit: Limit, charged_at: datetime
) -> None:
    """One attempt less, and no lock because of it: only what others made later and suffices without it."""
    connection.execute(
        """
        UPDATE sign_in_failure
           SET failures = greatest(failures - 1, 0),
               locked_until = CASE WHEN failed_at > %(charged_at)s AND failures > %(allowed)s
                                   THEN locked_until END
         WHERE kind = %(kind)s AND digest = %(digest)s
        """,
        {"kind": kind, "digest": digest, "allowed": limit.allowed, "charged_at": charged_at},
    )


def find_locks(connection: Database, digests: Sequence[bytes], *, now: datetime) -> dict[bytes, datetime]:
    """Which accounts of these wait, and until when."""
    rows = connection.execute(
        "SELECT digest, locked_until FROM sign_in_failure "
        "WHERE kind = 'account' AND digest = ANY(%s) AND locked_until > %s",
        (list(digests), now),
    ).fetchall()
    return {bytes(digest): until for digest, until in rows}


def find_accounts(connection: Database, subject: Subject) -> list[AccountState]:
    """The accounts of the subject's organisation."""
    with connection.cursor(row_factory=class_row(AccountState)) as cursor:
        return cursor.execute(
            f"""
            SELECT a.name, a.person_id, p.display_zh, p.display_en, a.role, a.disabled_at,
                   {_HAS_SECOND_FACTOR} AS has_second_factor
              FROM account a JOIN person p USING (person_id)
             WHERE p.organisation_id = %s ORDER BY a.name
            """,  # noqa: S608 # own columns
            (subject.organisation,),
        ).fetchall()


def find_person_of(connection: Database, subject: Subject, *, name: str) -> str | None:
    """Whose account it is, if the person is of the subject's organisation."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        person_id: str | None = cursor.execute(
            "SELECT a.person_id FROM account a JOIN person p USING (person_id) "
            "WHERE a.name = %s AND p.organisation_id = %s",
            (name, subject.organisation),
        ).fetchone()
    return person_id


def enable_account(connection: Database, name: str, *, now: datetime) -> None:
    """It may log in again; the sessions of before stay ended."""
    with connection.transaction():
        revoke_sessions(connection, name, but=None, now=now)
        connection.execute("DELETE FROM pending_login WHERE account_name = %s", (name,))
        connection.execute("UPDATE account SET disabled_at = NULL WHERE name = %s", (name,))


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


def add_account(connection: Database, account: Account) -> bool:
    """A person and the account; False where somebody has the name, perhaps since a moment."""
    try:
        with connection.transaction():
            insert_account(connection, account)
    except UniqueViolation:
        return False
    return True


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


def asked_by(subject: Subject) -> Mapping[str, object]:
    """What a query binds for `may_see` and its sisters. The clock of rights is the database's."""
    return {
        "may_read": subject.may_read_people,
        "asking_person": subject.person,
        "asking_role": subject.role.value,
        "asking_organisation": subject.organisation,
    }


def find_sights(
    connection: Database,
    subject: Subject,
    patient_ids: Sequence[str],
    *,
    by: Collection[Basis] = tuple(Basis),
) -> dict[str, Sight]:
    """Which of these patients the subject may see now, and by which right; the others are not in it.

    `by` counts only some of the rights.
    """
    rows: Iterable[tuple[str, str, str]] = connection.execute(
        """
        SELECT patient_id, basis, data_class
          FROM sight_among(%(asking_person)s, %(asking_role)s, %(asking_organisation)s, %(patients)s::text[],
                           now())
         WHERE %(may_read)s AND basis = ANY(%(by)s)
         ORDER BY patient_id
        """,
        {**asked_by(subject), "patients": list(patient_ids), "by": [basis.value for basis in by]},
    ).fetchall()
    sights: dict[str, Sight] = {}
    for patient_id, rights in groupby(rows, key=itemgetter(0)):
        joined = join_rights((basis, data_class) for _, basis, data_class in rights)
        if joined is not None:
            sights[patient_id] = joined
    return sights


def find_sight(
    connection: Database, subject: Subject, patient_id: str, *, by: Collection[Basis] = tuple(Basis)
) -> Sight | None:
    """By which right the subject may see a patient now; None is no right, or no patient."""
    if "\0" in patient_id:  # the database has no text with NUL
        return None
    return find_sights(connection, subject, [patient_id], by=by).get(patient_id)
