"""One session per device: connect, subscribe, log every frame raw, reconnect by itself."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from devices.byte_stream import open_serial
from devices.driver import Access, Driver
from devices.errors import CharacteristicMissing, DeviceError, PortError
from devices.radio import Radio, RadioLink
from edge_agent.raw_log import RawLog
from edge_agent.spool import LINK, RawFrame
from vitals.gap import GapCause
from vitals.observation import SourceId

log = structlog.get_logger()

PAUSE_S = (0.5, 8.0)
SILENT_LINK_S = 20.0
"""A link that carries nothing for so long, from a driver with a cadence, is taken down and made anew."""


@dataclass(slots=True, kw_only=True)
class SessionState:
    """What the panel shows of a session."""

    src: SourceId
    driver: str
    place: str
    is_linked: bool = False
    frames: int = 0
    last_frame_us: int | None = None
    last_error: str | None = None
    bed: str = ""
    title_zh: str = ""
    title_en: str = ""


@dataclass(slots=True, kw_only=True)
class SessionLog:
    """Writes what happens in a session into the raw log."""

    state: SessionState
    raw: RawLog
    _mono_s: float = field(default_factory=time.monotonic)

    def note_frame(self, channel: str, payload: bytes, *, urgent: bool = False) -> None:
        """A frame came."""
        self.state.frames += 1
        self._append(channel, payload, urgent=urgent)

    def note_up(self) -> None:
        """The link is up."""
        self.state.is_linked = True
        self.state.last_error = None
        self._append(LINK, b"", urgent=True)

    def note_down(self, cause: GapCause, error: str) -> None:
        """The link is down; said once until it is up again."""
        if self.state.is_linked or self.state.last_error is None:
            self._append(LINK, cause.encode(), urgent=True)
        self.state.is_linked = False
        self.state.last_error = error

    def quiet_s(self) -> float:
        """Seconds since the last frame or link change."""
        return time.monotonic() - self._mono_s

    def _append(self, channel: str, payload: bytes, *, urgent: bool) -> None:
        received_us = time.time_ns() // 1000
        self._mono_s = time.monotonic()
        if channel != LINK:
            self.state.last_frame_us = received_us
        frame = RawFrame(src=self.state.src, channel=channel, received_us=received_us, payload=payload)
        self.raw.append(frame, urgent=urgent)


async def run_ble_session(radio: Radio, address: str, driver: Driver, session: SessionLog) -> None:
    """Keep a BLE device connected until cancelled."""
    pause_s = PAUSE_S[0]
    while True:
        lost = asyncio.Event()
        try:
            link = await radio.connect(address, on_disconnected=lost.set)
            try:
                session.note_up()
                await start_device(link, driver, session.note_frame)
                pause_s = PAUSE_S[0]
                if await _is_lost(lost, driver, session):
                    session.note_down(GapCause.OUT_OF_RANGE, "the link was lost")
            finally:
                await link.disconnect()
        except DeviceError as error:
            session.note_down(GapCause.OUT_OF_RANGE, str(error))
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, PAUSE_S[1])


async def start_device(link: RadioLink, driver: Driver, on_frame: Callable[..., None]) -> None:
    """Read what is read once, subscribe, then start the device.

    Raises:
        DeviceError: the link broke, or something required is missing.
    """
    for characteristic in driver.characteristics:
        try:
            if characteristic.access is Access.READ:
                on_frame(characteristic.uuid, await link.read(characteristic.uuid))
                continue
            await link.subscribe(
                characteristic.uuid,
                _frame_writer(on_frame, characteristic.uuid, urgent=characteristic.access is Access.INDICATE),
            )
        except CharacteristicMissing:
            if characteristic.required:
                raise
    for write in driver.start:
        await link.write(write.uuid, write.payload)


def _frame_writer(on_frame: Callable[..., None], uuid: str, *, urgent: bool) -> Callable[[bytes], None]:
    return lambda payload: on_frame(uuid, payload, urgent=urgent)


async def _is_lost(lost: asyncio.Event, driver: Driver, session: SessionLog) -> bool:
    """Wait until the link is gone (True), or has been quiet for too long and should be made anew (False)."""
    while not lost.is_set():
        try:
            async with asyncio.timeout(1.0):
                await lost.wait()
        except TimeoutError:
            if driver.cadence_s and session.quiet_s() > SILENT_LINK_S:
                return False
    return True


async def run_serial_session(path: str, driver: Driver, session: SessionLog) -> None:
    """Keep a serial device open until cancelled."""
    if driver.serial is None:
        msg = f"driver {driver.name} has no serial settings"
        raise ValueError(msg)
    pause_s = PAUSE_S[0]
    while True:
        try:
            stream = open_serial(path, driver.serial)
            try:
                session.note_up()
                for write in driver.start:
                    await stream.write(write.payload)
                while payload := await stream.read():
                    session.note_frame("serial", payload)
                    pause_s = PAUSE_S[0]
                session.note_down(GapCause.CABLE, "the port ended")
            finally:
                await stream.close()
        except PortError as error:
            session.note_down(GapCause.CABLE, str(error))
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, PAUSE_S[1])
