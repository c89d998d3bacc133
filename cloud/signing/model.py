"""A signed statement: what exactly somebody put a name to, in bytes that are the same for ever. Pure.

The canonical form is one JSON array without spaces, UTF-8, no escapes for other than control signs, quote and
backslash, times as microseconds since 1970 (UTC):

    ["qianli-signature-1", scheme, key_id, kind, document_id, version, hash_name, content_hash, signer,
     practitioner_role_id, qualification_id, signed_at_us, purpose]

`content_hash` is lower-case hexadecimal. The two ids are null where somebody signs for oneself (a consent).
"""

import base64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Protocol

import msgspec

from cloud.errors import CloudError
from cloud.store.sealing import SealedColumn
from cloud.store.suite import Suite

FORMAT = "qianli-signature-1"
STEP_UP_LASTS = timedelta(minutes=5)
KEY_LASTS = timedelta(days=365)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Kind(StrEnum):
    """What is signed."""

    REPORT = "report"
    OPINION = "opinion"
    CONSENT = "consent"
    EXPORT = "export"


class WhyNot(StrEnum):
    """Why somebody may not sign."""

    NO_ROLE = "no role that signs this is held at this moment"
    NOT_QUALIFIED = "no qualification for it"
    EXPIRED = "the qualification has expired or was revoked"
    STEP_UP = "a fresh second proof is needed"
    SIGNED_ALREADY = "this version is signed by this person already"


class SigningRefused(CloudError):
    """Somebody may not sign this."""

    def __init__(self, reason: WhyNot) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"it cannot be signed: {self.reason.value}"


class SignatureInvalid(CloudError):
    """A signature proves nothing; says which part does not fit."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"the signature is not valid: {self.reason}"


class SignedDocument(Protocol):
    """What a room hands over to be signed; reports, opinions and consents are such."""

    @property
    def kind(self) -> Kind:
        """What it is."""

    @property
    def document_id(self) -> str:
        """Opaque id."""

    @property
    def version(self) -> int:
        """From 1; a changed document is a new version and a new signature."""

    @property
    def patient_id(self) -> str:
        """Whom it is about."""

    @property
    def content(self) -> bytes:
        """The bytes that somebody read before signing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Licence:
    """In which role and by which qualification somebody signs."""

    practitioner_role_id: int
    qualification_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A signer's key in the registry, without its private part."""

    key_id: str
    person_id: str
    scheme: Suite
    public_key: bytes
    valid_from: datetime
    valid_until: datetime
    revoked_at: datetime | None = None

    def is_valid(self, at: datetime) -> bool:
        """Whether a signature of this moment counts."""
        return self.valid_from <= at < self.valid_until and (self.revoked_at is None or at < self.revoked_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What is signed about a document."""

    scheme: Suite
    key_id: str
    kind: Kind
    document_id: str
    version: int
    hash_name: str
    content_hash: str
    signer: str
    licence: Licence | None
    signed_at: datetime
    purpose: str

    def to_bytes(self) -> bytes:
        """The canonical form."""
        role = None if self.licence is None else self.licence.practitioner_role_id
        qualification = None if self.licence is None else self.licence.qualification_id
        return msgspec.json.encode(
            [
                *(FORMAT, self.scheme.value, self.key_id, self.kind.value, self.document_id, self.version),
                *(self.hash_name, self.content_hash, self.signer, role, qualification),
                *((self.signed_at - _EPOCH) // timedelta(microseconds=1), self.purpose),
            ]
        )


_Fields = tuple[str, Suite, str, Kind, str, int, str, str, str, int | None, int | None, int, str]
_decode = msgspec.json.Decoder(_Fields).decode


def parse_statement(text: bytes) -> Statement:
    """A statement from its canonical form, which must be exactly what `to_bytes` would write.

    Raises:
        SignatureInvalid: it is not.
    """
    try:
        fields = _decode(text)
    except (msgspec.MsgspecError, ValueError) as error:
        raise SignatureInvalid("its statement cannot be read") from error
    role, qualification = fields[9], fields[10]
    licence = None
    if role is not None and qualification is not None:
        licence = Licence(practitioner_role_id=role, qualification_id=qualification)
    statement = Statement(
        scheme=fields[1],
        key_id=fields[2],
        kind=fields[3],
        document_id=fields[4],
        version=fields[5],
        hash_name=fields[6],
        content_hash=fields[7],
        signer=fields[8],
        licence=licence,
        signed_at=_time(fields[11]),
        purpose=fields[12],
    )
    if fields[0] != FORMAT or statement.to_bytes() != text:
        raise SignatureInvalid("its statement is not written in the canonical form")
    return statement


def _time(at_us: int) -> datetime:
    try:
        return _EPOCH + timedelta(microseconds=at_us)
    except OverflowError as error:
        raise SignatureInvalid("its time cannot be") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A signature with all that proves it."""

    statement: bytes
    signature: bytes
    key: SigningKey

    def to_file(self, content: bytes) -> bytes:
        """A file for `qianli signature verify`, the document in it."""
        key = self.key
        return msgspec.json.encode(
            SignatureFile(
                format=FORMAT,
                statement=self.statement.decode(),
                signature=_text(self.signature),
                public_key=_text(key.public_key),
                key_valid_from=key.valid_from,
                key_valid_until=key.valid_until,
                key_revoked_at=key.revoked_at,
                content=_text(content),
            )
        )


class SignatureFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file; bytes are in Base64."""

    format: str
    statement: str
    signature: str
    public_key: str
    key_valid_from: datetime
    key_valid_until: datetime
    key_revoked_at: datetime | None
    content: str


def read_signature_file(text: bytes) -> tuple[Signature, bytes]:
    """Signature and document of a file; nothing of it is proved yet.

    Raises:
        SignatureInvalid: it is no such file.
    """
    try:
        file = msgspec.json.decode(text, type=SignatureFile)
        statement = parse_statement(file.statement.encode())
        key = SigningKey(
            key_id=statement.key_id,
            person_id=statement.signer,
            scheme=statement.scheme,
            public_key=base64.b64decode(file.public_key, validate=True),
            valid_from=file.key_valid_from,
            valid_until=file.key_valid_until,
            revoked_at=file.key_revoked_at,
        )
        signature = base64.b64decode(file.signature, validate=True)
        content = base64.b64decode(file.content, validate=True)
    except (msgspec.MsgspecError, ValueError) as error:
        raise SignatureInvalid("the file is not a signature of Qianli") from error
    return Signature(statement=file.statement.encode(), signature=signature, key=key), content


def private_key_context(key_id: str) -> str:
    """What a sealed private key belongs to."""
    return f"signing-key\0{key_id}"


SEALED_PRIVATE_KEYS = SealedColumn(
    table="signing_key",
    column="sealed_private",
    key="key_id",
    named_by=("key_id",),
    context=private_key_context,
)


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
