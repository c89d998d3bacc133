"""Polar H10 chest strap: the Heart Rate Service plus raw ECG by Polar's own service.

`ecg` is one lead across the chest at the strap's position: no standard lead. The time of a block comes from
the sensor's clock, see `devices.formats.sample_clock`. Acceleration frames, which another program on the
same strap may have started, decode to nothing: their rate is not in the frame. A strap that refuses to send
ECG, or stops by itself, has a sensor fault for `ecg` until the next ECG frame; its heart rate goes on.
"""

from collections.abc import Mapping
from fractions import Fraction

import numpy as np

from devices.driver import (
    Access,
    Characteristic,
    Driver,
    Frame,
    Match,
    Reading,
    Transport,
    Write,
)
from devices.formats import polar_pmd
from devices.formats.gatt_decoder import (
    BATTERY,
    BATTERY_LEVEL,
    DecodeValue,
    GattDecoder,
    decode_battery_level,
)
from devices.formats.heart_rate_measurement import (
    BODY_SENSOR_LOCATION,
    HEART_RATE,
    RR_INTERVAL,
    HeartRateStream,
    decode_body_sensor_location,
)
from devices.formats.sample_clock import DeviceClock
from devices.formats.sensor_watch import SensorWatch
from vitals.gap import GapCause
from vitals.observation import VitalKey
from vitals.wave import WaveBlock, WaveLayout

ECG = VitalKey("ecg")
ECG_RATE_HZ = Fraction(130)


class PolarH10Decoder(GattDecoder):
    """One session with a strap."""

    def __init__(self) -> None:
        self._heart_rate = HeartRateStream()
        self._ecg_clock = DeviceClock(ECG_RATE_HZ)
        self._ecg_watch = SensorWatch()

    def decode_by_uuid(self) -> Mapping[str, DecodeValue]:
        """See `GattDecoder`."""
        return {
            "2A37": self._heart_rate.decode,
            "2A38": decode_body_sensor_location,
            "2A19": decode_battery_level,
            polar_pmd.CONTROL_UUID: self._decode_control,
            polar_pmd.DATA_UUID: self._decode_ecg,
        }

    def _decode_control(self, frame: Frame) -> list[Reading]:
        value = polar_pmd.decode_control_value(frame.payload)
        cause = None
        match value:
            case polar_pmd.ControlAnswer(operation=polar_pmd.OPERATION_START, measurement=polar_pmd.ECG):
                cause = None if value.is_success else GapCause.SENSOR_FAULT
            case polar_pmd.MeasurementsStopped() if polar_pmd.ECG in value.measurements:
                cause = GapCause.SENSOR_FAULT
            case _:
                return []
        return [*self._ecg_watch.note(cause, (ECG,), at=frame.received_at)]

    def _decode_ecg(self, frame: Frame) -> list[Reading]:
        decoded = polar_pmd.decode_data_frame(frame.payload)
        if not isinstance(decoded, polar_pmd.EcgFrame):
            return []
        place = self._ecg_clock.place(len(decoded.samples_uv), decoded.last_sample_ns, frame.received_at)
        block = WaveBlock(
            stream=ECG,
            t0_us=place.t0_us,
            rate_hz=ECG_RATE_HZ,
            first_sample=place.first_sample,
            samples=np.array(decoded.samples_uv, dtype=np.int32),
        )
        return [*self._ecg_watch.note(None, (ECG,), at=frame.received_at), block]


DRIVER = Driver(
    name="polar_h10",
    maker="Polar",
    title_en="Polar H10 chest strap",
    title_zh="Polar H10 心电胸带",
    transport=Transport.BLE,
    match=Match(service_uuids=("180D", polar_pmd.SERVICE_UUID), name_prefixes=("Polar H10",)),
    measures=(HEART_RATE, RR_INTERVAL, BATTERY),
    new_decoder=PolarH10Decoder,
    characteristics=(
        Characteristic(uuid="2A37", name="Heart Rate Measurement", access=Access.NOTIFY),
        Characteristic(uuid=polar_pmd.CONTROL_UUID, name="PMD Control Point", access=Access.INDICATE),
        Characteristic(uuid=polar_pmd.DATA_UUID, name="PMD Data", access=Access.NOTIFY),
        Characteristic(uuid="2A38", name="Body Sensor Location", access=Access.READ, required=False),
        BATTERY_LEVEL,
    ),
    start=(Write(uuid=polar_pmd.CONTROL_UUID, payload=polar_pmd.START_ECG),),
    waves=(WaveLayout(stream=ECG, rate_hz=ECG_RATE_HZ, gain=0.001, offset=0.0, unit="mV"),),
    cadence_s={HEART_RATE: 1.0},
    facts=(BODY_SENSOR_LOCATION,),
    sources=(
        "Bluetooth SIG: Heart Rate Service 1.0",
        "polarofficial/polar-ble-sdk: EcgDataTest.kt and documentation/TimeSystemExplained.md",
        "fsmeraldi/bleakheart: _core.py (facts only)",
    ),
)
