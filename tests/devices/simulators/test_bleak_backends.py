"""The virtual scanner and client, against devices that speak at the worst moment or answer slowly."""

import asyncio

import pytest

from devices.radio import Advertisement, BleakRadio
from devices.simulators import bleak_backends, virtual_radio
from devices.simulators.bleak_backends import new_client_backend, new_scanner_backend
from devices.simulators.virtual_radio import PeripheralProfile, VirtualPeripheral, VirtualRadio

ADDRESSES = [f"C4:7D:00:00:00:{number:02X}" for number in range(1, 4)]


def listen_to(air: VirtualRadio) -> BleakRadio:
    return BleakRadio(scanner_backend=new_scanner_backend(air), client_backend=new_client_backend(air))


async def switch_on(air: VirtualRadio, address: str) -> VirtualPeripheral:
    return await air.add(
        PeripheralProfile(address=address, local_name="belt", advertised_uuids=("180D",), services=())
    )


def delay_answers(peripheral: VirtualPeripheral, *, delay_s: float) -> None:
    server = peripheral._device.gatt_server
    answer = server.on_gatt_pdu
    loop = asyncio.get_running_loop()
    server.on_gatt_pdu = lambda *request: loop.call_later(delay_s, answer, *request)


async def test_devices_heard_before_the_scan_is_confirmed_stay_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    # They advertise in every turn of the loop: no moment of a scan goes unheard.
    monkeypatch.setattr(virtual_radio, "BUMBLE_INTERVAL_MS", 0)
    heard: set[str] = set()
    all_heard = asyncio.Event()

    def note(found: Advertisement) -> None:
        heard.add(found.address)
        if heard == set(ADDRESSES):
            all_heard.set()

    async with VirtualRadio() as air:
        for address in ADDRESSES:
            await switch_on(air, address)
        async with listen_to(air).scan(note):
            await asyncio.wait_for(all_heard.wait(), 5)


@pytest.mark.slow
async def test_a_device_that_answers_slowly_is_connected_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bleak_backends, "PEER_WAIT_S", 1.0)
    found = asyncio.Event()
    async with VirtualRadio() as air:
        delay_answers(await switch_on(air, ADDRESSES[0]), delay_s=0.4)
        radio = listen_to(air)
        async with radio.scan(lambda _heard: found.set()):
            await asyncio.wait_for(found.wait(), 5)
            async with asyncio.timeout(10):
                link = await radio.connect(ADDRESSES[0], on_disconnected=lambda: None)
        assert link.is_connected
        await link.disconnect()
