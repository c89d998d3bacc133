"""A measured value, with everything a reader needs to trust it or not."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NewType

VitalKey = NewType("VitalKey", str)
"""Our own name of what is measured; `vitals.vocabulary` maps it to LOINC, MDC and UCUM."""

SourceId = NewType("SourceId", str)
"""Opaque id of one sensor (`src` on the wire): never a patient, never a serial number."""


class Quality(StrEnum):
    """How far the device itself trusts the value."""

    GOOD = "good"
    QUESTIONABLE = "questionable"
    INVALID = "invalid"


class Flag(StrEnum):
    """Why a value is missing, bounded or doubtful. A closed set; the wire carries these words."""

    FAILED = "failed"  # NaN: the device tried and could not (IEEE 11073-20601 SFLOAT 0x07FF)
    BELOW_RESOLUTION = "below_resolution"  # NRes
    ABOVE_RANGE = "above_range"  # +INF: a bound, never a number
    BELOW_RANGE = "below_range"  # -INF
    RESERVED = "reserved"
    NO_CONTACT = "no_contact"  # strap, finger or probe is off the person
    SEARCHING = "searching"  # the device sends 0 while it has no value yet
    MOVEMENT = "movement"
    CUFF_LOOSE = "cuff_loose"
    IRREGULAR_PULSE = "irregular_pulse"
    PULSE_ABOVE_RANGE = "pulse_above_range"
    PULSE_BELOW_RANGE = "pulse_below_range"
    BAD_POSITION = "bad_position"
    LOW_PERFUSION = "low_perfusion"
    SIGNAL_WEAK = "signal_weak"
    DEMONSTRATION = "demonstration"  # must never become a patient's value
    TESTING = "testing"
    INTERMEDIATE = "intermediate"  # shown while it changes, never stored
    STORED = "stored"  # from the device's memory, not a live value
    CLOCK_NOT_SET = "clock_not_set"
    UNKNOWN_USER = "unknown_user"
    IMPLAUSIBLE = "implausible"
    SENSOR_FAULT = "sensor_fault"


SentField = str | int | bool
"""A field as it stood in the bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One value of one vital sign.

    `value` is None when the device said that it has none; `flags` then say why. Both times are
    aware UTC. `device_time` is the device's own clock as sent, without a zone.
    `as_sent` is what the frame said and no other field can hold (a special number, a clock without a year,
    the signal strength …): for whoever decodes bytes by hand, never on the wire.
    """

    key: VitalKey
    value: float | None
    unit: str
    measured_at: datetime
    received_at: datetime
    quality: Quality = Quality.GOOD
    flags: tuple[Flag, ...] = ()
    device_time: datetime | None = None
    as_sent: Mapping[str, SentField] = field(default_factory=dict, compare=False)
