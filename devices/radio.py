"""The seam to Bluetooth Low Energy: scan, connect, read, write, subscribe, whatever the stack below.

Drivers never see it. The agent gets a `Radio`; `BleakRadio` is the only one, over stock bleak (BlueZ …)
or over the backend classes of the virtual radio. Stack quirks are dealt with here and nowhere else.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from bleak import BleakClient, BleakScanner
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, BaseBleakScanner
from bleak.exc import (
    BleakBluetoothNotAvailableError,
    BleakCharacteristicNotFoundError,
    BleakError,
    BleakGATTProtocolError,
)
from bleak.uuids import normalize_uuid_str
from bleak_retry_connector import establish_connection

from devices.errors import (
    AccessFailed,
    CharacteristicMissing,
    ConnectFailed,
    DeviceError,
    LinkLost,
    RadioUnavailable,
    ScanRunning,
)
from devices.formats.gatt_uuid import canonical_uuid

CONNECT_TIMEOUT_S = 30.0
ACCESS_TIMEOUT_S = 10.0
SEEN_DEVICES = 1024
"""Passing phones change their address all day: only the latest this many are remembered for a connect."""

STACK_ERRORS = (BleakError, OSError, EOFError)
"""What bleak lets through. No D-Bus at all is a plain FileNotFoundError; a dying one EOFError or EPIPE."""

NO_RADIO_ERRORS = (BleakBluetoothNotAvailableError, FileNotFoundError)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Advertisement:
    """What a device says about itself before any connection. UUIDs as in `devices.driver`."""

    address: str
    name: str | None
    service_uuids: tuple[str, ...]
    rssi_dbm: int


class RadioLink(Protocol):
    """A connection to one device. Every method raises a `DeviceError` when it fails."""

    @property
    def is_connected(self) -> bool:
        """Whether the link is up."""

    async def read(self, uuid: str) -> bytes:
        """Value of a characteristic. Read before subscribing: BlueZ echoes a later read as a notification."""

    async def write(self, uuid: str, payload: bytes) -> None:
        """Write with response."""

    async def subscribe(self, uuid: str, on_value: Callable[[bytes], None]) -> None:
        """Have every notification or indication of a characteristic handed over, in order."""

    async def disconnect(self) -> None:
        """End the link; `on_disconnected` is not called for it."""


class Radio(Protocol):
    """A Bluetooth adapter."""

    def scan(self, on_found: Callable[[Advertisement], None]) -> AbstractAsyncContextManager[None]:
        """Scan while the context lasts; every advertisement heard is handed over, repeated ones too.

        Raises:
            RadioUnavailable: no usable Bluetooth now. Trying again later is allowed.
            ScanRunning: a scan is running already.
        """

    async def connect(self, address: str, *, on_disconnected: Callable[[], None]) -> RadioLink:
        """Connect to a device that a scan has found; `on_disconnected` is called once if the link is lost.

        Raises:
            ConnectFailed: not found yet, out of reach, or refused.
            RadioUnavailable: no usable Bluetooth now.
        """


class BleakRadio:
    """`Radio` over bleak's public API; `None` takes the stock backend of this platform."""

    def __init__(
        self,
        *,
        scanner_backend: type[BaseBleakScanner] | None = None,
        client_backend: type[BaseBleakClient] | None = None,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
    ) -> None:
        self._scanner_backend = scanner_backend
        self._client_backend = client_backend
        self._connect_timeout_s = connect_timeout_s
        self._is_scanning = False
        self._ble_device_by_address: OrderedDict[str, BLEDevice] = OrderedDict()

    @asynccontextmanager
    async def scan(self, on_found: Callable[[Advertisement], None]) -> AsyncIterator[None]:
        """See `Radio.scan`."""
        if self._is_scanning:
            raise ScanRunning

        def on_detected(ble_device: BLEDevice, heard: AdvertisementData) -> None:
            self._remember(ble_device)
            on_found(_advertisement(ble_device, heard))

        self._is_scanning = True
        try:
            scanner = await self._start_scanner(on_detected)
            try:
                yield
            finally:
                await _stop_scanner(scanner)
        finally:
            self._is_scanning = False

    async def connect(self, address: str, *, on_disconnected: Callable[[], None]) -> "BleakLink":
        """See `Radio.connect`."""
        ble_device = self._ble_device_by_address.get(address)
        if ble_device is None:
            raise ConnectFailed(address, "no advertisement heard from it yet")
        link = BleakLink(address, on_disconnected)
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                client = await establish_connection(
                    BleakClient,
                    ble_device,
                    ble_device.name or address,
                    disconnected_callback=link.note_disconnected,
                    backend=self._client_backend,
                )
        except TimeoutError as error:
            raise ConnectFailed(address, f"no answer within {self._connect_timeout_s:g} s") from error
        except STACK_ERRORS as error:
            if isinstance(error.__cause__ or error, NO_RADIO_ERRORS):  # the retries hide the first error
                raise RadioUnavailable(str(error)) from error
            raise ConnectFailed(address, str(error) or type(error).__name__) from error
        link.attach(client)
        return link

    async def _start_scanner(
        self, on_detected: Callable[[BLEDevice, AdvertisementData], None]
    ) -> BleakScanner:
        try:
            scanner = BleakScanner(on_detected, backend=self._scanner_backend)
            await scanner.start()
        except STACK_ERRORS as error:
            raise RadioUnavailable(str(error) or type(error).__name__) from error
        return scanner

    def _remember(self, ble_device: BLEDevice) -> None:
        self._ble_device_by_address[ble_device.address] = ble_device
        self._ble_device_by_address.move_to_end(ble_device.address)
        if len(self._ble_device_by_address) > SEEN_DEVICES:
            self._ble_device_by_address.popitem(last=False)


class BleakLink:
    """`RadioLink` over one connected `BleakClient`."""

    def __init__(self, address: str, on_disconnected: Callable[[], None]) -> None:
        self._address = address
        self._on_disconnected = on_disconnected
        self._client: BleakClient | None = None
        self._is_over = False

    def attach(self, client: BleakClient) -> None:
        """Take over the client that `establish_connection` gave."""
        self._client = client

    def note_disconnected(self, _client: BleakClient) -> None:
        """Called by bleak, also between the attempts of a connect and after our own `disconnect`."""
        if self._client is None or self._is_over:
            return
        self._is_over = True
        self._on_disconnected()

    @property
    def is_connected(self) -> bool:
        """See `RadioLink`."""
        return self._client is not None and not self._is_over and self._client.is_connected

    async def read(self, uuid: str) -> bytes:
        """See `RadioLink`."""
        return bytes(await self._access(uuid, lambda client, full: client.read_gatt_char(full)))

    async def write(self, uuid: str, payload: bytes) -> None:
        """See `RadioLink`."""
        await self._access(uuid, lambda client, full: client.write_gatt_char(full, payload, response=True))

    async def subscribe(self, uuid: str, on_value: Callable[[bytes], None]) -> None:
        """See `RadioLink`."""

        def on_notified(_characteristic: BleakGATTCharacteristic, value: bytearray) -> None:
            on_value(bytes(value))

        await self._access(uuid, lambda client, full: client.start_notify(full, on_notified))

    async def disconnect(self) -> None:
        """See `RadioLink`."""
        self._is_over = True
        if self._client is None:
            return
        try:
            async with asyncio.timeout(ACCESS_TIMEOUT_S):
                await self._client.disconnect()
        except STACK_ERRORS:
            return  # the link is gone either way

    async def _access(self, uuid: str, act: Callable[[BleakClient, str], Awaitable[T]]) -> T:
        client = self._client
        if client is None or not self.is_connected:
            raise LinkLost(self._address)
        try:
            async with asyncio.timeout(ACCESS_TIMEOUT_S):
                return await act(client, normalize_uuid_str(uuid))
        except STACK_ERRORS as error:
            raise self._device_error(error, uuid) from error

    def _device_error(self, error: Exception, uuid: str) -> DeviceError:
        if isinstance(error, BleakCharacteristicNotFoundError):
            return CharacteristicMissing(uuid, address=self._address)
        if not self.is_connected:
            return LinkLost(self._address)
        if isinstance(error, TimeoutError):
            return AccessFailed(
                uuid, address=self._address, reason=f"no answer within {ACCESS_TIMEOUT_S:g} s"
            )
        if isinstance(error, BleakGATTProtocolError):
            att_code, words = error.args
            return AccessFailed(uuid, address=self._address, reason=str(words), att_code=int(att_code))
        return AccessFailed(uuid, address=self._address, reason=str(error) or type(error).__name__)


async def _stop_scanner(scanner: BleakScanner) -> None:
    try:
        await scanner.stop()
    except STACK_ERRORS:
        return  # the adapter went away: nothing is scanning any more


def _advertisement(ble_device: BLEDevice, heard: AdvertisementData) -> Advertisement:
    """Without duplicate UUIDs, which an active scan makes by merging advertisement and scan response."""
    return Advertisement(
        address=ble_device.address,
        name=heard.local_name or ble_device.name,
        service_uuids=tuple(dict.fromkeys(canonical_uuid(uuid) for uuid in heard.service_uuids)),
        rssi_dbm=heard.rssi,
    )
