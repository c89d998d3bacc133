"""What this machine has and lacks for Qianli: each check gives a finding that says what it means."""

import argparse
import dataclasses
import grp
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from qianli.home import FREE_BYTES_NEEDED, Home
from qianli.ports import parse_port, port_is_free
from qianli.web_build import is_built

MEMORY_NEEDED_MB = 1000
SERIAL_PATTERNS = ("ttyUSB*", "ttyACM*", "ttyAMA*")


class Verdict(StrEnum):
    """How a finding bears on running Qianli."""

    OK = "ok"
    LIMITED = "limited"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing about this machine, in Chinese and English, with what to do if anything."""

    check: str
    verdict: Verdict
    zh: str
    en: str

    def as_json(self) -> dict[str, str]:
        """Plain values for `--json`."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where the checks look; tests give another root."""

    home: Home
    checkout: Path
    root: Path = Path("/")
    python: tuple[int, int] = (sys.version_info.major, sys.version_info.minor)

    def look(self) -> list[Finding]:
        """Run every check."""
        checks: Sequence[Callable[[Machine], Finding]] = (
            find_python,
            find_disk,
            find_memory,
            find_bluetooth,
            find_serial,
            find_clock,
            find_ports,
            find_pages,
        )
        return [check(self) for check in checks]


def find_python(machine: Machine) -> Finding:
    """Python must be 3.11 or newer."""
    version = ".".join(str(part) for part in machine.python)
    if machine.python >= (3, 11):
        return _finding("python", Verdict.OK, f"Python {version}", f"Python {version}")
    return _finding(
        "python",
        Verdict.BLOCKED,
        f"Python {version} 太旧:请安装 3.11 或更新版本。",
        f"Python {version} is too old: install 3.11 or newer.",
    )


def find_disk(machine: Machine) -> Finding:
    """The data folder's disk needs room."""
    place = machine.home.path
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    free_gb = f"{free / 1e9:.1f} GB"
    if free >= FREE_BYTES_NEEDED:
        zh, en = f"{machine.home.path} 有 {free_gb} 可用", f"{machine.home.path} has {free_gb} free"
        return _finding("disk", Verdict.OK, zh, en)
    return _finding(
        "disk",
        Verdict.BLOCKED,
        f"{place} 只剩 {free_gb},数据库会停止:请腾出 500 MB,或把 QIANLI_HOME 设到别的磁盘。",
        f"{place} has only {free_gb} left and the database would stop: free 500 MB or set "
        "QIANLI_HOME elsewhere.",
    )


def find_memory(machine: Machine) -> Finding:
    """The whole demo needs about 700 MB."""
    try:
        lines = (machine.root / "proc/meminfo").read_text().splitlines()
        available_mb = next(int(line.split()[1]) // 1000 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return _finding("memory", Verdict.LIMITED, "内存大小未知", "how much memory is free is unknown")
    if available_mb >= MEMORY_NEEDED_MB:
        return _finding(
            "memory", Verdict.OK, f"可用内存 {available_mb} MB", f"{available_mb} MB of memory available"
        )
    return _finding(
        "memory",
        Verdict.LIMITED,
        f"可用内存只有 {available_mb} MB,演示约需 700 MB:请关闭其他程序。",
        f"only {available_mb} MB of memory available, the demo takes about 700 MB: close other programs.",
    )


def find_bluetooth(machine: Machine) -> Finding:
    """Real Bluetooth devices need an adapter and BlueZ; the demo needs neither."""
    folder = machine.root / "sys/class/bluetooth"
    adapters = (
        sorted(path.name for path in folder.glob("hci*") if ":" not in path.name) if folder.exists() else []
    )
    if not adapters:
        return _finding(
            "bluetooth",
            Verdict.LIMITED,
            "没有蓝牙适配器:演示照常运行;读取真实蓝牙设备请插入适配器。",
            "no Bluetooth adapter: the demo runs all the same; plug one in to read real Bluetooth devices.",
        )
    names = ", ".join(adapters)
    if not (machine.root / "run/dbus/system_bus_socket").exists() or not _bluez_runs(machine.root):
        return _finding(
            "bluetooth",
            Verdict.LIMITED,
            f"有蓝牙适配器 {names},但 bluetoothd 没有运行:请安装并启动 bluez(sudo systemctl start "
            "bluetooth)。",
            f"Bluetooth adapter {names}, but bluetoothd does not run: install and start bluez "
            "(sudo systemctl start bluetooth).",
        )
    zh, en = f"蓝牙适配器 {names} 可用", f"Bluetooth adapter {names} is ready"
    return _finding("bluetooth", Verdict.OK, zh, en)


def find_serial(machine: Machine) -> Finding:
    """Real serial devices need a port that this user may open; the demo needs none."""
    ports = sorted(path for pattern in SERIAL_PATTERNS for path in (machine.root / "dev").glob(pattern))
    if not ports:
        return _finding(
            "serial",
            Verdict.LIMITED,
            "没有串口:演示照常运行;读取真实串口设备请插入转接线。",
            "no serial port: the demo runs all the same; plug in an adapter cable to read real "
            "serial devices.",
        )
    closed = [path for path in ports if not os.access(path, os.R_OK | os.W_OK)]
    if closed:
        group = _group_of(closed[0])
        return _finding(
            "serial",
            Verdict.LIMITED,
            f"无权打开 {closed[0]}:请运行 sudo usermod -aG {group} $USER,然后重新登录。",
            f"no right to open {closed[0]}: run sudo usermod -aG {group} $USER and log in again.",
        )
    names = ", ".join(path.name for path in ports)
    return _finding("serial", Verdict.OK, f"串口 {names} 可用", f"serial ports {names} are ready")


def find_clock(machine: Machine) -> Finding:
    """Times of measurements are only as good as this machine's clock."""
    del machine
    synchronised = clock_is_synchronised()
    if synchronised is None:
        return _finding(
            "clock",
            Verdict.LIMITED,
            "时钟是否已同步未知(没有 timedatectl 或 chronyc):测量时间以本机时钟为准,请自行核对。",
            "whether the clock is synchronised is unknown (no timedatectl or chronyc answers): "
            "measured times follow this clock, so compare it with a good one.",
        )
    if synchronised:
        return _finding(
            "clock", Verdict.OK, "时钟已与网络时间同步", "the clock is synchronised with network time"
        )
    return _finding(
        "clock",
        Verdict.LIMITED,
        "时钟未与网络时间同步,测量时间可能有误:请运行 sudo timedatectl set-ntp true。",
        "the clock is not synchronised, so measured times may be wrong: run sudo timedatectl set-ntp true.",
    )


def find_ports(machine: Machine) -> Finding:
    """The pages' port must be free; the broker's port has substitutes."""
    del machine
    try:
        http, mqtt = (
            parse_port(os.environ.get(name, usual))
            for name, usual in (("QIANLI_HTTP_PORT", "8000"), ("QIANLI_MQTT_PORT", "1883"))
        )
    except argparse.ArgumentTypeError as error:
        return _finding(
            "ports",
            Verdict.BLOCKED,
            f"QIANLI_HTTP_PORT 或 QIANLI_MQTT_PORT 不是端口号:{error}。",
            f"QIANLI_HTTP_PORT or QIANLI_MQTT_PORT: {error}.",
        )
    if not port_is_free(http):
        return _finding(
            "ports",
            Verdict.BLOCKED,
            f"端口 {http} 已被占用(也许千里正在运行):请停掉那个程序,或用 make up PORT=8080。",
            f"port {http} is taken (perhaps Qianli runs already): stop that program or use make up "
            "PORT=8080.",
        )
    if not port_is_free(mqtt):
        return _finding(
            "ports",
            Verdict.LIMITED,
            f"端口 {mqtt} 已被占用,内置消息代理会改用后面的端口;要用那里的代理请设置 QIANLI_MQTT_URL。",
            f"port {mqtt} is taken: the embedded broker takes a later one; to use the broker that runs there "
            "set QIANLI_MQTT_URL.",
        )
    return _finding("ports", Verdict.OK, f"端口 {http} 和 {mqtt} 空闲", f"ports {http} and {mqtt} are free")


def find_pages(machine: Machine) -> Finding:
    """Without built pages the service answers, but shows how to build them."""
    if is_built(machine.checkout):
        return _finding("pages", Verdict.OK, "页面已构建", "the pages are built")
    return _finding(
        "pages",
        Verdict.LIMITED,
        "页面尚未构建:make up 会自动构建,或运行 qianli web build。",
        "the pages are not built yet: make up does it, or run qianli web build.",
    )


def clock_is_synchronised() -> bool | None:
    """What timedatectl, else chronyc, says; nothing when neither can tell."""
    told = _output(["timedatectl", "show", "--property=NTPSynchronized", "--value"])
    if told is not None and told.strip() in {"yes", "no"}:
        return told.strip() == "yes"
    told = _output(["chronyc", "tracking"])
    if told is not None and "Leap status" in told:
        return "Not synchronised" not in told
    return None


def _output(command: Sequence[str]) -> str | None:
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout if result.returncode == 0 else None


def _bluez_runs(root: Path) -> bool:
    names = (path.read_text().strip() for path in (root / "proc").glob("[0-9]*/comm") if path.exists())
    return any(name == "bluetoothd" for name in names)


def _group_of(path: Path) -> str:
    try:
        return grp.getgrgid(path.stat().st_gid).gr_name
    except KeyError:
        return "dialout"


def _finding(check: str, verdict: Verdict, zh: str, en: str) -> Finding:
    return Finding(check=check, verdict=verdict, zh=zh, en=en)
