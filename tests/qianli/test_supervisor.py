"""Real child processes, small ones."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from qianli.errors import StartRefused
from qianli.supervisor import CHILD_MARK, Child, Keeper, Supervisor, exit_in_words, is_alive, stop_leftovers

pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]
Said = list[str]


def child(tmp_path: Path, code: str, *, name: str = "child") -> Child:
    """A Python child that is ready once it has made its file."""

    async def is_ready() -> bool:
        return (tmp_path / f"{name}.ready").exists()

    ready = f"import pathlib,time,os,signal,sys\nready = pathlib.Path({str(tmp_path / name)!r} + '.ready')\n"
    return Child(
        name=name, zh="子进程", command=[sys.executable, "-I", "-S", "-c", ready + code],
        log_path=tmp_path / f"{name}.log", is_ready=is_ready, stop_within_s=1, ready_within_s=20,
        environment={CHILD_MARK: str(tmp_path)},
    )  # fmt: skip


@contextlib.asynccontextmanager
async def supervised(said: Said) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(say=lambda zh, en: said.append(en))
    try:
        yield supervisor
    finally:
        await supervisor.stop()


async def until(check: object, within_s: float = 15) -> None:
    deadline = time.monotonic() + within_s
    while not check():  # type: ignore[operator]
        assert time.monotonic() < deadline, "took too long"
        await asyncio.sleep(0.02)


async def test_a_killed_child_comes_back_and_both_are_said(tmp_path: Path) -> None:
    said: Said = []
    async with supervised(said) as supervisor:
        keeper = supervisor.start(child(tmp_path, "ready.touch(); time.sleep(60)"))
        await supervisor.wait_ready(keeper)
        first = keeper.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await until(lambda: len(said) == 3)
        assert keeper.pid not in {None, first}
    assert [line.split("; log")[0] for line in said[:2]] == [
        "child is ready",
        "child stopped (killed by SIGKILL); restarting in 0.5 s",
    ]
    assert "child is back after" in said[2]


async def test_a_child_that_never_gets_ready_ends_the_start_with_its_last_words(tmp_path: Path) -> None:
    keeper = Keeper(
        child(tmp_path, "sys.exit('no such table: vitals')"), say=lambda zh, en: None, first_pause_s=0.01
    )
    with pytest.raises(
        StartRefused, match=r"child does not start \(exit code 1\)(.|\n)*no such table: vitals"
    ):
        await keeper.run()
    assert keeper.restarts == 4
    with pytest.raises(StartRefused):
        await keeper.wait_ready()


async def test_a_child_that_is_not_ready_in_time_ends_the_start(tmp_path: Path) -> None:
    async with supervised([]) as supervisor:
        keeper = supervisor.start(replace(child(tmp_path, "time.sleep(60)"), ready_within_s=0.3))
        with pytest.raises(StartRefused, match="not ready in time"):
            await supervisor.wait_ready(keeper)


async def test_a_child_whose_preparation_fails_is_told_at_once(tmp_path: Path) -> None:
    def prepare() -> None:
        raise PermissionError("no right to look")

    async with supervised([]) as supervisor:
        keeper = supervisor.start(replace(child(tmp_path, "time.sleep(60)"), before_start=prepare))
        with pytest.raises(PermissionError, match="no right to look"):
            await asyncio.wait_for(supervisor.wait_ready(keeper), timeout=5)


async def test_children_stop_in_the_order_asked_for(tmp_path: Path) -> None:
    code = (
        "order = ready.with_name('order')\n"
        "def stop(number, frame):\n    order.open('a').write(ready.stem + ' '); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, stop); ready.touch(); time.sleep(60)"
    )
    async with supervised([]) as supervisor:
        keepers = [
            supervisor.start(child(tmp_path, code, name=name)) for name in ("database", "broker", "edge")
        ]
        await supervisor.wait_ready(*keepers)
        await supervisor.stop("edge", "broker", "database")
    assert (tmp_path / "order").read_text() == "edge broker database "


async def test_a_child_that_ignores_the_polite_signal_is_killed(tmp_path: Path) -> None:
    code = "signal.signal(signal.SIGTERM, signal.SIG_IGN); ready.touch(); time.sleep(60)"
    async with supervised([]) as supervisor:
        keeper = supervisor.start(child(tmp_path, code))
        await supervisor.wait_ready(keeper)
        pid = keeper.pid
    assert pid is not None
    assert not is_alive(pid)


async def test_what_a_child_prints_goes_to_its_log(tmp_path: Path) -> None:
    async with supervised([]) as supervisor:
        keeper = supervisor.start(
            child(tmp_path, "print('hello', flush=True); ready.touch(); time.sleep(60)")
        )
        await supervisor.wait_ready(keeper)
        await until(lambda: (tmp_path / "child.log").read_bytes() == b"hello\n")


async def test_a_death_on_a_full_disk_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    said: Said = []
    async with supervised(said) as supervisor:
        supervisor.start(child(tmp_path, "sys.exit(1)"))
        await until(lambda: len(said) >= 2)
    assert "is full: free some space" in said[0]


async def test_ctrl_c_of_the_terminal_does_not_reach_children(tmp_path: Path) -> None:
    async with supervised([]) as supervisor:
        keeper = supervisor.start(child(tmp_path, "ready.touch(); time.sleep(60)"))
        await supervisor.wait_ready(keeper)
        assert keeper.pid is not None
        assert os.getpgid(keeper.pid) != os.getpgid(0)


SUPERVISOR_PROGRAM = """
import asyncio, pathlib, sys
from qianli.supervisor import CHILD_MARK, Child, Supervisor
async def ready(): return True
async def main():
    home = pathlib.Path(sys.argv[1])
    supervisor = Supervisor(say=lambda zh, en: None)
    keeper = supervisor.start(Child(name="c", zh="", command=[sys.executable, "-c", sys.argv[2]],
        log_path=home / "c.log", is_ready=ready, environment={CHILD_MARK: str(home)}))
    await supervisor.wait_ready(keeper)
    print(keeper.pid, flush=True)
    await supervisor.run()
asyncio.run(main())
"""


def start_supervisor(folder: Path, code: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SUPERVISOR_PROGRAM, str(folder), code]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


async def test_children_end_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    with start_supervisor(tmp_path, "import time; time.sleep(60)") as supervisor:
        assert supervisor.stdout is not None
        pid = int(supervisor.stdout.readline())
        assert is_alive(pid)
        supervisor.kill()
        await until(lambda: not is_alive(pid), within_s=5)


async def test_a_leftover_that_ignores_the_kernels_signal_is_ended_by_the_next_run(tmp_path: Path) -> None:
    stubborn = "import pathlib, signal, sys, time; signal.signal(15, signal.SIG_IGN)\n"
    stubborn += f"pathlib.Path({str(tmp_path / 'deaf')!r}).touch(); time.sleep(60)"
    with start_supervisor(tmp_path, stubborn) as supervisor:
        assert supervisor.stdout is not None
        pid = int(supervisor.stdout.readline())
        await until((tmp_path / "deaf").exists)
        supervisor.kill()
    assert is_alive(pid)
    assert stop_leftovers(str(tmp_path), wait_s=0.2) == 1
    await until(lambda: not is_alive(pid), within_s=2)


def test_nothing_is_left_over_in_a_new_folder(tmp_path: Path) -> None:
    assert stop_leftovers(str(tmp_path)) == 0


@pytest.mark.parametrize(
    ("code", "words"), [(-9, "killed by SIGKILL"), (3, "exit code 3")], ids=["signal", "code"]
)
def test_an_exit_is_put_in_words(code: int, words: str) -> None:
    assert exit_in_words(code)[1] == words
