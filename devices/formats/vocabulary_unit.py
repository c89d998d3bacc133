"""A driver reports what the device said, in the device's unit; this turns it into the vocabulary's unit."""

from dataclasses import replace
from types import MappingProxyType

from vitals.observation import Observation

MMHG_PER_KPA = 7.50061683
"""One conventional millimetre of mercury is 133.322387415 Pa (ISO 80000-4)."""

_CONVERSION_BY_UNIT = MappingProxyType({"kPa": ("mm[Hg]", MMHG_PER_KPA)})


def to_vocabulary_unit(observation: Observation) -> Observation:
    """The same observation in the unit that the vocabulary keeps it in (pressures: mm[Hg])."""
    if observation.unit not in _CONVERSION_BY_UNIT:
        return observation
    unit, factor = _CONVERSION_BY_UNIT[observation.unit]
    value = None if observation.value is None else observation.value * factor
    return replace(observation, value=value, unit=unit)
