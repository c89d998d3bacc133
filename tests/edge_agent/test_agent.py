"""The agent on the virtual radio: every device is found, read and reconnected, through bleak's public API."""

import asyncio
from contextlib import asynccontextmanager

import httpx
import pytest

from devices.radio import BleakRadio
from devices.registry import find_driver
from devices.simulators.simulated_device import DeviceSpec, Fault, virtual_address
from devices.simulators.world import VirtualWorld
from edge_agent import agent as agent_module
from edge_agent.__main__ import parse_serial_lines
from edge_agent.agent import Place, SerialLine, open_agent
from edge_agent.errors import SettingInvalid
from edge_agent.panel import Panel
from edge_agent.settings import AgentSettings
from vitals.gap import GapCause

pytestmark = pytest.mark.slow

BELT = DeviceSpec(name="belt", driver="heart_rate", record="mitdb/101")
OXIMETER = DeviceSpec(
    name="clip", driver="contec_cms50dplus", record="challenge2015/a103l", stay="sepsis2019/p117320"
)


@asynccontextmanager
async def running_agent(tmp_path, *, adopt_all=True, wrap_radio=lambda radio: radio):
    settings = AgentSettings(
        home=tmp_path, agent="test-hut", adopt_all=adopt_all, mqtt_url="mqtt://127.0.0.1:9"
    )
    async with VirtualWorld([BELT, OXIMETER], port_folder=tmp_path) as world:
        radio = BleakRadio(
            scanner_backend=world.radio_backends.scanner, client_backend=world.radio_backends.client
        )
        path = str(world.serial_ports["clip"])
        line = SerialLine(path=path, driver=find_driver("contec_cms50dplus"), serial="clip")
        agent = open_agent(
            settings,
            radio=wrap_radio(radio),
            serial_lines=[line],
            places={virtual_address("belt"): Place(bed="9")},
        )
        task = asyncio.create_task(agent.run())
        try:
            yield agent, world
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def until(condition, *, within_s=15.0):
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 what is waited for has no event
            await asyncio.sleep(0.05)


def has_session(agent, driver):
    return any(state.driver == driver for state in agent.sessions.values())


def frames_of(agent, driver):
    return sum(state.frames for state in agent.sessions.values() if state.driver == driver)


def causes(agent):
    return {gap.cause for gap in agent.open_gaps()}


async def test_devices_are_found_read_and_spooled(tmp_path):
    async with running_agent(tmp_path) as (agent, _):
        await until(lambda: frames_of(agent, "heart_rate") > 2)
        await until(lambda: frames_of(agent, "contec_cms50dplus") > 2)
        await until(lambda: agent.spool.depth().messages > 2)

        declared = {item.driver: item for item in agent.declarations()}
        assert (declared["heart_rate"].bed, declared["contec_cms50dplus"].waves[0].rate) == ("9", (60, 1))


async def test_device_out_of_range_is_a_gap_until_it_returns(tmp_path):
    async with running_agent(tmp_path) as (agent, world):
        await until(lambda: frames_of(agent, "heart_rate") > 1)

        await world.devices["belt"].set_fault(Fault.OUT_OF_RANGE, on=True)
        await until(lambda: GapCause.OUT_OF_RANGE in causes(agent), within_s=5)
        await world.devices["belt"].set_fault(Fault.OUT_OF_RANGE, on=False)

        await until(lambda: not causes(agent), within_s=20)


async def test_pulled_cable_is_a_gap_until_it_is_put_back(tmp_path):
    async with running_agent(tmp_path) as (agent, world):
        await until(lambda: frames_of(agent, "contec_cms50dplus") > 1)

        await world.devices["clip"].set_fault(Fault.OUT_OF_RANGE, on=True)
        await until(lambda: GapCause.CABLE in causes(agent), within_s=5)
        await world.devices["clip"].set_fault(Fault.OUT_OF_RANGE, on=False)

        await until(lambda: GapCause.CABLE not in causes(agent), within_s=20)


async def test_flaw_in_one_session_leaves_the_others_and_is_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr("edge_agent.agent.SESSION_RETRY_S", 0.01)
    flaws = [RuntimeError("a flaw in the stack")]
    connect = BleakRadio.connect

    async def trip(radio, address, *, on_disconnected):
        if flaws:
            raise flaws.pop()
        return await connect(radio, address, on_disconnected=on_disconnected)

    monkeypatch.setattr(BleakRadio, "connect", trip)
    async with running_agent(tmp_path) as (agent, _):
        await until(lambda: frames_of(agent, "heart_rate") > 1)
        await until(lambda: frames_of(agent, "contec_cms50dplus") > 1)
        await until(lambda: not causes(agent))

    assert flaws == []


async def test_nothing_is_adopted_without_a_press(tmp_path):
    async with running_agent(tmp_path, adopt_all=False) as (agent, _):
        await until(lambda: agent.found)
        assert not has_session(agent, "heart_rate")

        panel = httpx.ASGITransport(app=Panel(agent=agent).build())
        async with httpx.AsyncClient(transport=panel, base_url="http://127.0.0.1") as client:
            answer = await client.post("/api/adopt", json={"address": virtual_address("belt")})

        assert answer.status_code == 200
        await until(lambda: frames_of(agent, "heart_rate") > 1)


async def test_adopted_device_is_taken_again_after_a_restart(tmp_path):
    async with running_agent(tmp_path, adopt_all=False) as (agent, _):
        await until(lambda: agent.found)
        agent.adopt(virtual_address("belt"))

    async with running_agent(tmp_path, adopt_all=False) as (agent, _):
        await until(lambda: has_session(agent, "heart_rate"))


class DeafFirst:
    """A radio whose first scan hears nothing, as a stack that has hung does."""

    def __init__(self, radio):
        self._radio = radio
        self.scans = 0

    @asynccontextmanager
    async def scan(self, on_found):
        self.scans += 1
        async with self._radio.scan(on_found if self.scans > 1 else lambda _heard: None):
            yield

    async def connect(self, address, *, on_disconnected):
        return await self._radio.connect(address, on_disconnected=on_disconnected)


async def test_deaf_scan_is_begun_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(agent_module, "SCAN_QUIET_S", 0.5)
    async with running_agent(tmp_path, wrap_radio=DeafFirst) as (agent, _):
        await until(lambda: frames_of(agent, "heart_rate") > 1)

        assert agent.radio.scans == 2


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 400),
        ({"content-type": "text/plain"}, 400),
        ({}, 404),
    ],
    ids=["foreign host", "form of another page", "no simulators here"],
)
async def test_panel_refuses_strangers(tmp_path, headers, status):
    agent = open_agent(AgentSettings(home=tmp_path), radio=BleakRadio())
    panel = httpx.ASGITransport(app=Panel(agent=agent, faults=None).build())
    async with httpx.AsyncClient(transport=panel, base_url="http://127.0.0.1") as client:
        path = "/api/faults" if status == 404 else "/api/link"
        answer = await client.post(
            path, content='{"on": false}', headers={"content-type": "application/json", **headers}
        )

    assert answer.status_code == status
    assert not agent.uplink.cut.is_set()
    agent.spool.close()


def test_serial_lines_are_read_from_one_setting():
    lines = parse_serial_lines("/dev/ttyUSB0=contec_cms50dplus, ")

    assert [(line.path, line.driver.name) for line in lines] == [("/dev/ttyUSB0", "contec_cms50dplus")]


@pytest.mark.parametrize(
    ("setting", "reason"),
    [("/dev/ttyUSB0", "path=driver"), ("/dev/ttyUSB0=polar_h10", "no driver for a serial line")],
)
def test_wrong_serial_line_is_said(setting, reason):
    with pytest.raises(SettingInvalid, match=reason):
        parse_serial_lines(setting)
