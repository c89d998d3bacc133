"""Any oximeter with the Bluetooth Pulse Oximeter Service (0x1822).

Layout and the meaning of the status bits follow the Pulse Oximeter Service 1.0.1; there is no page for them
in the GATT Specification Supplement.

* 0x2A5E spot check: flags (0 time, 1 measurement status, 2 device and sensor status, 3 pulse amplitude
  index, 4 clock not set), SpO2 and pulse rate, then the fields in that order.
* 0x2A5F continuous: flags (0 fast pair, 1 slow pair, 2 measurement status, 3 device and sensor status,
  4 pulse amplitude index), normal pair, then the fields in that order.

Only the normal pair becomes `spo2` and `pulse_rate_spo2`. The fast and slow pairs are other averages of the
same finger and keep keys of their own; they never stand in for a missing normal value.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from devices.driver import Access, Characteristic, Driver, Frame, Match, Reading, Transport
from devices.formats.byte_cursor import ByteCursor
from devices.formats.date_time import DeviceDateTime
from devices.formats.gatt_decoder import (
    BATTERY,
    BATTERY_LEVEL,
    DecodeValue,
    GattDecoder,
    decode_battery_level,
)
from devices.formats.medfloat import MedicalNumber
from devices.formats.observed import (
    Circumstances,
    StatusBit,
    apply_status,
    observe,
    observe_unless_zero,
)
from devices.formats.sensor_watch import SensorWatch
from vitals.gap import GapCause
from vitals.observation import Flag, Quality, VitalKey

SPO2 = VitalKey("spo2")
PULSE_RATE = VitalKey("pulse_rate_spo2")
SPO2_FAST = VitalKey("spo2_fast")
PULSE_RATE_FAST = VitalKey("pulse_rate_fast")
SPO2_SLOW = VitalKey("spo2_slow")
PULSE_RATE_SLOW = VitalKey("pulse_rate_slow")
PERFUSION_INDEX = VitalKey("perfusion_index")
MEASUREMENT_STATUS = VitalKey("plx_measurement_status")
DEVICE_STATUS = VitalKey("plx_device_status")
PLX_FEATURE = VitalKey("plx_feature")
SUPPORTED_MEASUREMENT_STATUS = VitalKey("plx_supported_measurement_status")
SUPPORTED_DEVICE_STATUS = VitalKey("plx_supported_device_status")

FINGER_KEYS = (SPO2, PULSE_RATE, PERFUSION_INDEX)

RESERVED_FLAGS = 0xE0

MEASUREMENT_STATUS_BITS = (
    StatusBit(bit=6, quality=Quality.QUESTIONABLE),  # early estimate
    StatusBit(bit=9, flags=(Flag.STORED,)),
    StatusBit(bit=10, quality=Quality.INVALID, flags=(Flag.DEMONSTRATION,)),
    StatusBit(bit=11, quality=Quality.INVALID, flags=(Flag.TESTING,)),
    StatusBit(bit=12, quality=Quality.QUESTIONABLE),  # calibrating
    StatusBit(bit=13, quality=Quality.INVALID, flags=(Flag.FAILED,)),  # measurement unavailable
    StatusBit(bit=14, quality=Quality.QUESTIONABLE),
    StatusBit(bit=15, quality=Quality.INVALID, flags=(Flag.FAILED,)),  # invalid measurement
)
"""Bits 5 (ongoing), 7 (validated) and 8 (fully qualified) cast no doubt; 0-4 are reserved."""

DEVICE_STATUS_BITS = (
    StatusBit(bit=1, quality=Quality.INVALID, flags=(Flag.SENSOR_FAULT,)),  # equipment malfunction
    StatusBit(bit=2, quality=Quality.QUESTIONABLE, flags=(Flag.SIGNAL_WEAK,)),  # processing irregularity
    StatusBit(bit=3, quality=Quality.QUESTIONABLE, flags=(Flag.SIGNAL_WEAK,)),  # inadequate signal
    StatusBit(bit=4, quality=Quality.QUESTIONABLE, flags=(Flag.SIGNAL_WEAK,)),  # poor signal
    StatusBit(bit=5, flags=(Flag.LOW_PERFUSION,)),  # a finding about the person as much as about the value
    StatusBit(bit=6, quality=Quality.QUESTIONABLE, flags=(Flag.SIGNAL_WEAK,)),  # erratic signal
    StatusBit(bit=7, quality=Quality.QUESTIONABLE, flags=(Flag.SIGNAL_WEAK,)),  # signal without pulse
    StatusBit(bit=8, quality=Quality.QUESTIONABLE),  # questionable pulse
    StatusBit(bit=10, quality=Quality.QUESTIONABLE, flags=(Flag.SIGNAL_WEAK,)),  # interference
    StatusBit(bit=11, quality=Quality.INVALID, flags=(Flag.NO_CONTACT,)),  # sensor is not on the user
    StatusBit(bit=12, quality=Quality.QUESTIONABLE, flags=(Flag.SENSOR_FAULT,)),  # unknown sensor
    StatusBit(bit=13, quality=Quality.QUESTIONABLE, flags=(Flag.BAD_POSITION,)),  # sensor displaced
    StatusBit(bit=14, quality=Quality.INVALID, flags=(Flag.SENSOR_FAULT,)),  # sensor malfunction
    StatusBit(bit=15, quality=Quality.INVALID, flags=(Flag.NO_CONTACT,)),  # sensor is disconnected
)
"""Bits 0 (display) and 9 (analysis ongoing) cast no doubt; 16-23 are reserved."""

DEMONSTRATION_BIT = 1 << 10
FAULT_BITS = 1 << 1 | 1 << 14
OFF_BITS = 1 << 11 | 1 << 15


@dataclass(frozen=True, slots=True, kw_only=True)
class OximetryPair:
    """SpO2 in per cent and pulse rate per minute."""

    spo2: MedicalNumber
    pulse_rate: MedicalNumber


@dataclass(frozen=True, slots=True, kw_only=True)
class OximetryMeasurement:
    """The fields of a spot check or of a continuous value; None is a field that the flags leave out."""

    normal: OximetryPair
    fast: OximetryPair | None = None
    slow: OximetryPair | None = None
    timestamp: DeviceDateTime | None = None
    measurement_status: int | None = None
    device_status: int | None = None
    pulse_amplitude_index: MedicalNumber | None = None
    clock_not_set: bool = False


def decode_spot_check(payload: bytes) -> OximetryMeasurement:
    """The fields of 0x2A5E.

    Raises:
        FrameInvalid: the value is shorter or longer than its flags say, or its time is no time.
    """
    cursor = ByteCursor(payload)
    flags = cursor.unsigned(1, "flags")
    measurement = OximetryMeasurement(
        normal=_pair(cursor, ""),
        timestamp=cursor.date_time("time stamp") if flags & 0x01 else None,
        measurement_status=cursor.unsigned(2, "measurement status") if flags & 0x02 else None,
        device_status=cursor.unsigned(3, "device and sensor status") if flags & 0x04 else None,
        pulse_amplitude_index=cursor.sfloat("pulse amplitude index") if flags & 0x08 else None,
        clock_not_set=bool(flags & 0x10),
    )
    cursor.expect_end(reserved_bits=flags & RESERVED_FLAGS)
    return measurement


def decode_continuous(payload: bytes) -> OximetryMeasurement:
    """The fields of 0x2A5F.

    Raises:
        FrameInvalid: the value is shorter or longer than its flags say.
    """
    cursor = ByteCursor(payload)
    flags = cursor.unsigned(1, "flags")
    measurement = OximetryMeasurement(
        normal=_pair(cursor, ""),
        fast=_pair(cursor, "fast ") if flags & 0x01 else None,
        slow=_pair(cursor, "slow ") if flags & 0x02 else None,
        measurement_status=cursor.unsigned(2, "measurement status") if flags & 0x04 else None,
        device_status=cursor.unsigned(3, "device and sensor status") if flags & 0x08 else None,
        pulse_amplitude_index=cursor.sfloat("pulse amplitude index") if flags & 0x10 else None,
    )
    cursor.expect_end(reserved_bits=flags & RESERVED_FLAGS)
    return measurement


class PulseOximeterDecoder(GattDecoder):
    """One session with an oximeter."""

    def __init__(self) -> None:
        self._watch = SensorWatch()

    def decode_by_uuid(self) -> Mapping[str, DecodeValue]:
        """See `GattDecoder`."""
        return {
            "2A5F": lambda frame: self._readings(decode_continuous(frame.payload), frame),
            "2A5E": lambda frame: self._readings(decode_spot_check(frame.payload), frame),
            "2A60": _decode_features,
            "2A19": decode_battery_level,
        }

    def _readings(self, measurement: OximetryMeasurement, frame: Frame) -> list[Reading]:
        under = _circumstances(measurement, frame)
        readings: list[Reading] = [*self._watch.note(_cause(measurement), FINGER_KEYS, at=frame.received_at)]
        pairs = (
            (SPO2, PULSE_RATE, measurement.normal),
            (SPO2_FAST, PULSE_RATE_FAST, measurement.fast),
            (SPO2_SLOW, PULSE_RATE_SLOW, measurement.slow),
        )
        for spo2_key, pulse_key, pair in pairs:
            if pair is not None:
                readings.append(observe_unless_zero(spo2_key, pair.spo2, unit="%", under=under))
                readings.append(observe_unless_zero(pulse_key, pair.pulse_rate, unit="/min", under=under))
        if measurement.pulse_amplitude_index is not None:
            index = measurement.pulse_amplitude_index
            readings.append(observe(PERFUSION_INDEX, index, unit="%", under=under))
        return readings + _status_codes(measurement, under)


def _pair(cursor: ByteCursor, which: str) -> OximetryPair:
    spo2 = cursor.sfloat(f"{which}SpO2")
    return OximetryPair(spo2=spo2, pulse_rate=cursor.sfloat(f"{which}pulse rate"))


def _circumstances(measurement: OximetryMeasurement, frame: Frame) -> Circumstances:
    under = Circumstances.live(frame.received_at)
    under = apply_status(under, measurement.measurement_status or 0, MEASUREMENT_STATUS_BITS)
    under = apply_status(under, measurement.device_status or 0, DEVICE_STATUS_BITS)
    device_time = None
    if measurement.timestamp is not None and not measurement.clock_not_set:
        device_time = measurement.timestamp.complete()
    if measurement.clock_not_set or (measurement.timestamp is not None and device_time is None):
        under = under.doubted(Quality.GOOD, Flag.CLOCK_NOT_SET)
        if measurement.timestamp is not None:
            under = under.beside(device_time=str(measurement.timestamp))
    return replace(under, device_time=device_time)


def _cause(measurement: OximetryMeasurement) -> GapCause | None:
    if (measurement.measurement_status or 0) & DEMONSTRATION_BIT:
        return GapCause.DEMO_MODE
    device_status = measurement.device_status or 0
    if device_status & FAULT_BITS:
        return GapCause.SENSOR_FAULT
    return GapCause.SENSOR_OFF if device_status & OFF_BITS else None


def _status_codes(measurement: OximetryMeasurement, under: Circumstances) -> list[Reading]:
    plain = replace(under, quality=Quality.GOOD, flags=(), as_sent={})
    codes = (
        (MEASUREMENT_STATUS, measurement.measurement_status),
        (DEVICE_STATUS, measurement.device_status),
    )
    return [observe(key, code, unit="1", under=plain) for key, code in codes if code is not None]


def _decode_features(frame: Frame) -> list[Reading]:
    """0x2A60: features u16, then what the two status fields support, if bits 0 and 1 say so.

    Some devices end after the first field in spite of these bits; that is accepted.
    """
    cursor = ByteCursor(frame.payload)
    under = Circumstances.live(frame.received_at)
    features = cursor.unsigned(2, "features")
    readings: list[Reading] = [observe(PLX_FEATURE, features, unit="1", under=under)]
    if cursor.left and features & 0x01:
        supported = cursor.unsigned(2, "measurement status support")
        readings.append(observe(SUPPORTED_MEASUREMENT_STATUS, supported, unit="1", under=under))
    if cursor.left and features & 0x02:
        supported = cursor.unsigned(3, "device and sensor status support")
        readings.append(observe(SUPPORTED_DEVICE_STATUS, supported, unit="1", under=under))
    cursor.expect_end(reserved_bits=features & 0xFF00)
    return readings


DRIVER = Driver(
    name="pulse_oximeter",
    maker="Bluetooth SIG profile",
    title_en="Pulse oximeter",
    title_zh="血氧仪",
    transport=Transport.BLE,
    match=Match(service_uuids=("1822",)),
    measures=(SPO2, PULSE_RATE, PERFUSION_INDEX, BATTERY),
    new_decoder=PulseOximeterDecoder,
    characteristics=(
        Characteristic(uuid="2A5F", name="PLX Continuous Measurement", access=Access.NOTIFY),
        Characteristic(
            uuid="2A5E", name="PLX Spot-Check Measurement", access=Access.INDICATE, required=False
        ),
        Characteristic(uuid="2A60", name="PLX Features", access=Access.READ, required=False),
        BATTERY_LEVEL,
    ),
    cadence_s={SPO2: 1.0, PULSE_RATE: 1.0},
    facts=(
        MEASUREMENT_STATUS,
        DEVICE_STATUS,
        PLX_FEATURE,
        SUPPORTED_MEASUREMENT_STATUS,
        SUPPORTED_DEVICE_STATUS,
    ),
    sources=("Bluetooth SIG: Pulse Oximeter Service 1.0.1 (from memory of the document)",),
)
