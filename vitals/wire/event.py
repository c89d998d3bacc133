"""Gap events (docs/wire-contract.md, "Gap event")."""

from dataclasses import dataclass, replace
from typing import Literal

import msgspec

from vitals.gap import Gap, GapCause
from vitals.observation import SourceId, VitalKey
from vitals.wire.batch import HISTORICAL_AFTER_MS, VERSION, Envelope, check_version, from_ms, to_ms
from vitals.wire.errors import UNREADABLE, WireInvalid
from vitals.wire.topics import Lane


@dataclass(frozen=True, slots=True, kw_only=True)
class GapEvent:
    """One message on `…/event`. `from` and `to` are words of Python, hence the rename."""

    v: int
    ln: str
    boot: str
    lane: Lane
    s: int
    src: SourceId
    kind: Literal["gap"]
    keys: list[VitalKey]
    cause: GapCause
    from_ms: int
    to_ms: int | None = None
    sent: int = 0
    h: int = 0


_decoder = msgspec.json.Decoder(GapEvent)


def build_gap_event(gap: Gap, *, envelope: Envelope) -> GapEvent:
    """A gap as it goes on the wire."""
    return GapEvent(
        v=VERSION,
        ln=envelope.ln,
        boot=envelope.boot,
        lane=envelope.lane,
        s=envelope.s,
        src=gap.src,
        kind="gap",
        keys=list(gap.keys),
        cause=gap.cause,
        from_ms=to_ms(gap.started_at),
        to_ms=None if gap.ended_at is None else to_ms(gap.ended_at),
    )


def read_gap(event: GapEvent) -> Gap:
    """The gap that a decoded event tells of."""
    return Gap(
        src=event.src,
        keys=tuple(event.keys),
        cause=event.cause,
        started_at=from_ms(event.from_ms),
        ended_at=None if event.to_ms is None else from_ms(event.to_ms),
    )


def encode_event(event: GapEvent) -> bytes:
    """The JSON payload."""
    return msgspec.json.encode(event)


def decode_event(payload: bytes) -> GapEvent:
    """Decode and check a payload.

    Raises:
        WireVersionUnknown, WireInvalid: as their names say.
    """
    check_version(payload)
    try:
        event = _decoder.decode(payload)
    except UNREADABLE as error:
        raise WireInvalid(str(error)) from error
    gap = read_gap(event)
    if event.s < 1 or (gap.ended_at is not None and gap.ended_at < gap.started_at):
        raise WireInvalid("sequence below 1, or a gap that ends before it starts")
    return event


def stamp_event(payload: bytes, *, lane: Lane, s: int, sent_ms: int) -> bytes:
    """Write sequence and moment of publishing into a spooled event; mark it historical when it is old."""
    event = _decoder.decode(payload)
    newest = event.from_ms if event.to_ms is None else event.to_ms
    old = int(sent_ms - newest > HISTORICAL_AFTER_MS)
    return encode_event(replace(event, lane=lane, s=s, sent=sent_ms, h=old))
