"""The common shape of a Bluetooth decoder: one function per characteristic."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

from devices.driver import Access, Characteristic, Frame, Reading
from devices.errors import FrameInvalid
from devices.formats.byte_cursor import ByteCursor
from devices.formats.observed import Circumstances, observe
from vitals.observation import VitalKey

BATTERY = VitalKey("battery")

BATTERY_LEVEL = Characteristic(uuid="2A19", name="Battery Level", access=Access.READ, required=False)
"""Battery Service 0x180F; most devices have it beside their own service."""

DecodeValue = Callable[[Frame], list[Reading]]


class GattDecoder(ABC):
    """Decodes whole characteristic values; nothing is ever resynchronised."""

    rejected = 0

    def feed(self, frame: Frame) -> list[Reading]:
        """See `devices.driver.Decoder`."""
        decode = self.decode_by_uuid().get(frame.channel)
        if decode is None:
            reason = f"this driver does not read characteristic {frame.channel}"
            raise FrameInvalid(reason, offset=0, payload=frame.payload)
        return decode(frame)

    @abstractmethod
    def decode_by_uuid(self) -> Mapping[str, DecodeValue]:
        """The function of each characteristic."""


def decode_battery_level(frame: Frame) -> list[Reading]:
    """Battery Level 0x2A19: one byte, percent."""
    return [decode_code(frame, BATTERY, byte_count=1, unit="%")]


def decode_code(frame: Frame, key: VitalKey, *, byte_count: int, unit: str = "1") -> Reading:
    """A value that is one unsigned number and nothing else."""
    cursor = ByteCursor(frame.payload)
    number = cursor.unsigned(byte_count, key)
    cursor.expect_end(reserved_bits=0)
    return observe(key, number, unit=unit, under=Circumstances.live(frame.received_at))
