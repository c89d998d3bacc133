"""WebAuthn (https://www.w3.org/TR/webauthn-3/): what a browser is asked, and whether its answer holds.

The relying party is the name under which this very page was opened; the guard let it pass. A number is no
name: passkeys work with `localhost` and with real names, not with `127.0.0.1`.
"""

import ipaddress
import json
from dataclasses import dataclass
from urllib.parse import urlsplit

from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import base64url_to_bytes
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from cloud.identity.errors import Conflict
from cloud.identity.model import Account, Visitor

# Not strings or keys of wrong types: whatever a stranger may send instead of an answer.
_NO_ANSWER = (WebAuthnException, ValueError, KeyError, TypeError)
NAME = "千里 Qianli"


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A credential that was just made."""

    credential_id: bytes
    public_key: bytes
    sign_count: int


def relying_party_of(visitor: Visitor) -> str:
    """The name passkeys belong to.

    Raises:
        Conflict: the page was opened by number.
    """
    name = urlsplit(f"//{visitor.host}").hostname or ""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name
    raise Conflict("passkeys need a name: open this page as localhost or by its name, not by number")


def registration_options(
    account: Account, visitor: Visitor, *, challenge: bytes, known: list[bytes]
) -> dict[str, object]:
    """What `navigator.credentials.create` is asked."""
    options = generate_registration_options(
        rp_id=relying_party_of(visitor),
        rp_name=NAME,
        user_name=account.name,
        user_id=account.person_id.encode()[:64],
        user_display_name=account.display_zh or account.display_en,
        challenge=challenge,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.PREFERRED,
            user_verification=UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=[PublicKeyCredentialDescriptor(id=credential_id) for credential_id in known],
    )
    plain: dict[str, object] = json.loads(options_to_json(options))
    return plain


def authentication_options(visitor: Visitor, *, challenge: bytes, known: list[bytes]) -> dict[str, object]:
    """What `navigator.credentials.get` is asked."""
    options = generate_authentication_options(
        rp_id=relying_party_of(visitor),
        challenge=challenge,
        allow_credentials=[PublicKeyCredentialDescriptor(id=credential_id) for credential_id in known],
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    plain: dict[str, object] = json.loads(options_to_json(options))
    return plain


def read_registration(answer: str, visitor: Visitor, *, challenge: bytes) -> Registered | None:
    """The new credential, or None when the answer does not hold."""
    try:
        verified = verify_registration_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=relying_party_of(visitor),
            expected_origin=visitor.origin,
            require_user_verification=True,
        )
    except _NO_ANSWER:
        return None
    return Registered(
        credential_id=verified.credential_id,
        public_key=verified.credential_public_key,
        sign_count=verified.sign_count,
    )


def credential_named_by(answer: str) -> bytes | None:
    """Which credential an answer says it is of."""
    try:
        return base64url_to_bytes(json.loads(answer)["id"])
    except (*_NO_ANSWER, AttributeError, RecursionError):
        return None


def read_sign_count(answer: str, visitor: Visitor, *, challenge: bytes, public_key: bytes) -> int | None:
    """The counter of an answer that holds, or None. Whether the counter rose is asked of the database."""
    try:
        verified = verify_authentication_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=relying_party_of(visitor),
            expected_origin=visitor.origin,
            credential_public_key=public_key,
            credential_current_sign_count=0,
            require_user_verification=True,
        )
    except _NO_ANSWER:
        return None
    return verified.new_sign_count
