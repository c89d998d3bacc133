"""From a bare checkout to a running system: what `make up` and `make test` call.

Runs with the machine's Python and the standard library only. Makes `.venv`, installs what the lock file
names, builds the pages at the same time, and remembers what it did by digests of its inputs, so that the
second run does nothing.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from qianli import web_build
from qianli.web_build import WebBuildFailed

OLDEST_PYTHON = (3, 11)
PACKAGES = ("vitals", "devices", "edge_agent", "cloud", "qianli")
FREE_BYTES_NEEDED = 1_500_000_000
SAY_EVERY_S = 5.0
PIP = ("-m", "pip", "--disable-pip-version-check", "--no-input")
# Compiled afterwards by all cores at once; pip would use one.
PIP_INSTALL = (
    *PIP,
    "install",
    "--no-compile",
    "--require-hashes",
    "--no-deps",
    "--progress-bar",
    "off",
    "--no-warn-script-location",
)


class SetupFailed(Exception):
    """Setting up cannot go on; the text says what to do."""


class Setup:
    """Prepares one checkout."""

    def __init__(self, root: Path, *, lock_name: str) -> None:
        self._root = root
        self._lock = root / "requirements" / f"{lock_name}.txt"
        self._venv = root / ".venv"
        self._started = time.monotonic()

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self._venv / "bin" / "python"

    def prepare(self) -> None:
        """Do what is not done yet.

        Raises:
            SetupFailed: With one sentence that says what to do.
        """
        self._check_machine()
        self._make_environment()
        pages = _Background(self._build_pages)
        self._install_locked()
        self._install_project()
        pages.join()

    def say(self, text: str) -> None:
        """Print one line with the seconds since the start."""
        print(f"[{time.monotonic() - self._started:6.1f} s] {text}", flush=True)

    def _check_machine(self) -> None:
        free = shutil.disk_usage(self._root).free
        if free < FREE_BYTES_NEEDED and not self.python.exists():
            raise SetupFailed(
                f"The disk of {self._root} has only {free // 1_000_000} MB left: setting up needs about "
                f"{FREE_BYTES_NEEDED // 1_000_000} MB, free some space and run this again."
            )

    def _make_environment(self) -> None:
        if self.python.exists() and _succeeds([str(self.python), *PIP, "--version"]):
            return
        self.say(f"making a virtual environment in {self._venv} (Python {sys.version.split()[0]})")
        shutil.rmtree(self._venv, ignore_errors=True)
        result = subprocess.run(
            [sys.executable, "-m", "venv", str(self._venv)], capture_output=True, text=True, check=False
        )
        if result.returncode != 0:
            shutil.rmtree(self._venv, ignore_errors=True)
            minor = f"{sys.version_info.major}.{sys.version_info.minor}"
            raise SetupFailed(
                f"Python's venv module does not work here: install it (Debian and Ubuntu: sudo apt install "
                f"python{minor}-venv) and run this again.\n{result.stderr.strip()[-300:]}"
            )

    def _install_locked(self) -> None:
        digest = _digest(self._lock, extra=sys.version)
        stamp = self._venv / f".installed-{self._lock.stem}"
        if _holds(stamp, digest):
            return
        self.say(f"installing the packages of {self._lock.relative_to(self._root)}")
        self._pip([*PIP_INSTALL, "-r", str(self._lock)], expected=self._lock.read_text().count("=="))
        self._compile()
        stamp.write_text(digest)

    def _compile(self) -> None:
        """Write byte code now: without it each process of the system spends two seconds more on its start."""
        self.say("compiling")
        ours = [str(self._root / name) for name in PACKAGES]
        subprocess.run(
            [str(self.python), "-m", "compileall", "-qq", "-j", "0", str(self._venv / "lib"), *ours],
            check=False,  # a package may carry files for another Python
        )

    def _install_project(self) -> None:
        digest = _digest(self._root / "pyproject.toml", extra=str(self._root))
        stamp = self._venv / ".installed-project"
        if _holds(stamp, digest):
            return
        self.say("installing Qianli itself")
        self._pip([*PIP, "install", "--no-deps", "--no-build-isolation", "-e", str(self._root)], expected=1)
        stamp.write_text(digest)

    def _build_pages(self) -> None:
        if os.environ.get("QIANLI_SKIP_WEB") == "1" or web_build.is_current(self._root):
            return
        if not (self._root / "cloud" / "web" / "package.json").exists():
            return
        node_folder = self._venv / "node"
        if web_build.find_npm(node_folder) is None:
            self.say("fetching Node.js for building the pages (this machine has none that is new enough)")
            lock = self._root / "requirements" / "node.txt"
            self._pip([*PIP_INSTALL, "--target", str(node_folder), "-r", str(lock)], expected=1)
        try:
            web_build.build_web(self._root, node_folder=node_folder, say=self.say)
        except WebBuildFailed as error:
            if not web_build.is_built(self._root):
                raise
            self.say(f"going on with the pages built earlier. {error}")
        else:
            self.say("the pages are built")

    def _pip(self, arguments: Sequence[str], *, expected: int) -> None:
        """Run pip and say every few seconds how far it is."""
        lines: list[str] = []
        said_at, collected = time.monotonic(), 0
        with subprocess.Popen(
            [str(self.python), *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            for line in process.stdout or ():
                lines.append(line.rstrip())
                collected += line.startswith("Collecting")
                installing = line.startswith("Installing collected")
                if installing or time.monotonic() - said_at > SAY_EVERY_S:
                    said_at = time.monotonic()
                    self.say(
                        "  unpacking"
                        if installing
                        else f"  fetched {collected} packages (at most {expected})"
                    )
        if process.returncode != 0:
            last = "\n".join(f"    {line}" for line in lines[-12:])
            raise SetupFailed(
                "pip could not install the locked packages; is the package index reachable (pip "
                "config list)? "
                f"Run this again after mending it. It said:\n{last}"
            )


class _Background:
    """A thread whose exception comes out of `join`."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._error: BaseException | None = None
        self._work = work
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def join(self) -> None:
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # handed to whoever joins
            self._error = error


def main(words: Sequence[str] | None = None) -> int:
    """Prepare, then become the given command of the environment."""
    parser = argparse.ArgumentParser(prog="python3 -m qianli.bootstrap", description=__doc__.splitlines()[0])
    parser.add_argument("--lock", choices=["up", "dev"], default="up", help="which lock file to install")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="module and arguments to run afterwards")
    arguments = parser.parse_args(words)
    if sys.version_info < OLDEST_PYTHON:
        print(
            "Qianli needs Python 3.11 or newer: install one, then `make up PYTHON=python3.11`.",
            file=sys.stderr,
        )
        return 1
    setup = Setup(web_build.repository_root(), lock_name=arguments.lock)
    try:
        setup.prepare()
    except (SetupFailed, WebBuildFailed) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; run it again to go on", file=sys.stderr)
        return 130
    if arguments.command:
        sys.stdout.flush()
        os.execv(setup.python, [str(setup.python), "-m", *arguments.command])  # noqa: S606  # no shell on purpose
    return 0


def _digest(path: Path, *, extra: str) -> str:
    return hashlib.sha256(path.read_bytes() + extra.encode()).hexdigest()


def _holds(stamp: Path, digest: str) -> bool:
    return stamp.exists() and stamp.read_text() == digest


def _succeeds(command: Sequence[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main())
