"""The engine for one person: samples in, events out. The same code runs on the edge and in the cloud.

Time is the data's own. At one instant what is too old goes first, then all samples are taken together, then
the rules that read what changed are looked at once, then the delays that end are ended. An instant in between
at which something becomes too old or a delay ends is lived through first. So the events depend on what was
measured and when, not on when it arrived or how often anybody looked.
"""

from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass

import msgspec

from vitals.errors import QianliError
from vitals.warning.channel import Channel, Reading, Stream, Taken
from vitals.warning.condition import Condition, Phase, Step
from vitals.warning.event import Change, Event, InputSeen, ScoreSeen
from vitals.warning.frame import Frame
from vitals.warning.rule import Level
from vitals.warning.rule_set import CompiledRule, RuleSet
from vitals.warning.sample import Refusal, Sample
from vitals.warning.window import SavedWindow

_NEVER_MS = 2**62
_SHOWN = (Change.ACTIVE, Change.WORSENED, Change.REMEASURE, Change.TECHNICAL)


class SavedWatchInvalid(QianliError):
    """A saved state belongs to other rules or cannot be read; the samples give it anew."""


class _SavedChannel(msgspec.Struct, array_like=True, frozen=True):
    stream: Stream | None
    reading: Reading | None
    refusal: Refusal | None
    heard_ms: int | None
    disagreed_ms: int | None
    others: list[tuple[Stream, Reading]]


class _Saved(msgspec.Struct, array_like=True, frozen=True):
    """The state as it is kept."""

    digest: str
    now_ms: int
    parameters: list[float]
    channels: list[_SavedChannel]
    windows: list[SavedWindow]
    conditions: list[Condition]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionSeen:
    """How one rule stands now."""

    rule: str
    phase: Phase
    level: Level
    onset_ms: int
    deadline_ms: int | None
    is_unknown: bool
    is_technical: bool
    suppressed: int


class Watch:
    """One person's rules, values and conditions."""

    def __init__(self, rules: RuleSet) -> None:
        self._rules = rules
        self._frame = rules.build_frame()
        self._channels = [Channel(declared) for declared in rules.channels]
        self._conditions = [Condition() for _ in rules.rules]
        self._readers = _find_readers(rules)
        self._due_ms = _NEVER_MS

    @property
    def now_ms(self) -> int:
        """The instant up to which everything has been lived through."""
        return self._frame.now_ms

    @property
    def due_ms(self) -> int | None:
        """Before this instant nothing happens without a sample; at it, something may."""
        return None if self._due_ms == _NEVER_MS else self._due_ms

    def take(self, at_ms: int, samples: Iterable[Sample]) -> list[Event]:
        """Take every sample of one instant, which must lie after all that has been lived through.

        Without any, it is an instant at which somebody looked and found nothing new: what is known counts
        in the windows once more.
        """
        events = self._live_until(at_ms - 1)
        self._frame.now_ms = at_ms
        taken = dict.fromkeys(self._expire(at_ms), Taken.NOTED) if self._due_ms <= at_ms else {}
        rules: set[int] = set()
        ordered = sorted(samples, key=_by_stream)
        for sample in ordered:
            self._take_one(sample, taken, rules)
        if not ordered:
            self._look(rules)
        elif taken:
            self._add_to_windows({number for number, what in taken.items() if what >= Taken.REFUSED})
        if taken or rules:
            fresh = {number for number, what in taken.items() if what is Taken.VALUE}
            events += self._judge(rules.union(*(self._readers[number] for number in taken)), fresh=fresh)
        if self._due_ms <= at_ms:
            events += self._live_until(at_ms)
        return events

    def _look(self, rules: set[int]) -> None:
        self._add_to_windows(set(range(len(self._channels))))
        rules.update(range(len(self._rules.rules)))

    def advance(self, to_ms: int) -> list[Event]:
        """Live on without samples up to and including an instant."""
        events = self._live_until(to_ms)
        self._frame.now_ms = max(self._frame.now_ms, to_ms)
        return events

    def conditions(self) -> Iterator[ConditionSeen]:
        """How each rule stands."""
        for compiled, condition in zip(self._rules.rules, self._conditions, strict=True):
            yield ConditionSeen(
                rule=compiled.rule.id,
                phase=condition.phase,
                level=condition.level,
                onset_ms=condition.onset_ms,
                deadline_ms=condition.deadline_ms,
                is_unknown=condition.is_unknown,
                is_technical=condition.is_technical,
                suppressed=condition.suppressed,
            )

    def save(self) -> bytes:
        """Everything that the future depends on."""
        frame = self._frame
        return msgspec.msgpack.encode(
            _Saved(
                digest=self._rules.digest,
                now_ms=frame.now_ms,
                parameters=frame.parameters,
                channels=[_save_channel(channel) for channel in self._channels],
                windows=[window.save() for window in frame.windows],
                conditions=self._conditions,
            )
        )

    @classmethod
    def load(cls, rules: RuleSet, saved: bytes) -> "Watch":
        """The watch that was saved.

        Raises:
            SavedWatchInvalid: it belongs to other rules, or cannot be read.
        """
        try:
            state = msgspec.msgpack.decode(saved, type=_Saved)
        except msgspec.MsgspecError as error:
            raise SavedWatchInvalid(str(error)) from error
        if state.digest != rules.digest:
            raise SavedWatchInvalid("saved by other rules")
        watch = cls(rules)
        try:
            watch._restore(state)
        except (TypeError, ValueError) as error:
            raise SavedWatchInvalid("saved by another engine") from error
        return watch

    def _restore(self, state: _Saved) -> None:
        frame = self._frame
        frame.now_ms = state.now_ms
        frame.parameters = [value for value, _ in zip(state.parameters, self._rules.parameters, strict=True)]
        self._conditions = [
            condition for condition, _ in zip(state.conditions, self._rules.rules, strict=True)
        ]
        for window, saved in zip(frame.windows, state.windows, strict=True):
            window.restore(saved)
        for number, (channel, saved_channel) in enumerate(zip(self._channels, state.channels, strict=True)):
            _restore_channel(channel, saved_channel)
            self._show(number)
        self._find_due()

    def _take_one(self, sample: Sample, taken: dict[int, Taken], rules: set[int]) -> None:
        """Note what became of it: of each channel the most, and the rule whose parameter it changes."""
        override = self._rules.overrides.get(sample.key)
        if override is not None and override.is_allowed(sample.value):
            self._frame.edition += 1
            self._frame.parameters[override.slot] = float(sample.value)  # type: ignore[arg-type]  # allowed
            rules.add(override.rule)
        for number, rank in self._rules.channels_by_key.get(sample.key, ()):
            channel = self._channels[number]
            what = channel.take(sample, rank)
            if what:
                taken[number] = max(what, taken.get(number, what))
                self._show(number)
                due_ms = channel.due_ms()
                if due_ms is not None and due_ms < self._due_ms:
                    self._due_ms = due_ms

    def _show(self, number: int) -> None:
        """Put what a channel knows before the closures."""
        channel, frame = self._channels[number], self._frame
        reading = channel.reading
        frame.edition += 1
        frame.values[number] = None if reading is None or channel.disagreed_ms is not None else reading.value
        frame.gated[number] = channel.refusal is not None
        frame.missing[number] = channel.is_missing
        frame.disagreeing[number] = channel.disagreed_ms is not None

    def _add_to_windows(self, changed: set[int]) -> None:
        frame = self._frame
        for window, compiled in zip(frame.windows, self._rules.windows, strict=True):
            if not compiled.channels.isdisjoint(changed):
                value = compiled.read(frame)
                if value is not None:
                    window.add(frame.now_ms, float(value))

    def _judge(self, rules: Iterable[int], *, fresh: Set[int]) -> list[Event]:
        """Look at these rules; those that read a channel of `fresh` may have their second reading."""
        events: list[Event] = []
        for number in sorted(rules):
            compiled, condition = self._rules.rules[number], self._conditions[number]
            is_fresh = not compiled.answer_channels.isdisjoint(fresh)
            steps = condition.judge(compiled, self._frame, is_fresh=is_fresh)
            if condition.deadline_ms is not None and condition.deadline_ms < self._due_ms:
                self._due_ms = condition.deadline_ms
            if steps:
                events += self._tell(steps, compiled)
        return events

    def _live_until(self, limit_ms: int) -> list[Event]:
        events: list[Event] = []
        while self._due_ms <= limit_ms:
            self._find_due()
            if self._due_ms > limit_ms:
                break
            events += self._live_instant(self._due_ms)
            self._find_due()
        return events

    def _live_instant(self, at_ms: int) -> list[Event]:
        """What is too old goes first, then the rules that read it, then the delays that end."""
        frame = self._frame
        frame.now_ms = max(frame.now_ms, at_ms)
        expired = self._expire(at_ms)
        rules = frozenset[int]().union(*(self._readers[number] for number in expired))
        events = self._judge(rules, fresh=frozenset())
        for compiled, condition in zip(self._rules.rules, self._conditions, strict=True):
            if condition.deadline_ms is not None and condition.deadline_ms <= at_ms:
                events += self._tell(condition.fire(compiled, frame), compiled)
        return events

    def _expire(self, at_ms: int) -> list[int]:
        expired = [number for number, channel in enumerate(self._channels) if channel.expire(at_ms)]
        for number in expired:
            self._show(number)
        return expired

    def _find_due(self) -> None:
        due_ms = _NEVER_MS
        for channel in self._channels:
            end_ms = channel.due_ms()
            if end_ms is not None and end_ms < due_ms:
                due_ms = end_ms
        for condition in self._conditions:
            if condition.deadline_ms is not None and condition.deadline_ms < due_ms:
                due_ms = condition.deadline_ms
        self._due_ms = due_ms

    def _tell(self, steps: Iterable[Step], compiled: CompiledRule) -> list[Event]:
        rule = compiled.rule
        return [
            Event(
                at_ms=self._frame.now_ms,
                rule=rule.id,
                version=rule.version,
                kind=rule.kind,
                change=step.change,
                level=step.level,
                onset_ms=step.onset_ms,
                inputs=self._see_inputs(compiled) if step.change in _SHOWN else (),
                scores=_see_scores(compiled, self._frame) if step.change in _SHOWN else (),
                parameters=self._see_parameters(compiled) if step.change in _SHOWN else (),
            )
            for step in steps
        ]

    def _see_parameters(self, compiled: CompiledRule) -> tuple[tuple[str, float], ...]:
        return tuple((name, self._frame.parameters[slot]) for name, slot in compiled.parameters)

    def _see_inputs(self, compiled: CompiledRule) -> tuple[InputSeen, ...]:
        return tuple(_see_input(name, self._channels[number]) for name, number in compiled.read_inputs)


def _by_stream(sample: Sample) -> tuple[str, str]:
    return sample.key, sample.src


def _find_readers(rules: RuleSet) -> list[tuple[int, ...]]:
    """For each channel the rules that it can change."""
    return [
        tuple(number for number, compiled in enumerate(rules.rules) if channel in compiled.channels)
        for channel in range(len(rules.channels))
    ]


def _see_input(name: str, channel: Channel) -> InputSeen:
    reading = channel.reading
    stream = channel.stream
    reason: str | None = None
    if reading is None:
        reason = channel.refusal or ("silent" if channel.is_missing else "never")
    elif channel.disagreed_ms is not None:
        reason = "contradicted"
    else:
        reason = reading.bound
    return InputSeen(
        name=name,
        key=None if stream is None else channel.declared.keys[stream[0]],
        src=None if stream is None else stream[1],
        value=None if reading is None else reading.value,
        at_ms=None if reading is None else reading.at_ms,
        quality=None if reading is None else reading.quality,
        reason=reason,
    )


def _see_scores(compiled: CompiledRule, frame: Frame) -> tuple[ScoreSeen, ...]:
    return tuple(
        ScoreSeen(
            name=name,
            score=compiled.rule.scores[name].score,
            assumed=tuple(sorted(compiled.rule.scores[name].assumed.items())),
            answer=tuple(sorted(read(frame).build_answer().items())),
        )
        for name, read in compiled.read_scores
    )


def _save_channel(channel: Channel) -> _SavedChannel:
    return _SavedChannel(
        channel.stream,
        channel.reading,
        channel.refusal,
        channel.heard_ms,
        channel.disagreed_ms,
        list(channel.others.items()),
    )


def _restore_channel(channel: Channel, saved: _SavedChannel) -> None:
    channel.stream = saved.stream
    channel.reading = saved.reading
    channel.refusal = saved.refusal
    channel.heard_ms = saved.heard_ms
    channel.disagreed_ms = saved.disagreed_ms
    channel.others = dict(saved.others)
