"""The real server, started and killed as on a real machine."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

from qianli.embedded.postgres import (
    Programs,
    clear_stale_server,
    cluster_major,
    database_url,
    find_programs,
    make_cluster,
    server_command,
)
from qianli.errors import StartRefused
from qianli.home import Home
from qianli.processes import database_child
from qianli.supervisor import Keeper, Supervisor, is_alive, wrapped_command

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]


@pytest.fixture
def programs(home: Home) -> Programs:
    found = find_programs(home)
    make_cluster(found, home.postgres)
    return found


@contextlib.asynccontextmanager
async def running(home: Home, programs: Programs) -> AsyncIterator[Keeper]:
    supervisor = Supervisor(say=lambda zh, en: print(en))
    keeper = supervisor.start(database_child(home, programs))
    try:
        await supervisor.wait_ready(keeper)
        yield keeper
    finally:
        await supervisor.stop()


def ask(home: Home, query: str) -> object:
    with psycopg.connect(database_url(home.postgres), autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None


def keep_a_row(home: Home) -> None:
    with psycopg.connect(database_url(home.postgres)) as connection:
        connection.execute("CREATE TABLE kept (word text)")
        connection.execute("INSERT INTO kept VALUES ('千里')")


async def test_it_serves_our_settings_without_any_tcp_port(home: Home, programs: Programs) -> None:
    async with running(home, programs):
        settings = {
            "listen_addresses": "",
            "max_wal_size": "512MB",
            "shared_buffers": "32MB",
            "TimeZone": "UTC",
        }
        assert {name: ask(home, f"SHOW {name}") for name in settings} == settings
        assert home.postgres.stat().st_mode & 0o777 == 0o700


async def test_data_outlives_a_clean_stop(home: Home, programs: Programs) -> None:
    async with running(home, programs):
        keep_a_row(home)
    assert not (home.postgres / "postmaster.pid").exists()
    async with running(home, programs):
        assert ask(home, "SELECT word FROM kept") == "千里"


async def test_a_killed_server_comes_back_by_itself_with_its_data(home: Home, programs: Programs) -> None:
    async with running(home, programs) as keeper:
        keep_a_row(home)
        first = keeper.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        deadline = time.monotonic() + 20
        word = None
        while word is None and time.monotonic() < deadline:
            await asyncio.sleep(0.1)
            with contextlib.suppress(psycopg.OperationalError):
                word = ask(home, "SELECT word FROM kept")
        assert word == "千里"
        assert keeper.pid != first


@pytest.fixture
def orphan(home: Home, programs: Programs) -> Iterator[subprocess.Popen[bytes]]:
    """A server that nobody supervises any more."""
    command = wrapped_command(
        server_command(programs, home.postgres), user=programs.user, death_signal=signal.SIGINT
    )
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/") as process:
        deadline = time.monotonic() + 20
        while "ready" not in _pid_file(home) and time.monotonic() < deadline:
            time.sleep(0.05)
        yield process
        process.kill()


def _pid_file(home: Home) -> str:
    path = home.postgres / "postmaster.pid"
    return path.read_text() if path.exists() else ""


def test_a_server_left_by_a_killed_run_is_stopped_cleanly(
    home: Home, orphan: subprocess.Popen[bytes]
) -> None:
    assert clear_stale_server(home.postgres)
    assert not is_alive(orphan.pid)
    assert not (home.postgres / "postmaster.pid").exists()
    assert not clear_stale_server(home.postgres)


@pytest.mark.usefixtures("programs")
async def test_a_pid_file_that_names_another_program_does_not_block(home: Home, programs: Programs) -> None:
    (home.postgres / "postmaster.pid").write_text(
        f"{os.getpid()}\n{home.postgres}\n0\n5432\n\n\n0 0\nready\n"
    )
    async with running(home, programs):
        assert ask(home, "SELECT 1") == 1


def test_an_interrupted_first_start_leaves_nothing_half_made(home: Home) -> None:
    found = find_programs(home)
    half_made = home.path / "postgres.new"
    half_made.mkdir()
    (half_made / "PG_VERSION").write_text("18\n")
    make_cluster(found, home.postgres)
    assert cluster_major(home.postgres) == found.major
    assert not half_made.exists()


def test_a_failing_initdb_is_told_in_its_own_words(home: Home) -> None:
    found = find_programs(home)
    with pytest.raises(StartRefused, match=r"The database could not be made: .*exists but is not empty"):
        make_cluster(_broken(found, home), home.postgres)


def _broken(programs: Programs, home: Home) -> Programs:
    folder = home.path / "programs"
    folder.mkdir(mode=0o755)
    script = folder / "initdb"
    script.write_text(f'#!/bin/sh\ntouch $2/x\nexec {programs.folder}/initdb "$@"\n')
    script.chmod(0o755)
    return Programs(folder=folder, major=programs.major, user=programs.user)


if os.geteuid() == 0:  # only root changes the user, and who runs the tests does not change

    def test_the_server_runs_as_its_own_user(orphan: subprocess.Popen[bytes]) -> None:
        owner = Path(f"/proc/{orphan.pid}").stat().st_uid
        assert owner != 0

    def test_programs_that_the_user_cannot_reach_are_copied(
        home: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("qianli.embedded.postgres._others_may_run", lambda program: False)
        found = find_programs(home)
        assert found.folder.is_relative_to(home.postgres_software)
        make_cluster(found, home.postgres)
        assert cluster_major(home.postgres) == 18

    def test_a_closed_parent_folder_is_named(home: Home) -> None:
        found = find_programs(home)
        home.path.chmod(0o700)
        with pytest.raises(StartRefused, match=f"cannot pass {home.path}"):
            make_cluster(found, home.postgres)


def test_the_bare_interpreter_is_enough_for_the_wrapper() -> None:
    command = wrapped_command(["/bin/echo", "ran"], user=None, death_signal=signal.SIGTERM)
    assert command[0] == sys.executable
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "ran\n"
