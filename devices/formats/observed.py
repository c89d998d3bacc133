"""Builds observations: special numbers, plausibility and the flags of a frame are applied here only."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType

from devices.formats.medfloat import MedicalNumber, NotANumber
from devices.formats.plausible_range import is_plausible
from devices.formats.vocabulary_unit import to_vocabulary_unit
from vitals.observation import Flag, Observation, Quality, SentField, VitalKey

FLAG_BY_NOT_A_NUMBER = MappingProxyType(
    {
        NotANumber.NAN: Flag.FAILED,
        NotANumber.NRES: Flag.BELOW_RESOLUTION,
        NotANumber.ABOVE: Flag.ABOVE_RANGE,
        NotANumber.BELOW: Flag.BELOW_RANGE,
        NotANumber.RESERVED: Flag.RESERVED,
    }
)

_DOUBT = MappingProxyType({Quality.GOOD: 0, Quality.QUESTIONABLE: 1, Quality.INVALID: 2})


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What a frame says about all of its values."""

    received_at: datetime
    measured_at: datetime
    quality: Quality = Quality.GOOD
    flags: tuple[Flag, ...] = ()
    device_time: datetime | None = None
    as_sent: Mapping[str, SentField] = field(default_factory=dict)

    @classmethod
    def live(cls, received_at: datetime) -> "Circumstances":
        """Measured when received, and nothing is wrong."""
        return cls(received_at=received_at, measured_at=received_at)

    def doubted(self, quality: Quality, *flags: Flag) -> "Circumstances":
        """The same with more doubt: flags add up, the worse quality stays."""
        return replace(self, quality=worse(self.quality, quality), flags=merged(self.flags, flags))

    def beside(self, **fields: SentField) -> "Circumstances":
        """The same with more fields as sent."""
        return replace(self, as_sent={**self.as_sent, **fields})


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusBit:
    """What one bit of a status field means for the values beside it."""

    bit: int
    quality: Quality = Quality.GOOD
    flags: tuple[Flag, ...] = ()


def observe(key: VitalKey, number: MedicalNumber | float, *, unit: str, under: Circumstances) -> Observation:
    """An observation of a number as the device sent it."""
    if isinstance(number, NotANumber):
        under = under.beside(value=number.value)
        return absent(key, FLAG_BY_NOT_A_NUMBER[number], unit=unit, under=under)
    observation = _observation(key, float(number), unit=unit, under=under)
    in_vocabulary_unit = to_vocabulary_unit(observation)
    if in_vocabulary_unit.value is not None and not is_plausible(key, in_vocabulary_unit.value):
        under = under.doubted(Quality.QUESTIONABLE, Flag.IMPLAUSIBLE)
        return _observation(key, float(number), unit=unit, under=under)
    return observation


def observe_unless_zero(
    key: VitalKey, number: MedicalNumber | float, *, unit: str, under: Circumstances
) -> Observation:
    """As `observe`, for devices that send 0 while they look for a value: 0 is no value, never asystole."""
    if number == 0:
        return absent(key, Flag.SEARCHING, unit=unit, under=under.beside(value=0))
    return observe(key, number, unit=unit, under=under)


def absent(key: VitalKey, reason: Flag, *, unit: str, under: Circumstances) -> Observation:
    """An observation that there is no value, and why."""
    return _observation(key, None, unit=unit, under=under.doubted(Quality.INVALID, reason))


def apply_status(under: Circumstances, status: int, bits: Iterable[StatusBit]) -> Circumstances:
    """Circumstances after all bits that are set in a status field."""
    for entry in bits:
        if status >> entry.bit & 1:
            under = under.doubted(entry.quality, *entry.flags)
    return under


def worse(first: Quality, second: Quality) -> Quality:
    """The one with more doubt."""
    return max(first, second, key=lambda quality: _DOUBT[quality])


def merged(first: Iterable[Flag], second: Iterable[Flag]) -> tuple[Flag, ...]:
    """Both without repetitions, in order."""
    return tuple(dict.fromkeys((*first, *second)))


def _observation(key: VitalKey, value: float | None, *, unit: str, under: Circumstances) -> Observation:
    return Observation(
        key=key,
        value=value,
        unit=unit,
        measured_at=under.measured_at,
        received_at=under.received_at,
        quality=under.quality,
        flags=under.flags,
        device_time=under.device_time,
        as_sent=under.as_sent,
    )
