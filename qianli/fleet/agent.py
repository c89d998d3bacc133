"""One simulated agent: measures, numbers, gives what is to be sent, lets go; no clock, no socket.

Every moment comes in as an `Instant`, so that a test can run an hour in no time. What it measures follows
from its name and the seed alone; what its clock says may be wrong, as the scenario wants it.
"""

import random
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum, auto
from typing import NamedTuple

from qianli.fleet.figures import Figures
from qianli.fleet.ledger import Ledger
from qianli.fleet.scenario import Member
from qianli.fleet.sensors import TABLE_ROWS
from qianli.fleet.spool import GAP, VITALS, Made, Numbered, SimulatedSpool
from qianli.fleet.voice import Identity, Voice
from vitals.gap import Gap
from vitals.wire.batch import from_ms
from vitals.wire.errors import WireError
from vitals.wire.status import decode_ack
from vitals.wire.topics import Lane

_SHORTEST_GAP = timedelta(milliseconds=1)


class Instant(NamedTuple):
    """A moment: by the true clock, and since the start of the run."""

    true_ms: int
    elapsed_s: float


class Answer(Enum):
    """What an acknowledgement was."""

    FOREIGN = auto()
    TAKEN = auto()
    KNOWS_LESS = auto()
    """The cloud forgot what it once acknowledged: a birth message tells it what can never come again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """Where all agents of a shard write down what they do."""

    figures: Figures
    ledger: Ledger


@dataclass(slots=True)
class _Part:
    """The vitals of a sensor, or one of its streams: when its next message is due."""

    sensor: int
    part: int
    period_s: float
    due_s: float
    number: int = 0


class SimulatedAgent:
    """Give it moments with `measure`, take what is to be sent from `outgoing`, hand it acknowledgements."""

    def __init__(self, member: Member, *, seed: int, lineage: str, boot: str, books: Books) -> None:
        self.group = member.group
        self.spool = SimulatedSpool()
        self._books = books
        self._random = random.Random(f"{seed} {member.name}")  # noqa: S311 # a simulation
        identity = Identity(agent=member.name, lineage=lineage, boot=boot)
        self.voice = Voice(identity, member.group, first_row=self._random.randrange(TABLE_ROWS))
        self._parts = [
            self._begin(sensor, part)
            for sensor, described in enumerate(self.voice.sensors)
            for part in (VITALS, *range(len(described.waves)))
        ]
        self._gap: Gap | None = None

    @property
    def name(self) -> str:
        """Its name at the broker."""
        return self.voice.identity.agent

    @property
    def next_due_s(self) -> float:
        """When there is something to measure again."""
        return min(part.due_s for part in self._parts)

    def clock_ms(self, now: Instant) -> int:
        """What this agent's clock says."""
        return now.true_ms + round(self.group.clock.error_s(now.elapsed_s) * 1000)

    def measure(self, now: Instant) -> None:
        """Make every message that is due; each tells of the time that ends when it is due."""
        for part in self._parts:
            while part.due_s <= now.elapsed_s:
                self._measure_part(part, now)
                part.number += 1
                part.due_s += part.period_s

    def outgoing(self, now: Instant, *, is_new_link: bool = False) -> list[tuple[str, bytes]]:
        """Topics and payloads to send now, in this order; some twice and some shuffled, if so wished."""
        mono_s, sent_ms = now.elapsed_s, self.clock_ms(now)
        again = self.spool.unacknowledged(mono_s) if is_new_link else self.spool.overdue(mono_s)
        sending = again + self.spool.assign(now_ms=sent_ms, mono_s=mono_s)
        self._books.figures.sent += len(sending)
        self._books.figures.sent_again += len(again)
        if self.group.duplicates:
            sending += [one for one in sending if self._random.random() < self.group.duplicates]
        if self.group.shuffle > 1:
            sending = self._shuffled(sending)
        return [self.voice.message(one, sent_ms=sent_ms) for one in sending]

    def acknowledge(self, payload: bytes, now: Instant) -> Answer:
        """Take an acknowledgement of the cloud."""
        try:
            ack = decode_ack(payload)
        except WireError:
            return Answer.FOREIGN
        if ack.ln != self.voice.identity.lineage:
            return Answer.FOREIGN
        released = self.spool.released()
        knows_less = any(upto < released[lane] for lane, upto in ack.upto.items())
        for lane, made in self.spool.acknowledge(ack.upto, now.elapsed_s):
            delay_ms = (now.elapsed_s - made.made_s) * 1000
            self._books.figures.note_acknowledged(delay_ms, is_late=lane is Lane.BACKLOG)
        return Answer.KNOWS_LESS if knows_less else Answer.TAKEN

    def birth(self, now: Instant) -> bytes:
        """The retained message that says who is there."""
        return self.voice.birth(at_ms=self.clock_ms(now), released=self.spool.released())

    def beat(self, now: Instant) -> bytes:
        """A sign of life."""
        at_ms = self.clock_ms(now)
        return self.voice.beat(at_ms=at_ms, depth=len(self.spool), oldest_ms=self.spool.oldest_ms())

    def _begin(self, sensor: int, part: int) -> _Part:
        period_s = self.voice.period_s(sensor, part)
        return _Part(sensor=sensor, part=part, period_s=period_s, due_s=self._random.random() * period_s)

    def _measure_part(self, part: _Part, now: Instant) -> None:
        ago_ms = round((now.elapsed_s - part.due_s) * 1000)
        end_ms = self.clock_ms(Instant(now.true_ms - ago_ms, part.due_s))
        silences = self.group.silences
        is_silent = part.sensor == 0 and silences is not None and silences.is_silent(part.due_s)
        if part.sensor == 0 and part.part == VITALS:
            self._note_silence(end_ms, is_silent=is_silent, made_s=part.due_s)
        if is_silent:
            return
        made = Made(part.sensor, part.part, part.number, self._begin_us(part, end_ms), end_ms, part.due_s)
        self._count(made)
        self._keep(made)

    def _begin_us(self, part: _Part, end_ms: int) -> int:
        if part.part != VITALS:
            return end_ms * 1000 - round(part.period_s * 1e6)
        rows = self.voice.sensors[part.sensor].rows
        return (end_ms - round(part.period_s * 1000 / rows) * (rows - 1)) * 1000

    def _keep(self, made: Made) -> None:
        self._books.figures.made += 1
        self.spool.put(made)

    def _count(self, made: Made) -> None:
        """Into the ledger, before it is sent: this is what must be stored."""
        sensor, figures = self.voice.sensors[made.sensor], self._books.figures
        sums = self._books.ledger.sources[self.voice.sources[made.sensor]]
        if made.part != VITALS:
            wave = sensor.waves[made.part]
            second = self.voice.second(wave, made.number)
            sums.of_stream(wave.stream).add(len(second.samples), made.t0_us, second.sum_values)
            figures.wave_samples += len(second.samples)
            return
        sum_ms = sensor.rows * (made.t0_us // 1000 + made.newest_ms) // 2
        for key in sensor.keys:
            column = self.voice.column(key, sensor, made.number)
            sums.of_key(key).add(sensor.rows, sum_ms, sum(round(value * 100) for value in column))
        figures.samples += sensor.rows * len(sensor.keys)

    def _note_silence(self, at_ms: int, *, is_silent: bool, made_s: float) -> None:
        """A gap is told when it begins and when it ends."""
        silences = self.group.silences
        if silences is None or is_silent == (self._gap is not None):
            return
        at = from_ms(at_ms)
        if self._gap is None:
            told = Gap(src=self.voice.sources[0], keys=(), cause=silences.cause, started_at=at)
            self._gap = told
            self._books.ledger.sources[told.src].gaps += 1
        else:
            told = replace(self._gap, ended_at=max(at, self._gap.started_at + _SHORTEST_GAP))
            self._gap = None
        self._keep(Made(0, GAP, 0, at_ms * 1000, at_ms, made_s, told))

    def _shuffled(self, sending: list[Numbered]) -> list[Numbered]:
        width = self.group.shuffle
        parts = [sending[first : first + width] for first in range(0, len(sending), width)]
        for part in parts:
            self._random.shuffle(part)
        return [one for part in parts for one in part]
