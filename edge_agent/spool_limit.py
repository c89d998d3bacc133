"""What the agent lets go of when its disk would not hold everything: the oldest waves first, then vitals.

Vitals are thinned to one a minute before any of them goes altogether. Events are never dropped, nor what has
a sequence already. Everything that is dropped is told by a `Gap` in the same transaction, so that a chart
shows a hole with its cause where values were.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import msgspec

from edge_agent.clock import Clock
from edge_agent.spool import OutboxEntry, Rework, Spool, Waiting
from vitals.gap import Gap, GapCause
from vitals.observation import Observation, SourceId, VitalKey
from vitals.wire.batch import Envelope, build_batch, decode_batch, encode_batch, from_ms, read_batch, to_ms
from vitals.wire.event import build_gap_event, encode_event
from vitals.wire.topics import Lane
from vitals.wire.wave_block import decode_wave

ROWS_AT_ONCE = 512
"""Messages in one transaction: the parser never waits longer than these take."""

DOWN_TO = 0.95
"""A full spool is emptied to this part of its limit, so that one gap tells of many messages."""

THIN_TO_MS = 60_000
WAVES = "wave/*"
VITALS = "vitals"
LAST_ID = 2**62
MARK_EVERY_S = 86_400.0
_AGES = "spool_ages"
NEW_AGES = '{"ran_s": 0, "marks": []}'


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolLimit:
    """How much may wait on the disk of an agent, and for how long, counted while the agent runs."""

    size_bytes: int
    age: timedelta


class Ages(msgspec.Struct, frozen=True, kw_only=True):
    """How long the agent ran in all, and once a day of it the newest message of that moment."""

    ran_s: float
    marks: list[tuple[float, int]]


@dataclass(slots=True)
class Spans:
    """Intervals of dropped values by source and key; each holds all that was dropped between its ends."""

    _spans: dict[tuple[SourceId, VitalKey], tuple[int, int]] = field(default_factory=dict)

    def add(self, src: SourceId, key: VitalKey, from_ms: int, to_ms: int) -> None:
        """Something between these moments was dropped."""
        first, last = self._spans.get((src, key), (from_ms, to_ms))
        self._spans[src, key] = (min(first, from_ms), max(last, to_ms))

    def gaps(self) -> list[Gap]:
        """One gap for each source and key."""
        return [
            Gap(
                src=src,
                keys=(key,),
                cause=GapCause.DROPPED_BY_POLICY,
                started_at=from_ms(first),
                ended_at=from_ms(last),
            )
            for (src, key), (first, last) in self._spans.items()
        ]


def drop_waves(waiting: Sequence[Waiting], spans: Spans) -> Rework:
    """All of these wave blocks go."""
    for row in waiting:
        message = decode_wave(row.payload, stream=VitalKey(row.topic.removeprefix(WAVES[:-1])))
        block = message.block
        # A span begins with its first value and ends after its last.
        spans.add(message.src, block.stream, block.t0_us // 1000, -(-block.end_us // 1000))
    return Rework(dropped=[row.id for row in waiting])


def drop_vitals(waiting: Sequence[Waiting], spans: Spans) -> Rework:
    """All of these batches go."""
    for row in waiting:
        batch = decode_batch(row.payload)
        _note_dropped(batch.src, read_batch(batch), spans)
    return Rework(dropped=[row.id for row in waiting])


def thin_vitals(waiting: Sequence[Waiting], spans: Spans) -> Rework:
    """Of each source and key the first value of every minute stays, in its message."""
    kept_minutes: set[tuple[SourceId, VitalKey, int]] = set()
    dropped: list[int] = []
    replaced: dict[int, bytes] = {}
    for row in waiting:
        batch = decode_batch(row.payload)
        kept: list[Observation] = []
        gone: list[Observation] = []
        for item in sorted(read_batch(batch), key=lambda item: item.measured_at):
            minute = (batch.src, item.key, to_ms(item.measured_at) // THIN_TO_MS)
            (gone if minute in kept_minutes else kept).append(item)
            kept_minutes.add(minute)
        _note_dropped(batch.src, gone, spans)
        if not kept:
            dropped.append(row.id)
        elif gone:
            envelope = Envelope(ln=batch.ln, boot=batch.boot, lane=batch.lane, s=batch.s)
            replaced[row.id] = encode_batch(
                build_batch(kept, src=batch.src, envelope=envelope, clock=batch.clk)
            )
    return Rework(dropped=dropped, replaced=replaced)


def _note_dropped(src: SourceId, observations: Iterable[Observation], spans: Spans) -> None:
    for item in observations:
        at_ms = to_ms(item.measured_at)
        spans.add(src, item.key, at_ms, at_ms + 1)


class Trimmer:
    """Holds a spool within its limit. Used from one thread at a time.

    Age is counted in time that the agent ran, and order by arrival: a clock that is set anew, or a device
    that dates its readings in the past, makes nothing old.
    """

    def __init__(
        self,
        spool: Spool,
        limit: SpoolLimit,
        *,
        boot: str,
        clock: Clock,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spool = spool
        self._limit = limit
        self._envelope = Envelope(ln=spool.lineage, boot=boot, lane=Lane.EVENT, s=1)
        self._clock = clock
        self._monotonic_s = monotonic_s
        self._looked_s = monotonic_s()
        self._ages = msgspec.json.decode(spool.setting(_AGES, default=NEW_AGES), type=Ages)
        self._thinned_id = 0

    def run_once(self) -> None:
        """Let go of what is too old, then of what is too much."""
        too_old_id = self._grow_older()
        for kind, drop in ((WAVES, drop_waves), (VITALS, drop_vitals)):
            while too_old_id and self._step(kind, drop, upto_id=too_old_id):
                pass
        if self._spool.used_bytes() <= self._limit.size_bytes:
            return
        while self._is_full() and self._step(WAVES, drop_waves):
            pass
        while self._is_full() and (shown := self._step(VITALS, thin_vitals, after_id=self._thinned_id)):
            self._thinned_id = shown[-1].id
        while self._is_full() and self._step(VITALS, drop_vitals):
            pass

    def _grow_older(self) -> int:
        """Count the time since the last look; the id up to which messages have just become too old, or 0."""
        now_s = self._monotonic_s()
        ran_s = self._ages.ran_s + now_s - self._looked_s
        self._looked_s = now_s
        marks = self._ages.marks
        if not marks or ran_s - marks[-1][0] >= MARK_EVERY_S:
            marks = [*marks, (ran_s, self._spool.last_id())]
        old = [mark for mark in marks if ran_s - mark[0] >= self._limit.age.total_seconds()]
        self._ages = Ages(ran_s=ran_s, marks=marks[len(old) :])
        self._spool.put_setting(_AGES, msgspec.json.encode(self._ages).decode())
        return old[-1][1] if old else 0

    def _is_full(self) -> bool:
        return self._spool.used_bytes() > self._limit.size_bytes * DOWN_TO

    def _step(
        self,
        kind: str,
        decide: Callable[[Sequence[Waiting], Spans], Rework],
        *,
        after_id: int = 0,
        upto_id: int = LAST_ID,
    ) -> list[Waiting]:
        def rework(waiting: Sequence[Waiting]) -> Rework:
            spans = Spans()
            decided = decide(waiting, spans)
            return replace(decided, told=[self._tell(gap) for gap in spans.gaps()])

        return self._spool.rework(kind, rework, within=(after_id, upto_id), limit=ROWS_AT_ONCE)

    def _tell(self, gap: Gap) -> OutboxEntry:
        payload = encode_event(build_gap_event(gap, envelope=self._envelope))
        return OutboxEntry(topic="event", payload=payload, created_ms=to_ms(self._clock()), is_event=True)
