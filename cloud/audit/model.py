"""The chain: each entry holds the hash of the one before it, and checkpoints sign the newest hash. Pure.

    hash(n) = SHA-256(JSON array of the fields of n, the last of which is hash(n - 1) in hexadecimal)

The array is written without spaces, as UTF-8, with integers and strings only, so that anybody can compute it
with ten lines of any language. A basis stands before the last field where there is one; without one the array
has one field less, so that entries from before there were any keep their hash, and no two acts share an
array. Whoever changes an entry must change every later hash too; the signature below a later checkpoint
(Ed25519, RFC 8032) then no longer fits, and the key is not in the database.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from cloud.act import Act, Action, Origin, Outcome, Target, TargetKind
from cloud.errors import CloudError

FIRST_PREVIOUS = bytes(32)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_encode = msgspec.json.Encoder().encode


class ChainBroken(CloudError):
    """The history is not what was written; `sequence` is the entry at which that shows."""

    def __init__(self, sequence: int, reason: str) -> None:
        super().__init__(sequence, reason)
        self.sequence = sequence
        self.reason = reason

    def __str__(self) -> str:
        return f"entry {self.sequence}: {self.reason}"


class Entry(msgspec.Struct, frozen=True, tag="entry", tag_field="type", omit_defaults=True):
    """One act in the chain; hashes in hexadecimal, time in microseconds since 1970 (UTC)."""

    sequence: int
    at_us: int
    person: str
    role: str
    organisation: str
    purpose: str
    action: str
    target_kind: str
    target_id: str
    outcome: str
    origin: str
    previous_hash: str
    hash: str
    basis: str = ""

    def computed_hash(self) -> str:
        """The hash that the other fields give."""
        fields = (
            self.sequence,
            self.at_us,
            self.person,
            self.role,
            self.organisation,
            self.purpose,
            self.action,
            self.target_kind,
            self.target_id,
            self.outcome,
            self.origin,
            *([self.basis] if self.basis else []),
            self.previous_hash,
        )
        return sha256(_encode(fields)).hexdigest()

    def act(self) -> Act:
        """What it tells of."""
        return Act(
            person=self.person,
            role=self.role,
            organisation=self.organisation,
            purpose=self.purpose,
            action=Action(self.action),
            target=Target(kind=TargetKind(self.target_kind), id=self.target_id),
            outcome=Outcome(self.outcome),
            origin=Origin(self.origin),
            basis=self.basis,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where the chain ends: the next entry follows it."""

    sequence: int = 0
    hash: str = FIRST_PREVIOUS.hex()


class Checkpoint(msgspec.Struct, frozen=True, tag="checkpoint", tag_field="type"):
    """A signature below everything up to `sequence`; `public_key` and `signature` in hexadecimal."""

    sequence: int
    at_us: int
    hash: str
    public_key: str
    signature: str

    @property
    def fingerprint(self) -> str:
        """A short name of the key."""
        return fingerprint_of(bytes.fromhex(self.public_key))


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditQuestion:
    """What an auditor looks for; None is anything. `before` is the sequence to go on from."""

    person: str | None = None
    patient: str | None = None
    action: Action | None = None
    outcome: Outcome | None = None
    from_at: datetime | None = None
    to_at: datetime | None = None
    before: int | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedAct:
    """An act and when it happened."""

    act: Act
    at: datetime


def to_us(moment: datetime) -> int:
    """Microseconds since 1970, exactly."""
    return (moment - _EPOCH) // _MICROSECOND


def from_us(at_us: int) -> datetime:
    """The same moment again."""
    return _EPOCH + at_us * _MICROSECOND


def chain_acts(head: Head, acts: Iterable[TimedAct]) -> list[Entry]:
    """Entries that follow a head."""
    entries = []
    previous = head
    for number, timed in enumerate(acts, start=head.sequence + 1):
        entry = _unsealed(timed, sequence=number, previous_hash=previous.hash)
        sealed = msgspec.structs.replace(entry, hash=entry.computed_hash())
        entries.append(sealed)
        previous = Head(sequence=number, hash=sealed.hash)
    return entries


def _unsealed(timed: TimedAct, *, sequence: int, previous_hash: str) -> Entry:
    act = timed.act
    return Entry(
        sequence=sequence,
        at_us=to_us(timed.at),
        person=act.person,
        role=act.role,
        organisation=act.organisation,
        purpose=act.purpose,
        action=act.action.value,
        target_kind=act.target.kind.value,
        target_id=act.target.id,
        outcome=act.outcome.value,
        origin=act.origin.value,
        previous_hash=previous_hash,
        hash="",
        basis=act.basis,
    )


def follow(head: Head, entry: Entry) -> Head:
    """The new head after an entry.

    Raises:
        ChainBroken: it is not the one that follows, or it was changed.
    """
    expected = head.sequence + 1
    if entry.sequence != expected:
        raise ChainBroken(expected, f"it is missing; entry {entry.sequence} stands in its place")
    if entry.hash != entry.computed_hash():
        raise ChainBroken(entry.sequence, "it was changed: its hash does not fit its content")
    if entry.previous_hash != head.hash:
        raise ChainBroken(
            entry.sequence, f"it does not follow entry {head.sequence}: one of the two was changed"
        )
    return Head(sequence=entry.sequence, hash=entry.hash)


def fingerprint_of(public_key: bytes) -> str:
    """The first 16 hexadecimal digits of the key's SHA-256."""
    return sha256(public_key).hexdigest()[:16]


def sign_head(key: Ed25519PrivateKey, head: Head, *, at: datetime) -> Checkpoint:
    """A checkpoint of everything so far."""
    at_us = to_us(at)
    public_key = key.public_key().public_bytes_raw().hex()
    signature = key.sign(_signed_bytes(head, at_us=at_us, public_key=public_key))
    return Checkpoint(
        sequence=head.sequence,
        at_us=at_us,
        hash=head.hash,
        public_key=public_key,
        signature=signature.hex(),
    )


def check_checkpoint(head: Head, checkpoint: Checkpoint) -> None:
    """Whether a checkpoint stands below this history.

    Raises:
        ChainBroken: it signs another, or its signature is false.
    """
    if (checkpoint.sequence, checkpoint.hash) != (head.sequence, head.hash):
        raise ChainBroken(
            checkpoint.sequence,
            f"its checkpoint signs another history than the one that ends with entry {head.sequence}",
        )
    signed = _signed_bytes(head, at_us=checkpoint.at_us, public_key=checkpoint.public_key)
    try:
        key = Ed25519PublicKey.from_public_bytes(_bytes_of(checkpoint.public_key))
        key.verify(_bytes_of(checkpoint.signature), signed)
    except (InvalidSignature, ValueError) as error:
        raise ChainBroken(checkpoint.sequence, "the signature of its checkpoint is false") from error


def _signed_bytes(head: Head, *, at_us: int, public_key: str) -> bytes:
    return _encode(("qianli-audit-checkpoint-1", head.sequence, at_us, head.hash, public_key))


def _bytes_of(text: str) -> bytes:
    """Bytes of hexadecimal digits in the one way to write them: capitals and spaces are a change too."""
    found = bytes.fromhex(text)
    if found.hex() != text:
        raise ValueError("not in lower-case hexadecimal")
    return found
