from fractions import Fraction

import numpy as np
import pytest

from vitals.observation import VitalKey
from vitals.wave import WaveBlock


def _block(*, n: int, rate_hz: Fraction, t0_us: int = 0) -> WaveBlock:
    return WaveBlock(
        stream=VitalKey("ecg"),
        t0_us=t0_us,
        rate_hz=rate_hz,
        first_sample=0,
        samples=np.zeros(n, dtype=np.int32),
    )


@pytest.mark.parametrize(
    ("n", "rate_hz", "length_us"),
    [
        (130, Fraction(130), 1_000_000),
        (1, Fraction(130), 7_692),
        (1, Fraction(60), 16_667),
        (125, Fraction(125, 2), 2_000_000),
        (0, Fraction(250), 0),
    ],
    ids=["one second", "rounded down", "rounded up", "fractional rate", "empty"],
)
def test_block_ends_after_the_length_of_its_samples(n: int, rate_hz: Fraction, length_us: int) -> None:
    assert (
        _block(n=n, rate_hz=rate_hz, t0_us=1_700_000_000_000_000).end_us == 1_700_000_000_000_000 + length_us
    )


def test_end_of_a_day_long_block_is_exact_to_the_microsecond() -> None:
    assert _block(n=130 * 86_400, rate_hz=Fraction(130)).end_us == 86_400_000_000
