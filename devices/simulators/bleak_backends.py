"""bleak's two backend classes over a virtual radio, so that everything above runs bleak's public interface.

bleak takes classes, not objects; the factories make classes that close over one radio.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from bleak.args import SizedBuffer
from bleak.assigned_numbers import CharacteristicPropertyName
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient, NotifyCallback
from bleak.backends.descriptor import BleakGATTDescriptor
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, AdvertisementDataCallback, BaseBleakScanner
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bleak.exc import BleakDeviceNotFoundError, BleakError, BleakGATTProtocolError
from bleak.uuids import normalize_uuid_str
from bumble import att, core, gatt
from bumble.device import Advertisement, Connection, Device, Peer

from devices.simulators.virtual_radio import VirtualRadio

ATT_MTU = 247
"""What a current phone asks for; an H10 frame of 73 samples needs 232."""

PEER_WAIT_S = 2.0
"""A peripheral in range is heard every 100 ms. One that is gone must not keep the only connecting slot."""

PROPERTY_NAMES: tuple[tuple[gatt.Characteristic.Properties, CharacteristicPropertyName], ...] = (
    (gatt.Characteristic.Properties.READ, "read"),
    (gatt.Characteristic.Properties.WRITE_WITHOUT_RESPONSE, "write-without-response"),
    (gatt.Characteristic.Properties.WRITE, "write"),
    (gatt.Characteristic.Properties.NOTIFY, "notify"),
    (gatt.Characteristic.Properties.INDICATE, "indicate"),
)


def new_scanner_backend(radio: VirtualRadio) -> type[BaseBleakScanner]:
    """A bleak scanner class that listens to `radio`."""

    class VirtualScanner(_VirtualScanner):
        _radio = radio

    return VirtualScanner


def new_client_backend(radio: VirtualRadio) -> type[BaseBleakClient]:
    """A bleak client class that connects through `radio`."""
    connecting = asyncio.Lock()  # the controller holds one pending connect

    class VirtualClient(_VirtualClient):
        _radio = radio
        _connecting = connecting

    return VirtualClient


class _VirtualScanner(BaseBleakScanner):
    _radio: VirtualRadio

    def __init__(
        self,
        detection_callback: AdvertisementDataCallback | None,
        service_uuids: list[str] | None,
        scanning_mode: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(detection_callback, service_uuids)

    async def start(self) -> None:
        self.seen_devices = {}
        # bumble notes that a scan is passive only once it is confirmed. Of a device that is heard a moment
        # before, it would take nothing but scan responses, for as long as the scan lasts.
        self._radio.central.scanning_is_passive = True
        try:
            await self._radio.central.start_scanning(legacy=True, active=False)
        except core.BaseBumbleError as error:  # a scan is running already
            raise BleakError(str(error)) from error
        self._radio.central.on(Device.EVENT_ADVERTISEMENT, self._on_advertisement)

    async def stop(self) -> None:
        self._radio.central.remove_listener(Device.EVENT_ADVERTISEMENT, self._on_advertisement)
        await self._radio.central.stop_scanning(legacy=True)

    def _on_advertisement(self, heard: Advertisement) -> None:
        address = heard.address.to_string(with_type_qualifier=False)
        rssi_dbm = self._radio.rssi_dbm(address)
        if heard.is_scan_response or rssi_dbm is None:
            return
        names = heard.data.get_all(core.AdvertisingData.Type.COMPLETE_LOCAL_NAME)
        uuid_lists = heard.data.get_all(core.AdvertisingData.Type.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS)
        uuids = [normalize_uuid_str(uuid.to_hex_str()) for uuid_list in uuid_lists for uuid in uuid_list]
        name = names[0] if names else None
        spoken = AdvertisementData(
            local_name=name,
            manufacturer_data={},
            service_data={},
            service_uuids=uuids,
            tx_power=None,
            rssi=rssi_dbm,
            platform_data=(heard,),
        )
        ble_device = self.create_or_update_device(address, address, name, None, spoken)
        if self.is_allowed_uuid(uuids):
            self.call_detection_callbacks(ble_device, spoken)


class _VirtualClient(BaseBleakClient):
    _radio: VirtualRadio
    _connecting: asyncio.Lock

    def __init__(self, address_or_ble_device: BLEDevice | str, **kwargs: Any) -> None:
        super().__init__(
            address_or_ble_device,
            disconnected_callback=kwargs.get("disconnected_callback"),
            timeout=kwargs.get("timeout", 30.0),
        )
        self._connection: Connection | None = None
        self._notify_by_handle: dict[int, Callable[[bytes], None]] = {}

    @property
    def name(self) -> str:
        return self.address

    @property
    def mtu_size(self) -> int:
        return self._connection.att_mtu if self._connection is not None else 23

    @property
    def is_connected(self) -> bool:
        return self._connection is not None

    async def connect(self, pair: bool, **kwargs: Any) -> None:  # noqa: FBT001 - bleak's signature
        try:
            async with self._connecting, asyncio.timeout(PEER_WAIT_S):
                connection = await self._wait_for_peer()
            await self._discover(connection)  # ended by a lost link, not by the clock of a loaded machine
        except BaseException:
            await self._drop_half_open()
            raise

    async def disconnect(self) -> None:
        if self._connection is not None:
            await self._connection.disconnect()

    async def pair(self, *args: Any, **kwargs: Any) -> None:
        async with self._link_errors():
            await self._require_connection().pair()

    async def unpair(self) -> None:
        await self.disconnect()

    async def read_gatt_char(
        self, characteristic: BleakGATTCharacteristic, *, use_cached: bool = False, **kwargs: Any
    ) -> bytearray:
        return await self._read(characteristic.obj)

    async def read_gatt_descriptor(
        self, descriptor: BleakGATTDescriptor, *, use_cached: bool = False, **kwargs: Any
    ) -> bytearray:
        return await self._read(descriptor.obj)

    async def write_gatt_char(
        self,
        characteristic: BleakGATTCharacteristic,
        data: SizedBuffer,
        response: bool,  # noqa: FBT001 - bleak's signature
    ) -> None:
        async with self._link_errors():
            client = self._require_connection().gatt_client
            await client.write_value(characteristic.obj, bytes(data), with_response=response)

    async def write_gatt_descriptor(self, descriptor: BleakGATTDescriptor, data: SizedBuffer) -> None:
        async with self._link_errors():
            client = self._require_connection().gatt_client
            await client.write_value(descriptor.obj, bytes(data), with_response=True)

    async def start_notify(
        self, characteristic: BleakGATTCharacteristic, callback: NotifyCallback, **kwargs: Any
    ) -> None:
        if not {"notify", "indicate"} & set(characteristic.properties):
            msg = "characteristic does not support notifications or indications"
            raise BleakError(msg)

        def on_value(value: bytes) -> None:
            callback(bytearray(value))

        async with self._link_errors():
            await self._require_connection().gatt_client.subscribe(characteristic.obj, on_value)
        self._notify_by_handle[characteristic.handle] = on_value

    async def stop_notify(self, characteristic: BleakGATTCharacteristic) -> None:
        on_value = self._notify_by_handle.pop(characteristic.handle, None)
        async with self._link_errors():
            await self._require_connection().gatt_client.unsubscribe(characteristic.obj, on_value, force=True)

    async def _wait_for_peer(self) -> Connection:
        if self._radio.rssi_dbm(self.address) is None:
            raise BleakDeviceNotFoundError(self.address, f"{self.address} was never heard")
        try:
            return await self._radio.central.connect(self.address, timeout=None)
        finally:
            self._radio.give_up_connecting()

    async def _discover(self, connection: Connection) -> None:
        self._connection = connection
        connection.on(Connection.EVENT_DISCONNECTION, self._on_disconnection)
        async with self._link_errors():
            peer = Peer(connection)
            await peer.request_mtu(ATT_MTU)
            await peer.discover_all()  # type: ignore[no-untyped-call]  # bumble leaves it bare
        self.services = _service_collection(peer)

    async def _drop_half_open(self) -> None:
        self.services = None
        connection = self._radio.connection_to(self.address)
        if connection is not None:
            await connection.disconnect()

    def _on_disconnection(self, _reason: int) -> None:
        was_ready = self.services is not None
        self._connection = None
        self.services = None
        self._notify_by_handle.clear()
        if was_ready and self._disconnected_callback is not None:
            self._disconnected_callback()

    async def _read(self, attribute: Any) -> bytearray:
        async with self._link_errors():
            return bytearray(await self._require_connection().gatt_client.read_value(attribute))

    def _require_connection(self) -> Connection:
        if self._connection is None:
            raise BleakError("Not connected")
        return self._connection

    @asynccontextmanager
    async def _link_errors(self) -> AsyncIterator[None]:
        """Errors of bumble as bleak's. A lost link cancels the future of a pending request, not the task."""
        try:
            yield
        except att.ATT_Error as error:
            raise BleakGATTProtocolError(error.error_code) from error
        except (core.BaseBumbleError, TimeoutError) as error:
            raise BleakError(str(error) or type(error).__name__) from error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise BleakError("disconnected") from error


def _service_collection(peer: Peer) -> BleakGATTServiceCollection:
    services = BleakGATTServiceCollection()
    for service in peer.services:
        made = BleakGATTService(service, service.handle, normalize_uuid_str(service.uuid.to_hex_str("-")))
        services.add_service(made)
        for characteristic in service.characteristics:
            services.add_characteristic(_characteristic(characteristic, made))
            for descriptor in characteristic.descriptors:
                uuid = normalize_uuid_str(descriptor.type.to_hex_str("-"))
                services.add_descriptor(
                    BleakGATTDescriptor(
                        descriptor, descriptor.handle, uuid, services.characteristics[characteristic.handle]
                    )
                )
    return services


def _characteristic(characteristic: Any, service: BleakGATTService) -> BleakGATTCharacteristic:
    properties = [name for flag, name in PROPERTY_NAMES if characteristic.properties & flag]
    return BleakGATTCharacteristic(
        characteristic,
        characteristic.handle,
        normalize_uuid_str(characteristic.uuid.to_hex_str("-")),
        properties,
        lambda: ATT_MTU - 3,
        service,
    )
