"""What a message says, checked against the wire contract; and what was received of each sequence."""

import struct
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from vitals.gap import Gap
from vitals.observation import Flag, Observation, SourceId, VitalKey
from vitals.wire.batch import ClockState, decode_batch, from_ms, read_batch
from vitals.wire.errors import WireError, WireInvalid, WireVersionUnknown
from vitals.wire.event import decode_event, read_gap
from vitals.wire.packing import unpack_text
from vitals.wire.status import Status, decode_status, read_wave_layout
from vitals.wire.topics import LANES, Lane, parse_agent_topic
from vitals.wire.wave_block import WaveMessage, decode_wave

FUTURE_ALLOWED = timedelta(minutes=5)
CLOCK_TOLERANCE = timedelta(seconds=1)
CLOCK_AGREED_WITHIN = timedelta(hours=24)
"""How long what comes from a device's memory is believed after its clock was seen to be right."""
_SYNCHRONISED = "ntp"
_OFFSET_POSSIBLE_MS = 100 * 365 * 86_400_000
_LARGEST_SEQUENCE = 2**63 - 2
_WAVE_LANE = 6
_WAVE_ENVELOPE = struct.Struct("<8s8sQ")
_WAVE_CODEC = 5
_WAVE_SRC_LENGTH = 68


class Reason(StrEnum):
    """Why a message lies in the dead letters."""

    CONTRACT = "contract"  # breaks the wire contract
    VERSION = "version"  # a newer peer speaks
    CLOCK = "clock"  # measured more than five minutes in the future
    OWNER = "owner"  # another agent serves this source
    DATABASE = "database"  # the database refuses what it says


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """A message as it came from the broker; a retained one is no sign of life."""

    topic: str
    payload: bytes
    received_at: datetime
    retained: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The place of a message in the sequences of its agent: its identity, however often it comes."""

    agent: str
    lineage: str
    lane: Lane
    s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VitalsMessage:
    """Observations of one source."""

    arrived: Arrived
    place: Place
    src: SourceId
    observations: tuple[Observation, ...]
    sent_at: datetime
    late: bool
    clock_shift: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveBlockMessage:
    """One block; `codec` and `packed` are its samples as they came."""

    arrived: Arrived
    place: Place
    message: WaveMessage
    codec: int
    packed: bytes
    sent_at: datetime
    clock_shift: timedelta = timedelta(0)

    @property
    def src(self) -> SourceId:
        """The source of the block."""
        return self.message.src


@dataclass(frozen=True, slots=True, kw_only=True)
class GapMessage:
    """A gap of one source."""

    arrived: Arrived
    place: Place
    gap: Gap

    @property
    def src(self) -> SourceId:
        """The source that is silent."""
        return self.gap.src


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusMessage:
    """Birth, or the will."""

    agent: str
    status: Status
    retained: bool

    @property
    def is_sign_of_life(self) -> bool:
        """Whether the agent itself said it just now; a will is the broker's word."""
        return self.status.online and not self.retained


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A message for the dead letters; its sequence number counts as received if it can be read."""

    arrived: Arrived
    reason: Reason
    detail: str
    place: Place | None


Measured = VitalsMessage | WaveBlockMessage | GapMessage
Decoded = Measured | StatusMessage | Refused


class _JsonPlace(msgspec.Struct):
    ln: str
    lane: Lane
    s: int


_place_decoder = msgspec.json.Decoder(_JsonPlace)


def peek_place(topic: str, payload: bytes) -> Place | None:
    """Where a message stands in its sequence, even if the rest of it cannot be read."""
    try:
        parsed = parse_agent_topic(topic)
        if parsed.name.startswith("wave/"):
            ln, _, s = _WAVE_ENVELOPE.unpack_from(payload, 8)
            place = Place(agent=parsed.agent, lineage=ln.hex(), lane=LANES[payload[_WAVE_LANE]], s=s)
        else:
            read = _place_decoder.decode(unpack_text(payload))
            place = Place(agent=parsed.agent, lineage=read.ln, lane=read.lane, s=read.s)
    except (WireError, msgspec.MsgspecError, UnicodeDecodeError, struct.error, IndexError):
        return None
    possible = 1 <= place.s <= _LARGEST_SEQUENCE and 0 < len(place.lineage) <= 64
    return place if possible and "\x00" not in place.lineage else None


def decode(arrived: Arrived) -> Decoded:
    """Read a message; what cannot be read or is measured in the future is refused, never an exception."""
    place = peek_place(arrived.topic, arrived.payload)
    try:
        topic = parse_agent_topic(arrived.topic)
        if topic.name == "status":
            return _decode_status(topic.agent, arrived)
        if place is None:
            raise WireInvalid("it has no place in a sequence")
        measured = _decode_measured(topic.name, place, arrived)
    except WireVersionUnknown as error:
        return Refused(arrived=arrived, reason=Reason.VERSION, detail=str(error), place=place)
    except WireError as error:
        return Refused(arrived=arrived, reason=Reason.CONTRACT, detail=str(error), place=place)
    if _newest(measured) > arrived.received_at + FUTURE_ALLOWED:
        detail = f"measured at {_newest(measured)}, received at {arrived.received_at}"
        return Refused(arrived=arrived, reason=Reason.CLOCK, detail=detail, place=place)
    return measured


def _decode_status(agent: str, arrived: Arrived) -> StatusMessage:
    status = decode_status(arrived.payload)
    if status.agent != agent:
        raise WireInvalid(f"agent {status.agent!r} speaks on the topic of {agent!r}")
    for source in status.sources:
        for wave in source.waves:
            read_wave_layout(wave)
    return StatusMessage(agent=agent, status=status, retained=arrived.retained)


def _decode_measured(name: str, place: Place, arrived: Arrived) -> Measured:
    payload = arrived.payload
    if name == "vitals":
        batch = decode_batch(payload)
        return VitalsMessage(
            arrived=arrived,
            place=place,
            src=batch.src,
            observations=tuple(read_batch(batch)),
            sent_at=from_ms(batch.sent),
            late=bool(batch.h),
            clock_shift=clock_shift(
                from_ms(batch.sent),
                measured_at=from_ms(batch.t0 + max(batch.dt)),
                received_at=arrived.received_at,
                clock=batch.clk,
            ),
        )
    if name == "event":
        return GapMessage(arrived=arrived, place=place, gap=read_gap(decode_event(payload)))
    if not name.startswith("wave/"):
        raise WireInvalid(f"nothing is known about {name!r}")
    message = decode_wave(payload, stream=VitalKey(name.removeprefix("wave/")))
    from_ms(message.block.end_us // 1000)
    samples_at = _WAVE_SRC_LENGTH + 1 + payload[_WAVE_SRC_LENGTH]
    return WaveBlockMessage(
        arrived=arrived,
        place=place,
        message=message,
        codec=payload[_WAVE_CODEC],
        packed=payload[samples_at:-4],
        sent_at=from_ms(message.sent),
        clock_shift=clock_shift(
            from_ms(message.sent),
            measured_at=from_ms(message.block.end_us // 1000),
            received_at=arrived.received_at,
            clock=ClockState(),  # a block does not say
        ),
    )


def clock_shift(
    sent_at: datetime, *, measured_at: datetime, received_at: datetime, clock: ClockState
) -> timedelta:
    """By how much the clock of an agent may be wrong, as far as a message gives it away.

    An offset that was measured by an exchange shortly before is the answer, unless the value would then come
    from the future: that clock was set meanwhile. Without one: nothing arrives before it was sent or
    measured; such a clock is ahead. What arrives later than it was sent may have waited for us, or the clock
    is behind: a clock that a time service disciplines is believed.
    """
    if clock.off_ms is not None and abs(clock.off_ms) <= _OFFSET_POSSIBLE_MS:
        known = timedelta(milliseconds=clock.off_ms)
        if known - (received_at - measured_at) <= CLOCK_TOLERANCE:
            return known if abs(known) > CLOCK_TOLERANCE else timedelta(0)
    ahead = received_at - max(sent_at, measured_at)
    if ahead < -CLOCK_TOLERANCE:
        return ahead
    behind = received_at - sent_at
    is_believed = clock.src == _SYNCHRONISED
    return behind if behind > CLOCK_TOLERANCE and not is_believed else timedelta(0)


def device_clock_agrees(observation: Observation) -> bool:
    """Whether the device's own clock said the same as its agent's when this was measured."""
    doubted = Flag.STORED in observation.flags or Flag.CLOCK_NOT_SET in observation.flags
    return observation.device_time is not None and not doubted


def shift_of(
    observation: Observation, *, of_agent: timedelta, agreed_at: datetime | None
) -> timedelta | None:
    """The shift of one value; None where the device's clock was never seen to be right lately."""
    if Flag.CLOCK_NOT_SET in observation.flags:
        return None
    if Flag.STORED not in observation.flags:
        return of_agent
    is_believed = agreed_at is not None and abs(observation.received_at - agreed_at) <= CLOCK_AGREED_WITHIN
    return of_agent if is_believed else None


def _newest(measured: Measured) -> datetime:
    match measured:
        case VitalsMessage():
            return max((item.measured_at for item in measured.observations), default=measured.sent_at)
        case WaveBlockMessage():
            return from_ms(measured.message.block.end_us // 1000)
        case GapMessage():
            return measured.gap.ended_at or measured.gap.started_at


@dataclass(frozen=True, slots=True)
class LaneProgress:
    """What was received of one sequence: all up to `upto`, and islands beyond it as half-open ranges."""

    upto: int = 0
    ahead: tuple[tuple[int, int], ...] = ()

    def add(self, s: int) -> "LaneProgress":
        """With `s` received too; repeats change nothing."""
        return self._with((s, s + 1))

    def skip_to(self, s: int) -> "LaneProgress":
        """With everything up to `s` counted as received: the sender has it no longer."""
        return self._with((1, s + 1))

    def _with(self, island: tuple[int, int]) -> "LaneProgress":
        if island[1] <= self.upto + 1:
            return self
        islands = sorted([*self.ahead, island])
        merged = [(1, self.upto + 1)]
        for first, end in islands:
            last_first, last_end = merged[-1]
            if first <= last_end:
                merged[-1] = (last_first, max(last_end, end))
            else:
                merged.append((first, end))
        return LaneProgress(merged[0][1] - 1, tuple(merged[1:]))
