"""Run an agent on this machine's own Bluetooth adapter and serial ports."""

import asyncio
import signal
import sys

import structlog

from devices.driver import Transport
from devices.radio import BleakRadio
from devices.registry import find_driver
from edge_agent.agent import Agent, SerialLine, open_agent
from edge_agent.errors import SettingInvalid
from edge_agent.panel import FaultSwitch, Panel, serve_panel
from edge_agent.settings import read_settings
from vitals.errors import QianliError


def parse_serial_lines(text: str) -> list[SerialLine]:
    """`path=driver,path=driver`.

    Raises:
        SettingInvalid, DriverUnknown: with the part that is wrong.
    """
    lines = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        path, separator, driver_name = part.partition("=")
        if not separator:
            raise SettingInvalid("QIANLI_SERIAL_LINES", f"expected path=driver, got {part!r}")
        driver = find_driver(driver_name)
        if driver.transport is not Transport.SERIAL:
            raise SettingInvalid("QIANLI_SERIAL_LINES", f"{driver_name} is no driver for a serial line")
        lines.append(SerialLine(path=path, driver=driver, serial=path))
    return lines


def set_up_logs() -> None:
    """One JSON line per event on stderr, opaque ids only."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


async def run_until_signal(agent: Agent, *, faults: FaultSwitch | None = None) -> None:
    """Run agent and panel until SIGINT or SIGTERM."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    application = Panel(agent=agent, faults=faults).build()
    panel = asyncio.create_task(serve_panel(application, port=agent.settings.panel_port))
    work = asyncio.create_task(agent.run())
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
    for task in (panel, work, stopped):
        task.cancel()
    results = await asyncio.gather(panel, work, stopped, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result


def main() -> int:
    """Entry of `python -m edge_agent`."""
    set_up_logs()
    try:
        settings = read_settings()
        agent = open_agent(
            settings, radio=BleakRadio(), serial_lines=parse_serial_lines(settings.serial_lines)
        )
    except QianliError as error:
        print(error, file=sys.stderr)  # noqa: T201 the one place that speaks to a terminal
        return 1
    asyncio.run(run_until_signal(agent))
    return 0


if __name__ == "__main__":
    sys.exit(main())
