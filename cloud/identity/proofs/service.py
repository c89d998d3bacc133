"""Setting up second factors, and judging what is given as one."""

import re
import secrets
import uuid

import segno

from cloud.act import Action, Origin, Outcome, Recorder, Target, TargetKind
from cloud.events import Clock
from cloud.identity import queries as identity_queries
from cloud.identity.errors import Conflict, NotThere, ProofRefused
from cloud.identity.model import CHALLENGE_LASTS, Account, SecondFactorPolicy, Session, Visitor, hash_token
from cloud.identity.proofs import passkeys, queries, totp
from cloud.identity.proofs.model import (
    Enrolled,
    EnrolledPasskey,
    Proof,
    ProofKind,
    TotpEnrolment,
    bare_recovery_code,
    new_recovery_codes,
)
from cloud.store.connection import Database, Pool
from cloud.store.sealing import SealedColumn, Sealer

_CHALLENGE_BYTES = 32
_MOST_PASSKEYS = 10
_CODE = re.compile(r"[0-9]{6}")


class Proofs:
    """Use cases of second factors; safe to call from several threads."""

    def __init__(self, pool: Pool, *, sealer: Sealer, recorder: Recorder, clock: Clock) -> None:
        self._pool = pool
        self._sealer = sealer
        self._recorder = recorder
        self._clock = clock

    def enrolled(self, account: Account) -> Enrolled:
        """What an account has."""
        with self._pool.connection() as connection:
            return Enrolled(
                has_totp=queries.find_totp(connection, account.name, is_confirmed=True) is not None,
                passkeys=tuple(
                    EnrolledPasskey(
                        passkey_id=one.passkey_id,
                        title=one.title,
                        created_at=one.created_at,
                        used_at=one.used_at,
                        is_suspended=one.suspended_at is not None,
                    )
                    for one in queries.find_passkeys(connection, account.name)
                ),
                recovery_codes_left=queries.count_recovery_codes(connection, account.name),
            )

    def begin_totp(self, account: Account) -> TotpEnrolment:
        """A secret for an app; it counts only once a code of it was seen."""
        secret = totp.new_secret()
        sealed = self._sealer.seal(secret, context=_totp_context(account))
        with self._pool.connection() as connection:
            queries.replace_unconfirmed_totp(
                connection, account.name, sealed_secret=sealed, now=self._clock()
            )
        uri = totp.otpauth_uri(secret, account=account.name, issuer="Qianli")
        qr = tuple(
            "".join("1" if dark else "0" for dark in row) for row in segno.make(uri, micro=False).matrix
        )
        return TotpEnrolment(secret=secret, uri=uri, qr=qr)

    def confirm_totp(self, account: Account, code: str) -> tuple[str, ...]:
        """The app works; returns the recovery codes if this is the account's first second factor.

        Raises:
            Conflict: nothing was begun.
            ProofRefused: it is not the code.
        """
        now = self._clock()
        with self._pool.connection() as connection, connection.transaction():
            identity_queries.lock_account(connection, account.name)
            begun = queries.find_totp(connection, account.name, is_confirmed=False)
            if begun is None:
                raise Conflict("no authenticator app is being set up")
            secret = self._sealer.unseal(begun.sealed_secret, context=_totp_context(account))
            step = totp.matching_step(secret, code, now=now) if _CODE.fullmatch(code) else None
            if step is None or not queries.confirm_totp(
                connection, account.name, totp_id=begun.totp_id, step=step, now=now
            ):
                raise ProofRefused
            return self._enrol(connection, account)

    def remove_totp(self, session: Session, *, policy: SecondFactorPolicy) -> None:
        """Forget the app."""
        with self._pool.connection() as connection, connection.transaction():
            if not queries.delete_totp(connection, session.account.name):
                raise NotThere("second factor")
            self._refuse_none_left(connection, session, policy=policy)
            self._record(session.account, Action.REMOVE_SECOND_FACTOR)

    def renew_recovery_codes(self, account: Account) -> tuple[str, ...]:
        """Ten new ones; the old ones are worthless."""
        with self._pool.connection() as connection, connection.transaction():
            identity_queries.lock_account(connection, account.name)
            codes = self._replace_codes(connection, account)
            self._record(account, Action.RENEW_RECOVERY_CODES)
        return codes

    def begin_passkey(self, account: Account, token: str, *, visitor: Visitor) -> dict[str, object]:
        """What the browser is asked to make."""
        challenge = secrets.token_bytes(_CHALLENGE_BYTES)
        with self._pool.connection() as connection:
            known = queries.find_passkeys(connection, account.name)
            if len(known) >= _MOST_PASSKEYS:
                raise Conflict("this account has as many passkeys as it may")
            options = passkeys.registration_options(
                account, visitor, challenge=challenge, known=[one.credential_id for one in known]
            )
            self._keep(connection, token, challenge=challenge)
        return options

    def confirm_passkey(
        self, account: Account, token: str, *, answer: str, title: str, visitor: Visitor
    ) -> tuple[str, ...]:
        """Keep what the browser made; returns the recovery codes if it is the account's first second factor.

        Raises:
            ProofRefused: the answer does not hold.
        """
        now = self._clock()
        with self._pool.connection() as connection:
            challenge = identity_queries.take_challenge(connection, hash_token(token), now=now)
            if challenge is None:
                raise ProofRefused
            made = passkeys.read_registration(answer, visitor, challenge=challenge)
            if made is None:
                raise ProofRefused
            passkey = queries.Passkey(
                passkey_id=f"passkey-{uuid.uuid4().hex}",
                credential_id=made.credential_id,
                public_key=made.public_key,
                sign_count=made.sign_count,
                title=title,
                relying_party=passkeys.relying_party_of(visitor),
                created_at=now,
                used_at=None,
                suspended_at=None,
            )
            with connection.transaction():
                identity_queries.lock_account(connection, account.name)
                if not queries.insert_passkey(connection, account.name, passkey=passkey):
                    raise ProofRefused
                return self._enrol(connection, account)

    def remove_passkey(self, session: Session, passkey_id: str, *, policy: SecondFactorPolicy) -> None:
        """Forget a passkey."""
        with self._pool.connection() as connection, connection.transaction():
            if not queries.delete_passkey(connection, session.account.name, passkey_id=passkey_id):
                raise NotThere("second factor")
            self._refuse_none_left(connection, session, policy=policy)
            self._record(session.account, Action.REMOVE_SECOND_FACTOR)

    def ask_passkey(self, account: Account, token: str, *, visitor: Visitor) -> dict[str, object]:
        """What the browser is asked to sign."""
        challenge = secrets.token_bytes(_CHALLENGE_BYTES)
        party = passkeys.relying_party_of(visitor)
        with self._pool.connection() as connection:
            known = [
                one.credential_id
                for one in queries.find_passkeys(connection, account.name)
                if one.relying_party == party and one.suspended_at is None
            ]
            if not known:
                raise Conflict("this account has no passkey for this address")
            self._keep(connection, token, challenge=challenge)
        return passkeys.authentication_options(visitor, challenge=challenge, known=known)

    def holds(
        self, connection: Database, account: Account, *, proof: Proof, token: str, visitor: Visitor
    ) -> bool:
        """Whether a second factor is right; what is right once is not right again."""
        if proof.kind is ProofKind.TOTP:
            return self._totp_holds(connection, account, proof.text)
        if proof.kind is ProofKind.RECOVERY_CODE:
            # Under every key of the ring: a code cannot be digested anew when keys change, nobody knows it.
            digests = self._sealer.digests(_code_text(account, bare_recovery_code(proof.text)))
            return queries.use_recovery_code(connection, account.name, digests=digests, now=self._clock())
        if proof.kind is ProofKind.PASSKEY:
            return self._passkey_holds(connection, account, answer=proof.text, token=token, visitor=visitor)
        return False

    def _totp_holds(self, connection: Database, account: Account, code: str) -> bool:
        stored = queries.find_totp(connection, account.name, is_confirmed=True)
        if stored is None or not _CODE.fullmatch(code):
            return False
        secret = self._sealer.unseal(stored.sealed_secret, context=_totp_context(account))
        step = totp.matching_step(secret, code, now=self._clock())
        return step is not None and queries.use_totp_step(connection, stored.totp_id, step=step)

    def _passkey_holds(
        self, connection: Database, account: Account, *, answer: str, token: str, visitor: Visitor
    ) -> bool:
        now = self._clock()
        challenge = identity_queries.take_challenge(connection, hash_token(token), now=now)
        named = passkeys.credential_named_by(answer)
        known = {one.credential_id: one for one in queries.find_passkeys(connection, account.name)}
        passkey = known.get(named or b"")
        if challenge is None or passkey is None:
            return False
        count = passkeys.read_sign_count(answer, visitor, challenge=challenge, public_key=passkey.public_key)
        if count is None:
            return False
        taken = queries.use_passkey(connection, passkey.passkey_id, sign_count=count, now=now)
        if not taken:
            self._record(account, Action.SUSPEND_PASSKEY)
        return taken

    def _enrol(self, connection: Database, account: Account) -> tuple[str, ...]:
        codes: tuple[str, ...] = ()
        if queries.count_recovery_codes(connection, account.name) == 0:
            codes = self._replace_codes(connection, account)
        self._record(account, Action.ENROL_SECOND_FACTOR)
        return codes

    def _replace_codes(self, connection: Database, account: Account) -> tuple[str, ...]:
        codes = new_recovery_codes()
        digests = [self._sealer.digest(_code_text(account, bare_recovery_code(code))) for code in codes]
        queries.replace_recovery_codes(connection, account.name, digests=digests)
        return codes

    def _keep(self, connection: Database, token: str, *, challenge: bytes) -> None:
        identity_queries.keep_challenge(
            connection, hash_token(token), challenge=challenge, until=self._clock() + CHALLENGE_LASTS
        )

    def _refuse_none_left(
        self, connection: Database, session: Session, *, policy: SecondFactorPolicy
    ) -> None:
        """Raising rolls back. Recovery codes without a second factor open nothing."""
        left = queries.has_second_factor(connection, session.account.name)
        if not left and session.must_have_one(policy):
            raise Conflict("this account must keep a second factor: add another first")
        if not left:
            queries.replace_recovery_codes(connection, session.account.name, digests=())

    def _record(self, account: Account, action: Action, outcome: Outcome = Outcome.ALLOWED) -> None:
        on = Target(kind=TargetKind.ACCOUNT, id=account.person_id)
        self._recorder.begin(account.subject.act(action, on, origin=Origin.HTTP, outcome=outcome))()


def _code_text(account: Account, code: str) -> str:
    return f"recovery code of {account.name}: {code}"


def _totp_context(account: Account) -> str:
    return _secret_context(account.name)


def _secret_context(name: str) -> str:
    return f"totp of {name}"


SEALED_SECRETS = SealedColumn(
    table="totp",
    column="sealed_secret",
    key="totp_id",
    named_by=("account_name",),
    context=_secret_context,
)
