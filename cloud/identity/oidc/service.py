"""Signing in through a provider: out with a state, back with a code, in with the account of that person."""

import base64
import hmac
import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256

import structlog

from cloud.act import Action, Origin, Outcome, Recorder, Target, TargetKind, act_of_nobody
from cloud.events import Clock
from cloud.identity import queries as identity_queries
from cloud.identity.errors import LoginThrottled, NotThere, OidcRefused, OidcUnreachable
from cloud.identity.model import Account, Role, Visitor, hash_token, new_token
from cloud.identity.oidc import queries
from cloud.identity.oidc.model import Identified, ProviderSettings, role_in, verifier_context
from cloud.identity.oidc.provider import Provider
from cloud.identity.service import IdentityService, LoggedIn
from cloud.store.connection import Database
from cloud.store.sealing import Sealer

_log = structlog.get_logger()
_REQUEST_LASTS = timedelta(minutes=10)
_NO_PASSWORD = "!"  # noqa: S105 # no hash: no password fits


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """Where the browser goes, and what it keeps so that only it can come back."""

    url: str
    browser_token: str


class OidcSignIn:
    """Use cases of sign-in through providers; safe to call from several threads."""

    def __init__(
        self,
        identity: IdentityService,
        *,
        providers: Sequence[ProviderSettings],
        sealer: Sealer,
        recorder: Recorder,
        clock: Clock,
    ) -> None:
        self._pool = identity.pool
        self._identity = identity
        self._sealer = sealer
        self._recorder = recorder
        self._clock = clock
        self._provider_by_key = {one.key: Provider(one, clock=clock) for one in providers}

    @property
    def providers(self) -> list[ProviderSettings]:
        """What the sign-in page offers."""
        return [one.settings for one in self._provider_by_key.values()]

    def close(self) -> None:
        """Close the connections to the providers."""
        for provider in self._provider_by_key.values():
            provider.close()

    def depart(self, key: str, *, visitor: Visitor) -> Departure:
        """Send a browser to the provider.

        Raises:
            NotThere, OidcUnreachable, OidcRefused: there is no such provider, or it cannot be used.
        """
        provider = self._provider(key)
        state, nonce, verifier, browser_token = (new_token() for _ in range(4))
        challenge = base64.urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        url = provider.authorization_url(
            redirect_uri=_return_to(key, visitor), state=state, nonce=nonce, challenge=challenge
        )
        request = queries.OidcRequest(
            browser_hash=hash_token(browser_token),
            issuer=provider.settings.issuer,
            nonce=nonce,
            sealed_secret=self._sealer.seal(verifier, context=verifier_context(nonce)),
            expires_at=self._clock() + _REQUEST_LASTS,
        )
        with self._pool.connection() as connection:
            queries.insert_request(connection, hash_token(state), request=request)
        return Departure(url=url, browser_token=browser_token)

    def arrive(
        self, key: str, parameters: Mapping[str, str], *, browser_token: str | None, visitor: Visitor
    ) -> LoggedIn:
        """The browser came back.

        Raises:
            NotThere, OidcUnreachable, OidcRefused, LoginThrottled, AuditUnavailable: as their names say.
        """
        provider = self._provider(key)
        try:
            with self._pool.connection() as connection:
                charged = self._identity.charge_source(connection, visitor)
            identified = self._identify(
                provider, parameters, browser_token=browser_token or "", visitor=visitor
            )
            with self._pool.connection() as connection:
                account = self._account_of(connection, provider.settings, identified)
                self._identity.forgive(connection, charged)
                return self._identity.open_session(
                    connection, account, visitor=visitor, issuer=provider.settings.issuer
                )
        except (OidcRefused, LoginThrottled, OidcUnreachable) as error:
            reason = error.reason if isinstance(error, OidcRefused) else type(error).__name__
            _log.warning("oidc_refused", provider=key, reason=reason)
            outcome = Outcome.THROTTLED if isinstance(error, LoginThrottled) else Outcome.REFUSED
            on = Target(kind=TargetKind.ACCOUNT, id="unknown")
            if outcome is Outcome.REFUSED or self._identity.lock_out.strangers.is_news(visitor.source):
                self._recorder.note(act_of_nobody(Action.LOG_IN, on, outcome=outcome, origin=Origin.HTTP))
            raise

    def end_of(self, issuer: str, visitor: Visitor) -> str | None:
        """Where the browser ends its session at the issuer, if there is such a place."""
        for provider in self._provider_by_key.values():
            if provider.settings.issuer == issuer:
                return provider.end_session_url(return_to=f"{visitor.origin}/")
        return None

    def _identify(
        self, provider: Provider, parameters: Mapping[str, str], *, browser_token: str, visitor: Visitor
    ) -> Identified:
        with self._pool.connection() as connection:
            request = queries.take_request(connection, hash_token(parameters.get("state", "")))
        if request is None or request.expires_at <= self._clock():
            raise OidcRefused("unknown state")
        if request.issuer != provider.settings.issuer:
            raise OidcRefused("state of another provider")
        if not hmac.compare_digest(request.browser_hash, hash_token(browser_token)):
            raise OidcRefused("state of another browser")
        code = provider.check_answer(parameters)
        return provider.exchange(
            code,
            redirect_uri=_return_to(provider.settings.key, visitor),
            verifier=self._sealer.unseal(request.sealed_secret, context=verifier_context(request.nonce)),
            nonce=request.nonce,
        )

    def _account_of(
        self, connection: Database, settings: ProviderSettings, identified: Identified
    ) -> Account:
        """The account by issuer and subject, never by a name or an address that anybody could claim."""
        role = role_in(identified.claims, settings)
        if role is None:
            raise OidcRefused("no role")
        issuer, subject_id = settings.issuer, identified.subject_id
        with connection.transaction():
            name = queries.find_linked_name(connection, issuer, subject_id=subject_id)
            if name is None:
                return self._create(connection, settings, identified, role=role)
            queries.replace_role(connection, name, role=role)
        account = identity_queries.find_account(connection, name)
        if account is None:
            raise OidcRefused("the account is disabled")
        return account

    def _create(
        self, connection: Database, settings: ProviderSettings, identified: Identified, *, role: Role
    ) -> Account:
        if not settings.creates_accounts:
            raise OidcRefused("nobody made an account for this person")
        shown = "".join(sign for sign in identified.name if sign.isprintable())[:100]
        account = Account(
            name=f"{settings.key}-{secrets.token_hex(6)}",
            person_id=f"person-{uuid.uuid4().hex[:12]}",
            organisation_id=settings.organisation,
            display_zh=shown or settings.title_zh,
            display_en=shown or settings.title_en,
            role=role,
            password_hash=_NO_PASSWORD,
        )
        identity_queries.insert_account(connection, account)
        if not queries.insert_link(
            connection,
            settings.issuer,
            subject_id=identified.subject_id,
            name=account.name,
            now=self._clock(),
        ):
            raise OidcRefused("the same person came twice at once")
        on = Target(kind=TargetKind.ACCOUNT, id=account.person_id)
        self._recorder.begin(account.subject.act(Action.CREATE_ACCOUNT, on, origin=Origin.HTTP))()
        return account

    def _provider(self, key: str) -> Provider:
        provider = self._provider_by_key.get(key)
        if provider is None:
            raise NotThere("provider")
        return provider


def _return_to(key: str, visitor: Visitor) -> str:
    return f"{visitor.origin}/api/oidc/{key}/callback"
