"""From the raw log to messages: a deterministic function of the log, apart from the clock of the watchdog."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby

import numpy as np
import structlog

from devices.driver import Access, Decoder, Driver, Frame, Reading, SensorState
from devices.errors import FrameError
from edge_agent.gap_tracker import GapTracker
from edge_agent.spool import LINK, RawFrame
from vitals.gap import Gap, GapCause
from vitals.observation import Flag, Observation, Quality, SourceId, VitalKey
from vitals.wave import WaveBlock

log = structlog.get_logger()

SILENT_AFTER_S = 3.0
LONGEST_BLOCK_S = 5
"""A log that was not read for long is still sent in blocks that a message can hold and a screen can draw."""
LINK_CAUSES = (
    GapCause.OUT_OF_RANGE,
    GapCause.CABLE,
    GapCause.AGENT_OFF,
    GapCause.DEVICE_SILENT,
    GapCause.UNKNOWN,
)
SENSOR_CAUSES = (
    GapCause.SENSOR_OFF,
    GapCause.SENSOR_FAULT,
    GapCause.SEARCHING,
    GapCause.DEMO_MODE,
    GapCause.BATTERY,
)
_RR = VitalKey("rr_interval")
_NEVER_STORED = frozenset({Flag.INTERMEDIATE, Flag.DEMONSTRATION, Flag.TESTING})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True, kw_only=True)
class Parsed:
    """What a run over the raw log gave."""

    observations: dict[SourceId, list[Observation]] = field(default_factory=lambda: defaultdict(list))
    blocks: list[tuple[SourceId, WaveBlock]] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    rejected: list[tuple[RawFrame, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParserMark:
    """What a parser knew at a moment, to go back to."""

    gaps: tuple[Gap, ...]
    last_frame_at: Mapping[SourceId, datetime]


class Parser:
    """Holds one decoder per source, from link to link, and the open gaps."""

    def __init__(self, drivers: Mapping[SourceId, Driver], gaps: GapTracker) -> None:
        self._drivers = drivers
        self._gaps = gaps
        self._decoders: dict[SourceId, Decoder] = {}
        self._last_frame_at: dict[SourceId, datetime] = {}

    def mark(self) -> ParserMark:
        """What is known now."""
        return ParserMark(gaps=tuple(self._gaps.open_gaps()), last_frame_at=dict(self._last_frame_at))

    def rewind(self, mark: ParserMark) -> None:
        """Go back: what was taken from the log since could not be stored, and will be read again."""
        self._gaps.rewind(mark.gaps)
        self._last_frame_at = dict(mark.last_frame_at)
        self._decoders.clear()

    def begin_anew(self, *, now: datetime) -> None:
        """Our clock was set: what a decoder knows of times is of the clock before."""
        self._decoders.clear()
        self._last_frame_at = dict.fromkeys(self._last_frame_at, now)

    def parse(self, frames: Sequence[RawFrame], *, now: datetime) -> Parsed:
        """Take the next entries of the log, then look for sources that have fallen silent."""
        parsed = Parsed()
        for frame in frames:
            if frame.src not in self._drivers:
                parsed.rejected.append((frame, "no driver is known for this source"))
            elif frame.channel == LINK:
                self._note_link(frame, parsed)
            else:
                self._decode(frame, parsed)
        self._watch(now, parsed)
        parsed.blocks = merge_blocks(parsed.blocks)
        return parsed

    def _note_link(self, frame: RawFrame, parsed: Parsed) -> None:
        at = from_us(frame.received_us)
        if frame.payload:
            since = self._last_frame_at.pop(frame.src, at)
            parsed.gaps += self._gaps.open_gap(frame.src, GapCause(frame.payload.decode()), at=since)
        else:
            self._decoders.pop(frame.src, None)
            self._last_frame_at[frame.src] = at
            if not self._drivers[frame.src].cadence_s:
                parsed.gaps += self._gaps.close_gaps(frame.src, at=at, causes=LINK_CAUSES)

    def _decode(self, frame: RawFrame, parsed: Parsed) -> None:
        at = from_us(frame.received_us)
        if not _is_read_once(self._drivers[frame.src], frame.channel):
            self._last_frame_at[frame.src] = at
            parsed.gaps += self._gaps.close_gaps(frame.src, at=at, causes=LINK_CAUSES)
        decoder = self._decoders.get(frame.src)
        if decoder is None:
            decoder = self._decoders[frame.src] = self._drivers[frame.src].new_decoder()
        try:
            readings = decoder.feed(Frame(channel=frame.channel, payload=frame.payload, received_at=at))
        except FrameError as error:
            parsed.rejected.append((frame, str(error)))
            return
        except Exception as error:
            # The root of one frame: a flaw in a driver must not hold up the log of every other device.
            log.exception("driver_flaw", src=frame.src, channel=frame.channel)
            parsed.rejected.append((frame, f"flaw in the driver: {error!r}"))
            del self._decoders[frame.src]
            return
        for reading in sorted(spread_rr(readings), key=_is_told_after_samples):
            self._take(frame.src, reading, parsed)

    def _take(self, src: SourceId, reading: Reading, parsed: Parsed) -> None:
        if isinstance(reading, Observation):
            self._observe(src, reading, parsed)
        elif isinstance(reading, WaveBlock):
            parsed.blocks.append((src, reading))
            at = from_us(reading.t0_us)
            parsed.gaps += self._gaps.close_covering(src, reading.stream, at=at, causes=SENSOR_CAUSES)
        else:
            parsed.gaps += self._note_sensor(src, reading)

    def _observe(self, src: SourceId, observation: Observation, parsed: Parsed) -> None:
        if _NEVER_STORED.intersection(observation.flags) or observation.key in self._drivers[src].facts:
            return
        parsed.observations[src].append(observation)
        if observation.value is not None and observation.quality is not Quality.INVALID:
            at = observation.received_at
            parsed.gaps += self._gaps.close_covering(src, observation.key, at=at, causes=SENSOR_CAUSES)

    def _note_sensor(self, src: SourceId, state: SensorState) -> list[Gap]:
        if state.cause is None:
            return self._gaps.close_gaps(src, at=state.at, causes=SENSOR_CAUSES, keys=state.keys)
        return self._gaps.open_gap(src, state.cause, at=state.at, keys=state.keys)

    def _watch(self, now: datetime, parsed: Parsed) -> None:
        """A linked source with a cadence that sends nothing is silent, whatever the link says."""
        for src, last_at in self._last_frame_at.items():
            cadences = self._drivers[src].cadence_s.values()
            if not cadences:
                continue
            limit = timedelta(seconds=max(SILENT_AFTER_S, 3 * min(cadences)))
            if now - last_at > limit:
                parsed.gaps += self._gaps.open_gap(src, GapCause.DEVICE_SILENT, at=last_at)


def _is_told_after_samples(reading: Reading) -> bool:
    """A finger that comes out at the end of a frame does so after the samples of that frame."""
    return not isinstance(reading, WaveBlock)


def _is_read_once(driver: Driver, channel: str) -> bool:
    """Whether the agent asked for this value when it connected: no sign that the device measures."""
    return any(item.uuid == channel and item.access is Access.READ for item in driver.characteristics)


def from_us(microseconds: int) -> datetime:
    """Aware UTC from microseconds since the Unix epoch."""
    return _EPOCH + timedelta(microseconds=microseconds)


def spread_rr(readings: Sequence[Reading]) -> list[Reading]:
    """Give each R-R interval of a frame its own time.

    A frame carries them oldest first (HRS 1.0 §3.1.1.4), and the last beat is the newest thing in it: the
    interval before it ended one interval earlier.
    """
    spread: list[Reading] = []
    later_ms = 0.0
    for reading in reversed(readings):
        if isinstance(reading, Observation) and reading.key == _RR and reading.value is not None:
            moment = reading.measured_at - timedelta(milliseconds=later_ms)
            later_ms += reading.value
            spread.append(replace(reading, measured_at=moment))
        else:
            spread.append(reading)
    return spread[::-1]


def merge_blocks(
    blocks: Sequence[tuple[SourceId, WaveBlock]], *, longest_s: float = LONGEST_BLOCK_S
) -> list[tuple[SourceId, WaveBlock]]:
    """Join the blocks of each stream that follow one another sample by sample, up to `longest_s`."""
    ordered = sorted(blocks, key=lambda item: (item[0], item[1].stream, item[1].t0_us))
    merged: list[tuple[SourceId, WaveBlock]] = []
    for (src, _), group in groupby(ordered, key=lambda item: (item[0], item[1].stream)):
        run: list[WaveBlock] = []
        for _, block in group:
            if run and (_is_long(run, longest_s) or not _follows(run[-1], block)):
                merged.append((src, _join(run)))
                run = []
            run.append(block)
        merged.append((src, _join(run)))
    return merged


def _follows(earlier: WaveBlock, later: WaveBlock) -> bool:
    sample_us = 1_000_000 / later.rate_hz
    is_next = later.first_sample == earlier.first_sample + len(earlier.samples)
    return is_next and earlier.rate_hz == later.rate_hz and abs(later.t0_us - earlier.end_us) < sample_us


def _is_long(run: Sequence[WaveBlock], longest_s: float) -> bool:
    return sum(len(block.samples) for block in run) >= longest_s * run[0].rate_hz


def _join(run: Sequence[WaveBlock]) -> WaveBlock:
    return replace(run[0], samples=np.concatenate([block.samples for block in run]))
