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


class ScanRunning(DeviceError):
    """A scan is already running: a process has one scanner."""

    def __str__(self) -> str:
        return "a Bluetooth scan is already running in this process"


class ConnectFailed(DeviceError):
    """The Bluetooth device did not accept a connection."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(address, reason)
        self.address = address
        self.reason = reason

    def __str__(self) -> str:
        return f"could not connect to {self.address}: {self.reason}"


class LinkLost(DeviceError):
    """The Bluetooth link is gone."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.address = address

    def __str__(self) -> str:
        return f"the link to {self.address} is gone"


class CharacteristicMissing(DeviceError):
    """The connected device has no such characteristic."""

    def __init__(self, uuid: str, *, address: str) -> None:
        super().__init__(uuid, address)
        self.uuid = uuid
        self.address = address

    def __str__(self) -> str:
        return f"{self.address} has no characteristic {self.uuid}"


class AccessFailed(DeviceError):
    """The device refused to have a characteristic read, written or subscribed, or did not answer.

    `att_code` is the ATT error code (Bluetooth Core, Vol 3 Part F §3.4.1.1) where the device gave one.
    """

    def __init__(self, uuid: str, *, address: str, reason: str, att_code: int | None = None) -> None:
        super().__init__(uuid, address, reason, att_code)
        self.uuid = uuid
        self.address = address
        self.reason = reason
        self.att_code = att_code

    def __str__(self) -> str:
        return f"{self.address} refused characteristic {self.uuid}: {self.reason}"


class PortError(DeviceError):
    """Base of what can be wrong with a serial port."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"serial port {self.path}: {self.reason}"


class PortMissing(PortError):
    """There is no such port: nothing is plugged in."""


class PortDenied(PortError):
    """This user may not open the port."""


class PortBusy(PortError):
    """Another process has the port."""


class PortRefused(PortError):
    """The port does not take these line settings, or is no serial port."""


class PortLost(PortError):
    """The port went away while bytes were written to it."""


class RecordUnknown(DeviceError):
    """No recording has this name."""

    def __init__(self, record: str, *, known: tuple[str, ...]) -> None:
        super().__init__(record, known)
        self.record = record
        self.known = known

    def __str__(self) -> str:
        return f"no recording named {self.record!r}; known: {', '.join(self.known)}"


class FaultUnsupported(DeviceError):
    """This simulated device cannot have that fault."""

    def __init__(self, fault: str, *, device: str, supported: tuple[str, ...]) -> None:
        super().__init__(fault, device, supported)
        self.fault = fault
        self.device = device
        self.supported = supported

    def __str__(self) -> str:
        return f"{self.device} cannot have the fault {self.fault}; it can have: {', '.join(self.supported)}"


class SimulatorUnknown(DeviceError):
    """No simulated device has this name."""

    def __init__(self, name: str, *, known: tuple[str, ...]) -> None:
        super().__init__(name, known)
        self.name = name
        self.known = known

    def __str__(self) -> str:
        return f"no simulated device named {self.name!r}; known: {', '.join(self.known)}"
