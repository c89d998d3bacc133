"""The agent: finds devices, keeps a session with each adopted one, parses, and sends."""

import asyncio
import secrets
import sqlite3
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

import msgspec
import structlog

from devices.driver import Driver, Transport
from devices.errors import DeviceError
from devices.radio import Advertisement, Radio
from devices.registry import find_driver, find_driver_for
from edge_agent.clock import OwnClock, utc_now
from edge_agent.device_session import (
    SessionLog,
    SessionState,
    run_ble_session,
    run_serial_session,
)
from edge_agent.identity import IdentityFiles, read_identity
from edge_agent.membership import Membership
from edge_agent.people_context import PeopleContext
from edge_agent.pipeline import Pace, Pipeline
from edge_agent.raw_log import RawLog
from edge_agent.settings import AgentSettings
from edge_agent.spool import Spool
from edge_agent.spool_limit import SpoolLimit, Trimmer
from edge_agent.spool_packing import Packer
from edge_agent.uplink import BrokerAddress, Uplink
from vitals.gap import Gap, GapCause
from vitals.observation import SourceId
from vitals.wire.status import SourceDeclaration, declare_wave
from vitals.wire.topics import source_id

log = structlog.get_logger()

TICK_S = 0.5
TRIM_EVERY_S = 10.0
PACK_EVERY_S = 60.0
RADIO_RETRY_S = 5.0
SESSION_RETRY_S = 5.0
SCAN_QUIET_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SerialLine:
    """A serial device that belongs to this agent. `serial` identifies it; the path may change."""

    path: str
    driver: Driver
    serial: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a device stands, and what it is called there."""

    bed: str = ""
    title_zh: str = ""
    title_en: str = ""
    simulated: bool = False


@dataclass(kw_only=True)
class Agent:
    """One running agent. Build it with `open_agent`, then await `run`."""

    settings: AgentSettings
    name: str
    spool: Spool
    radio: Radio
    serial_lines: Sequence[SerialLine] = ()
    places: dict[str, Place] = field(default_factory=dict)
    """By BLE address or serial number."""
    sessions: dict[SourceId, SessionState] = field(default_factory=dict)
    found: dict[str, Advertisement] = field(default_factory=dict)
    """Devices that a driver knows and nobody has adopted yet, by address."""
    radio_error: str | None = None

    def __post_init__(self) -> None:
        boot = secrets.token_hex(8)
        self.clock = OwnClock()
        self.raw = RawLog(self.spool, clock=self.clock)
        self.pipeline = Pipeline(
            self.spool,
            boot=boot,
            zone=self.settings.zone,
            clock=utc_now,
            pace=Pace(own_clock=self.clock, batch_s=self.settings.batch_s),
        )
        self.packer = Packer(self.spool, clock=utc_now)
        limit = SpoolLimit(size_bytes=self.settings.spool_bytes, age=timedelta(days=self.settings.spool_days))
        self.trimmer = Trimmer(self.spool, limit, boot=boot, clock=utc_now)
        self.uplink = Uplink(
            self.spool,
            agent=self.name,
            boot=boot,
            broker=BrokerAddress.parse(self.settings.mqtt_url, identity=self.identity_files),
            sources=self.declarations,
            clock=self.clock,
        )
        self.people = PeopleContext(self.identity_files.folder, keys=self.settings.home / "keys")
        self.membership = Membership(self.identity_files, self.people, clock=utc_now)
        self._adopted = msgspec.json.decode(self.spool.setting("adopted", default="[]"), type=list[str])
        self._tasks: asyncio.TaskGroup | None = None
        self._heard_mono_s = time.monotonic()

    @property
    def identity_files(self) -> IdentityFiles:
        """Where key and certificate of this agent lie."""
        return IdentityFiles(folder=self.settings.home / "edge")

    async def run(self) -> None:
        """Work until cancelled."""
        self.uplink.start()
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                tasks.create_task(self.raw.run())
                tasks.create_task(self._parse_forever())
                tasks.create_task(_repeat(self.trimmer.run_once, TRIM_EVERY_S, "spool_not_trimmed"))
                tasks.create_task(_repeat(self.packer.run_once, PACK_EVERY_S, "spool_not_packed"))
                tasks.create_task(self._scan_forever())
                tasks.create_task(self.membership.run())
                for line in self.serial_lines:
                    session = self._open_session(line.serial, line.driver, place=line.path)
                    run = partial(run_serial_session, line.path, line.driver, session)
                    tasks.create_task(_keep_session(session, run))
        finally:
            await asyncio.to_thread(self._finish)

    def adopt(self, address: str) -> bool:
        """Take a found device for this agent, for good; False when it was never heard."""
        heard = self.found.pop(address, None)
        driver = None if heard is None else find_driver_for(heard.name, heard.service_uuids)
        if driver is None or self._tasks is None:
            return False
        self._remember_adopted(address)
        session = self._open_session(address, driver, place=address)
        run = partial(run_ble_session, self.radio, address, driver, session)
        self._tasks.create_task(_keep_session(session, run))
        return True

    def open_gaps(self) -> list[Gap]:
        """What is silent now, and why."""
        return self.pipeline.open_gaps()

    def declarations(self) -> list[SourceDeclaration]:
        """Every sensor of this agent, as the birth message tells it."""
        return [
            msgspec.json.decode(payload, type=SourceDeclaration)
            for _, payload in self.spool.sources().values()
        ]

    def _finish(self) -> None:
        try:
            self.pipeline.run_once()
        except sqlite3.Error as error:  # a full disk: the raw rows stay for the next start
            log.warning("spool_not_written", reason=str(error))
        self.uplink.stop()
        self.spool.close()

    def _open_session(self, serial: str, driver: Driver, *, place: str) -> SessionLog:
        src = source_id(self.name, driver=driver.name, serial=serial)
        where = self.places.get(serial, Place())
        declaration = declare_source(src, driver, serial=serial, place=where)
        self.spool.put_source(src, driver=driver.name, declaration=msgspec.json.encode(declaration))
        self.pipeline.add_source(src, driver)
        self.uplink.announce()
        self.sessions[src] = SessionState(
            src=src,
            driver=driver.name,
            place=place,
            bed=where.bed,
            title_zh=declaration.title_zh,
            title_en=declaration.title_en,
        )
        return SessionLog(state=self.sessions[src], raw=self.raw)

    async def _parse_forever(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            try:
                while await asyncio.shield(asyncio.to_thread(self.pipeline.run_once)):
                    pass
            except sqlite3.Error as error:  # a full disk: the raw rows stay, the next tick tries again
                log.warning("spool_not_written", reason=str(error))

    async def _scan_forever(self) -> None:
        while True:
            try:
                async with self.radio.scan(self._note_found):
                    self.radio_error = None
                    await self._hear_nothing()
                log.warning("scan_begun_anew", quiet_s=SCAN_QUIET_S)
            except DeviceError as error:
                if self.radio_error != str(error):
                    log.warning("radio_unavailable", reason=str(error))
                self.radio_error = str(error)
                await asyncio.sleep(RADIO_RETRY_S)

    async def _hear_nothing(self) -> None:
        """Return when a device is missed and the radio was deaf for long: some stacks stop without a word."""
        self._heard_mono_s = time.monotonic()
        # Silence has no event to wait for.
        while not self._misses_a_device() or time.monotonic() - self._heard_mono_s < SCAN_QUIET_S:  # noqa: ASYNC110
            await asyncio.sleep(1.0)

    def _misses_a_device(self) -> bool:
        ble = [s for s in self.sessions.values() if find_driver(s.driver).transport is Transport.BLE]
        return not ble or not all(state.is_linked for state in ble)

    def _note_found(self, heard: Advertisement) -> None:
        self._heard_mono_s = time.monotonic()
        driver = find_driver_for(heard.name, heard.service_uuids)
        if driver is None or driver.transport is not Transport.BLE:
            return
        if any(state.place == heard.address for state in self.sessions.values()):
            return
        self.found[heard.address] = heard
        if self.settings.adopt_all or heard.address in self._adopted:
            self.adopt(heard.address)

    def _remember_adopted(self, address: str) -> None:
        if address not in self._adopted:
            self.spool.put_setting("adopted", msgspec.json.encode([*self._adopted, address]).decode())
            self._adopted.append(address)


async def _repeat(work: Callable[[], None], every_s: float, failure: str) -> None:
    """The root of a task that looks after the spool: measuring goes on without it."""
    while True:
        try:
            await asyncio.shield(asyncio.to_thread(work))
        except Exception:
            log.exception(failure)
        await asyncio.sleep(every_s)


async def _keep_session(session: SessionLog, run: Callable[[], Awaitable[None]]) -> None:
    """The root of a session's task: a device that trips over a flaw must not take the others along."""
    while True:
        try:
            await run()
        except Exception as error:
            log.exception("session_failed", src=session.state.src)
            session.note_down(GapCause.UNKNOWN, repr(error))
            await asyncio.sleep(SESSION_RETRY_S)


def open_agent(
    settings: AgentSettings,
    *,
    radio: Radio,
    serial_lines: Sequence[SerialLine] = (),
    places: dict[str, Place] | None = None,
) -> Agent:
    """Open the spool of `settings.home` and build the agent on it.

    Raises:
        SpoolUnusable, SettingInvalid, IdentityUnusable: with what to do.
    """
    folder = settings.home / "edge"
    folder.mkdir(parents=True, exist_ok=True)
    spool = Spool(folder / "spool.sqlite3")
    name = settings.agent or spool.setting("agent", default=f"agent-{secrets.token_hex(4)}")
    identity = read_identity(IdentityFiles(folder=folder))
    if identity is not None and not settings.agent and identity.agent != name:
        spool.put_setting("agent", identity.agent)
        name = identity.agent
    return Agent(
        settings=settings,
        name=name,
        spool=spool,
        radio=radio,
        serial_lines=serial_lines,
        places=places or {},
    )


def declare_source(src: SourceId, driver: Driver, *, serial: str, place: Place) -> SourceDeclaration:
    """What the cloud is told of a sensor: device and place, never a person."""
    return SourceDeclaration(
        src=src,
        driver=driver.name,
        title_zh=place.title_zh or driver.title_zh,
        title_en=place.title_en or driver.title_en,
        serial_hash=source_id("", driver=driver.name, serial=serial),
        bed=place.bed,
        cadence=dict(driver.cadence_s),
        waves=[declare_wave(layout) for layout in driver.waves],
        simulated=place.simulated,
    )
