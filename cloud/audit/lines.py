"""The export: one JSON line per entry and checkpoint, and the check of such a file without a database. Pure.

A checkpoint stands right after the entry that it signs. Every line must be exactly as it is written here,
byte for byte, so that no change at all passes for the same content.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec

from cloud.audit.model import ChainBroken, Checkpoint, Entry, Head, check_checkpoint, follow

FORMAT = "qianli-audit-1"
_encode = msgspec.json.Encoder().encode


class Beginning(msgspec.Struct, frozen=True, tag="beginning", tag_field="type"):
    """The first line."""

    format: str


_decode = msgspec.json.Decoder(Beginning | Entry | Checkpoint).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What a whole file proves."""

    entries: int
    head_hash: str
    keys: tuple[str, ...]


def write_lines(entries: Iterable[Entry], checkpoints: Iterable[Checkpoint]) -> Iterator[bytes]:
    """The lines of an export, each with its line feed."""
    yield _encode(Beginning(FORMAT)) + b"\n"
    signatures = {checkpoint.sequence: checkpoint for checkpoint in checkpoints}
    for entry in entries:
        yield _encode(entry) + b"\n"
        checkpoint = signatures.get(entry.sequence)
        if checkpoint is not None:
            yield _encode(checkpoint) + b"\n"


def verify_lines(lines: Iterable[bytes], *, trusted: str | None = None) -> Verified:
    """Check a whole export; `trusted` is the fingerprint of the only key that may have signed.

    Raises:
        ChainBroken: with the entry at which it shows.
    """
    head, signed_upto = Head(), 0
    keys: dict[str, None] = {}
    for number, line in enumerate(lines):
        part = _read_line(line, after=head)
        if isinstance(part, Beginning) != (number == 0):
            raise ChainBroken(
                head.sequence + 1, "the file does not begin with one line that names its format"
            )
        if isinstance(part, Entry):
            head = follow(head, part)
        elif isinstance(part, Checkpoint):
            check_checkpoint(head, part)
            if trusted not in (None, part.fingerprint):
                raise ChainBroken(
                    part.sequence, f"its checkpoint is signed by the strange key {part.fingerprint}"
                )
            signed_upto = head.sequence
            keys[part.fingerprint] = None
    if not keys or signed_upto < head.sequence:
        raise ChainBroken(head.sequence + 1, "the file ends without a checkpoint: its end was cut off")
    return Verified(entries=head.sequence, head_hash=head.hash, keys=tuple(keys))


def _read_line(line: bytes, *, after: Head) -> Beginning | Entry | Checkpoint:
    """One line, which must be exactly what this module would write."""
    try:
        part: Beginning | Entry | Checkpoint = _decode(line)
    except (msgspec.MsgspecError, ValueError) as error:
        raise ChainBroken(after.sequence + 1, f"its line cannot be read: {error}") from error
    if _encode(part) + b"\n" != line or (isinstance(part, Beginning) and part.format != FORMAT):
        raise ChainBroken(after.sequence + 1, "its line is not written as an export writes it")
    return part
