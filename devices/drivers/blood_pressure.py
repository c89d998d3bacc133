"""Any cuff with the Bluetooth Blood Pressure Service (0x1810).

Blood Pressure Measurement 0x2A35 and Intermediate Cuff Pressure 0x2A36 share a layout (Blood Pressure
Service 1.0 §3.1, §3.2). Flags: bit 0 the unit is kPa; bit 1 time; bit 2 pulse rate; bit 3 user; bit 4
status. The intermediate value stands in the systolic field, the other two are NaN.

Pressures keep the unit that the device says; `devices.formats.vocabulary_unit` converts them. A cuff that
does not compute the mean sends NaN for it: the reading stands, only the mean is missing.
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
    decode_code,
)
from devices.formats.medfloat import MedicalNumber
from devices.formats.observed import Circumstances, StatusBit, absent, apply_status, observe
from vitals.observation import Flag, Quality, VitalKey

NIBP_SYS = VitalKey("nibp_sys")
NIBP_DIA = VitalKey("nibp_dia")
NIBP_MEAN = VitalKey("nibp_mean")
NIBP_CUFF = VitalKey("nibp_cuff")
PULSE_RATE = VitalKey("pulse_rate_nibp")
BP_USER = VitalKey("bp_user")
BP_STATUS = VitalKey("bp_status")
BP_FEATURE = VitalKey("bp_feature")

RESERVED_FLAGS = 0xE0
UNKNOWN_USER = 0xFF

STATUS_BITS = (
    StatusBit(bit=0, quality=Quality.QUESTIONABLE, flags=(Flag.MOVEMENT,)),
    StatusBit(bit=1, quality=Quality.QUESTIONABLE, flags=(Flag.CUFF_LOOSE,)),
    StatusBit(bit=2, flags=(Flag.IRREGULAR_PULSE,)),
    StatusBit(bit=5, quality=Quality.QUESTIONABLE, flags=(Flag.BAD_POSITION,)),
)

PULSE_RANGE_FLAGS: Mapping[int, tuple[Flag, ...]] = {
    0: (),
    1: (Flag.PULSE_ABOVE_RANGE,),
    2: (Flag.PULSE_BELOW_RANGE,),
    3: (),  # reserved
}
"""Status bits 3-4 are one number, not two flags."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BloodPressureMeasurement:
    """The fields as sent; None is a field that the flags leave out."""

    unit: str
    systolic: MedicalNumber
    diastolic: MedicalNumber
    mean: MedicalNumber
    timestamp: DeviceDateTime | None
    pulse_rate: MedicalNumber | None
    user_id: int | None
    status: int | None


def decode_blood_pressure(payload: bytes) -> BloodPressureMeasurement:
    """The fields of 0x2A35 or 0x2A36.

    Raises:
        FrameInvalid: the value is shorter or longer than its flags say, or its time is no time.
    """
    cursor = ByteCursor(payload)
    flags = cursor.unsigned(1, "flags")
    measurement = BloodPressureMeasurement(
        unit="kPa" if flags & 0x01 else "mm[Hg]",
        systolic=cursor.sfloat("systolic"),
        diastolic=cursor.sfloat("diastolic"),
        mean=cursor.sfloat("mean"),
        timestamp=cursor.date_time("time stamp") if flags & 0x02 else None,
        pulse_rate=cursor.sfloat("pulse rate") if flags & 0x04 else None,
        user_id=cursor.unsigned(1, "user id") if flags & 0x08 else None,
        status=cursor.unsigned(2, "status") if flags & 0x10 else None,
    )
    cursor.expect_end(reserved_bits=flags & RESERVED_FLAGS)
    return measurement


class BloodPressureDecoder(GattDecoder):
    """One session with a cuff. It keeps no state: every value stands for itself."""

    def decode_by_uuid(self) -> Mapping[str, DecodeValue]:
        """See `GattDecoder`."""
        return {
            "2A35": _decode_measurement,
            "2A36": _decode_intermediate,
            "2A49": _decode_feature,
            "2A19": decode_battery_level,
        }


def _decode_measurement(frame: Frame) -> list[Reading]:
    measurement = decode_blood_pressure(frame.payload)
    under = _circumstances(measurement, frame)
    pressures = (
        (NIBP_SYS, measurement.systolic),
        (NIBP_DIA, measurement.diastolic),
        (NIBP_MEAN, measurement.mean),
    )
    readings: list[Reading] = [
        observe(key, number, unit=measurement.unit, under=under) for key, number in pressures
    ]
    return readings + _beside_pressure(measurement, under)


def _decode_intermediate(frame: Frame) -> list[Reading]:
    measurement = decode_blood_pressure(frame.payload)
    under = _circumstances(measurement, frame).doubted(Quality.GOOD, Flag.INTERMEDIATE)
    cuff = observe(NIBP_CUFF, measurement.systolic, unit=measurement.unit, under=under)
    return [cuff, *_beside_pressure(measurement, under)]


def _decode_feature(frame: Frame) -> list[Reading]:
    return [decode_code(frame, BP_FEATURE, byte_count=2)]


def _circumstances(measurement: BloodPressureMeasurement, frame: Frame) -> Circumstances:
    under = Circumstances.live(frame.received_at)
    if measurement.status is not None:
        under = apply_status(under, measurement.status, STATUS_BITS)
        under = under.doubted(Quality.GOOD, *PULSE_RANGE_FLAGS[measurement.status >> 3 & 0x03])
    if measurement.user_id == UNKNOWN_USER:
        under = under.doubted(Quality.GOOD, Flag.UNKNOWN_USER)
    if measurement.timestamp is not None:
        device_time = measurement.timestamp.complete()
        if device_time is None:
            under = under.doubted(Quality.GOOD, Flag.CLOCK_NOT_SET)
            under = under.beside(device_time=str(measurement.timestamp))
        under = replace(under, device_time=device_time)
    return under


def _beside_pressure(measurement: BloodPressureMeasurement, under: Circumstances) -> list[Reading]:
    readings: list[Reading] = []
    if measurement.pulse_rate == 0:  # the cuff found no pulse: never a rate of zero
        readings.append(absent(PULSE_RATE, Flag.FAILED, unit="/min", under=under.beside(value=0)))
    elif measurement.pulse_rate is not None:
        readings.append(observe(PULSE_RATE, measurement.pulse_rate, unit="/min", under=under))
    plain = replace(under, quality=Quality.GOOD, flags=(), as_sent={})
    for key, code in ((BP_USER, measurement.user_id), (BP_STATUS, measurement.status)):
        if code is not None:
            readings.append(observe(key, code, unit="1", under=plain))
    return readings


DRIVER = Driver(
    name="blood_pressure",
    maker="Bluetooth SIG profile",
    title_en="Blood pressure cuff",
    title_zh="血压计",
    transport=Transport.BLE,
    match=Match(service_uuids=("1810",)),
    measures=(NIBP_SYS, NIBP_DIA, NIBP_MEAN, PULSE_RATE, BATTERY),
    new_decoder=BloodPressureDecoder,
    characteristics=(
        Characteristic(uuid="2A35", name="Blood Pressure Measurement", access=Access.INDICATE),
        Characteristic(uuid="2A36", name="Intermediate Cuff Pressure", access=Access.NOTIFY, required=False),
        Characteristic(uuid="2A49", name="Blood Pressure Feature", access=Access.READ, required=False),
        BATTERY_LEVEL,
    ),
    facts=(BP_USER, BP_STATUS, BP_FEATURE),
    sources=(
        "Bluetooth SIG: Blood Pressure Service 1.0",
        "Bluetooth SIG: GATT Specification Supplement",
    ),
)
