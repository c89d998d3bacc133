"""All simulated devices of a demo or a test: one virtual radio, the serial ports, and everything running."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from bleak.backends.client import BaseBleakClient
from bleak.backends.scanner import BaseBleakScanner

from devices.errors import DriverUnknown
from devices.simulators.ble_device import BleDevice
from devices.simulators.bleak_backends import new_client_backend, new_scanner_backend
from devices.simulators.blood_pressure_cuff import BloodPressureCuff
from devices.simulators.contec_cms50dplus import ContecCms50dPlus
from devices.simulators.heart_rate_belt import HeartRateBelt
from devices.simulators.polar_h10 import PolarH10
from devices.simulators.pulse_oximeter import PulseOximeter
from devices.simulators.simulated_device import DeviceSpec, SimulatedDevice
from devices.simulators.virtual_radio import VirtualRadio

BLE_DEVICE_BY_DRIVER: Mapping[str, type[BleDevice]] = {
    ble_device.driver: ble_device
    for ble_device in (HeartRateBelt, PolarH10, BloodPressureCuff, PulseOximeter)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RadioBackends:
    """The two classes that `devices.radio.BleakRadio` takes as `scanner_backend` and `client_backend`."""

    scanner: type[BaseBleakScanner]
    client: type[BaseBleakClient]


class VirtualWorld:
    """Async context manager. A device that breaks takes the whole world down: nothing dies unseen.

    Serial ports appear in `port_folder` as `ttySIM-<device name>`.
    """

    def __init__(self, specs: Sequence[DeviceSpec], *, port_folder: Path) -> None:
        self._specs = specs
        self._port_folder = port_folder
        self._stack = AsyncExitStack()
        self._runs: list[asyncio.Task[None]] = []
        self.devices: dict[str, SimulatedDevice] = {}

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            radio = await stack.enter_async_context(VirtualRadio())
            self.radio_backends = RadioBackends(
                scanner=new_scanner_backend(radio), client=new_client_backend(radio)
            )
            for spec in self._specs:
                self.devices[spec.name] = await self._switch_on(spec, radio, stack)
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            self._runs = [tasks.create_task(device.run()) for device in self.devices.values()]
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for run in self._runs:
            run.cancel()
        await self._stack.__aexit__(kind, error, trace)

    @property
    def serial_ports(self) -> dict[str, Path]:
        """Path of the port of each serial device, by its name."""
        return {
            name: device.port.path
            for name, device in self.devices.items()
            if isinstance(device, ContecCms50dPlus)
        }

    async def _switch_on(
        self, spec: DeviceSpec, radio: VirtualRadio, stack: AsyncExitStack
    ) -> SimulatedDevice:
        if spec.driver == ContecCms50dPlus.driver:
            serial_device = ContecCms50dPlus(spec, port=self._port_folder / f"ttySIM-{spec.name}")
            serial_device.port.plug_in()
            stack.callback(serial_device.port.pull_out)
            return serial_device
        if spec.driver not in BLE_DEVICE_BY_DRIVER:
            known = (*BLE_DEVICE_BY_DRIVER, ContecCms50dPlus.driver)
            raise DriverUnknown(spec.driver, known=tuple(sorted(known)))
        ble_device = BLE_DEVICE_BY_DRIVER[spec.driver](spec)
        await ble_device.join(radio)
        return ble_device
