"""A Bluetooth radio in memory: peripherals and one central on one link, over bumble's controllers.

Nothing here touches an adapter or the kernel. ATT, L2CAP and HCI bytes are real; the air is a function call.
This module and `bleak_backends` are the only ones that know bumble, whose interface still moves (0.0.x).
Its gaps are closed here: no supervision timeout, so going out of range cuts the link itself; a constant
signal strength; advertisements delivered to everyone, which costs N² calls.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from bumble import att, gatt, hci, ll
from bumble.controller import Controller
from bumble.core import AdvertisingData
from bumble.device import Connection, Device
from bumble.host import Host
from bumble.link import LocalLink
from bumble.transport.common import AsyncPipeSink

from devices.driver import Access

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

CENTRAL_ADDRESS = "F0:F0:F0:F0:F0:F0"

ADVERTISING_INTERVAL_MS = 100
BUMBLE_INTERVAL_MS = ADVERTISING_INTERVAL_MS * 0.625
"""bumble's legacy advertiser takes the HCI unit of 0.625 ms for milliseconds."""

RADIO_FLAGS = bytes([0x06])
"""LE General Discoverable, BR/EDR not supported (Core Specification Supplement, Part A §1.3)."""

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualCharacteristic:
    """One characteristic. `read` gives its value when it is read, `on_write` gets what is written."""

    uuid: str
    access: tuple[Access, ...] = ()
    read: Callable[[], bytes] | None = None
    on_write: Callable[[bytes], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualService:
    """One primary service."""

    uuid: str
    characteristics: tuple[VirtualCharacteristic, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PeripheralProfile:
    """What a peripheral is: address, advertisement (31 bytes hold a name of about 18) and services."""

    address: str
    local_name: str
    advertised_uuids: tuple[str, ...]
    services: tuple[VirtualService, ...]
    rssi_dbm: int = -60


class VirtualPeripheral:
    """A peripheral on the virtual radio."""

    def __init__(self, air: "_Air", profile: PeripheralProfile) -> None:
        self.profile = profile
        self._air = air
        self._controller = _new_controller(air, profile.local_name)
        self._device = _new_device(self._controller, profile.local_name, profile.address)
        self._characteristic_by_uuid: dict[str, gatt.Characteristic[bytes]] = {}
        for service in profile.services:
            self._device.add_service(self._new_service(service))
        self._device.advertising_data = _advertising_payload(profile)

    async def start(self) -> None:
        """Switch on and advertise."""
        await self._device.power_on()
        await self._device.start_advertising(
            auto_restart=True,
            advertising_interval_min=BUMBLE_INTERVAL_MS,
            advertising_interval_max=BUMBLE_INTERVAL_MS,
        )

    async def stop(self) -> None:
        """Switch off."""
        await self.go_out_of_range()
        self._controller.le_legacy_advertiser.stop()
        await self._device.power_off()

    @property
    def is_connected(self) -> bool:
        """Whether the central is connected."""
        return self._connection is not None

    def is_subscribed(self, uuid: str) -> bool:
        """Whether the central takes notifications or indications of this characteristic."""
        connection = self._connection
        if connection is None:
            return False
        cccd_by_handle = self._device.gatt_server.subscribers.get(connection, {})
        return any(cccd_by_handle.get(self._characteristic_by_uuid[uuid].handle, b""))

    async def notify(self, uuid: str, payload: bytes) -> None:
        """Send a notification, or nothing if nobody is subscribed."""
        connection = self._connection
        if connection is not None:
            await self._device.notify_subscriber(connection, self._characteristic_by_uuid[uuid], payload)

    async def indicate(self, uuid: str, payload: bytes) -> bool:
        """Send an indication and wait until it is confirmed; False if it was not."""
        connection = self._connection
        if connection is None or not self.is_subscribed(uuid):
            return False
        gone: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        connection.once(Connection.EVENT_DISCONNECTION, gone.set_result)
        characteristic = self._characteristic_by_uuid[uuid]
        sending = asyncio.ensure_future(self._device.indicate_subscriber(connection, characteristic, payload))
        try:
            await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
            return sending.done() and sending.exception() is None
        finally:
            sending.cancel()
            if not gone.done():
                connection.remove_listener(Connection.EVENT_DISCONNECTION, gone.set_result)

    async def go_out_of_range(self) -> None:
        """Be heard no more, and lose the link as after a supervision timeout."""
        self._air.unheard.add(self._controller)
        connection = self._connection
        if connection is not None:
            await connection.disconnect(hci.HCI_REMOTE_DEVICE_TERMINATED_CONNECTION_DUE_TO_POWER_OFF_ERROR)

    def come_into_range(self) -> None:
        """Be heard again."""
        self._air.unheard.discard(self._controller)

    @property
    def _connection(self) -> Connection | None:
        return next(iter(self._device.connections.values()), None)

    def _new_service(self, service: VirtualService) -> gatt.Service:
        made = [_new_characteristic(characteristic) for characteristic in service.characteristics]
        for characteristic, bumble_characteristic in zip(service.characteristics, made, strict=True):
            self._characteristic_by_uuid[characteristic.uuid] = bumble_characteristic
        return gatt.Service(service.uuid, made)


class VirtualRadio:
    """The air and the one central that listens; an async context manager."""

    def __init__(self) -> None:
        self._peripheral_by_address: dict[str, VirtualPeripheral] = {}

    async def __aenter__(self) -> "Self":
        self._link = _Air(CENTRAL_ADDRESS)
        self._central_controller = _new_controller(self._link, "central")
        self.central = _new_device(self._central_controller, "central", CENTRAL_ADDRESS)
        await self.central.power_on()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        for peripheral in self._peripheral_by_address.values():
            await peripheral.stop()
        await self.central.power_off()

    async def add(self, profile: PeripheralProfile) -> VirtualPeripheral:
        """Put a peripheral into the air and switch it on."""
        peripheral = VirtualPeripheral(self._link, profile)
        self._peripheral_by_address[profile.address] = peripheral
        await peripheral.start()
        return peripheral

    def rssi_dbm(self, address: str) -> int | None:
        """Signal strength of a peripheral; None for one that is not ours."""
        peripheral = self._peripheral_by_address.get(address)
        return None if peripheral is None else peripheral.profile.rssi_dbm

    def connection_to(self, address: str) -> Connection | None:
        """The central's connection to a peripheral."""
        for connection in self.central.connections.values():
            if connection.peer_address == hci.Address(address):
                return connection
        return None

    def give_up_connecting(self) -> None:
        """Forget a connect that never came about: the virtual controller knows no cancel command."""
        self._central_controller.pending_le_connection = None


class _Air(LocalLink):
    """Delivers advertisements to the central only, and only of the peripherals that are in range."""

    def __init__(self, central_address: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # bumble leaves it bare
        self._central_address = hci.Address(central_address)
        self.unheard: set[Controller] = set()

    def send_advertising_pdu(self, sender_controller: Controller, packet: ll.AdvertisingPdu) -> None:
        if isinstance(packet, ll.ConnectInd):
            super().send_advertising_pdu(sender_controller, packet)
            return
        if sender_controller in self.unheard:
            return
        for controller in self.controllers:
            if controller.random_address == self._central_address:
                controller.on_ll_advertising_pdu(packet)


def _new_controller(link: LocalLink, name: str) -> Controller:
    controller = Controller(name, link=link)
    controller.le_features &= ~hci.LeFeatureMask.LE_EXTENDED_ADVERTISING
    return controller


class _UninterruptedHost(Host):
    """A command on its way is always answered: bumble would give its answer to the next command else."""

    async def _send_command(self, *arguments: Any, **options: Any) -> Any:
        return await asyncio.shield(super()._send_command(*arguments, **options))


def _new_device(controller: Controller, name: str, address: str) -> Device:
    host = _UninterruptedHost(controller, AsyncPipeSink(controller))
    return Device(name=name, address=hci.Address(address), host=host)


def _new_characteristic(characteristic: VirtualCharacteristic) -> "gatt.Characteristic[bytes]":
    properties = gatt.Characteristic.Properties(0)
    permissions = gatt.Characteristic.Permissions(0)
    for access in characteristic.access:
        properties |= gatt.Characteristic.Properties[access.name]
    if Access.READ in characteristic.access:
        permissions |= gatt.Characteristic.READABLE
    if characteristic.on_write is not None:
        properties |= gatt.Characteristic.Properties.WRITE
        permissions |= gatt.Characteristic.WRITEABLE
    read, on_write = characteristic.read, characteristic.on_write
    value = gatt.CharacteristicValue(
        read=lambda _connection: _allowed(read)(),
        write=lambda _connection, payload: _allowed(on_write)(payload),
    )
    return gatt.Characteristic(characteristic.uuid, properties, permissions, value)


def _allowed(access: Callable[P, R] | None) -> Callable[P, R]:
    if access is None:
        raise att.ATT_Error(att.ErrorCode.REQUEST_NOT_SUPPORTED)
    return access


def _advertising_payload(profile: PeripheralProfile) -> bytes:
    uuids = b"".join(bytes.fromhex(uuid)[::-1] for uuid in profile.advertised_uuids)
    payload = bytes(
        AdvertisingData(
            [
                (AdvertisingData.FLAGS, RADIO_FLAGS),
                (AdvertisingData.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS, uuids),
                (AdvertisingData.COMPLETE_LOCAL_NAME, profile.local_name.encode()),
            ]
        )
    )
    if len(payload) > 31:
        msg = f"the advertisement of {profile.local_name!r} has {len(payload)} bytes; 31 fit"
        raise ValueError(msg)
    return payload
