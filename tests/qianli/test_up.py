"""`qianli up` with the real database and broker; cloud and edge are small programs that only answer."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qianli.home import Home
from qianli.ports import port_is_free
from qianli.supervisor import CHILD_MARK, is_alive

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]
ROOT = Path(__file__).parents[2]
ANSWERING = """
import http.server, os, signal, sys
if "seed" in sys.argv:
    sys.exit(0)
if "ingest" in sys.argv:
    signal.pause()
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b'{{"ingest": true}}')
http.server.HTTPServer(("127.0.0.1", int(os.environ["{port}"])), Answer).serve_forever()
"""


class Run:
    """One `qianli up` and everything it printed."""

    def __init__(self, home: Home, port: int, *options: str) -> None:
        programs = home.path.with_name(f"{home.path.name}-programs")
        for package, variable in (("cloud", "QIANLI_HTTP_PORT"), ("edge_agent", "QIANLI_PANEL_PORT")):
            (programs / package).mkdir(parents=True, exist_ok=True)
            # Only what runs is replaced: the supervisor and the broker use parts of the real packages.
            (programs / package / "__init__.py").write_text(f"__path__.append({str(ROOT / package)!r})")
            (programs / package / "__main__.py").write_text(ANSWERING.format(port=variable))
        environment = {key: value for key, value in os.environ.items() if not key.startswith("QIANLI_")}
        self._mark = str(home.path)
        self._output = home.path.with_name(f"{home.path.name}-output")
        own = {"QIANLI_HOME": str(home.path), "QIANLI_MQTT_PORT": "18910", "PYTHONPATH": str(programs)}
        with self._output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "qianli", "up", "--port", str(port), *options],
                env={**environment, **own},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def text(self) -> str:
        return self._output.read_text()

    def wait_for(self, pattern: str, within_s: float = 40) -> None:
        deadline = time.monotonic() + within_s
        while not re.search(pattern, self.text()):
            assert time.monotonic() < deadline, self.text()
            assert self.process.poll() is None or re.search(pattern, self.text()), self.text()
            time.sleep(0.05)

    def stop(self, signal_number: int = signal.SIGINT) -> int:
        self.process.send_signal(signal_number)
        return self.process.wait(12)

    def children(self) -> list[int]:
        mark = f"{CHILD_MARK}={self._mark}".encode()
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                marked = mark in (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if marked and is_alive(int(entry.name)):
                found.append(int(entry.name))
        return found


@pytest.fixture
def port() -> int:
    return next(port for port in range(18100, 18200) if port_is_free(port))


@pytest.fixture
def runs(home: Home) -> Iterator[list[Run]]:
    started: list[Run] = []
    yield started
    for run in started:
        run.process.terminate()
        run.process.wait(15)
    shutil.rmtree(home.path.with_name(f"{home.path.name}-programs"))
    home.path.with_name(f"{home.path.name}-output").unlink()


def start(runs: list[Run], home: Home, port: int, *options: str) -> Run:
    runs.append(Run(home, port, *options))
    return runs[-1]


def test_it_says_where_to_look_and_ctrl_c_stops_every_child(runs: list[Run], home: Home, port: int) -> None:
    run = start(runs, home, port)
    run.wait_for("press Ctrl-C to stop")
    assert f"http://127.0.0.1:{port}/" in run.text()
    assert str(home.path) in run.text()
    assert "not a certified medical device" in run.text()
    assert len(run.children()) >= 3
    stopped_at = time.monotonic()
    assert run.stop() == 0
    assert time.monotonic() - stopped_at < 10
    assert run.children() == []
    assert not (home.postgres / "postmaster.pid").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=["int", "term", "hup"])
def test_a_signal_during_the_start_also_stops_everything(
    number: int, runs: list[Run], home: Home, port: int
) -> None:
    run = start(runs, home, port)
    run.wait_for("creating the database")
    assert run.stop(number) == 0
    assert run.children() == []


def test_a_taken_port_is_refused_with_the_way_out(runs: list[Run], home: Home, port: int) -> None:
    with socket.create_server(("127.0.0.1", port)):
        run = start(runs, home, port)
        assert run.process.wait(20) == 1
    assert f"Port {port} is taken: stop the program that uses it, or run `make up PORT=8080`" in run.text()
    assert "Traceback" not in run.text()


def test_a_second_run_on_the_same_folder_is_refused(runs: list[Run], home: Home, port: int) -> None:
    first = start(runs, home, port)
    first.wait_for("data folder")
    second = subprocess.run(
        [sys.executable, "-m", "qianli", "up", "--port", str(port + 1)],
        env={**os.environ, "QIANLI_HOME": str(home.path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert second.returncode == 1
    assert f"in use by another run (process {first.process.pid})" in second.stderr


def test_after_kill_9_the_children_end_and_the_next_run_starts(
    runs: list[Run], home: Home, port: int
) -> None:
    first = start(runs, home, port)
    first.wait_for("press Ctrl-C to stop")
    first.process.kill()
    second = start(runs, home, port)
    second.wait_for("press Ctrl-C to stop")
    assert second.stop() == 0
    assert second.children() == []


def test_a_killed_database_comes_back_and_is_told(runs: list[Run], home: Home, port: int) -> None:
    run = start(runs, home, port)
    run.wait_for("press Ctrl-C to stop")
    os.kill(int((home.postgres / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    run.wait_for(r"database stopped \(killed by SIGKILL\); restarting in 0.5 s", within_s=2)
    run.wait_for("database is back after")
    assert run.stop() == 0


def test_fresh_deletes_what_an_earlier_run_kept(runs: list[Run], home: Home, port: int) -> None:
    (home.path / "spool.db").write_text("old")
    run = start(runs, home, port, "--fresh")
    run.wait_for("creating the database")
    assert not (home.path / "spool.db").exists()
    assert f"emptied {home.path}" in run.text()


def test_no_code_and_no_key_reaches_a_log_file(runs: list[Run], home: Home, port: int) -> None:
    run = start(runs, home, port)
    run.wait_for("press Ctrl-C to stop")
    assert run.stop() == 0
    keys = "".join(path.read_text("latin1") for path in home.keys.glob("*.pem"))
    secrets = [line for line in keys.splitlines() if len(line) > 40]
    logs = run.text() + "".join(path.read_text() for path in home.logs.iterdir())
    assert secrets
    assert [line for line in secrets if line in logs] == []
    assert "PRIVATE KEY" not in logs
    assert not re.search(r"[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){6}", logs)
