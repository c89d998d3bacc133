"""What the simulated Bluetooth devices share: identity, battery, range."""

from abc import abstractmethod
from typing import ClassVar

from devices.driver import Access
from devices.simulators.simulated_device import (
    DeviceSpec,
    Fault,
    SimulatedDevice,
    stable_number,
    virtual_address,
)
from devices.simulators.virtual_radio import (
    PeripheralProfile,
    VirtualCharacteristic,
    VirtualPeripheral,
    VirtualRadio,
    VirtualService,
)

BATTERY_LEVEL_UUID = "2A19"
USUAL_BATTERY_PCT = 92
LOW_BATTERY_PCT = 5

RADIO_FAULTS = (Fault.OUT_OF_RANGE, Fault.SILENT, Fault.LOW_BATTERY)


class BleDevice(SimulatedDevice):
    """A simulated peripheral. Subclasses name their services and send through `notify` and `indicate`."""

    maker: ClassVar[str]
    model: ClassVar[str]
    local_name: ClassVar[str]
    advertised_uuids: ClassVar[tuple[str, ...]]

    def __init__(self, spec: DeviceSpec) -> None:
        super().__init__(spec)
        self.address = virtual_address(spec.name)
        self.serial_number = f"{stable_number(spec.name):08X}"
        self._peripheral: VirtualPeripheral | None = None

    @abstractmethod
    def services(self) -> tuple[VirtualService, ...]:
        """The services besides Device Information and Battery."""

    @property
    def address_or_port(self) -> str:
        """See `SimulatedDevice`."""
        return self.address

    async def join(self, radio: VirtualRadio) -> None:
        """Switch on: advertise on this radio."""
        profile = PeripheralProfile(
            address=self.address,
            local_name=self.local_name.format(serial=self.serial_number),
            advertised_uuids=self.advertised_uuids,
            services=(*self.services(), self._battery_service(), self._identity_service()),
            rssi_dbm=-45 - stable_number(self.name) % 30,
        )
        self._peripheral = await radio.add(profile)

    @property
    def peripheral(self) -> VirtualPeripheral:
        """Its radio; `join` comes first."""
        if self._peripheral is None:
            msg = f"{self.name} was not switched on"
            raise RuntimeError(msg)
        return self._peripheral

    def is_listened_to(self, uuid: str) -> bool:
        """Whether somebody takes this characteristic and the device is fit to send it."""
        return not self.has(Fault.SILENT) and self.peripheral.is_subscribed(uuid)

    async def note_fault(self, fault: Fault) -> None:
        """See `SimulatedDevice`."""
        if fault is Fault.OUT_OF_RANGE and self.has(fault):
            await self.peripheral.go_out_of_range()
        elif fault is Fault.OUT_OF_RANGE:
            self.peripheral.come_into_range()
        elif fault is Fault.LOW_BATTERY and self.is_listened_to(BATTERY_LEVEL_UUID):
            await self.peripheral.notify(BATTERY_LEVEL_UUID, self._battery_level())

    def _battery_level(self) -> bytes:
        return bytes([LOW_BATTERY_PCT if self.has(Fault.LOW_BATTERY) else USUAL_BATTERY_PCT])

    def _battery_service(self) -> VirtualService:
        level = VirtualCharacteristic(
            uuid=BATTERY_LEVEL_UUID, access=(Access.READ, Access.NOTIFY), read=self._battery_level
        )
        return VirtualService(uuid="180F", characteristics=(level,))

    def _identity_service(self) -> VirtualService:
        texts = (("2A29", self.maker), ("2A24", self.model), ("2A25", self.serial_number))
        return VirtualService(
            uuid="180A", characteristics=tuple(_text_characteristic(uuid, text) for uuid, text in texts)
        )


def _text_characteristic(uuid: str, text: str) -> VirtualCharacteristic:
    return VirtualCharacteristic(uuid=uuid, access=(Access.READ,), read=text.encode)
