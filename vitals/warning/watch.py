"""The engine for one person: samples in, events out. The same code runs on the edge and in the cloud.

Time is the data's own. All samples of one instant are taken together, then the rules that read them are
looked at, then the deadlines of that instant. An instant in between at which something becomes too old or a
delay ends is lived through first. So the events depend on what was measured and when, not on when it arrived
or how often anybody looked.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from vitals.warning.channel import Channel, Reading
from vitals.warning.condition import Condition, Phase
from vitals.warning.event import Change, Event, InputSeen, ScoreSeen
from vitals.warning.frame import Frame
from vitals.warning.rule import Level
from vitals.warning.rule_set import CompiledRule, RuleSet
from vitals.warning.sample import Refusal, Sample
from vitals.warning.window import BucketWindow

_NEVER_MS = 2**62
_SHOWN = (Change.ACTIVE, Change.WORSENED, Change.REMEASURE, Change.TECHNICAL)


class SavedWatchInvalid(Exception):
    """A saved state belongs to other rules or cannot be read; the samples give it anew."""


class _Saved(msgspec.Struct, array_like=True, frozen=True):
    """The state as it is kept."""

    digest: str
    now_ms: int
    parameters: list[float]
    channels: list[tuple[Any, ...]]
    windows: list[list[tuple[int, int, float, float, float, float, float, float]]]
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
        self._frame.windows = [BucketWindow(window.span_ms) for window in rules.windows]
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
        """Before this instant nothing happens without a sample."""
        return None if self._due_ms == _NEVER_MS else self._due_ms

    def take(self, at_ms: int, samples: Iterable[Sample]) -> list[Event]:
        """Take every sample of one instant, which must not lie before the last one.

        Without any, it is an instant at which somebody looked and found nothing new: what is known counts
        in the windows once more.
        """
        events = self._live_until(at_ms - 1)
        frame = self._frame
        frame.now_ms = at_ms
        changed: set[int] = set()
        ordered = sorted(samples, key=_by_stream)
        for sample in ordered:
            self._take_one(sample, changed)
        if not ordered:
            changed.update(range(len(self._channels)))
        if changed:
            self._add_to_windows(changed)
            events += self._judge(changed, is_fresh=True)
        if self._due_ms <= at_ms:
            events += self._live_until(at_ms)
        return events

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
                windows=[list(window.save()) for window in frame.windows],
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
        watch._restore(state)
        return watch

    def _restore(self, state: _Saved) -> None:
        frame = self._frame
        frame.now_ms, frame.parameters = state.now_ms, state.parameters
        self._conditions = state.conditions
        for window, saved in zip(frame.windows, state.windows, strict=True):
            window.restore(saved)
        for number, (channel, saved_channel) in enumerate(zip(self._channels, state.channels, strict=True)):
            _restore_channel(channel, saved_channel)
            self._show(number)
        self._find_due()

    def _take_one(self, sample: Sample, changed: set[int]) -> None:
        slot = self._rules.parameter_slots.get(sample.key)
        if slot is not None and isinstance(sample.value, int | float):
            self._frame.parameters[slot] = float(sample.value)
            changed.update(range(len(self._channels)))
        for number, rank in self._rules.channels_by_key.get(sample.key, ()):
            channel = self._channels[number]
            if channel.take(sample, rank):
                changed.add(number)
                self._show(number)
                due_ms = channel.due_ms()
                if due_ms is not None and due_ms < self._due_ms:
                    self._due_ms = due_ms

    def _show(self, number: int) -> None:
        """Put what a channel knows before the closures."""
        channel, frame = self._channels[number], self._frame
        reading = channel.reading
        frame.values[number] = None if reading is None else reading.value
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

    def _judge(self, changed: set[int], *, is_fresh: bool) -> list[Event]:
        events: list[Event] = []
        for number in self._find_affected(changed):
            compiled, condition = self._rules.rules[number], self._conditions[number]
            answers = is_fresh and not compiled.raise_channels.isdisjoint(changed)
            changes = condition.judge(compiled, self._frame, is_fresh=answers)
            if condition.deadline_ms is not None and condition.deadline_ms < self._due_ms:
                self._due_ms = condition.deadline_ms
            if changes:
                events += self._tell(changes, compiled, condition)
        return events

    def _find_affected(self, changed: set[int]) -> Sequence[int]:
        if len(changed) == 1:
            return self._readers[next(iter(changed))]
        return sorted(set().union(*(self._readers[number] for number in changed)))

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
        changed = {number for number, channel in enumerate(self._channels) if channel.expire(at_ms)}
        for number in changed:
            self._show(number)
        events = self._judge(changed, is_fresh=False) if changed else []
        for compiled, condition in zip(self._rules.rules, self._conditions, strict=True):
            if condition.deadline_ms is not None and condition.deadline_ms <= at_ms:
                events += self._tell(condition.fire(compiled, frame), compiled, condition)
        return events

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

    def _tell(self, changes: Iterable[Change], compiled: CompiledRule, condition: Condition) -> list[Event]:
        rule = compiled.rule
        return [
            Event(
                at_ms=self._frame.now_ms,
                rule=rule.id,
                version=rule.version,
                kind=rule.kind,
                change=change,
                level=condition.level,
                onset_ms=condition.onset_ms,
                inputs=self._see_inputs(compiled) if change in _SHOWN else (),
                scores=_see_scores(compiled, self._frame) if change in _SHOWN else (),
            )
            for change in changes
        ]

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
    found = []
    for name, read in compiled.read_scores:
        result = read(frame)
        if result is not None:
            use = compiled.rule.scores[name]
            found.append(
                ScoreSeen(
                    name=name,
                    score=use.score,
                    assumed=tuple(sorted(use.assumed.items())),
                    answer=tuple(sorted(result.build_answer().items())),
                )
            )
    return tuple(found)


def _save_channel(channel: Channel) -> tuple[object, ...]:
    return (
        channel.stream,
        channel.reading,
        channel.refusal,
        channel.heard_ms,
        channel.disagreed_ms,
        list(channel.others.items()),
    )


def _restore_channel(channel: Channel, saved: Sequence[Any]) -> None:
    stream, reading, refusal, channel.heard_ms, channel.disagreed_ms, others = saved
    channel.stream = None if stream is None else (stream[0], stream[1])
    channel.reading = None if reading is None else msgspec.convert(reading, Reading)
    channel.refusal = None if refusal is None else Refusal(refusal)
    channel.others = {(key[0], key[1]): msgspec.convert(entry, Reading) for key, entry in others}
