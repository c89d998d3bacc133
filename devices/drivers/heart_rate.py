"""Any strap or armband with the Bluetooth Heart Rate Service (0x180D), version 1.0."""

from collections.abc import Mapping

from devices.driver import Access, Characteristic, Driver, Match, Transport
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


class HeartRateDecoder(GattDecoder):
    """One session with a strap."""

    def __init__(self) -> None:
        self._stream = HeartRateStream()

    def decode_by_uuid(self) -> Mapping[str, DecodeValue]:
        """See `GattDecoder`."""
        return {
            "2A37": self._stream.decode,
            "2A38": decode_body_sensor_location,
            "2A19": decode_battery_level,
        }


DRIVER = Driver(
    name="heart_rate",
    maker="Bluetooth SIG profile",
    title_en="Heart rate strap",
    title_zh="心率带",
    transport=Transport.BLE,
    match=Match(service_uuids=("180D",)),
    measures=(HEART_RATE, RR_INTERVAL, BATTERY),
    new_decoder=HeartRateDecoder,
    characteristics=(
        Characteristic(uuid="2A37", name="Heart Rate Measurement", access=Access.NOTIFY),
        Characteristic(uuid="2A38", name="Body Sensor Location", access=Access.READ, required=False),
        BATTERY_LEVEL,
    ),
    cadence_s={HEART_RATE: 1.0},
    facts=(BODY_SENSOR_LOCATION,),
    sources=(
        "Bluetooth SIG: Heart Rate Service 1.0",
        "Bluetooth SIG: GATT Specification Supplement",
    ),
)
