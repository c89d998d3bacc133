"""A sample as rules see it, and the gate before every rule.

Zeros, a probe that hangs in the air, a demonstration and noise are about the sensor, never about the person:
they stop here, with a reason that technical rules can ask for.
"""

import sys
from dataclasses import dataclass, replace
from enum import StrEnum

from vitals.observation import Flag, Quality
from vitals.warning.frame import Value
from vitals.warning.rule import Input, InputType

QUALITY_BY_WORD = {Quality.GOOD: 1.0, Quality.QUESTIONABLE: 0.5, Quality.INVALID: 0.0}


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of one vital sign at its own instant, in milliseconds since 1970.

    `quality` is 0 to 1, None where nobody told. `value` None says that the sensor had none.
    """

    key: str
    src: str
    at_ms: int
    value: Value
    quality: float | None = None
    flags: tuple[str, ...] = ()


class Refusal(StrEnum):
    """Why a sample is not a value of the person."""

    NO_VALUE = "no_value"
    NO_CONTACT = "no_contact"
    DEMONSTRATION = "demonstration"
    UNFINISHED = "unfinished"  # a cuff still pumping, a sensor still searching
    OTHER_PERSON = "other_person"
    OUT_OF_RANGE = "out_of_range"
    ZERO = "zero"
    LOW_QUALITY = "low_quality"
    WRONG_TYPE = "wrong_type"


_REFUSAL_BY_FLAG: dict[str, Refusal] = {
    Flag.DEMONSTRATION: Refusal.DEMONSTRATION,
    Flag.TESTING: Refusal.DEMONSTRATION,
    Flag.NO_CONTACT: Refusal.NO_CONTACT,
    Flag.CUFF_LOOSE: Refusal.NO_CONTACT,
    Flag.UNKNOWN_USER: Refusal.OTHER_PERSON,
    Flag.SEARCHING: Refusal.UNFINISHED,
    Flag.INTERMEDIATE: Refusal.UNFINISHED,
    Flag.FAILED: Refusal.NO_VALUE,
    Flag.SENSOR_FAULT: Refusal.NO_VALUE,
    Flag.IMPLAUSIBLE: Refusal.OUT_OF_RANGE,
}


BOUNDS = (Flag.ABOVE_RANGE, Flag.BELOW_RANGE)


def place_bound(sample: Sample, declared: Input) -> Sample:
    """A device that shows "HI" or "LO" has no number but a bound (IEEE 11073-20601: plus and minus INF).

    In conditions the limit of the gate stands for it: a glucose of "HI" is above every limit for an alarm.
    """
    if sample.value is not None or declared.type is not InputType.NUMBER:
        return sample
    for flag, limit in zip(BOUNDS, (declared.high, declared.low), strict=True):
        if flag in sample.flags and limit is not None:
            return replace(sample, value=limit)
    return sample


def find_refusal(sample: Sample, declared: Input) -> Refusal | None:
    """Why the gate refuses a sample; None lets it pass."""
    for flag in sample.flags:
        if flag in _REFUSAL_BY_FLAG:
            return _REFUSAL_BY_FLAG[flag]
    if sample.value is None:
        return Refusal.NO_VALUE
    if not _fits(sample.value, declared):
        return Refusal.WRONG_TYPE
    if declared.type is InputType.NUMBER and not _is_within(sample.value, declared):
        return Refusal.ZERO if sample.value == 0 else Refusal.OUT_OF_RANGE
    return None if _is_good_enough(sample.quality, declared.quality_min) else Refusal.LOW_QUALITY


def _fits(value: Value, declared: Input) -> bool:
    if declared.type is InputType.NUMBER:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, str if declared.type is InputType.WORD else bool)


def _is_good_enough(quality: float | None, quality_min: float | None) -> bool:
    """Where nobody told the quality it counts as good; a NaN is none that could be."""
    return quality_min is None or quality is None or quality >= quality_min


def _is_within(value: Value, declared: Input) -> bool:
    """NaN is within nothing, and what no float can hold is not either."""
    low = -sys.float_info.max if declared.low is None else declared.low
    high = sys.float_info.max if declared.high is None else declared.high
    return low <= value <= high  # type: ignore[operator]  # it is a number by now
