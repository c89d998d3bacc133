"""The finger in a simulated oximeter: a real pleth with its pulses, SpO2 out of a stay or simulated."""

import math

from devices.simulators.recording import Source, load_pleth, load_stay
from devices.simulators.replay import PlethReplay, Samples, StayReplay

SIMULATED_SPO2 = Source(
    record="simulated/spo2",
    source="SpO2 simulated: 97 % with a slow swing of 1 %",
    changes="none",
    licence="Apache-2.0",
    citation="",
)
SWING_S = 240.0

USUAL_PERFUSION_PCT = 2.4
LOW_PERFUSION_PCT = 0.3
"""Simulated: the record gives no absolute amplitude."""


class Finger:
    """What an oximeter can see at a replay time."""

    def __init__(self, *, pleth: str, stay: str | None) -> None:
        pleth_record = load_pleth(pleth)
        stay_record = None if stay is None else load_stay(stay)
        self.replay = PlethReplay(pleth_record)
        self._stay = None if stay_record is None else StayReplay(stay_record)
        spo2_source = SIMULATED_SPO2 if stay_record is None else stay_record.source
        self.sources = (pleth_record.source, spo2_source)

    def spo2_pct_at(self, at_s: float) -> float:
        """SpO2: the charted value of the stay, one hour a minute, or the simulated one."""
        if self._stay is not None:
            return self._stay.row_at(at_s).spo2_pct
        return 97 + math.sin(2 * math.pi * at_s / SWING_S)

    def pulse_rate_at(self, at_s: float) -> float | None:
        """Pulses per minute; None while no pulse is seen."""
        return self.replay.pulse_rate_at(at_s)

    def pleth(self, first: int, stop: int) -> Samples:
        """Samples `first` to `stop` (excluded) of the curve, 0 to 127."""
        return self.replay.samples(first, stop)

    def perfusion_pct(self, *, is_low: bool) -> float:
        """Pulse amplitude index."""
        return LOW_PERFUSION_PCT if is_low else USUAL_PERFUSION_PCT
