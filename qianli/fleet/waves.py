"""Synthetic waves, packed once: ten seconds of twelve beats that every agent plays again and again.

A beat is a sum of bell curves (P, Q, R, S, T), as in McSharry et al., IEEE Trans Biomed Eng 2003;50:289, with
a little noise, in the integers of a 5 µV front end. Compressing costs more than sending, so it is done once.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import numpy as np
import numpy.typing as npt

from vitals.observation import VitalKey
from vitals.wave import Samples
from vitals.wire.wave_block import CODEC_ZLIB, compress_samples

LOOP_S = 10
BEATS = 12
CODEC = CODEC_ZLIB
GAIN = 0.005  # mV per step of the front end
_NOISE = 1.2
# Place in the beat (0 to 1), height in steps, width in the beat.
_ECG = ((0.20, 25, 0.025), (0.36, -20, 0.010), (0.38, 220, 0.011), (0.40, -45, 0.010), (0.65, 60, 0.045))
_PLETH = ((0.25, 900, 0.09), (0.52, 350, 0.10))


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveSpec:
    """One stream of a sensor, sent in blocks of one second."""

    stream: VitalKey
    rate_hz: int
    height: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedSecond:
    """One second of a stream, as it is measured and as it is sent."""

    samples: Samples
    packed: bytes
    sum_values: int


@cache
def loop_of(spec: WaveSpec) -> tuple[PackedSecond, ...]:
    """The seconds of a stream, in order; the last is followed by the first."""
    curve = _curve(spec)
    seconds = np.split(curve, LOOP_S)
    return tuple(
        PackedSecond(
            samples=samples,
            packed=compress_samples(samples, codec=CODEC),
            sum_values=int(samples.sum()),
        )
        for samples in seconds
    )


def rate(spec: WaveSpec, *, pace: float) -> Fraction:
    """Samples a second of a sensor that is `pace` times as fast."""
    return Fraction(spec.rate_hz) * Fraction(pace).limit_denominator(1000)


def _curve(spec: WaveSpec) -> npt.NDArray[np.int32]:
    phase = np.arange(spec.rate_hz * LOOP_S) * BEATS / (spec.rate_hz * LOOP_S) % 1
    bells = _PLETH if spec.stream == "pleth" else _ECG
    wave = sum(height * np.exp(-((phase - at) ** 2) / (2 * width**2)) for at, height, width in bells)
    noise = np.random.default_rng(spec.rate_hz).normal(0, _NOISE, phase.size)
    return np.round(wave * spec.height + noise).astype(np.int32)
