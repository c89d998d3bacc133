"""Blocks of waveform samples, at the device's own resolution."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from vitals.observation import VitalKey

Samples = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveLayout:
    """How to read the integers of a stream: physical value = sample * gain + offset, in `unit` (UCUM)."""

    stream: VitalKey
    rate_hz: Fraction
    gain: float
    offset: float
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveBlock:
    """Contiguous samples of one stream.

    `t0_us` is the time of the first sample in microseconds since the Unix epoch; `first_sample` counts
    samples since the device session began, so that a hole is seen even when clocks move. A sample
    without a value cannot be inside a block: the block ends and a new one starts after the hole.
    """

    stream: VitalKey
    t0_us: int
    rate_hz: Fraction
    first_sample: int
    samples: Samples

    @property
    def end_us(self) -> int:
        """Time just after the last sample, in microseconds since the Unix epoch."""
        return self.t0_us + round(len(self.samples) * 1_000_000 / self.rate_hz)
