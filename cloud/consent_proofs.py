"""Consents are signed by the room of signatures: the answer to the port of the room of rights."""

from dataclasses import dataclass

from cloud.identity.model import Role, Subject
from cloud.rights.model import Answer, Proof, SignatureState, SignedAnswer
from cloud.signing.model import Kind, SignatureInvalid, SigningRefused, parse_statement
from cloud.signing.service import SigningService
from cloud.store.connection import Database

_VERSIONS = {Answer.GIVEN: 1, Answer.WITHDRAWN: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Paper:
    """An answer as a document: it is given in version 1, and withdrawn in version 2."""

    document_id: str
    version: int
    patient_id: str
    content: bytes
    kind: Kind = Kind.CONSENT


class ConsentProofs:
    """Signs answers, and holds what is stored against what was signed."""

    def __init__(self, signing: SigningService) -> None:
        self._signing = signing

    def sign(self, connection: Database, subject: Subject, answer: SignedAnswer) -> str:
        """The signature in hexadecimal; another system has no key, so what it records is not signed.

        Nor is what was signed before, which only somebody who changed the database can bring about: it must
        not keep anybody from taking a consent back.
        """
        if subject.role in (Role.CLIENT, Role.SYSTEM):
            return ""
        try:
            return self._signing.confirm(connection, subject, _paper(answer)).signature.hex()
        except SigningRefused:
            return ""

    def prove(self, connection: Database, subject: Subject, answer: SignedAnswer) -> Proof:
        """Signed only if it is by whoever said it, and of exactly this content."""
        paper = _paper(answer)
        try:
            found = self._signing.prove(connection, subject, paper)
            if not found:
                return Proof(state=SignatureState.UNSIGNED)
            if [parse_statement(one.statement).signer for one in found] != [answer.said_by]:
                return Proof(state=SignatureState.BROKEN)
        except SignatureInvalid:
            return Proof(state=SignatureState.BROKEN)
        return Proof(
            state=SignatureState.SIGNED,
            signature=found[0].signature.hex(),
            file=found[0].to_file(paper.content).decode(),
        )


def _paper(answer: SignedAnswer) -> _Paper:
    return _Paper(
        document_id=answer.consent_id,
        version=_VERSIONS[answer.answer],
        patient_id=answer.patient_id,
        content=answer.content,
    )
