"""Switch faults of the demo's simulated devices, through the agent's loopback panel."""

import argparse
import json
import os
import sys

import httpx

from qianli.ports import parse_port
from vitals.errors import QianliError

HELP = "list or switch faults of the demo's simulated devices, or cut the agent's link"
LINK = "uplink"
CUT = "cut"


class FaultUnnamed(QianliError):
    """A device was named, and nothing that should happen to it."""

    def __init__(self, device: str) -> None:
        super().__init__(device)
        self.device = device

    def __str__(self) -> str:
        return f"name the fault too: `qianli fault` lists those of {self.device} (of the link: {CUT})"


class FaultOfLinkUnknown(QianliError):
    """The link can only be cut."""

    def __init__(self, fault: str) -> None:
        super().__init__(fault)
        self.fault = fault

    def __str__(self) -> str:
        return f"the link cannot have the fault {self.fault}; it can have: {CUT}"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("device", nargs="?", help=f"a simulated device, or {LINK!r} for the agent's link")
    parser.add_argument("fault", nargs="?", help="a fault of that device; for the link: cut")
    parser.add_argument("state", nargs="?", choices=["on", "off"], default="on")
    port = os.environ.get("QIANLI_PANEL_PORT", "8010")
    parser.add_argument("--panel-port", type=parse_port, default=port, help="default %(default)s")


def run(arguments: argparse.Namespace) -> int:
    """Without a device: one JSON line per device. With one: switch, then print its line."""
    if arguments.device is not None and arguments.fault is None:
        raise FaultUnnamed(arguments.device)
    if arguments.device == LINK and arguments.fault != CUT:
        raise FaultOfLinkUnknown(arguments.fault)
    with httpx.Client(base_url=f"http://127.0.0.1:{arguments.panel_port}", timeout=5) as panel:
        try:
            answer = _ask(panel, arguments)
            state = answer.json()
        except httpx.HTTPError as error:
            print(f"no agent panel on port {arguments.panel_port}: {error}", file=sys.stderr)
            return 1
        except ValueError:
            print(f"what answers on port {arguments.panel_port} is no agent panel", file=sys.stderr)
            return 1
    if answer.is_error:
        print(state.get("error", f"refused ({answer.status_code})"), file=sys.stderr)
        return 1
    if arguments.device == LINK:
        print(json.dumps(state["uplink"]))
        return 0
    for device in state["simulators"] or []:
        if arguments.device in (None, device["name"]):
            print(json.dumps(device, ensure_ascii=False))
    return 0


def _ask(panel: httpx.Client, arguments: argparse.Namespace) -> httpx.Response:
    is_on = arguments.state == "on"
    if arguments.device is None:
        return panel.get("/api/state")
    if arguments.device == LINK:
        return panel.post("/api/link", json={"on": not is_on})
    body = {"device": arguments.device, "fault": arguments.fault, "on": is_on}
    return panel.post("/api/faults", json=body)
