"""What a fleet measured, as sums per source, by which a database shows whether all of it is there, once."""

from collections import defaultdict
from pathlib import Path

import msgspec

from vitals.observation import SourceId


class VitalSum(msgspec.Struct):
    """Values of one key: how many, the sum of their times in ms, the sum of the values in hundredths."""

    samples: int = 0
    sum_ms: int = 0
    sum_hundredths: int = 0

    def add(self, samples: int, sum_ms: int, sum_hundredths: int) -> None:
        """Count a batch."""
        self.samples += samples
        self.sum_ms += sum_ms
        self.sum_hundredths += sum_hundredths


class WaveSum(msgspec.Struct):
    """Samples of one stream: how many, the sum of the times of their blocks in µs, the sum of the samples."""

    samples: int = 0
    sum_t0_us: int = 0
    sum_values: int = 0

    def add(self, samples: int, t0_us: int, sum_values: int) -> None:
        """Count a block."""
        self.samples += samples
        self.sum_t0_us += t0_us
        self.sum_values += sum_values


class SourceSums(msgspec.Struct):
    """All that one sensor measured; `gaps` are its silences."""

    vitals: dict[str, VitalSum] = msgspec.field(default_factory=dict)
    waves: dict[str, WaveSum] = msgspec.field(default_factory=dict)
    gaps: int = 0

    def of_key(self, key: str) -> VitalSum:
        """The sums of a key."""
        return self.vitals.setdefault(key, VitalSum())

    def of_stream(self, stream: str) -> WaveSum:
        """The sums of a stream."""
        return self.waves.setdefault(stream, WaveSum())


class Ledger(msgspec.Struct):
    """The sums of every source of a shard."""

    sources: defaultdict[SourceId, SourceSums] = msgspec.field(
        default_factory=lambda: defaultdict(SourceSums)
    )

    def write(self, path: Path) -> None:
        """As JSON."""
        path.write_bytes(msgspec.json.encode(self.sources))
