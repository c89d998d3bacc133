import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import BaseBleakScanner
from bleak.exc import BleakBluetoothNotAvailableError, BleakBluetoothNotAvailableReason, BleakError

from devices.driver import Access
from devices.errors import (
    AccessFailed,
    CharacteristicMissing,
    ConnectFailed,
    LinkLost,
    RadioUnavailable,
    ScanRunning,
)
from devices.radio import SEEN_DEVICES, Advertisement, BleakRadio
from devices.simulators.bleak_backends import new_client_backend, new_scanner_backend
from devices.simulators.virtual_radio import (
    PeripheralProfile,
    VirtualCharacteristic,
    VirtualPeripheral,
    VirtualRadio,
    VirtualService,
)

VENDOR_UUID = "fb005c81-02e7-f387-1cad-8acd2d8df0c8"
FIRST, SECOND = "C4:00:00:00:00:01", "C4:00:00:00:00:02"


class Air:
    """A virtual radio with two peripherals, heard by a `BleakRadio`."""

    def __init__(self, virtual: VirtualRadio) -> None:
        self.virtual = virtual
        self.radio = BleakRadio(
            scanner_backend=new_scanner_backend(virtual),
            client_backend=new_client_backend(virtual),
            connect_timeout_s=1.0,
        )
        self.heard: list[Advertisement] = []
        self.written: list[bytes] = []
        self.lost: list[str] = []
        self.peripherals: dict[str, VirtualPeripheral] = {}

    async def add(self, address: str) -> None:
        self.peripherals[address] = await self.virtual.add(self.profile(address))

    def profile(self, address: str) -> PeripheralProfile:
        measurement = VirtualCharacteristic(uuid="2A37", access=(Access.NOTIFY,))
        location = VirtualCharacteristic(uuid="2A38", access=(Access.READ,), read=lambda: b"\x01")
        control = VirtualCharacteristic(
            uuid=VENDOR_UUID, access=(Access.INDICATE,), on_write=self.written.append
        )
        return PeripheralProfile(
            address=address,
            local_name=f"strap {address[-2:]}",
            advertised_uuids=("180D", "FEEE"),
            services=(VirtualService(uuid="180D", characteristics=(measurement, location, control)),),
            rssi_dbm=-40 - int(address[-2:]),
        )

    async def connect(self, address: str = FIRST):  # type: ignore[no-untyped-def]
        return await self.radio.connect(address, on_disconnected=lambda: self.lost.append(address))


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(3):
        while not is_so():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)


@pytest.fixture
async def air() -> AsyncIterator[Air]:
    async with AsyncExitStack() as stack:
        made = Air(await stack.enter_async_context(VirtualRadio()))
        for address in (FIRST, SECOND):
            await made.add(address)
        await stack.enter_async_context(made.radio.scan(made.heard.append))
        await until(lambda: len({found.address for found in made.heard}) == 2)
        yield made


async def test_a_scan_tells_name_services_and_signal_of_each_device(air: Air) -> None:
    found = {advertisement.address: advertisement for advertisement in air.heard}
    assert found[SECOND] == Advertisement(
        address=SECOND, name="strap 02", service_uuids=("180D", "FEEE"), rssi_dbm=-42
    )


async def test_a_scan_repeats_what_is_heard_again(air: Air) -> None:
    await until(lambda: sum(found.address == FIRST for found in air.heard) >= 2)


async def test_a_second_scan_is_refused_while_one_runs(air: Air) -> None:
    with pytest.raises(ScanRunning):
        async with air.radio.scan(air.heard.append):
            pass


async def test_reading_and_writing_reach_the_device(air: Air) -> None:
    link = await air.connect()
    assert await link.read("2A38") == b"\x01"
    await link.write(VENDOR_UUID, b"\x02\x00")
    assert air.written == [b"\x02\x00"]


async def test_notifications_arrive_whole_and_in_order(air: Air) -> None:
    link, got = await air.connect(), list[bytes]()
    await link.subscribe("2A37", got.append)
    sent = [bytes([number]) * 229 for number in range(20)]
    for payload in sent:
        await air.peripherals[FIRST].notify("2A37", payload)
    await until(lambda: len(got) == len(sent))
    assert got == sent


async def test_an_indication_is_confirmed_after_it_was_handed_over(air: Air) -> None:
    link, got = await air.connect(), list[bytes]()
    await link.subscribe(VENDOR_UUID.upper(), got.append)
    assert await air.peripherals[FIRST].indicate(VENDOR_UUID, b"\xf0")
    assert got == [b"\xf0"]


async def test_an_indication_that_nobody_takes_is_not_confirmed(air: Air) -> None:
    assert not await air.peripherals[FIRST].indicate(VENDOR_UUID, b"\xf0")
    await air.connect()
    assert not await air.peripherals[FIRST].indicate(VENDOR_UUID, b"\xf0")


async def test_an_unknown_characteristic_is_missing(air: Air) -> None:
    link = await air.connect()
    with pytest.raises(CharacteristicMissing) as caught:
        await link.subscribe("2A99", lambda _value: None)
    assert (caught.value.uuid, caught.value.address) == ("2A99", FIRST)


async def test_a_refused_read_carries_the_code_of_the_device(air: Air) -> None:
    link = await air.connect()
    with pytest.raises(AccessFailed, match="Request Not Supported") as caught:
        await link.read("2A37")
    assert caught.value.att_code == 6


async def test_a_device_out_of_range_ends_the_link_once_and_is_not_heard(air: Air) -> None:
    link = await air.connect()
    await air.peripherals[FIRST].go_out_of_range()
    await until(lambda: air.lost == [FIRST])
    air.heard.clear()
    with pytest.raises(LinkLost):
        await link.read("2A38")
    await until(lambda: sum(found.address == SECOND for found in air.heard) >= 2)
    assert {found.address for found in air.heard} == {SECOND}
    assert not link.is_connected


async def test_a_read_that_is_under_way_fails_when_the_link_is_lost(air: Air) -> None:
    link = await air.connect()
    reading = asyncio.create_task(link.read("2A38"))
    await asyncio.sleep(0)
    await air.peripherals[FIRST].go_out_of_range()
    with pytest.raises(LinkLost):
        await reading


async def test_a_device_that_comes_back_connects_and_sends_again(air: Air) -> None:
    await air.connect()
    await air.peripherals[FIRST].go_out_of_range()
    air.peripherals[FIRST].come_into_range()
    link, got = await air.connect(), list[bytes]()
    await link.subscribe("2A37", got.append)
    await air.peripherals[FIRST].notify("2A37", b"again")
    await until(lambda: got == [b"again"])


async def test_our_own_disconnect_is_not_reported_as_a_loss(air: Air) -> None:
    link = await air.connect()
    await link.disconnect()
    await link.disconnect()
    assert not link.is_connected
    assert not air.peripherals[FIRST].is_connected
    assert air.lost == []


async def test_a_device_that_was_disconnected_is_heard_again(air: Air) -> None:
    link = await air.connect()
    await link.disconnect()
    air.heard.clear()
    await until(lambda: FIRST in {found.address for found in air.heard})


@pytest.mark.slow
async def test_an_absent_device_times_out_and_the_next_connect_works(air: Air) -> None:
    await air.peripherals[FIRST].go_out_of_range()
    with pytest.raises(ConnectFailed, match="no answer within 1 s"):
        await air.connect(FIRST)
    link = await air.connect(SECOND)
    assert await link.read("2A38") == b"\x01"


@pytest.mark.slow
async def test_an_absent_device_does_not_keep_another_from_connecting(air: Air) -> None:
    air.radio._connect_timeout_s = 4.0
    await air.peripherals[FIRST].go_out_of_range()
    absent = asyncio.create_task(air.connect(FIRST))
    await asyncio.sleep(0.01)
    link = await air.connect(SECOND)
    assert link.is_connected
    absent.cancel()
    with pytest.raises(asyncio.CancelledError):
        await absent


async def test_two_connects_at_once_both_succeed(air: Air) -> None:
    links = await asyncio.gather(air.connect(FIRST), air.connect(SECOND))
    assert [await link.read("2A38") for link in links] == [b"\x01", b"\x01"]


async def test_a_device_that_was_never_heard_cannot_be_connected(air: Air) -> None:
    with pytest.raises(ConnectFailed, match="no advertisement heard"):
        await air.connect("C4:00:00:00:00:09")


async def test_no_bluetooth_at_all_says_so_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus")
    radio = BleakRadio()
    for _ in range(2):
        with pytest.raises(RadioUnavailable, match="not available on this machine"):
            async with radio.scan(lambda _found: None):
                pass


async def test_an_adapter_that_appears_later_is_used() -> None:
    failures = [
        BleakBluetoothNotAvailableError("no adapter", BleakBluetoothNotAvailableReason.NO_BLUETOOTH),
        BleakError("org.bluez.Error.NotReady"),
    ]
    async with VirtualRadio() as virtual:
        backend = _scanner_that_fails(failures, new_scanner_backend(virtual))
        radio, heard = BleakRadio(scanner_backend=backend), list[Advertisement]()
        await Air(virtual).add(FIRST)
        for _ in range(2):
            with pytest.raises(RadioUnavailable):
                async with radio.scan(heard.append):
                    pass
        async with radio.scan(heard.append):
            await until(lambda: bool(heard))


async def test_a_scanner_that_another_program_holds_is_unavailable(air: Air) -> None:
    other = BleakRadio(scanner_backend=new_scanner_backend(air.virtual))
    with pytest.raises(RadioUnavailable, match="DISALLOWED"):
        async with other.scan(lambda _found: None):
            pass


async def test_only_the_latest_passers_by_are_remembered(air: Air) -> None:
    for number in range(SEEN_DEVICES + 5):
        air.radio._remember(BLEDevice(f"passer-{number}", None, None))
    assert len(air.radio._ble_device_by_address) == SEEN_DEVICES
    assert "passer-0" not in air.radio._ble_device_by_address


@pytest.mark.slow
async def test_an_adapter_that_vanishes_while_connecting_is_unavailable(air: Air) -> None:
    error = BleakBluetoothNotAvailableError("gone", BleakBluetoothNotAvailableReason.POWERED_OFF)
    air.radio._client_backend = _client_that_raises(error, air.virtual)
    with pytest.raises(RadioUnavailable, match="gone"):
        await air.connect()


def _scanner_that_fails(failures: list[BleakError], base: type[BaseBleakScanner]) -> type[BaseBleakScanner]:
    class FailingScanner(base):  # type: ignore[valid-type, misc]
        async def start(self) -> None:
            if failures:
                raise failures.pop()
            await super().start()

    return FailingScanner


def _client_that_raises(error: Exception, virtual: VirtualRadio):  # type: ignore[no-untyped-def]
    class FailingClient(new_client_backend(virtual)):  # type: ignore[misc]
        async def connect(self, pair: bool, **kwargs: object) -> None:  # noqa: FBT001 - bleak's signature
            raise error

    return FailingClient


async def test_a_scan_that_the_stack_cannot_stop_ends_all_the_same(air: Air) -> None:
    class StuckScanner(new_scanner_backend(air.virtual)):  # type: ignore[misc]
        async def start(self) -> None:
            return

        async def stop(self) -> None:
            raise BleakError("org.freedesktop.DBus.Error.ServiceUnknown")

    radio = BleakRadio(scanner_backend=StuckScanner)
    for _ in range(2):
        async with radio.scan(lambda _found: None):
            pass


async def test_a_device_that_does_not_answer_fails_the_access(
    air: Air, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devices.radio.ACCESS_TIMEOUT_S", 0.02)
    link = await air.connect()
    server = air.peripherals[FIRST]._device.gatt_server
    monkeypatch.setattr(server, "on_att_read_request", lambda *_: None)
    with pytest.raises(AccessFailed, match="no answer within"):
        await link.read("2A38")


async def test_subscribing_to_what_cannot_be_subscribed_fails_the_access(air: Air) -> None:
    link = await air.connect()
    with pytest.raises(AccessFailed) as caught:
        await link.subscribe("2A38", lambda _value: None)
    assert (caught.value.uuid, caught.value.att_code) == ("2A38", None)


async def test_a_disconnect_that_the_stack_refuses_still_ends_the_link(
    air: Air, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse() -> None:
        raise BleakError("org.bluez.Error.Failed")

    link = await air.connect()
    monkeypatch.setattr(link._client, "disconnect", refuse)
    await link.disconnect()
    assert not link.is_connected


async def test_stopping_notifications_descriptors_and_pairing_reach_the_device(air: Air) -> None:
    link, got = await air.connect(), list[bytes]()
    client = link._client
    await link.subscribe("2A37", got.append)
    characteristic = client.services.get_characteristic("2A37")
    descriptor = characteristic.get_descriptor("2902")
    assert bytes(await client.read_gatt_descriptor(descriptor)) == b"\x01\x00"
    await client.stop_notify("2A37")
    assert bytes(await client.read_gatt_descriptor(descriptor)) == b"\x00\x00"
    assert not air.peripherals[FIRST].is_subscribed("2A37")
    assert characteristic.max_write_without_response_size == 244
    assert (client.name, client.mtu_size) == (FIRST, 247)
    await client.pair()
    await client.unpair()
    assert not client.is_connected


async def test_an_advertisement_that_does_not_fit_is_refused(air: Air) -> None:
    profile = replace(air.profile("C4:00:00:00:00:03"), local_name="a name of twenty-five bytes")
    with pytest.raises(ValueError, match="31 fit"):
        await air.virtual.add(profile)
