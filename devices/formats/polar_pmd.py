"""Polar Measurement Data: the vendor service by which Polar sensors stream raw signals.

Built from public code (polarofficial/polar-ble-sdk and others), not from the vendor's document; never run
against hardware here.

* Control point (write, answers by indication): request = operation u8, measurement type u8, then settings
  (id u8, count u8, value). Answer = F0, operation, type, status, more… A value that begins with 01 is the
  sensor's own word that it stopped the listed measurements.
* Data (notify): measurement type u8, u64 time in ns since 2000-01-01 **of the last sample**, frame type u8
  (bit 7: compressed), samples. A frame holds as many samples as the link's MTU lets it.
"""

from dataclasses import dataclass

from devices.formats.byte_cursor import ByteCursor

CONTROL_UUID = "fb005c81-02e7-f387-1cad-8acd2d8df0c8"
DATA_UUID = "fb005c82-02e7-f387-1cad-8acd2d8df0c8"
SERVICE_UUID = "fb005c80-02e7-f387-1cad-8acd2d8df0c8"

ECG = 0
ACCELERATION = 2
MEASUREMENT_TYPE_MASK = 0x3F

OPERATION_START = 2
ANSWER = 0xF0
FEATURES = 0x0F
STOPPED_BY_SENSOR = 0x01
SUCCESS = 0
ALREADY_IN_STATE = 6

START_ECG = bytes.fromhex("02 00 00 01 82 00 01 01 0e 00")
"""Start ECG: sample rate (setting 0) 130 Hz, resolution (setting 1) 14 bit."""

START_ACCELERATION = bytes.fromhex("02 02 00 01 c8 00 01 01 10 00 02 01 02 00")
"""Start acceleration: 200 Hz, 16 bit, range (setting 2) 2 g. No driver sends it yet."""

ECG_SAMPLE_BYTES = 3
AXIS_BYTES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlAnswer:
    """The sensor's answer to a request."""

    operation: int
    measurement: int
    status: int

    @property
    def is_success(self) -> bool:
        """Whether the measurement runs now; it may have run already."""
        return self.status in {SUCCESS, ALREADY_IN_STATE}


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementsStopped:
    """The sensor ended these measurements by itself (put into the charger, battery low …)."""

    measurements: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EcgFrame:
    """ECG samples in microvolt; `last_sample_ns` counts from 2000-01-01 by the sensor's own clock."""

    last_sample_ns: int
    samples_uv: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccelerationFrame:
    """Acceleration (x, y, z) in thousandths of the earth's."""

    last_sample_ns: int
    samples_mg: tuple[tuple[int, int, int], ...]


def decode_control_value(payload: bytes) -> ControlAnswer | MeasurementsStopped | None:
    """A value of the control point; None is the list of features that a read gives.

    Raises:
        FrameInvalid: an answer that is cut short, or a first byte that means nothing here.
    """
    cursor = ByteCursor(payload)
    first = cursor.unsigned(1, "response code")
    if first == FEATURES:
        return None
    if first == STOPPED_BY_SENSOR:
        stopped = cursor.take(cursor.left, "measurement types")
        return MeasurementsStopped(measurements=tuple(kind & MEASUREMENT_TYPE_MASK for kind in stopped))
    if first != ANSWER:
        cursor.offset = 0
        raise cursor.invalid(f"unknown response code 0x{first:02x}")
    operation = cursor.unsigned(1, "operation")
    measurement = cursor.unsigned(1, "measurement type")
    return ControlAnswer(operation=operation, measurement=measurement, status=cursor.unsigned(1, "status"))


def decode_data_frame(payload: bytes) -> EcgFrame | AccelerationFrame:
    """A frame of the data characteristic.

    Raises:
        FrameInvalid: another measurement, another frame type, no samples or half a sample.
    """
    cursor = ByteCursor(payload)
    measurement = cursor.unsigned(1, "measurement type") & MEASUREMENT_TYPE_MASK
    last_sample_ns = cursor.unsigned(8, "time of last sample")
    frame_type = cursor.unsigned(1, "frame type")
    if (measurement, frame_type) == (ECG, 0):
        samples_uv = _decode_ecg_samples(cursor)
        return EcgFrame(last_sample_ns=last_sample_ns, samples_uv=samples_uv)
    if (measurement, frame_type) == (ACCELERATION, 1):
        samples_mg = _decode_acceleration_samples(cursor)
        return AccelerationFrame(last_sample_ns=last_sample_ns, samples_mg=samples_mg)
    cursor.offset = 0
    raise cursor.invalid(f"measurement type {measurement} with frame type {frame_type} is not known")


def encode_ecg_frame(frame: EcgFrame) -> bytes:
    """The inverse of `decode_data_frame` for ECG, for simulators."""
    samples = b"".join(
        sample.to_bytes(ECG_SAMPLE_BYTES, "little", signed=True) for sample in frame.samples_uv
    )
    return bytes([ECG]) + frame.last_sample_ns.to_bytes(8, "little") + b"\x00" + samples


def encode_control_answer(answer: ControlAnswer) -> bytes:
    """An answer of the control point without further frames, for simulators."""
    return bytes([ANSWER, answer.operation, answer.measurement, answer.status, 0])


def _decode_ecg_samples(cursor: ByteCursor) -> tuple[int, ...]:
    samples = [_signed(cursor, ECG_SAMPLE_BYTES, "first ECG sample")]
    while cursor.left:
        samples.append(_signed(cursor, ECG_SAMPLE_BYTES, "ECG sample"))
    return tuple(samples)


def _decode_acceleration_samples(cursor: ByteCursor) -> tuple[tuple[int, int, int], ...]:
    samples = [_axes(cursor)]
    while cursor.left:
        samples.append(_axes(cursor))
    return tuple(samples)


def _axes(cursor: ByteCursor) -> tuple[int, int, int]:
    x, y, z = (_signed(cursor, AXIS_BYTES, f"acceleration {axis}") for axis in "xyz")
    return x, y, z


def _signed(cursor: ByteCursor, count: int, field: str) -> int:
    return int.from_bytes(cursor.take(count, field), "little", signed=True)
