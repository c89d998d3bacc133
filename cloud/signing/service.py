"""Signing a document, and proving a signature without a database."""

import secrets
from collections.abc import Callable
from datetime import datetime

import structlog

from cloud.act import Action, Origin, Recorder, Target, TargetKind, target
from cloud.events import Clock
from cloud.identity.errors import NotAllowed
from cloud.identity.model import Role, Scope, Subject
from cloud.signing import queries
from cloud.signing.model import (
    KEY_LASTS,
    STEP_UP_LASTS,
    Kind,
    Licence,
    Signature,
    SignatureInvalid,
    SignedDocument,
    SigningKey,
    SigningRefused,
    Statement,
    WhyNot,
    parse_statement,
    private_key_context,
)
from cloud.signing.schemes.choice import scheme_of
from cloud.store.connection import Database
from cloud.store.errors import SealBroken
from cloud.store.sealing import Sealer
from cloud.store.suite import Suite, hash_content

_log = structlog.get_logger()
MaySign = Callable[[Database, Subject, Kind, datetime], Licence]
"""Port: in which role and by which qualification the subject signs this; raises `SigningRefused`."""


class SigningService:
    """Signs in the caller's transaction, so that a document and its signature exist both or neither."""

    def __init__(
        self, *, sealer: Sealer, recorder: Recorder, clock: Clock, suite: Suite, may_sign: MaySign
    ) -> None:
        self._sealer = sealer
        self._recorder = recorder
        self._clock = clock
        self._suite = suite
        self._may_sign = may_sign

    def sign(
        self,
        connection: Database,
        subject: Subject,
        document: SignedDocument,
        *,
        stepped_up_at: datetime | None,
    ) -> Signature:
        """Sign what the subject has before the eyes; the caller commits.

        A resident signs a consent as oneself; everything else needs the scope and a licence of this moment.

        Raises:
            SigningRefused: with the reason.
            NotAllowed: the subject's role signs nothing of this kind.
        """
        now = self._clock()
        if stepped_up_at is None or not now - STEP_UP_LASTS <= stepped_up_at <= now:
            raise SigningRefused(WhyNot.STEP_UP)
        licence = self._licence(connection, subject, document.kind, now)
        with connection.transaction():
            signature = self._put(connection, subject, document, licence=licence, now=now)
            about = target(TargetKind.PATIENT, document.patient_id)
            acts = [
                subject.act(Action.SIGN_DOCUMENT, it, origin=Origin.HTTP) for it in (_named(document), about)
            ]
            self._recorder.begin(*acts)()
        return signature

    def confirm(self, connection: Database, subject: Subject, document: SignedDocument) -> Signature:
        """Sign what the subject said in this session; the caller commits.

        It is less than `sign`: it attests who said it and when, so no second proof is asked, and a licence is
        named where one is held. Only a consent is confirmed.

        Raises:
            NotAllowed: it is no consent, or the subject is no person.
            SigningRefused: it was confirmed before.
        """
        if document.kind is not Kind.CONSENT or subject.role in (Role.CLIENT, Role.SYSTEM):
            raise NotAllowed
        now = self._clock()
        licence = self._held_licence(connection, subject, document.kind, now)
        signature = self._put(connection, subject, document, licence=licence, now=now)
        self._recorder.begin(subject.act(Action.SIGN_DOCUMENT, _named(document), origin=Origin.HTTP))()
        return signature

    def prove(self, connection: Database, subject: Subject, document: SignedDocument) -> list[Signature]:
        """Every signature of a stored document, each of which holds; none where nobody signed.

        A key that somebody wrote into the database proves nothing: its private part must open with our ring.

        Raises:
            SignatureInvalid: one of them does not hold.
        """
        found = queries.find_signatures(
            connection, subject, document.kind, document_id=document.document_id, version=document.version
        )
        for signature in found:
            said = check_signature(signature, document.content)
            if (said.kind, said.document_id, said.version) != (
                *(document.kind, document.document_id, document.version),
            ):
                raise SignatureInvalid("it belongs to another document")
            self._require_own_key(connection, signature.key)
        return found

    def revoke_keys(self, connection: Database, person_id: str) -> int:
        """After a lost secret: what is signed later needs a new key, what was signed before stays valid."""
        return queries.revoke_keys(connection, person_id, at=self._clock())

    def _licence(self, connection: Database, subject: Subject, kind: Kind, now: datetime) -> Licence | None:
        if subject.role is Role.RESIDENT and kind is Kind.CONSENT:
            return None
        if Scope.SIGN not in subject.scopes:
            raise NotAllowed
        return self._may_sign(connection, subject, kind, now)

    def _held_licence(
        self, connection: Database, subject: Subject, kind: Kind, now: datetime
    ) -> Licence | None:
        if subject.role is Role.RESIDENT:
            return None
        try:
            return self._may_sign(connection, subject, kind, now)
        except SigningRefused:
            return None

    def _put(
        self,
        connection: Database,
        subject: Subject,
        document: SignedDocument,
        *,
        licence: Licence | None,
        now: datetime,
    ) -> Signature:
        with connection.transaction():
            key, private = self._key(connection, subject.person, now=now)
            statement = self._statement(subject, document, licence=licence, key=key, now=now)
            signed = scheme_of(key.scheme).sign(private, statement.to_bytes())
            patient_id = document.patient_id
            if not queries.insert_signature(connection, statement, patient_id=patient_id, signature=signed):
                raise SigningRefused(WhyNot.SIGNED_ALREADY)
        _log.info(
            "document_signed", kind=document.kind.value, document=document.document_id, by=subject.person
        )
        return Signature(statement=statement.to_bytes(), signature=signed, key=key)

    def _require_own_key(self, connection: Database, key: SigningKey) -> None:
        sealed = queries.find_sealed_private(connection, key.key_id)
        try:
            private = bytes.fromhex(
                self._sealer.unseal(sealed or b"", context=private_key_context(key.key_id))
            )
        except SealBroken as error:
            raise SignatureInvalid("its key was not made here") from error
        if scheme_of(key.scheme).public_of(private) != key.public_key:
            raise SignatureInvalid("its key was not made here")

    def _statement(
        self,
        subject: Subject,
        document: SignedDocument,
        *,
        licence: Licence | None,
        key: SigningKey,
        now: datetime,
    ) -> Statement:
        hash_name = key.scheme.hash_name
        return Statement(
            scheme=key.scheme,
            key_id=key.key_id,
            kind=document.kind,
            document_id=document.document_id,
            version=document.version,
            hash_name=hash_name,
            content_hash=hash_content(hash_name, document.content).hex(),
            signer=subject.person,
            licence=licence,
            signed_at=now,
            purpose=subject.purpose.value,
        )

    def _key(self, connection: Database, person_id: str, *, now: datetime) -> tuple[SigningKey, bytes]:
        """The signer's key, made at the first signature; its private part never leaves this call's memory."""
        queries.lock_signer(connection, person_id)
        found = queries.find_key(connection, person_id, scheme=self._suite, at=now)
        if found is not None:
            key, sealed = found
            return key, bytes.fromhex(self._sealer.unseal(sealed, context=private_key_context(key.key_id)))
        scheme = scheme_of(self._suite)
        private = scheme.make_private()
        key = SigningKey(
            key_id=f"k-{secrets.token_hex(16)}",
            person_id=person_id,
            scheme=self._suite,
            public_key=scheme.public_of(private),
            valid_from=now,
            valid_until=now + KEY_LASTS,
        )
        sealed = self._sealer.seal(private.hex(), context=private_key_context(key.key_id))
        queries.insert_key(connection, key, sealed_private=sealed)
        return key, private


def may_sign_by_register(connection: Database, subject: Subject, kind: Kind, at: datetime) -> Licence:
    """By the register of roles and qualifications.

    Raises:
        SigningRefused: no role, no qualification, or none that holds on this day.
    """
    licences = queries.find_licences(connection, subject, kind, at=at)
    if not licences:
        raise SigningRefused(WhyNot.NO_ROLE)
    held = [licence for licence, _ in licences if licence is not None]
    if not held:
        raise SigningRefused(WhyNot.NOT_QUALIFIED)
    valid = [licence for licence, holds in licences if licence is not None and holds]
    if not valid:
        raise SigningRefused(WhyNot.EXPIRED)
    return valid[0]


def check_signature(signature: Signature, content: bytes) -> Statement:
    """What a signature proves about a document.

    Raises:
        SignatureInvalid: another document, another key, a key that was not valid then, or changed bytes.
    """
    statement = parse_statement(signature.statement)
    key = signature.key
    try:
        content_hash = hash_content(statement.hash_name, content).hex()
    except KeyError as error:
        raise SignatureInvalid("it uses an unknown hash") from error
    if content_hash != statement.content_hash:
        raise SignatureInvalid("the document is not the one that was signed")
    if (key.key_id, key.person_id, key.scheme) != (statement.key_id, statement.signer, statement.scheme):
        raise SignatureInvalid("the key is another one than the statement names")
    if not key.is_valid(statement.signed_at):
        raise SignatureInvalid("the key was not valid at that time")
    if not scheme_of(key.scheme).verify(key.public_key, signature.statement, signature=signature.signature):
        raise SignatureInvalid("the statement is not what was signed with this key")
    return statement


def _named(document: SignedDocument) -> Target:
    return target(TargetKind.DOCUMENT, f"{document.kind.value}:{document.document_id}:{document.version}")
