"""One pass: raw log → readings → messages, in one transaction of the spool."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from devices.driver import Driver
from devices.formats.vocabulary_unit import to_vocabulary_unit
from devices.registry import find_driver
from edge_agent.clock import Clock, OwnClock
from edge_agent.gap_tracker import GapTracker
from edge_agent.parsing import Parsed, Parser
from edge_agent.spool import Gather, OutboxEntry, RawFrame, Spool
from vitals.gap import Gap, GapCause
from vitals.observation import Flag, Observation, SourceId, VitalKey
from vitals.wire.batch import Envelope, build_batch, encode_batch, from_ms, join_batches, to_ms
from vitals.wire.event import build_gap_event, encode_event
from vitals.wire.topics import Lane
from vitals.wire.wave_block import encode_wave

RAW_PER_PASS = 2000
CONTINUOUS_WITHIN_S = 60.0
_ALIVE = "alive_ms"
_OPEN_GAPS = "open_gaps"
LIVE_WITHIN = timedelta(minutes=2)
"""A device clock this close to ours belongs to a value measured just now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Of which clock values are, and for how long continuous ones are gathered into one message.

    A second or less is one look of the pipeline, which takes what two looks bring anyway.
    """

    own_clock: OwnClock
    batch_s: float = 1.0

    def gather(self, src: SourceId, *, now_ms: int) -> Gather | None:
        """How values of a source wait for one another; None: they go at once."""
        if self.batch_s <= 1:
            return None
        until_ms = now_ms + int(self.batch_s * 1000)
        return Gather(key=src, now_ms=now_ms, until_ms=until_ms, join=join_batches)


class Pipeline:
    """Turns what the spool holds raw into what it sends. Used from one thread at a time."""

    def __init__(
        self, spool: Spool, *, boot: str, zone: ZoneInfo, clock: Clock, pace: Pace | None = None
    ) -> None:
        self._spool = spool
        self._boot = boot
        self._zone = zone
        self._clock = clock
        self._pace = pace or Pace(own_clock=OwnClock())
        self._drivers: dict[SourceId, Driver] = {
            src: find_driver(name) for src, (name, _) in spool.sources().items()
        }
        self._gaps = GapTracker.resume(self._load_gaps())
        self._parser = Parser(self._drivers, self._gaps)
        self._restart_gaps = self._note_restart()
        self._run = self._pace.own_clock.run()

    def add_source(self, src: SourceId, driver: Driver) -> None:
        """Know a sensor before its first frame comes."""
        self._drivers[src] = driver

    def run_once(self) -> int:
        """Parse what waits; returns how many raw entries were taken."""
        frames = self._spool.read_raw(limit=RAW_PER_PASS)
        now = self._clock()
        self._follow_clock(frames, now=now)
        before = self._parser.mark()
        try:
            parsed = self._parser.parse(frames, now=now)
            parsed.gaps = self._restart_gaps + parsed.gaps
            self._spool.commit_parsed(
                self._entries(parsed, now_ms=to_ms(now)),
                clock=self._run,
                parsed_up_to=frames[-1].id if frames else 0,
                rejected=parsed.rejected,
                settings={_ALIVE: str(to_ms(now)), _OPEN_GAPS: self._dump_gaps()},
            )
        except BaseException:
            self._parser.rewind(before)
            raise
        self._restart_gaps = []
        return len(frames)

    def _follow_clock(self, frames: Sequence[RawFrame], *, now: datetime) -> None:
        """Decoders remember how device clocks lie to ours: with another of ours they begin anew."""
        run = (frames[0].clock if frames else None) or self._pace.own_clock.run()
        if not run.is_same(self._run):
            self._parser.begin_anew(now=now)
        self._run = run

    def open_gaps(self) -> list[Gap]:
        """What is silent now."""
        return self._gaps.open_gaps()

    def _entries(self, parsed: Parsed, *, now_ms: int) -> list[OutboxEntry]:
        envelope = Envelope(ln=self._spool.lineage, boot=self._boot, lane=Lane.LIVE, s=1)
        event_envelope = replace(envelope, lane=Lane.EVENT)
        clock = self._pace.own_clock.state_of(self._run)
        entries = [
            _entry(
                "event", encode_event(build_gap_event(gap, envelope=event_envelope)), now_ms, is_event=True
            )
            for gap in parsed.gaps
        ]
        for src, observations in parsed.observations.items():
            placed = separate_times(place_in_time(item, zone=self._zone) for item in observations)
            for part, gather in self._parts(src, placed, now_ms=now_ms):
                payload = encode_batch(build_batch(part, src=src, envelope=envelope, clock=clock))
                entry = _entry("vitals", payload, _newest_ms(part))
                entries.append(replace(entry, gather=gather))
        for src, block in parsed.blocks:
            payload = encode_wave(block, src=src, envelope=envelope)
            entries.append(_entry(f"wave/{block.stream}", payload, block.end_us // 1000))
        return entries

    def _parts(
        self, src: SourceId, observations: list[Observation], *, now_ms: int
    ) -> list[tuple[list[Observation], Gather | None]]:
        """Continuous values may wait for others; for a spot value somebody waits, and it goes at once."""
        gather = self._pace.gather(src, now_ms=now_ms)
        if gather is None:
            return [(observations, None)]
        cadence_s = self._drivers[src].cadence_s
        continuous = [item for item in observations if is_continuous(item, cadence_s)]
        spot = [item for item in observations if not is_continuous(item, cadence_s)]
        return [(part, how) for part, how in ((spot, None), (continuous, gather)) if part]

    def _note_restart(self) -> list[Gap]:
        """While the agent was off nothing was measured: say so for every source with a cadence."""
        alive_ms = int(self._spool.setting(_ALIVE, default="0"))
        if alive_ms == 0:
            return []
        since = from_ms(alive_ms)
        return [
            gap
            for src, driver in self._drivers.items()
            if driver.cadence_s
            for gap in self._gaps.open_gap(src, GapCause.AGENT_OFF, at=since)
        ]

    def _load_gaps(self) -> list[Gap]:
        return msgspec.json.decode(self._spool.setting(_OPEN_GAPS, default="[]"), type=list[Gap])

    def _dump_gaps(self) -> str:
        return msgspec.json.encode(self._gaps.open_gaps()).decode()


def _entry(topic: str, payload: bytes, created_ms: int, *, is_event: bool = False) -> OutboxEntry:
    return OutboxEntry(topic=topic, payload=payload, created_ms=created_ms, is_event=is_event)


def is_continuous(observation: Observation, cadence_s: Mapping[VitalKey, float]) -> bool:
    """Whether the next value of its kind comes by itself soon, and this is not one from a device's memory."""
    soon_s = cadence_s.get(observation.key, CONTINUOUS_WITHIN_S + 1)
    return soon_s <= CONTINUOUS_WITHIN_S and Flag.STORED not in observation.flags


def _newest_ms(observations: Sequence[Observation]) -> int:
    return max(to_ms(item.measured_at) for item in observations)


def place_in_time(observation: Observation, *, zone: ZoneInfo) -> Observation:
    """Choose the measured time, and bring the unit to the vocabulary's.

    A device clock that agrees with ours is only confirmation. One that is behind means a reading from the
    device's memory: it is placed at its own time and marked, so that it is never shown as "now". One that is
    ahead of ours cannot be right: the time of reception stands, marked.
    """
    converted = to_vocabulary_unit(observation)
    if converted.device_time is None:
        return converted
    device_at = read_device_clock(converted.device_time, zone=zone, near=converted.received_at)
    if device_at is None or device_at > converted.received_at + LIVE_WITHIN:
        return replace(converted, flags=_with(converted.flags, Flag.CLOCK_NOT_SET))
    if device_at >= converted.received_at - LIVE_WITHIN:
        return converted
    return replace(converted, measured_at=device_at, flags=_with(converted.flags, Flag.STORED))


def read_device_clock(device_time: datetime, *, zone: ZoneInfo, near: datetime) -> datetime | None:
    """UTC of a clock on the wall of a zone; in the hour that a zone has twice, the one closer to `near`.

    None at the ends of the calendar, where there is no such time in UTC.
    """
    try:
        both = [device_time.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
    except OverflowError:
        return None
    return min(both, key=lambda moment: abs(near - moment))


def _with(flags: tuple[Flag, ...], flag: Flag) -> tuple[Flag, ...]:
    return flags if flag in flags else (*flags, flag)


def separate_times(observations: Iterable[Observation]) -> list[Observation]:
    """Move a second value of one key in the same millisecond one millisecond on, so that neither is lost."""
    taken: set[tuple[str, int]] = set()
    separated = []
    for observation in observations:
        moment = observation.measured_at
        while (observation.key, to_ms(moment)) in taken:
            moment += timedelta(milliseconds=1)
        taken.add((observation.key, to_ms(moment)))
        separated.append(replace(observation, measured_at=moment))
    return separated
