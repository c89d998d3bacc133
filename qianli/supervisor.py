"""Keep child processes running: start, watch, restart with growing pauses, stop in order.

A child is ready when its probe says so. Until it was ready once, five deaths in a row end the start with
the child's own last words; after that it is restarted for ever. Children get their own process session, so
that Ctrl-C reaches only the supervisor, and the kernel ends them when the supervisor dies (`supervised.py`).
"""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from qianli.errors import StartRefused
from qianli.rotating_log import RotatingLog

Say = Callable[[str, str], None]
"""Tell the person at the console one thing, in Chinese and in English."""

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 10.0
LIVED_WELL_S = 30.0
DEATHS_BEFORE_GIVING_UP = 5
PROBE_EVERY_S = 0.1
LAST_LINES = 12
FULL_DISK_BYTES = 20_000_000
CHILD_MARK = "QIANLI_CHILD_OF"
_WRAPPER = str(Path(__file__).with_name("supervised.py"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """What to run and how to tell that it works."""

    name: str
    zh: str
    command: Sequence[str]
    log_path: Path
    is_ready: Callable[[], Awaitable[bool]]
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    harder_signal: signal.Signals = signal.SIGKILL
    stop_within_s: float = 2.0
    ready_within_s: float = 60.0
    before_start: Callable[[], object] | None = None


class Keeper:
    """Keeps one child running until it is told to stop."""

    def __init__(self, child: Child, *, say: Say, first_pause_s: float = FIRST_PAUSE_S) -> None:
        self.child = child
        self.restarts = 0
        self._say = say
        self._first_pause_s = first_pause_s
        self._settled = asyncio.Event()
        self._was_ready = False
        self._failure: Exception | None = None
        self._stopping = False
        self._process: asyncio.subprocess.Process | None = None
        self._last_lines: deque[str] = deque(maxlen=LAST_LINES)
        self._log_is_full = False

    @property
    def pid(self) -> int | None:
        """The running child's process id."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def run(self) -> None:
        """Start the child again whenever it dies.

        Raises:
            StartRefused: It never became ready.
        """
        try:
            await self._keep()
        except Exception as error:
            self._failure = error  # whoever waits for it must hear of it at once
            self._settled.set()
            raise

    async def _keep(self) -> None:
        pause_s, deaths = self._first_pause_s, 0
        while not self._stopping:
            started = time.monotonic()
            code = await self._run_once()
            if self._stopping:
                return
            deaths += 1
            if not self._was_ready and deaths >= DEATHS_BEFORE_GIVING_UP:
                raise self._gave_up(code)
            if time.monotonic() - started > LIVED_WELL_S:
                pause_s = self._first_pause_s
            self.restarts += 1
            self._report_death(code, pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    async def wait_ready(self) -> None:
        """Return once the child has been ready for the first time.

        Raises:
            StartRefused: It took too long, or never became ready.
        """
        try:
            await asyncio.wait_for(self._settled.wait(), self.child.ready_within_s)
        except TimeoutError:
            raise self._gave_up(None) from None
        if self._failure is not None:
            raise self._failure

    async def stop(self) -> None:
        """Ask the child to end, insist after a while, and return when it is gone."""
        self._stopping = True
        for signal_number in (self.child.stop_signal, self.child.harder_signal, signal.SIGKILL):
            process = self._process
            if process is None or process.returncode is not None:
                return
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal_number)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), self.child.stop_within_s)

    async def _run_once(self) -> int:
        if self.child.before_start is not None:
            await asyncio.to_thread(self.child.before_start)
        log = RotatingLog(self.child.log_path)
        self._last_lines.clear()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *wrapped_command(
                    self.child.command, user=self.child.user, death_signal=self.child.stop_signal
                ),
                env=dict(self.child.environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
                cwd="/",
            )
            async with asyncio.TaskGroup() as tasks:
                probing = tasks.create_task(self._probe(self._process))
                copying = tasks.create_task(self._copy_output(self._process, log))
                code = await self._process.wait()
                probing.cancel()
                await asyncio.wait([copying], timeout=0.5)  # a grandchild may hold the pipe open
                copying.cancel()
            return code
        finally:
            if self.pid is not None and self._process is not None:
                self._process.kill()  # cancelled while the child was being started
            log.close()

    async def _probe(self, process: asyncio.subprocess.Process) -> None:
        started = time.monotonic()
        while process.returncode is None:
            if await self.child.is_ready():
                took_s = time.monotonic() - started
                if self._was_ready:
                    self._say(
                        f"{self.child.zh}已恢复({took_s:.1f} 秒)",
                        f"{self.child.name} is back after {took_s:.1f} s",
                    )
                else:
                    self._say(f"{self.child.zh}就绪", f"{self.child.name} is ready")
                self._was_ready = True
                self._settled.set()
                return
            await asyncio.sleep(PROBE_EVERY_S)

    async def _copy_output(self, process: asyncio.subprocess.Process, log: RotatingLog) -> None:
        if process.stdout is None:
            return
        while chunk := await process.stdout.read(65536):
            self._last_lines.extend(chunk.decode(errors="replace").splitlines())
            try:
                log.write(chunk)
            except OSError as error:
                self._report_full_log(error)

    def _report_full_log(self, error: OSError) -> None:
        if not self._log_is_full:
            self._log_is_full = True
            self._say(
                f"日志写不进 {self.child.log_path}({error.strerror}):请腾出磁盘空间。",
                f"The log {self.child.log_path} cannot be written ({error.strerror}): free some disk space.",
            )

    def _report_death(self, code: int, pause_s: float) -> None:
        zh, en = exit_in_words(code)
        if shutil.disk_usage(self.child.log_path.parent).free < FULL_DISK_BYTES:
            self._say(
                f"{self.child.log_path.parent} 所在磁盘已满:请腾出空间,之后会自动恢复。",
                f"the disk of {self.child.log_path.parent} is full: free some space, the rest mends itself.",
            )
        self._say(
            f"{self.child.zh}停了({zh}),{pause_s:g} 秒后重启;日志:{self.child.log_path}",
            f"{self.child.name} stopped ({en}); restarting in {pause_s:g} s; log: {self.child.log_path}",
        )

    def _gave_up(self, code: int | None) -> StartRefused:
        zh, en = exit_in_words(code) if code is not None else ("太久没有就绪", "not ready in time")
        words = "\n".join(f"    {line}" for line in self._last_lines)
        return StartRefused(
            f"{self.child.zh}无法启动({zh})。",
            f"{self.child.name} does not start ({en}); its last lines, in full in "
            f"{self.child.log_path}:\n{words}",
        )


class Supervisor:
    """Several children, started in any order and stopped in the order given."""

    def __init__(self, *, say: Say) -> None:
        self._say = say
        self._keepers: list[Keeper] = []
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, child: Child) -> Keeper:
        """Begin to keep a child running."""
        keeper = Keeper(child, say=self._say)
        self._keepers.append(keeper)
        self._tasks.append(asyncio.create_task(keeper.run(), name=child.name))
        return keeper

    async def wait_ready(self, *keepers: Keeper) -> None:
        """Return when all are ready, or raise the first reason why one is not."""
        await asyncio.gather(*(keeper.wait_ready() for keeper in keepers))

    async def run(self) -> None:
        """Watch until cancelled, or raise why a child can no longer be kept."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def stop(self, *names: str) -> None:
        """Stop the named children one after another, then whatever else runs."""
        place = {name: number for number, name in enumerate(names)}
        for keeper in sorted(self._keepers, key=lambda keeper: place.get(keeper.child.name, len(place))):
            await keeper.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def wrapped_command(command: Sequence[str], *, user: str | None, death_signal: signal.Signals) -> list[str]:
    """The command line that ties a program's life to this process."""
    own_part = [sys.executable, "-I", "-S", _WRAPPER, str(os.getpid()), str(int(death_signal)), user or "-"]
    return [*own_part, *command]


def exit_in_words(code: int) -> tuple[str, str]:
    """How a process ended, in Chinese and English."""
    if code < 0:
        name = signal.Signals(-code).name
        return f"信号 {name}", f"killed by {name}"
    return f"退出码 {code}", f"exit code {code}"


def stop_leftovers(mark: str, *, wait_s: float = 3.0) -> int:
    """End children that an earlier supervisor of the same folder left behind; returns how many.

    They are recognised by the mark in their environment, never by name or by a stored process id.
    """
    found = [pid for pid in _own_pids() if _has_mark(pid, mark)]
    for pid in found:
        _send(pid, signal.SIGTERM)
    deadline = time.monotonic() + wait_s
    while any(is_alive(pid) for pid in found) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in found:
        if is_alive(pid):
            _send(pid, signal.SIGKILL)
    return len(found)


def is_alive(pid: int) -> bool:
    """Does the process run? A zombie, which nobody has reaped yet, does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def _own_pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*") if int(entry.name) != os.getpid()]


def _has_mark(pid: int, mark: str) -> bool:
    try:
        words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
    return f"{CHILD_MARK}={mark}".encode() in words


def _send(pid: int, signal_number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal_number)
