"""A real OpenID provider, Node's `oidc-provider`, in a process of its own (`tests/oidc_provider/`)."""

import hashlib
import json
import os
import shutil
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from qianli.web_build import find_npm

FOLDER = Path(__file__).resolve().parents[3] / "oidc_provider"
NODE_WHEEL = Path(__file__).resolve().parents[4] / ".venv" / "node"
HOST = "127.0.0.1:8765"  # the page is never asked over a socket: tests follow the redirects themselves
SECRET = "s+/=&secret"


@dataclass(kw_only=True)
class HospitalProvider:
    address: str
    person_file: Path

    def person(self, **claims):
        self.person_file.write_text(json.dumps(claims))

    def rotate_keys(self):
        httpx.post(f"{self.address}/test/rotate").raise_for_status()

    def sign_in(self, url):
        """Follow the redirects of a browser at the provider; returns the one that leads back to us."""
        with httpx.Client() as browser:
            answer = browser.get(url)
            while answer.is_redirect and HOST not in answer.headers["location"]:
                answer = browser.get(str(answer.url.join(answer.headers["location"])))
            assert answer.is_redirect, answer.text
            return answer.headers["location"]


def install(npm):
    """As locked, once per lock."""
    lock = hashlib.sha256((FOLDER / "package-lock.json").read_bytes()).hexdigest()
    installed = FOLDER / "node_modules" / ".qianli-lock"
    if installed.exists() and installed.read_text() == lock:
        return
    path = f"{npm.node_folder}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(
        [*npm.command, "ci", "--no-audit", "--no-fund", "--loglevel=error"],
        cwd=FOLDER,
        env={**os.environ, "PATH": path},
        check=True,
        timeout=300,
    )
    installed.write_text(lock)


@pytest.fixture(scope="session")
def provider_process(tmp_path_factory):
    npm = find_npm(NODE_WHEEL if NODE_WHEEL.exists() else None)
    if npm is None:
        pytest.skip("there is no Node.js: run `make setup`, which fetches one")
    install(npm)
    person_file = tmp_path_factory.mktemp("provider") / "person.json"
    node = shutil.which("node", path=str(npm.node_folder))
    process = subprocess.Popen(
        [node, "start.js", SECRET],
        cwd=FOLDER,
        env={"PERSON_FILE": str(person_file), "REDIRECT_URI": f"http://{HOST}/api/oidc/county/callback"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    line = next((one for one in process.stdout if one.startswith("ready ")), "")
    drain = threading.Thread(target=process.stdout.read, daemon=True)
    drain.start()
    assert line, "the provider did not start"
    yield HospitalProvider(address=line.split()[1], person_file=person_file)
    process.terminate()
    process.wait(timeout=10)
    drain.join(timeout=10)
    process.stdout.close()


@pytest.fixture
def provider(provider_process):
    provider_process.person(sub="s-1", groups=["staff", "doctors"], name="王医生")
    return provider_process
