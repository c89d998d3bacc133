"""Judging silence from what was heard and when. Pure: time comes in as an argument.

The causes rank from the outside in: without a database nothing can be known to be stored, without a broker
nothing arrives, without its agent no source speaks; then comes what the agent itself says; and last what the
watchdog sees, a source that should speak and does not – or that may not, because nobody stores. Threshold:
`max(4 s, 3 x cadence)`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cloud.events import (
    CONTINUOUS_WITHIN_S,
    AgentBorn,
    AgentGone,
    AgentHeard,
    Event,
    GapHeard,
    Part,
    PartState,
    Reading,
    ReadingsHeard,
    Silence,
    WaveHeard,
)
from vitals.gap import Gap, GapCause
from vitals.observation import Flag, SourceId, VitalKey

QUIET_ALLOWED = timedelta(seconds=4)
_BLOCK_CADENCE_S = 1.0
_PART_CAUSES = ((Part.DATABASE, GapCause.DATABASE_OFF), (Part.BROKER, GapCause.BROKER_OFF))

Keys = tuple[VitalKey, ...]
_REASONS = {
    Flag.NO_CONTACT: GapCause.SENSOR_OFF,
    Flag.SENSOR_FAULT: GapCause.SENSOR_FAULT,
    Flag.SEARCHING: GapCause.SEARCHING,
}


@dataclass(slots=True)
class _Agent:
    heard_at: datetime | None = None
    gone: GapCause | None = None
    gone_at: datetime | None = None
    back_at: datetime | None = None


@dataclass(slots=True)
class _Source:
    agent: str
    cadence_s: dict[VitalKey, float] = field(default_factory=dict)
    heard_at: dict[VitalKey, datetime] = field(default_factory=dict)
    reasons: dict[VitalKey, GapCause] = field(default_factory=dict)
    """Of each key whose last reading had no value, what the device said of it."""
    last_reason: GapCause = GapCause.UNKNOWN
    """The same of the very last reading; unknown if that had a value."""
    gaps: dict[tuple[Keys, GapCause, datetime], Gap] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A silence, and whether the edge agent told of it."""

    silence: Silence
    told_by_edge: bool


class SilenceWatch:
    """Remembers what was heard of every source and says which are silent."""

    def __init__(self, *, started_at: datetime) -> None:
        self._started_at = started_at
        self._agents: dict[str, _Agent] = {}
        self._sources: dict[SourceId, _Source] = {}
        self._parts = {part: PartState(part=part, ok=True, since_at=started_at) for part in Part}
        self._verdicts: dict[SourceId, tuple[Verdict, ...]] = {}

    def declare(
        self, src: SourceId, *, agent: str, cadence: Mapping[VitalKey, float], streams: Iterable[VitalKey]
    ) -> None:
        """What a source will send by itself. A source keeps the agent that declared it first."""
        source = self._sources.setdefault(src, _Source(agent))
        if source.agent == agent:
            source.cadence_s = {key: s for key, s in cadence.items() if s <= CONTINUOUS_WITHIN_S}
            source.cadence_s |= dict.fromkeys(streams, _BLOCK_CADENCE_S)

    def remember_agent(self, name: str, *, heard_at: datetime) -> None:
        """When an earlier run heard an agent last: where its silence began, should it say nothing now."""
        self._agents[name] = _Agent(heard_at=heard_at)

    def note_part(self, state: PartState) -> None:
        """Database or broker as it is now."""
        self._parts[state.part] = state

    def take(self, event: Event) -> None:
        """Learn from an event."""
        match event:
            case ReadingsHeard():
                for reading in event.readings:
                    self._hear_reading(reading, event.heard_at)
            case WaveHeard():
                source = self._sources.get(event.src)
                if source is not None and not event.late:
                    source.heard_at[event.block.stream] = event.heard_at
            case GapHeard():
                self.note_gap(event.gap)
            case AgentBorn():
                self._bear(event)
            case AgentHeard():
                self._hear_agent(event.agent, event.heard_at)
            case AgentGone():
                self._lose_agent(event)

    def note_gap(self, gap: Gap) -> None:
        """A gap that an agent told of, open or ended."""
        source = self._sources.get(gap.src)
        if source is None:
            return
        name = (tuple(sorted(gap.keys)), gap.cause, gap.started_at)
        if gap.ended_at is None:
            source.gaps[name] = gap
        else:
            source.gaps.pop(name, None)

    def _bear(self, event: AgentBorn) -> None:
        for declared in event.sources:
            streams = [wave.stream for wave in declared.waves]
            self.declare(declared.src, agent=event.agent, cadence=declared.cadence, streams=streams)
        if event.heard_at is not None:
            self._hear_agent(event.agent, event.heard_at)

    def _hear_agent(self, name: str, at: datetime) -> None:
        agent = self._agents.setdefault(name, _Agent())
        if agent.gone is not None or agent.heard_at is None or at - agent.heard_at > QUIET_ALLOWED:
            agent.back_at = at
        agent.heard_at, agent.gone = at, None

    def _lose_agent(self, event: AgentGone) -> None:
        """A will that comes long after the last beat tells of a cut link, not of an agent that stopped."""
        agent = self._agents.setdefault(event.agent, _Agent())
        was_quiet = agent.heard_at is not None and event.heard_at is not None
        if was_quiet and event.heard_at - agent.heard_at > QUIET_ALLOWED:  # type: ignore[operator] # both set
            agent.gone = GapCause.UPLINK_OFF
        else:
            agent.gone = GapCause.AGENT_OFF
        agent.gone_at = agent.heard_at or event.heard_at

    def _hear_reading(self, reading: Reading, at: datetime) -> None:
        source = self._sources.get(reading.src)
        if source is None or reading.late:
            return
        source.last_reason = GapCause.UNKNOWN
        if not reading.has_value:
            reason = (cause for flag, cause in _REASONS.items() if flag in reading.flags)
            source.reasons[reading.key] = source.last_reason = next(reason, GapCause.UNKNOWN)
            return
        source.reasons.pop(reading.key, None)
        source.heard_at[reading.key] = at
        # A value that was measured after a gap began refutes it, should its end have been lost.
        for name, gap in list(source.gaps.items()):
            covered = not gap.keys or reading.key in gap.keys
            if covered and reading.measured_at > gap.started_at + QUIET_ALLOWED:
                del source.gaps[name]

    def evaluate(self, now: datetime) -> Mapping[SourceId, tuple[Verdict, ...]]:
        """The silences of every source. A silence whose cause becomes clearer keeps its beginning."""
        self._verdicts = {src: self._with_first_since(src, self._judge(src, now)) for src in self._sources}
        return self._verdicts

    def _with_first_since(self, src: SourceId, verdicts: tuple[Verdict, ...]) -> tuple[Verdict, ...]:
        before = {verdict.silence.keys: verdict.silence.since_at for verdict in self._verdicts.get(src, ())}
        return tuple(
            Verdict(
                silence=Silence(
                    src=src,
                    keys=verdict.silence.keys,
                    cause=verdict.silence.cause,
                    since_at=min(
                        verdict.silence.since_at,
                        before.get(verdict.silence.keys, verdict.silence.since_at),
                    ),
                ),
                told_by_edge=verdict.told_by_edge,
            )
            for verdict in verdicts
        )

    def _judge(self, src: SourceId, now: datetime) -> tuple[Verdict, ...]:
        source = self._sources[src]
        outside = self._judge_outside(source, now)
        if outside is not None:
            cause, since_at = outside
            return (_verdict(src, (), cause, since_at),)
        told = tuple(
            Verdict(
                silence=Silence(src=src, keys=tuple(gap.keys), cause=gap.cause, since_at=gap.started_at),
                told_by_edge=True,
            )
            for gap in sorted(source.gaps.values(), key=lambda gap: gap.started_at)
        )
        whole = tuple(verdict for verdict in told if not verdict.silence.keys)
        if whole:
            return whole[:1]
        told_keys = {key for verdict in told for key in verdict.silence.keys}
        return told + self._judge_quiet(src, source, told_keys=told_keys, now=now)

    def _judge_outside(self, source: _Source, now: datetime) -> tuple[GapCause, datetime] | None:
        for part, cause in _PART_CAUSES:
            if not self._parts[part].ok:
                return cause, self._parts[part].since_at
        agent = self._agents.get(source.agent, _Agent())
        last_value_at = max(source.heard_at.values(), default=None)
        if agent.gone is not None:
            return agent.gone, agent.gone_at or last_value_at or self._started_at
        if now - self._no_earlier_than(agent.heard_at) > QUIET_ALLOWED:
            return GapCause.UPLINK_OFF, agent.heard_at or last_value_at or self._started_at
        return None

    def _no_earlier_than(self, moment: datetime | None) -> datetime:
        """Nobody is late before the ways to us were open."""
        opened = [self._started_at, *(state.since_at for state in self._parts.values())]
        return max(opened if moment is None else [moment, *opened])

    def _judge_quiet(
        self, src: SourceId, source: _Source, *, told_keys: set[VitalKey], now: datetime
    ) -> tuple[Verdict, ...]:
        expected = [key for key in source.cadence_s if key in source.heard_at] or list(source.cadence_s)
        back_at = self._agents.get(source.agent, _Agent()).back_at
        quiet = []
        for key in expected:
            allowed = max(QUIET_ALLOWED, timedelta(seconds=3 * source.cadence_s[key]))
            heard_at = source.heard_at.get(key)
            reference = self._no_earlier_than(heard_at)
            if now - (reference if back_at is None else max(reference, back_at)) > allowed:
                quiet.append(key)
        untold = tuple(sorted(key for key in quiet if key not in told_keys))
        if not untold:
            return ()
        since_at = min(source.heard_at.get(key, self._started_at) for key in untold)
        if len(quiet) == len(expected) and not told_keys:
            return (_verdict(src, (), self._whole_cause(source), since_at),)
        said = {source.reasons.get(key, GapCause.UNKNOWN) for key in untold}
        return (_verdict(src, untold, said.pop() if len(said) == 1 else GapCause.UNKNOWN, since_at),)

    def _whole_cause(self, source: _Source) -> GapCause:
        """Why a source says nothing at all. Where nobody stores, its agent soon stops sending more."""
        if not self._parts[Part.INGEST].ok:
            return GapCause.SERVER_OFF
        is_told = source.last_reason is not GapCause.UNKNOWN
        return source.last_reason if is_told else GapCause.DEVICE_SILENT


def _verdict(src: SourceId, keys: Keys, cause: GapCause, since_at: datetime) -> Verdict:
    return Verdict(silence=Silence(src=src, keys=keys, cause=cause, since_at=since_at), told_by_edge=False)


@dataclass(slots=True)
class GapRecorder:
    """Turns verdicts that only the cloud can give into gaps to store, and keeps them until they are."""

    _open: dict[tuple[SourceId, Keys, GapCause], datetime] = field(default_factory=dict)
    _pending: dict[tuple[SourceId, Keys, GapCause, datetime], Gap] = field(default_factory=dict)

    def follow(self, verdicts: Mapping[SourceId, tuple[Verdict, ...]], *, now: datetime) -> None:
        """Note what began and what ended."""
        current = {
            (src, verdict.silence.keys, verdict.silence.cause): verdict.silence.since_at
            for src, of_source in verdicts.items()
            for verdict in of_source
            if not verdict.told_by_edge
        }
        for name, started_at in current.items():
            if name not in self._open:
                self._open[name] = started_at
                self._put(name, started_at, None)
        for name in [name for name in self._open if name not in current]:
            started_at = self._open.pop(name)
            self._put(name, started_at, max(now, started_at))

    def _put(
        self, name: tuple[SourceId, Keys, GapCause], started_at: datetime, ended_at: datetime | None
    ) -> None:
        src, keys, cause = name
        gap = Gap(src=src, keys=keys, cause=cause, started_at=started_at, ended_at=ended_at)
        self._pending[src, keys, cause, started_at] = gap

    def pending(self) -> tuple[Gap, ...]:
        """What is not stored yet."""
        return tuple(self._pending.values())

    def settle(self, stored: Iterable[Gap]) -> None:
        """Forget what is stored, unless it has ended in the meantime."""
        for gap in stored:
            name = (gap.src, gap.keys, gap.cause, gap.started_at)
            if self._pending.get(name) == gap:
                del self._pending[name]
