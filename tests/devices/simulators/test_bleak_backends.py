"""The virtual scanner, against devices that speak at the worst moment."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from devices.radio import Advertisement, BleakRadio
from devices.simulators import virtual_radio
from devices.simulators.bleak_backends import new_client_backend, new_scanner_backend
from devices.simulators.virtual_radio import PeripheralProfile, VirtualRadio

ADDRESSES = {f"C4:7D:00:00:00:{number:02X}" for number in range(1, 4)}


@pytest.fixture
async def talkative(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[BleakRadio]:
    """A radio among devices that advertise in every turn of the loop: no moment of a scan goes unheard."""
    monkeypatch.setattr(virtual_radio, "BUMBLE_INTERVAL_MS", 0)
    async with VirtualRadio() as air:
        for address in sorted(ADDRESSES):
            profile = PeripheralProfile(
                address=address, local_name="belt", advertised_uuids=("180D",), services=()
            )
            await air.add(profile)
        yield BleakRadio(scanner_backend=new_scanner_backend(air), client_backend=new_client_backend(air))


async def test_a_device_heard_before_the_scan_is_confirmed_stays_heard(talkative: BleakRadio) -> None:
    heard: set[str] = set()
    all_heard = asyncio.Event()

    def note(found: Advertisement) -> None:
        heard.add(found.address)
        if heard == ADDRESSES:
            all_heard.set()

    async with talkative.scan(note):
        await asyncio.wait_for(all_heard.wait(), 5)
