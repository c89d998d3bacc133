"""One running installation: brings its processes up in order, shows the address, takes them down in order."""

import argparse
import asyncio
import errno
import json
import os
import secrets
import shutil
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from qianli.console import Console
from qianli.embedded.postgres import clear_stale_server, database_url, find_programs, make_cluster
from qianli.embedded.trust import agent_name, needs_invitation, point_at_door, put_invitation
from qianli.embedded.upgrade import upgrade_cluster_if_needed
from qianli.errors import StartRefused
from qianli.home import Home, disk_full
from qianli.ports import parse_port, port_is_free
from qianli.processes import (
    STOP_ORDER,
    Ports,
    broker_child,
    child_environment,
    cloud_child,
    database_child,
    edge_child,
    embedded_mqtt_url,
    ingest_child,
)
from qianli.supervisor import Keeper, Say, Supervisor
from vitals.wire.invitation import DEFAULT_PORT

PORTS_TO_TRY = 20
DEMO_WARD = Path(__file__).with_name("demo_ward.json")
"""Made by `python -m qianli.demo_ward`: importing that module costs half a second of the start."""
DEMO_AGENT = "demo-hut"
"""`qianli.demo_ward.AGENT`, for the same reason; a test holds them together."""
NEARLY_FULL_MB = 200
SEED_ENDS_WITHIN_S = 5.0
LOOK_AT_DISK_EVERY_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the person asked for on the command line."""

    demo: bool
    ward: Path | None
    http_port: int
    host: str | None = None
    """The address for other machines, empty for all; None: this machine alone."""


class Installation:
    """Everything that `qianli up` starts."""

    def __init__(self, home: Home, wishes: Wishes, console: Console) -> None:
        self._home = home
        self._wishes = wishes
        self._console = console
        self._supervisor = Supervisor(say=console.say)
        self._environment: dict[str, str] = {}
        self._ports = Ports(http=wishes.http_port, mqtt=0, panel=0, agent=0)
        self._accounts: list[dict[str, str]] = []
        self._invited: str | None = None
        self._started_at = datetime.now(UTC)

    async def start(self) -> None:
        """Start all processes and print where to look.

        Raises:
            StartRefused: A part cannot start; its sentence says why and what to do.
        """
        self._console.say(
            f"数据目录 {self._home.path}(QIANLI_HOME)", f"data folder {self._home.path} (QIANLI_HOME)"
        )
        self._choose_ports()
        try:
            await self._start_processes()
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise disk_full(self._home) from error
            raise
        finally:
            self._show_accounts()  # also when the start failed: nobody will see the passwords again
        self._show_banner()

    async def watch(self) -> None:
        """Keep everything running until cancelled."""
        watching = asyncio.create_task(watch_disk(self._home.path, say=self._console.say))
        try:
            await self._supervisor.run()
        finally:
            watching.cancel()

    async def stop(self) -> None:
        """Stop every process, the data's source first and its store last."""
        self._console.say("正在停止……", "stopping …")
        await self._supervisor.stop(*STOP_ORDER)
        self._console.say("已全部停止,数据已保存", "everything has stopped; the data is kept")

    def clear_database_server(self) -> None:
        """Stop a database server that a crashed run left behind."""
        clear_stale_server(self._home.postgres)

    def _choose_ports(self) -> None:
        if not port_is_free(self._wishes.http_port):
            raise StartRefused(
                f"端口 {self._wishes.http_port} 已被占用:请停掉占用它的程序,或用 make up PORT=8080("
                "qianli up --port 8080)。",
                f"Port {self._wishes.http_port} is taken: stop the program that uses it, or run "
                "`make up PORT=8080` "
                "(`qianli up --port 8080`).",
            )
        mqtt = self._first_free("QIANLI_MQTT_PORT", 1883) if "QIANLI_MQTT_URL" not in os.environ else 0
        panel = self._first_free("QIANLI_PANEL_PORT", 8010)
        agent = self._first_free("QIANLI_AGENT_PORT", DEFAULT_PORT)
        https = trust = 0
        if self._wishes.host is not None:
            https = self._first_free("QIANLI_HTTPS_PORT", 8443, host=self._wishes.host)
            trust = self._first_free("QIANLI_TRUST_PORT", 8088, host=self._wishes.host)
        self._ports = Ports(
            http=self._wishes.http_port, mqtt=mqtt, panel=panel, agent=agent, https=https, trust=trust
        )

    def _first_free(self, variable: str, usual: int, *, host: str = "127.0.0.1") -> int:
        try:
            wanted = parse_port(os.environ.get(variable, str(usual)))
        except argparse.ArgumentTypeError as error:
            raise StartRefused(f"{variable} 不是端口号:{error}。", f"{variable}: {error}.") from error
        for port in range(wanted, wanted + PORTS_TO_TRY):
            if port != self._wishes.http_port and port_is_free(port, host=host):
                if port != wanted:
                    self._console.say(
                        f"端口 {wanted} 已被占用,改用 {port}", f"port {wanted} is taken, using {port}"
                    )
                return port
        raise StartRefused(
            f"端口 {wanted} 起的 {PORTS_TO_TRY} 个端口都被占用:请设置 {variable}。",
            f"The {PORTS_TO_TRY} ports from {wanted} on are all taken: set {variable} to a free one.",
        )

    async def _start_processes(self) -> None:
        """Start all side by side: cloud and edge wait by themselves for what they need."""
        mqtt_url = os.environ.get("QIANLI_MQTT_URL")
        postgres_url = os.environ.get("QIANLI_DATABASE_URL")
        point_at_door(self._home, self._ports.agent)
        self._invited = self._agent_to_invite()
        self._environment = child_environment(
            self._home,
            self._ports,
            database_url=postgres_url or database_url(self._home.postgres),
            mqtt_url=mqtt_url or embedded_mqtt_url(port=self._ports.mqtt),
            host=self._wishes.host,
        )
        if self._invited is not None:
            self._environment["QIANLI_AGENT"] = self._invited
        floor = []
        if not mqtt_url:
            broker = broker_child(self._home, self._environment, port=self._ports.mqtt)
            floor.append(self._supervisor.start(broker))
        demo = self._wishes.demo
        edge = self._supervisor.start(
            edge_child(self._home, self._environment, port=self._ports.panel, demo=demo)
        )
        if not postgres_url:
            floor.append(await self._begin_database())
        cloud = self._supervisor.start(cloud_child(self._home, self._environment, port=self._ports.http))
        ingest = self._supervisor.start(ingest_child(self._home, self._environment, port=self._ports.http))
        await self._supervisor.wait_ready(*floor)
        await self._wait_and_seed(cloud, ingest, edge)

    async def _wait_and_seed(self, *keepers: Keeper) -> None:
        ward = DEMO_WARD if self._wishes.demo else self._wishes.ward
        agent = self._invited
        seeding = asyncio.create_task(self._seed(ward, agent)) if ward or agent else None
        try:
            await self._supervisor.wait_ready(*keepers)
            if seeding is not None:
                await seeding
        finally:
            if seeding is not None:
                seeding.cancel()
                await asyncio.gather(seeding, return_exceptions=True)

    async def _begin_database(self) -> Keeper:
        programs = await asyncio.to_thread(find_programs, self._home)
        if programs.user is not None:
            self._console.say(
                f"以 root 运行:数据库由系统用户 {programs.user} 运行",
                f"running as root: the database runs as {programs.user}",
            )
        await upgrade_cluster_if_needed(self._home, programs, say=self._console.say)
        if not self._home.postgres.exists():
            self._console.say("首次运行:正在创建数据库", "first run: creating the database")
            await asyncio.to_thread(make_cluster, programs, self._home.postgres)
        return self._supervisor.start(database_child(self._home, programs))

    def _agent_to_invite(self) -> str | None:
        """The agent of this machine, when it has yet to be let in."""
        if not needs_invitation(self._home):
            return None
        named = DEMO_AGENT if self._wishes.demo else os.environ.get("QIANLI_AGENT")
        return named or agent_name(self._home) or f"agent-{secrets.token_hex(4)}"

    async def _seed(self, ward: Path | None, agent: str | None) -> None:
        """Create the ward's people where they are missing, and the agent's code.

        Keeps the accounts that were created just now.
        """
        # The demo's devices were on their patients from the beginning; somebody else's only from now on.
        since = ("--since", self._started_at.isoformat()) if self._wishes.demo else ()
        wishes = (*(("--ward", str(ward)) if ward else ()), *(("--invite", agent) if agent else ()))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cloud", "seed", *wishes, *since),
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            cwd="/",
        )
        talking = asyncio.create_task(process.communicate())
        try:
            output, errors = await asyncio.shield(talking)
        except asyncio.CancelledError:
            # What it has created it must also tell: let it end.
            if (await asyncio.wait([talking], timeout=SEED_ENDS_WITHIN_S))[0]:
                self._accounts = accounts_in(talking.result()[0].decode())
            else:
                process.kill()
            raise
        if process.returncode != 0:
            last = errors.decode(errors="replace").strip().splitlines()[-3:]
            raise StartRefused(
                "无法按病区文件建立账号与绑定:\n" + "\n".join(last),
                "The accounts and bindings of the ward file could not be made:\n" + "\n".join(last),
            )
        self._accounts = accounts_in(output.decode())
        invitation = invitation_in(output.decode())
        if invitation is not None:
            put_invitation(self._home, invitation)

    def _show_accounts(self) -> None:
        for account in self._accounts:
            print(f"  账号 · account   {account['name']}   密码 · password   {account['password']}")
        if self._accounts:
            print("  密码只显示这一次 · the passwords are shown only this once", flush=True)

    def _show_banner(self) -> None:
        if self._wishes.host is not None:
            from qianli.phones import show_ways_in  # noqa: PLC0415 a start for this machine alone is quicker

            show_ways_in(
                self._home, self._wishes.host, https_port=self._ports.https, trust_port=self._ports.trust
            )
        address = f"http://127.0.0.1:{self._ports.http}/"
        panel = f"http://127.0.0.1:{self._ports.panel}/"
        lines = ["", f"  千里 Qianli   {address}", f"  边缘代理面板 · agent's panel   {panel}"]
        if self._wishes.demo:
            lines.append("  演示:模拟设备回放真实记录 · demo: simulated devices replaying real recordings")
        lines.append("  不是经注册的医疗器械 · not a certified medical device")
        lines += ["  按 Ctrl-C 停止 · press Ctrl-C to stop", ""]
        print("\n".join(lines), flush=True)


async def watch_disk(folder: Path, *, say: Say, every_s: float = LOOK_AT_DISK_EVERY_S) -> None:
    """Say when the disk is nearly full, and when it no longer is; the database itself would stay silent."""
    was_full = False
    while True:
        free_mb = shutil.disk_usage(folder).free // 1_000_000
        is_full = free_mb < NEARLY_FULL_MB
        if is_full and not was_full:
            say(
                f"{folder} 所在磁盘只剩 {free_mb} MB,新数据可能无法保存:请腾出空间",
                f"the disk of {folder} has only {free_mb} MB left and new data may not be stored: "
                "free some space",
            )
        if was_full and not is_full:
            say(f"磁盘又有 {free_mb} MB 可用", f"the disk has {free_mb} MB again")
        was_full = is_full
        await asyncio.sleep(every_s)


def accounts_in(output: str) -> list[dict[str, str]]:
    """The accounts in the seeding command's one JSON line; none when it created none."""
    accounts: list[dict[str, str]] = _told_in(output).get("accounts", [])
    return accounts


def invitation_in(output: str) -> str | None:
    """The code that the seeding command made, with its address."""
    invitation: str | None = _told_in(output).get("invitation")
    return invitation


def _told_in(output: str) -> dict[str, Any]:
    lines = [line for line in output.splitlines() if line.startswith("{")]
    return json.loads(lines[-1]) if lines else {}
