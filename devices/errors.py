"""What can be wrong with a frame or a device."""

from vitals.errors import QianliError


class DeviceError(QianliError):
    """Base of this floor's errors."""


class FrameError(DeviceError):
    """Base of the two things that can be wrong with bytes."""


class FrameIncomplete(FrameError):
    """More bytes are needed; nothing is wrong yet."""

    def __init__(self, *, needed: int, got: int) -> None:
        super().__init__(needed, got)
        self.needed = needed
        self.got = got

    def __str__(self) -> str:
        return f"frame needs {self.needed} bytes, got {self.got}"


class FrameInvalid(FrameError):
    """The bytes break the device's own format."""

    def __init__(self, reason: str, *, offset: int, payload: bytes) -> None:
        super().__init__(reason, offset, payload)
        self.reason = reason
        self.offset = offset
        self.payload = payload

    def __str__(self) -> str:
        return f"{self.reason} at byte {self.offset} of {self.payload.hex(' ') or '(empty)'}"


class DriverUnknown(DeviceError):
    """No driver has this name."""

    def __init__(self, name: str, *, known: tuple[str, ...]) -> None:
        super().__init__(name, known)
        self.name = name
        self.known = known

    def __str__(self) -> str:
        return f"no driver named {self.name!r}; known: {', '.join(self.known)}"


class RadioUnavailable(DeviceError):
    """This machine has no usable Bluetooth."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"Bluetooth is not available on this machine: {self.reason}"
