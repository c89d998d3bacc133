"""Which providers a hospital has, as a file says it, and what a provider says of a person."""

import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from cloud.identity.errors import OidcFileInvalid
from cloud.identity.model import STAFF, Role
from cloud.store.sealing import SealedColumn

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def _check_issuer(issuer: str) -> str:
    parts = urlsplit(issuer)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise ValueError("an issuer is an https address")
    if not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError("an issuer is an https address without query and fragment")
    return issuer


def _check_roles(roles: dict[str, Role]) -> dict[str, Role]:
    if not set(roles.values()) <= STAFF:
        raise ValueError("a provider gives roles of staff only")
    return roles


class ProviderSettings(BaseModel):
    """One provider. The first entry of `roles` that the person has, in the file's order, is the role here."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str = Field(pattern=r"\A[a-z0-9-]{1,40}\z")
    issuer: Annotated[str, AfterValidator(_check_issuer)]
    client_id: str = Field(min_length=1)
    client_secret_file: Path | None = None
    title_zh: str
    title_en: str
    organisation: str
    role_claim: str = Field(default="groups", description="name of a claim; dots go inside")
    roles: Annotated[dict[str, Role], AfterValidator(_check_roles)]
    scopes: tuple[str, ...] = ("openid", "profile")
    acr: str | None = None
    ca_file: Path | None = None
    creates_accounts: bool = True

    def secret(self) -> str | None:
        """What is shared with the provider, if anything is.

        Raises:
            OidcFileInvalid: it cannot be read.
        """
        if self.client_secret_file is None:
            return None
        try:
            return self.client_secret_file.read_text().strip()
        except (OSError, UnicodeError) as error:
            raise OidcFileInvalid(f"the secret of {self.key} cannot be read") from error

    def trust(self) -> ssl.SSLContext:
        """Whose certificates are believed: the hospital's own authority, or the usual ones.

        Raises:
            OidcFileInvalid: the file of the authority cannot be read.
        """
        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise OidcFileInvalid(f"the ca_file of {self.key} cannot be read") from error


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    providers: tuple[ProviderSettings, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identified:
    """Whom a provider vouches for."""

    subject_id: str
    name: str
    claims: dict[str, object]


def read_providers(path: Path | None) -> tuple[ProviderSettings, ...]:
    """The providers of a file; none without a file.

    Raises:
        OidcFileInvalid: it cannot be read, or says something wrong.
    """
    if path is None:
        return ()
    try:
        providers = _File.model_validate_json(path.read_bytes()).providers
    except OSError as error:
        raise OidcFileInvalid(error.strerror or "it cannot be read") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise OidcFileInvalid(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    for words in ([one.key for one in providers], [one.issuer for one in providers]):
        if len(set(words)) != len(words):
            raise OidcFileInvalid("two providers have the same key or issuer")
    return providers


def role_in(claims: dict[str, object], settings: ProviderSettings) -> Role | None:
    """The role that a person's claims give, or None: then there is nothing to do here."""
    found: object = claims
    for part in settings.role_claim.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    held = {found} if isinstance(found, str) else set(map(str, found)) if isinstance(found, list) else set()
    return next((role for word, role in settings.roles.items() if word in held), None)


def parse_object(text: bytes) -> dict[str, object] | None:
    """A JSON object, or None."""
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def verifier_context(nonce: str) -> str:
    """What a sealed verifier belongs to."""
    return f"oidc {nonce}"


SEALED_VERIFIERS = SealedColumn(
    table="oidc_request",
    column="sealed_secret",
    key="state_hash",
    named_by=("nonce",),
    context=verifier_context,
)
