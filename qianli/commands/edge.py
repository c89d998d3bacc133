"""The edge agent of this machine; with `--demo`, on a virtual radio and virtual serial ports."""

import argparse
import asyncio
import sys
from typing import TYPE_CHECKING

from devices.errors import FaultUnsupported, SimulatorUnknown
from devices.radio import BleakRadio
from devices.registry import find_driver
from edge_agent.__main__ import main as run_agent
from edge_agent.__main__ import run_until_signal, set_up_logs
from edge_agent.agent import SerialLine, open_agent
from edge_agent.door import enrol
from edge_agent.identity import IdentityFiles
from edge_agent.settings import AgentSettings, read_settings
from qianli import demo_ward
from vitals.errors import QianliError
from vitals.wire.invitation import parse_invitation

if TYPE_CHECKING:
    from devices.simulators.simulated_device import SimulatedDevice
    from devices.simulators.world import VirtualWorld

HELP = "run the edge agent of this machine, or the demo's virtual devices and their agent"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--demo", action="store_true", help="virtual devices that replay real recordings")
    commands = parser.add_subparsers(dest="edge_command", metavar="enrol")
    enrol = commands.add_parser("enrol", help="let this agent into an installation with a one-time code")
    enrol.add_argument("invitation", help="CODE@HOST:PORT, or what the QR code holds")


def run(arguments: argparse.Namespace) -> int:
    """Run until SIGINT or SIGTERM."""
    if arguments.edge_command == "enrol":
        return _enrol(arguments.invitation)
    if not arguments.demo:
        return run_agent()
    set_up_logs()
    asyncio.run(_run_demo())
    return 0


def _enrol(invitation: str) -> int:
    files = IdentityFiles(folder=read_settings().home / "edge")
    try:
        identity = enrol(files, parse_invitation(invitation))
    except QianliError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{identity.agent}: {files.pair}, {identity.ends_at:%Y-%m-%d}")
    return 0


async def _run_demo() -> None:
    # Bumble is large and only the demo needs it.
    from devices.simulators.world import VirtualWorld  # noqa: PLC0415

    settings = AgentSettings(agent=demo_ward.AGENT, adopt_all=True)
    ports = settings.home / "ports"
    ports.mkdir(parents=True, exist_ok=True)
    async with VirtualWorld(demo_ward.all_devices(), port_folder=ports) as world:
        radio = BleakRadio(
            scanner_backend=world.radio_backends.scanner, client_backend=world.radio_backends.client
        )
        specs = {spec.name: spec for spec in demo_ward.all_devices()}
        lines = [
            SerialLine(
                path=str(path),
                driver=find_driver(specs[name].driver),
                serial=demo_ward.identity_of(specs[name]),
            )
            for name, path in world.serial_ports.items()
        ]
        agent = open_agent(settings, radio=radio, serial_lines=lines, places=demo_ward.places())
        await run_until_signal(agent, faults=_Switchboard(world))


class _Switchboard:
    """The faults of the virtual world, as the panel switches them."""

    def __init__(self, world: "VirtualWorld") -> None:
        self._devices = world.devices

    def list_devices(self) -> list[dict[str, object]]:
        """See `edge_agent.panel.FaultSwitch`."""
        return [_describe(device) for device in self._devices.values()]

    async def set_fault(self, device: str, fault: str, *, on: bool) -> None:
        """See `edge_agent.panel.FaultSwitch`."""
        chosen = self._devices.get(device)
        if chosen is None:
            raise SimulatorUnknown(device, known=tuple(self._devices))
        if fault not in chosen.faults:
            raise FaultUnsupported(fault, device=device, supported=tuple(chosen.faults))
        await chosen.set_fault(type(chosen.faults[0])(fault), on=on)


def _describe(device: "SimulatedDevice") -> dict[str, object]:
    position = device.position()
    return {
        "name": device.name,
        "place": device.address_or_port,
        "title_zh": device.title_zh,
        "title_en": device.title_en,
        "faults": list(device.faults),
        "active": list(device.active_faults),
        "record": position.record,
        "seconds": position.seconds_into_record,
        "started_at": position.started_at.isoformat(),
    }
