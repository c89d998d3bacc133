"""Reads little-endian fields one after another and knows where it stands when one is missing."""

from devices.errors import FrameInvalid
from devices.formats.date_time import DATE_TIME_BYTES, DeviceDateTime, OutOfRange, decode_date_time
from devices.formats.medfloat import MedicalNumber, decode_float32, decode_sfloat


class ByteCursor:
    """A place in a payload. Every read raises `FrameInvalid` if the bytes end before its field does."""

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self.offset = 0

    @property
    def left(self) -> int:
        """Bytes that were not read yet."""
        return len(self._payload) - self.offset

    def take(self, count: int, field: str) -> bytes:
        """The next `count` bytes as they are."""
        if self.left < count:
            raise self.invalid(f"{field} needs {count} bytes, {self.left} left")
        taken = self._payload[self.offset : self.offset + count]
        self.offset += count
        return taken

    def unsigned(self, count: int, field: str) -> int:
        """An unsigned integer of `count` bytes."""
        return int.from_bytes(self.take(count, field), "little")

    def sfloat(self, field: str) -> MedicalNumber:
        """A 16-bit SFLOAT."""
        return decode_sfloat(self.unsigned(2, field))

    def float32(self, field: str) -> MedicalNumber:
        """A 32-bit FLOAT."""
        return decode_float32(self.unsigned(4, field))

    def date_time(self, field: str) -> DeviceDateTime:
        """A Date Time of seven bytes."""
        began_at = self.offset
        moment = decode_date_time(self.take(DATE_TIME_BYTES, field))
        if isinstance(moment, OutOfRange):
            self.offset = began_at + moment.offset
            raise self.invalid(f"{field} has an impossible {moment.part}")
        return moment

    def expect_end(self, *, reserved_bits: int) -> None:
        """Refuse bytes that no flag announces.

        `reserved_bits` are the flags this version of the profile does not define: if one is set, a newer
        device may have appended its field, and the profiles tell a client to ignore that.
        """
        if self.left and not reserved_bits:
            raise self.invalid(f"{self.left} bytes that no flag announces")

    def invalid(self, reason: str) -> FrameInvalid:
        """The error for what stands at the cursor."""
        return FrameInvalid(reason, offset=self.offset, payload=self._payload)
