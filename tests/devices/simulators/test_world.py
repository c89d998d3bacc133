"""Drivers over the virtual world, through bleak's public interface and real pseudo-terminals."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from devices.byte_stream import ByteStream, open_serial
from devices.driver import Access, Frame, Reading, SensorState
from devices.errors import DriverUnknown
from devices.radio import Advertisement, BleakRadio, RadioLink
from devices.registry import find_driver
from devices.simulators.blood_pressure_cuff import BloodPressureCuff
from devices.simulators.polar_h10 import PolarH10
from devices.simulators.simulated_device import DeviceSpec, Fault, SimulatedDevice
from devices.simulators.world import VirtualWorld
from vitals.gap import GapCause
from vitals.observation import Observation
from vitals.wave import WaveBlock

pytestmark = pytest.mark.slow

PLETH = "challenge2015/a103l"
STAY = "sepsis2019/p117320"
SPECS = (
    DeviceSpec(name="h10", driver="polar_h10", record="mitdb/109", start_at_s=30.0),
    DeviceSpec(name="belt", driver="heart_rate", record="mitdb/101", start_at_s=30.0),
    DeviceSpec(name="cuff", driver="blood_pressure", record=STAY),
    DeviceSpec(name="plx", driver="pulse_oximeter", record=PLETH, stay=STAY, start_at_s=30.0),
    DeviceSpec(name="cms", driver="contec_cms50dplus", record=PLETH, stay=STAY, start_at_s=30.0),
)


class Ward:
    """The world and a radio that has heard all of it."""

    def __init__(self, world: VirtualWorld) -> None:
        self.world = world
        self.radio = BleakRadio(
            scanner_backend=world.radio_backends.scanner, client_backend=world.radio_backends.client
        )
        self.heard: dict[str, Advertisement] = {}
        self.readings: list[Reading] = []
        self.lost: list[str] = []

    def device(self, name: str) -> SimulatedDevice:
        return self.world.devices[name]

    async def attend(self, name: str) -> RadioLink:
        """Connect, subscribe and start, as the driver declares."""
        device = self.device(name)
        driver, decoder = find_driver(device.driver), find_driver(device.driver).new_decoder()

        def take(channel: str, payload: bytes) -> None:
            frame = Frame(channel=channel, payload=payload, received_at=datetime.now(UTC))
            self.readings.extend(decoder.feed(frame))

        link = await self.radio.connect(
            device.address_or_port, on_disconnected=lambda: self.lost.append(name)
        )
        for characteristic in driver.characteristics:
            if characteristic.required and characteristic.access is not Access.READ:
                channel = characteristic.uuid
                await link.subscribe(channel, lambda value, channel=channel: take(channel, value))
        for write in driver.start:
            await link.write(write.uuid, write.payload)
        return link

    def values(self, key: str) -> list[float | None]:
        return [found.value for found in self.readings if isinstance(found, Observation) and found.key == key]

    def blocks(self) -> list[WaveBlock]:
        return [found for found in self.readings if isinstance(found, WaveBlock)]


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not is_so():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


@pytest.fixture
async def ward(tmp_path: Path) -> AsyncIterator[Ward]:
    async with VirtualWorld(SPECS, port_folder=tmp_path) as world:
        made = Ward(world)
        async with made.radio.scan(lambda found: made.heard.update({found.address: found})):
            await until(lambda: len(made.heard) == 4)
            yield made


async def test_each_device_advertises_what_its_driver_matches(ward: Ward) -> None:
    for name in ("h10", "belt", "cuff", "plx"):
        device = ward.device(name)
        found, match = ward.heard[device.address_or_port], find_driver(device.driver).match
        assert found.name is not None
        assert found.name.startswith(match.name_prefixes or "")
        assert set(found.service_uuids) & set(match.service_uuids)


async def test_a_device_tells_maker_serial_number_and_battery(ward: Ward) -> None:
    link = await ward.attend("h10")
    assert await link.read("2A29") == b"Polar Electro Oy"
    assert (await link.read("2A25")).decode() in (ward.heard[ward.device("h10").address_or_port].name or "")
    assert await link.read("2A19") == bytes([92])
    await ward.device("h10").set_fault(Fault.LOW_BATTERY, on=True)
    assert await link.read("2A19") == bytes([5])


async def test_the_ecg_of_the_strap_is_the_record_without_a_hole(ward: Ward) -> None:
    await ward.attend("h10")
    await until(lambda: len(ward.blocks()) >= 3)
    device = ward.device("h10")
    assert isinstance(device, PolarH10)
    joined = [sample for block in ward.blocks()[:3] for sample in block.samples.tolist()]
    around = device.replay.samples_uv(3800, round(device.elapsed_s() * 130)).tolist()
    starts = [index for index in range(len(around)) if around[index : index + len(joined)] == joined]
    assert len(starts) == 1
    assert [block.first_sample for block in ward.blocks()[:3]] == [0, 73, 146]


async def test_the_heart_rate_of_the_strap_is_the_annotated_one(ward: Ward) -> None:
    await ward.attend("h10")
    await until(lambda: bool(ward.values("heart_rate")))
    device = ward.device("h10")
    assert isinstance(device, PolarH10)
    expected = device.replay.heart_rate_at(int(device.elapsed_s()))
    assert expected is not None
    assert ward.values("heart_rate")[-1] == pytest.approx(expected, abs=0.5)


async def test_the_cuff_keeps_its_reading_until_somebody_takes_it(ward: Ward) -> None:
    device = ward.device("cuff")
    assert isinstance(device, BloodPressureCuff)
    await until(lambda: len(device._unsent) == 1)
    await ward.attend("cuff")
    await until(lambda: bool(ward.values("nibp_sys")))
    assert ward.values("nibp_sys") == [round(device.replay.row_at(0).systolic_mmhg)]
    await until(lambda: not device._unsent)


async def test_the_oximeter_sends_every_second(ward: Ward) -> None:
    await ward.attend("plx")
    await until(lambda: len(ward.values("spo2")) >= 2)
    assert all(value is not None and value >= 94 for value in ward.values("spo2"))


async def test_a_silent_device_stays_connected_and_sends_nothing(ward: Ward) -> None:
    link = await ward.attend("plx")
    await ward.device("plx").set_fault(Fault.SILENT, on=True)
    ward.readings.clear()
    await asyncio.sleep(1.1)
    assert (link.is_connected, ward.readings) == (True, [])
    await ward.device("plx").set_fault(Fault.SILENT, on=False)
    await until(lambda: bool(ward.values("spo2")))


async def test_a_fault_on_the_body_shows_within_a_second(ward: Ward) -> None:
    await ward.attend("belt")
    await until(lambda: bool(ward.values("heart_rate")))
    await ward.device("belt").set_fault(Fault.ELECTRODES_OFF, on=True)
    states: Callable[[], list[GapCause | None]] = lambda: [  # noqa: E731 - asked again and again
        found.cause for found in ward.readings if isinstance(found, SensorState)
    ]
    await until(lambda: states() == [GapCause.SENSOR_OFF])
    await ward.device("belt").set_fault(Fault.ELECTRODES_OFF, on=False)
    await until(lambda: states() == [GapCause.SENSOR_OFF, None])


async def test_a_strap_that_comes_back_streams_again_after_a_new_start(ward: Ward) -> None:
    await ward.attend("h10")
    await until(lambda: bool(ward.blocks()))
    await ward.device("h10").set_fault(Fault.OUT_OF_RANGE, on=True)
    await until(lambda: ward.lost == ["h10"])
    await ward.device("h10").set_fault(Fault.OUT_OF_RANGE, on=False)
    ward.readings.clear()
    await ward.attend("h10")
    await until(lambda: bool(ward.blocks()) and bool(ward.values("heart_rate")))


async def test_a_cuff_that_loses_its_link_while_it_indicates_sends_the_reading_again(ward: Ward) -> None:
    device = ward.device("cuff")
    assert isinstance(device, BloodPressureCuff)
    await until(lambda: len(device._unsent) == 1)
    link = await ward.radio.connect(device.address, on_disconnected=lambda: ward.lost.append("cuff"))
    cut: list[asyncio.Task[None]] = []

    def go_away(_value: bytes) -> None:
        cut.append(asyncio.ensure_future(device.set_fault(Fault.OUT_OF_RANGE, on=True)))

    server = device.peripheral._device.gatt_server
    server.on_att_handle_value_confirmation = lambda *_: None  # nothing is ever confirmed
    await link.subscribe("2A35", go_away)
    await until(lambda: ward.lost == ["cuff"])
    del server.on_att_handle_value_confirmation
    await device.set_fault(Fault.OUT_OF_RANGE, on=False)
    await ward.attend("cuff")
    await until(lambda: len(ward.values("nibp_sys")) == 1)
    await asyncio.gather(*cut)


async def test_the_serial_oximeter_streams_sixty_frames_a_second(ward: Ward) -> None:
    device = ward.device("cms")
    stream = open_port(ward.world)
    decoder, samples, began_s = find_driver(device.driver).new_decoder(), 0, device.elapsed_s()
    async with asyncio.timeout(3):
        while samples < 60:
            frame = Frame(channel="serial", payload=await stream.read(), received_at=datetime.now(UTC))
            samples += sum(
                len(found.samples) for found in decoder.feed(frame) if isinstance(found, WaveBlock)
            )
    assert samples / (device.elapsed_s() - began_s) == pytest.approx(60, rel=0.2)
    assert decoder.rejected == 0
    await stream.close()


async def test_a_pulled_serial_cable_ends_the_stream_and_comes_back_at_the_same_path(ward: Ward) -> None:
    device, path = ward.device("cms"), ward.world.serial_ports["cms"]
    stream = open_port(ward.world)
    await device.set_fault(Fault.OUT_OF_RANGE, on=True)
    async with asyncio.timeout(2):
        while await stream.read():
            pass
    await stream.close()
    assert not path.is_symlink()
    await device.set_fault(Fault.OUT_OF_RANGE, on=False)
    again = open_port(ward.world)
    async with asyncio.timeout(2):
        assert len(await again.read()) % 5 == 0
    await again.close()


async def test_a_silent_serial_device_keeps_its_port_open(ward: Ward) -> None:
    device = ward.device("cms")
    await device.set_fault(Fault.SILENT, on=True)
    stream = open_port(ward.world)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(stream.read(), 0.3)
    await stream.close()


async def test_an_unknown_driver_names_those_that_can_be_simulated(tmp_path: Path) -> None:
    with pytest.raises(DriverUnknown, match="blood_pressure, contec_cms50dplus, heart_rate"):
        async with VirtualWorld([DeviceSpec(name="x", driver="scale", record="")], port_folder=tmp_path):
            pass


async def test_ports_vanish_with_the_world(tmp_path: Path) -> None:
    async with VirtualWorld(SPECS[-1:], port_folder=tmp_path) as world:
        assert world.serial_ports["cms"].exists()
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - a Path would be blocking here too


async def test_a_device_that_breaks_takes_the_world_down(tmp_path: Path) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await _read_from_a_world_that_breaks(tmp_path)
    assert isinstance(caught.value.exceptions[0], TypeError)


def open_port(world: VirtualWorld) -> ByteStream:
    settings = find_driver("contec_cms50dplus").serial
    assert settings is not None
    return open_serial(str(world.serial_ports["cms"]), settings)


async def _read_from_a_world_that_breaks(port_folder: Path) -> None:
    async with VirtualWorld(SPECS[-1:], port_folder=port_folder) as world:
        world.devices["cms"].finger.pleth = None  # type: ignore[attr-defined]
        stream = open_port(world)
        try:
            await asyncio.sleep(2)
        finally:
            await stream.close()
