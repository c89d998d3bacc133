"""Heart Rate Measurement 0x2A37 and Body Sensor Location 0x2A38 (Heart Rate Service 1.0 §3.1, §3.2).

Flags: bit 0 heart rate is 16 bit; bits 1-2 contact (bit 2 supported, bit 1 detected); bit 3 energy; bit 4
R-R intervals, 1/1024 s, oldest first, up to the end of the value. Energy is in kilojoule (HRS 1.0 §3.1.1.3;
the GATT Specification Supplement says joule, which no strap sends).
"""

from dataclasses import dataclass

from devices.driver import Frame, Reading
from devices.formats.byte_cursor import ByteCursor
from devices.formats.gatt_decoder import decode_code
from devices.formats.observed import Circumstances, observe, observe_unless_zero
from devices.formats.sensor_watch import SensorWatch
from vitals.gap import GapCause
from vitals.observation import Flag, Quality, VitalKey

HEART_RATE = VitalKey("heart_rate")
RR_INTERVAL = VitalKey("rr_interval")
ENERGY_EXPENDED = VitalKey("energy_expended")
BODY_SENSOR_LOCATION = VitalKey("body_sensor_location")

BEAT_KEYS = (HEART_RATE, RR_INTERVAL)

RESERVED_FLAGS = 0xE0


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartRateMeasurement:
    """The fields as sent. `has_contact` is None when the strap cannot tell."""

    heart_rate: int
    has_contact: bool | None
    energy_kj: int | None
    rr_1024: tuple[int, ...]


def decode_heart_rate_measurement(payload: bytes) -> HeartRateMeasurement:
    """The fields of 0x2A37.

    An R-R flag without an interval is accepted: straps set it while there was no beat since the last value.

    Raises:
        FrameInvalid: the value is shorter or longer than its flags say.
    """
    cursor = ByteCursor(payload)
    flags = cursor.unsigned(1, "flags")
    heart_rate = cursor.unsigned(2 if flags & 0x01 else 1, "heart rate")
    energy_kj = cursor.unsigned(2, "energy expended") if flags & 0x08 else None
    rr_1024: list[int] = []
    while flags & 0x10 and cursor.left:
        rr_1024.append(cursor.unsigned(2, "R-R interval"))
    cursor.expect_end(reserved_bits=flags & RESERVED_FLAGS)
    has_contact = bool(flags & 0x02) if flags & 0x04 else None
    return HeartRateMeasurement(
        heart_rate=heart_rate, has_contact=has_contact, energy_kj=energy_kj, rr_1024=tuple(rr_1024)
    )


def encode_heart_rate_measurement(measurement: HeartRateMeasurement) -> bytes:
    """The inverse of `decode_heart_rate_measurement`, for simulators."""
    is_wide = measurement.heart_rate > 0xFF
    flags = int(is_wide)
    if measurement.has_contact is not None:
        flags |= 0x06 if measurement.has_contact else 0x04
    payload = measurement.heart_rate.to_bytes(2 if is_wide else 1, "little")
    if measurement.energy_kj is not None:
        flags |= 0x08
        payload += measurement.energy_kj.to_bytes(2, "little")
    if measurement.rr_1024:
        flags |= 0x10
        payload += b"".join(rr.to_bytes(2, "little") for rr in measurement.rr_1024)
    return bytes([flags]) + payload


class HeartRateStream:
    """0x2A37 of one session: the values and the moments when contact is lost or found."""

    def __init__(self) -> None:
        self._watch = SensorWatch()

    def decode(self, frame: Frame) -> list[Reading]:
        """Readings of one value.

        Intervals are oldest first and all have the time of receipt: the agent spreads them, because when a
        beat ended follows from the intervals after it.

        Raises:
            FrameInvalid: see `decode_heart_rate_measurement`.
        """
        measurement = decode_heart_rate_measurement(frame.payload)
        under = Circumstances.live(frame.received_at)
        cause = None
        if measurement.has_contact is not None:
            under = under.beside(contact=measurement.has_contact)
        if measurement.has_contact is False:
            under = under.doubted(Quality.INVALID, Flag.NO_CONTACT)
            cause = GapCause.SENSOR_OFF
        readings: list[Reading] = [*self._watch.note(cause, BEAT_KEYS, at=frame.received_at)]
        readings.append(observe_unless_zero(HEART_RATE, measurement.heart_rate, unit="/min", under=under))
        readings.extend(
            observe(RR_INTERVAL, rr * 1000 / 1024, unit="ms", under=under) for rr in measurement.rr_1024
        )
        if measurement.energy_kj is not None:
            live = Circumstances.live(frame.received_at)
            readings.append(observe(ENERGY_EXPENDED, measurement.energy_kj, unit="kJ", under=live))
        return readings


def decode_body_sensor_location(frame: Frame) -> list[Reading]:
    """Where the strap sits: 0 other, 1 chest, 2 wrist, 3 finger, 4 hand, 5 ear lobe, 6 foot."""
    return [decode_code(frame, BODY_SENSOR_LOCATION, byte_count=1)]
