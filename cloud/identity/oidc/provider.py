"""One OpenID provider: discovery, keys, the exchange of a code, and whether an ID token can be believed.

OpenID Connect Core 1.0 (section 3.1.3.7), Discovery 1.0, RFC 7636 (PKCE), RFC 9207 (`iss` in the answer).
Everything is asked of the issuer's own origin: what a document of it names elsewhere is refused, redirects
are not followed, and no proxy of the environment is used.
"""

import threading
import time
from collections.abc import Mapping
from urllib.parse import quote_plus, urlencode, urlsplit

import httpx
import structlog
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from cloud.events import Clock
from cloud.identity.errors import OidcRefused, OidcUnreachable
from cloud.identity.oidc.model import Identified, ProviderSettings, parse_object

_log = structlog.get_logger()
_ALGORITHMS = ["RS256", "PS256", "ES256", "ES384", "EdDSA"]
CLOCK_SKEW_S = 60
_KEEP_S = 3600.0
_ASK_KEYS_AGAIN_S = 5.0
_LONGEST_ANSWER_BYTES = 512 * 1024
_TIMEOUT_S = 5.0


class Provider:
    """Talks to one issuer; safe to call from several threads."""

    def __init__(self, settings: ProviderSettings, *, clock: Clock) -> None:
        self.settings = settings
        self._secret = settings.secret()
        self._clock = clock
        self._http = httpx.Client(
            verify=settings.trust(), trust_env=False, follow_redirects=False, timeout=_TIMEOUT_S
        )
        self._lock = threading.Lock()
        self._metadata: tuple[float, dict[str, object]] | None = None
        self._keys: tuple[float, KeySet] | None = None

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def authorization_url(self, *, redirect_uri: str, state: str, nonce: str, challenge: str) -> str:
        """Where the browser goes to sign in.

        Raises:
            OidcUnreachable, OidcRefused: the provider's description cannot be had or used.
        """
        question = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(self.settings.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        if self.settings.acr is not None:
            question["acr_values"] = self.settings.acr
        return f"{self._endpoint('authorization_endpoint')}?{urlencode(question)}"

    def end_session_url(self, *, return_to: str) -> str | None:
        """Where the browser goes to sign out there too (RP-Initiated Logout 1.0), if the provider has it."""
        try:
            if "end_session_endpoint" not in self._described():
                return None
            question = {"client_id": self.settings.client_id, "post_logout_redirect_uri": return_to}
            return f"{self._endpoint('end_session_endpoint')}?{urlencode(question)}"
        except (OidcUnreachable, OidcRefused):
            return None

    def check_answer(self, parameters: Mapping[str, str]) -> str:
        """The code in the browser's answer.

        Raises:
            OidcRefused: the person or the provider refused, or another provider answered.
        """
        if "error" in parameters:
            raise OidcRefused("the provider refused")
        promised = self._described().get("authorization_response_iss_parameter_supported") is True
        if (promised or "iss" in parameters) and parameters.get("iss") != self.settings.issuer:
            raise OidcRefused("another issuer answered")
        code = parameters.get("code", "")
        if not code:
            raise OidcRefused("no code")
        return code

    def exchange(self, code: str, *, redirect_uri: str, verifier: str, nonce: str) -> Identified:
        """Whom the code names.

        Raises:
            OidcRefused: something about the answer cannot be believed.
            OidcUnreachable: there is no answer.
        """
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        login = None
        if self._secret is None:
            form["client_id"] = self.settings.client_id
        else:
            login = (quote_plus(self.settings.client_id), quote_plus(self._secret))
        answer = self._ask("POST", self._endpoint("token_endpoint"), form=form, login=login)
        id_token, access_token = answer.get("id_token"), answer.get("access_token")
        if not isinstance(id_token, str):
            raise OidcRefused("no ID token")
        claims = self.read_id_token(id_token, nonce=nonce)
        if isinstance(access_token, str) and "userinfo_endpoint" in self._described():
            claims = self._with_userinfo(claims, access_token)
        name = claims.get("name")
        return Identified(
            subject_id=str(claims["sub"]), name=name if isinstance(name, str) else "", claims=claims
        )

    def read_id_token(self, id_token: str, *, nonce: str) -> dict[str, object]:
        """The claims of an ID token that holds (OpenID Connect Core 1.0, section 3.1.3.7).

        Raises:
            OidcRefused: it does not.
        """
        now = int(self._clock().timestamp())
        rules = jwt.JWTClaimsRegistry(
            now=now,
            leeway=CLOCK_SKEW_S,
            iss={"essential": True, "value": self.settings.issuer},
            aud={"essential": True, "value": self.settings.client_id},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            try:
                token = jwt.decode(id_token, self._known_keys(), algorithms=_ALGORITHMS)
            except InvalidKeyIdError:  # the provider has begun to use another key
                token = jwt.decode(id_token, self._fresh_keys(), algorithms=_ALGORITHMS)
            rules.validate(token.claims)
        except (JoseError, ValueError, TypeError) as error:
            raise OidcRefused(f"ID token: {type(error).__name__}") from error
        claims: dict[str, object] = dict(token.claims)
        self._check_parties(claims)
        return claims

    def _check_parties(self, claims: dict[str, object]) -> None:
        audience, party = claims["aud"], claims.get("azp")
        several = isinstance(audience, list) and len(audience) > 1
        if (several or party is not None) and party != self.settings.client_id:
            raise OidcRefused("ID token: made for another party")
        subject_id = claims["sub"]
        if not isinstance(subject_id, str) or not 0 < len(subject_id) <= 255 or "\x00" in subject_id:
            raise OidcRefused("ID token: no subject")
        if self.settings.acr is not None and claims.get("acr") != self.settings.acr:
            raise OidcRefused("ID token: signed in too weakly")

    def _with_userinfo(self, claims: dict[str, object], access_token: str) -> dict[str, object]:
        """What the ID token leaves out; the ID token's word counts where both speak (section 5.3.2)."""
        told = self._ask("GET", self._endpoint("userinfo_endpoint"), bearer=access_token)
        if told.get("sub") != claims["sub"]:
            raise OidcRefused("userinfo is about somebody else")
        return {**told, **claims}

    def _described(self) -> dict[str, object]:
        with self._lock:
            kept = self._metadata
        if kept is not None and time.monotonic() - kept[0] < _KEEP_S:
            return kept[1]
        issuer = self.settings.issuer
        found = self._ask("GET", f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if found.get("issuer") != issuer:
            raise OidcRefused("the description is of another issuer")
        with self._lock:
            self._metadata = (time.monotonic(), found)
        return found

    def _endpoint(self, name: str) -> str:
        url = self._described().get(name)
        if not isinstance(url, str):
            raise OidcRefused(f"no {name}")
        self._check_origin(url)
        return url

    def _check_origin(self, url: str) -> None:
        asked, own = urlsplit(url), urlsplit(self.settings.issuer)
        if (asked.scheme, asked.netloc) != (own.scheme, own.netloc):
            raise OidcRefused("an address elsewhere than at the issuer")

    def _known_keys(self) -> KeySet:
        with self._lock:
            kept = self._keys
        if kept is not None and time.monotonic() - kept[0] < _KEEP_S:
            return kept[1]
        return self._fresh_keys()

    def _fresh_keys(self) -> KeySet:
        """The keys as they are now; asked for again at most every few seconds."""
        with self._lock:
            kept = self._keys
        if kept is not None and time.monotonic() - kept[0] < _ASK_KEYS_AGAIN_S:
            return kept[1]
        found = self._ask("GET", self._endpoint("jwks_uri")).get("keys")
        entries = found if isinstance(found, list) else []
        signing = [key for key in entries if isinstance(key, dict) and key.get("use", "sig") == "sig"]
        try:
            keys = KeySet.import_key_set({"keys": signing})
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise OidcRefused("the keys cannot be read") from error
        with self._lock:
            self._keys = (time.monotonic(), keys)
        return keys

    def _ask(
        self,
        method: str,
        url: str,
        *,
        form: dict[str, str] | None = None,
        login: tuple[str, str] | None = None,
        bearer: str | None = None,
    ) -> dict[str, object]:
        self._check_origin(url)
        headers = {"Accept": "application/json"}
        if bearer is not None:
            headers["Authorization"] = f"Bearer {bearer}"
        body = b""
        try:
            with self._http.stream(method, url, data=form, auth=login, headers=headers) as answer:
                for chunk in answer.iter_bytes():
                    body += chunk
                    if len(body) > _LONGEST_ANSWER_BYTES:
                        raise OidcRefused("the answer is too long")
        except httpx.HTTPError as error:
            _log.warning("oidc_unreachable", provider=self.settings.key, error=type(error).__name__)
            raise OidcUnreachable from error
        if answer.status_code >= 500:
            raise OidcUnreachable
        parsed = parse_object(body)
        if answer.status_code != 200 or parsed is None:
            raise OidcRefused(f"answer {answer.status_code}")
        return parsed
