"""Commands and their states, and the exchange by which an agent's clock is measured. Pure.

The exchange is the on-wire protocol of NTP (RFC 5905, section 8): the cloud asks at T1 by its clock, the
agent gets the question at T2 and answers at T3 by its own, and the answer is here at T4.

    delay  = (T4 - T1) - (T3 - T2)              what the ways took
    offset = ((T1 - T2) + (T4 - T3)) / 2        to be added to the agent's clock

The offset is wrong by half the delay at most, namely if one way took all of it. So of the last eight samples
the one with the least distance counts (section 10): half its delay, and 15 us for each second of its age. A
sample that agrees with none of what was known before tells of a clock that has moved: the others are dropped.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from cloud.errors import CloudError
from vitals.wire.batch import from_ms
from vitals.wire.command import CommandName, ReplyState, ResendArgs, TimeArgs, TimeResult, Word
from vitals.wire.topics import Lane

COMMAND_LASTS = timedelta(minutes=10)
COMMANDS_KEPT = timedelta(days=90)
HOLE_ALLOWED = timedelta(seconds=60)
"""For how long a number may be missing in a lane that has moved on, and again each time it is asked for."""
EXCHANGE_EVERY_S = 300.0
FILTER_SAMPLES = 8
DRIFT = 15e-6
ENOUGH_SAMPLES = 4
QUESTIONS_IN_A_ROUND = 6
UNANSWERED_UNTIL_FORGOTTEN = 3
TELL_FROM_MS = 2.0
_OFFSET_POSSIBLE_S = 100 * 365 * 86_400


class CommandError(CloudError):
    """Base of this room's errors."""


class AgentUnknown(CommandError):
    """No such agent in the asker's organisation."""

    def __str__(self) -> str:
        return "no such agent"


class SpoolUnknown(CommandError):
    """The agent has never spoken, so that nothing can be asked for again."""

    def __str__(self) -> str:
        return "this agent has not spoken yet; there is nothing to send again"


class CommandState(StrEnum):
    """How far a command has come."""

    ISSUED = "issued"
    RECEIVED = "received"
    DONE = "done"
    FAILED = "failed"
    EXPIRED = "expired"

    def after(self, reply: ReplyState) -> "CommandState":
        """With a reply of the agent. What has ended stays, but an agent's word that it is done counts.

        The cloud itself calls a command expired when no reply came; the reply may only have been late.
        """
        said = CommandState(reply.value)
        if self in (CommandState.DONE, CommandState.FAILED):
            return self
        if self is CommandState.EXPIRED and said is CommandState.RECEIVED:
            return self
        return said

    @property
    def is_final(self) -> bool:
        """Whether it has ended."""
        return self not in (CommandState.ISSUED, CommandState.RECEIVED)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneRange:
    """Numbers of a lane."""

    lane: Lane
    first: int
    last: int

    def of_spool(self, lineage: str) -> ResendArgs:
        """As an agent is asked for them."""
        return ResendArgs(ln=lineage, lane=self.lane, first=self.first, last=self.last)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What somebody wants an agent to do; `resend` only with the command of that name."""

    name: CommandName
    resend: LaneRange | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedCommand:
    """A command as the table has it."""

    command_id: str
    agent: str
    name: CommandName
    args: Mapping[str, Word]
    issued_by: str
    issued_at: datetime
    expires_at: datetime
    state: CommandState = CommandState.ISSUED
    received_at: datetime | None = None
    ended_at: datetime | None = None
    result: Mapping[str, Word] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingRange:
    """Numbers of a spool that never came."""

    agent: str
    lineage: str
    range: LaneRange


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentClock:
    """How an agent's clock stands."""

    agent: str
    offset_ms: float
    delay_ms: float
    quality: str
    since: datetime
    measured_at: datetime

    @property
    def told_ms(self) -> int:
        """The offset as the agent is told it: a clock with a time service is believed within the delay."""
        may_be_right = abs(self.offset_ms) <= self.delay_ms / 2
        return 0 if self.quality == "ntp" and may_be_right else round(self.offset_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSample:
    """One exchange."""

    offset_s: float
    delay_s: float
    at_s: float

    def distance_s(self, now_s: float) -> float:
        """By how much the offset may be wrong now."""
        return self.delay_s / 2 + DRIFT * (now_s - self.at_s)

    def agrees_with(self, earlier: "ClockSample") -> bool:
        """Whether both can be right now."""
        allowed_s = self.distance_s(self.at_s) + earlier.distance_s(self.at_s)
        return abs(self.offset_s - earlier.offset_s) <= allowed_s


def measure_sample(told: TimeResult, *, t4_us: int) -> ClockSample | None:
    """The sample of an exchange; None where it cannot have been so: a clock jumped meanwhile."""
    delay_us = (t4_us - told.t1) - (told.t3 - told.t2)
    if told.t3 < told.t2 or delay_us < 0:
        return None
    offset_s = ((told.t1 - told.t2) + (t4_us - told.t3)) / 2e6
    if abs(offset_s) > _OFFSET_POSSIBLE_S:
        return None
    return ClockSample(offset_s=offset_s, delay_s=delay_us / 1e6, at_s=t4_us / 1e6)


@dataclass(slots=True)
class _Round:
    """What is known of one agent's clock, and where the questions stand."""

    due_s: float
    left: int = QUESTIONS_IN_A_ROUND
    unanswered: int = 0
    asked: dict[str, int] = field(default_factory=dict)
    epoch: tuple[str, int] | None = None
    samples: deque[ClockSample] = field(default_factory=lambda: deque(maxlen=FILTER_SAMPLES))
    since_s: float = 0.0
    quality: str = "none"
    told_ms: int | None = None

    def best(self, now_s: float) -> ClockSample:
        return min(self.samples, key=lambda sample: sample.distance_s(now_s))

    def clock(self, agent: str, *, now_s: float) -> AgentClock | None:
        if not self.samples:
            return None
        best = self.best(now_s)
        return AgentClock(
            agent=agent,
            offset_ms=best.offset_s * 1000,
            delay_ms=best.delay_s * 1000,
            quality=self.quality,
            since=from_ms(int(self.since_s * 1000)),
            measured_at=from_ms(int(best.at_s * 1000)),
        )


@dataclass(slots=True)
class ClockRounds:
    """Whose clock is to be asked when, and what the answers gave.

    An agent that comes, or says that it knows no offset, is asked at once and several times, so that it knows
    soon; then once in five minutes, and again when what it was told has changed.
    """

    _rounds: dict[str, _Round] = field(default_factory=dict)

    def note_birth(self, agent: str, *, knows_offset: bool, wait_s: float, now_s: float) -> None:
        """An agent said its birth; one that is already asked regularly is asked now only if it wants that."""
        known = self._rounds.get(agent)
        if known is None:
            self._rounds[agent] = _Round(due_s=now_s + wait_s)
        elif not knows_offset:
            known.due_s, known.left, known.told_ms = now_s + wait_s, QUESTIONS_IN_A_ROUND, None

    def note_gone(self, agent: str, *, now_s: float) -> None:
        """An agent went, as its will says, which may be older than its last birth: it is not asked soon."""
        known = self._rounds.get(agent)
        if known is not None:
            known.due_s = now_s + EXCHANGE_EVERY_S

    def due(self, now_s: float, *, limit: int) -> list[str]:
        """Agents that are to be asked now, the longest waiting first; who never answers is forgotten."""
        for agent in [
            agent for agent, one in self._rounds.items() if one.unanswered >= UNANSWERED_UNTIL_FORGOTTEN
        ]:
            del self._rounds[agent]
        waiting = sorted((one.due_s, agent) for agent, one in self._rounds.items() if one.due_s <= now_s)
        return [agent for _, agent in waiting[:limit]]

    def is_due(self, agent: str, now_s: float) -> bool:
        """Whether this agent is to be asked now."""
        one = self._rounds.get(agent)
        return one is not None and one.due_s <= now_s

    def ask(self, agent: str, question_id: str, *, t1_us: int) -> TimeArgs:
        """The question, asked now: with it goes what is known."""
        one = self._rounds.setdefault(agent, _Round(due_s=0.0))
        now_s = t1_us / 1e6
        one.left = QUESTIONS_IN_A_ROUND - 1 if one.due_s <= now_s else one.left - 1
        one.due_s = now_s + EXCHANGE_EVERY_S
        one.unanswered += 1
        one.asked = {question_id: t1_us}
        clock = one.clock(agent, now_s=now_s)
        if clock is None or one.epoch is None:
            return TimeArgs(t1=t1_us)
        one.told_ms = clock.told_ms
        boot, step = one.epoch
        return TimeArgs(t1=t1_us, off_ms=one.told_ms, delay_ms=round(clock.delay_ms), boot=boot, step=step)

    def is_own(self, agent: str, question_id: str) -> bool:
        """Whether this is the question that waits for an answer."""
        one = self._rounds.get(agent)
        return one is not None and question_id in one.asked

    def take(self, agent: str, question_id: str, told: TimeResult, *, t4_us: int) -> AgentClock | None:
        """Learn from the answer to the question that waits; None where there is nothing to learn."""
        one = self._rounds.get(agent)
        if one is None or one.asked.pop(question_id, None) != told.t1:
            return None
        one.unanswered = 0
        sample = measure_sample(told, t4_us=t4_us)
        if sample is None:
            return None
        if one.epoch != (told.boot, told.step):
            one.samples.clear()
            one.epoch, one.since_s, one.told_ms = (told.boot, told.step), sample.at_s, None
        if one.samples and not sample.agrees_with(one.best(sample.at_s)):
            one.samples.clear()
        one.quality = told.src if told.src in ("ntp", "rtc") else "none"
        one.samples.append(sample)
        return one.clock(agent, now_s=sample.at_s)

    def wants_more(self, agent: str, now_s: float) -> bool:
        """Whether to ask on at once: too little is known, or the agent was told something else."""
        one = self._rounds.get(agent)
        clock = None if one is None else one.clock(agent, now_s=now_s)
        if one is None or clock is None or one.left <= 0:
            return False
        tolerance_ms = max(TELL_FROM_MS, clock.delay_ms / 4)
        is_told = one.told_ms is not None and abs(one.told_ms - clock.told_ms) < tolerance_ms
        return len(one.samples) < ENOUGH_SAMPLES or not is_told
