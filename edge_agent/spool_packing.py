"""What waits for long is packed tighter: many small messages of the past become a few larger ones.

Live messages are small, because nobody wants to wait for them. A message that has waited for more than a
minute is not live any more: then blocks of a wave that follow one another become one of half a minute, and
batches of a source one of a minute. The disk of an agent holds more, and an outage is made up for with a
fraction of the messages. What has a sequence already is never touched.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TypeVar

from edge_agent.clock import Clock
from edge_agent.parsing import merge_blocks
from edge_agent.spool import Rework, Spool, Waiting
from vitals.observation import VitalKey
from vitals.wire.batch import decode_batch, join_batches, to_ms
from vitals.wire.wave_block import WaveMessage, decode_wave, encode_wave

WAITS_LONG_MS = 60_000
BLOCK_S = 30
"""So that a row of 250 Hz fills the pages of the spool well: with 10 s a third of each stayed empty."""
BATCH_SPAN_MS = 60_000
ROWS_AT_ONCE = 512
WAVES = "wave/*"
VITALS = "vitals"
LAST_ID = 2**62
_Item = TypeVar("_Item")


@dataclass(slots=True)
class Packed:
    """Which rows go, and what the others become; `behind` is where to begin next time."""

    dropped: list[int] = field(default_factory=list)
    replaced: dict[int, bytes] = field(default_factory=dict)
    behind: int = 0


def pack_waves(waiting: Sequence[Waiting], *, before_ms: int) -> Packed:
    """Join blocks that follow one another, of one stream and one run of the agent."""
    packed = Packed()
    opened = [
        (row, decode_wave(row.payload, stream=VitalKey(row.topic[len(WAVES) - 1 :]))) for row in waiting
    ]
    old = [(row, message) for row, message in opened if _is_old(message.block.end_us // 1000, before_ms)]
    for group in _groups(old, _kind_of_wave):
        by_start = {message.block.t0_us: (row, message) for row, message in group}
        if len(by_start) < len(group):
            continue  # two of one moment: what they are cannot be told here
        merged = merge_blocks([(message.src, message.block) for _, message in group], longest_s=BLOCK_S)
        for src, block in merged:
            row, message = by_start[block.t0_us]
            if len(block.samples) > len(message.block.samples):
                packed.replaced[row.id] = encode_wave(block, src=src, envelope=message.envelope)
        kept = {by_start[block.t0_us][0].id for _, block in merged}
        packed.dropped += [row.id for row, _ in group if row.id not in kept]
    packed.behind = _behind(waiting, [row for row, _ in old])
    return packed


def pack_vitals(waiting: Sequence[Waiting], *, before_ms: int) -> Packed:
    """Join batches of one source that lie within a minute."""
    packed = Packed()
    opened = [(row, decode_batch(row.payload)) for row in waiting]
    old = [(row, batch) for row, batch in opened if _is_old(batch.t0 + max(batch.dt), before_ms)]
    for group in _groups(old, lambda item: (item[1].src, item[1].boot, repr(item[1].clk))):
        run: list[Waiting] = []
        begins_ms = 0
        for row, batch in group:
            if run and not 0 <= batch.t0 + max(batch.dt) - begins_ms < BATCH_SPAN_MS:
                _join_run(run, packed)
                run = []
            begins_ms = begins_ms if run else batch.t0
            run.append(row)
        _join_run(run, packed)
    packed.behind = _behind(waiting, [row for row, _ in old])
    return packed


def _is_old(end_ms: int, before_ms: int) -> bool:
    """Whether it waits for long; what lies in the future comes from before the clock was set back."""
    return not before_ms <= end_ms <= before_ms + 2 * WAITS_LONG_MS


def _join_run(run: Sequence[Waiting], packed: Packed) -> None:
    joined = join_batches(*(row.payload for row in run)) if len(run) > 1 else None
    if joined is not None:
        packed.replaced[run[0].id] = joined
        packed.dropped += [row.id for row in run[1:]]


class Packer:
    """Packs what waits in a spool. Used from one thread at a time."""

    def __init__(self, spool: Spool, *, clock: Clock) -> None:
        self._spool = spool
        self._clock = clock
        self._behind = {WAVES: 0, VITALS: 0}

    def run_once(self) -> None:
        """Pack what has become old since the last time."""
        before_ms = to_ms(self._clock()) - WAITS_LONG_MS
        for kind, pack in ((WAVES, pack_waves), (VITALS, pack_vitals)):
            while self._step(kind, pack, before_ms=before_ms):
                pass

    def _step(self, kind: str, pack: Callable[..., Packed], *, before_ms: int) -> bool:
        done = Packed()

        def rework(waiting: Sequence[Waiting]) -> Rework:
            nonlocal done
            done = pack(waiting, before_ms=before_ms)
            return Rework(dropped=done.dropped, replaced=done.replaced)

        shown = self._spool.rework(kind, rework, within=(self._behind[kind], LAST_ID), limit=ROWS_AT_ONCE)
        self._behind[kind] = max(self._behind[kind], done.behind)
        return len(shown) == ROWS_AT_ONCE and done.behind > 0


def _kind_of_wave(item: tuple[Waiting, WaveMessage]) -> tuple[str, ...]:
    message = item[1]
    return (message.src, message.block.stream, message.envelope.boot, str(message.block.rate_hz))


def _groups(items: Iterable[_Item], kind: Callable[[_Item], tuple[str, ...]]) -> list[list[_Item]]:
    """Those of one kind together, each in the order in which they came."""
    return [list(group) for _, group in groupby(sorted(items, key=kind), key=kind)]


def _behind(shown: Sequence[Waiting], old: Sequence[Waiting]) -> int:
    """Up to where everything shown was old: what is younger is looked at again."""
    is_old = {row.id for row in old}
    young = [row.id for row in shown if row.id not in is_old]
    upto = min(young) - 1 if young else shown[-1].id
    return max([row_id for row_id in is_old if row_id <= upto], default=0)
