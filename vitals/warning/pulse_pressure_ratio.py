"""Pulse over systolic pressure, exactly: what the shock index and its form for children are made of."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from vitals.warning.score_input import Given, GivenValue
from vitals.warning.score_result import Outcome, round_half_up
from vitals.warning.vital_inputs import PULSE, SBP

RATIO_PULSE = PULSE
# A pressure of 0 is a sensor's code or a person without a pulse: neither has an index.
RATIO_SBP = replace(SBP, low=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioBounds:
    """The least and the greatest ratio that the given values allow; equal if both are known."""

    lowest: Decimal
    highest: Decimal

    @property
    def is_known(self) -> bool:
        """Whether it is one number."""
        return self.lowest == self.highest

    def tell_value(self) -> Outcome:
        """The ratio in hundredths, rounded half up."""
        lowest, highest = (round_half_up(bound, step="0.01") for bound in (self.lowest, self.highest))
        return Outcome(
            name="value", value=lowest if lowest == highest else None, lowest=lowest, highest=highest
        )


def divide_pulse(given: Given) -> RatioBounds:
    """The ratio from the shortest decimal texts of both, as a person would divide what the monitor shows."""
    pulses = _span(given, PULSE.name, low=PULSE.low, high=PULSE.high)
    pressures = _span(given, SBP.name, low=RATIO_SBP.low, high=RATIO_SBP.high)
    return RatioBounds(lowest=pulses[0] / pressures[1], highest=pulses[1] / pressures[0])


def _span(given: Mapping[str, GivenValue], name: str, *, low: int, high: int) -> tuple[Decimal, Decimal]:
    value = given[name]
    if value is None:
        return Decimal(low), Decimal(high)
    exact = Decimal(str(value))
    return exact, exact
