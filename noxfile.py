"""Every check by name; `nox -l` lists them, `nox -s NAME` runs one. They use the environment nox runs in."""

import os
import sys
from pathlib import Path

import nox

from qianli.web_build import find_npm

nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "types", "layers", "tests"]
HERE = Path(__file__).resolve().parent
CHECKED = (
    "vitals",
    "devices",
    "dicom",
    "edge_agent",
    "cloud",
    "qianli",
    "tests",
    "requirements",
    "noxfile.py",
    "hatch_build.py",
)
ALONE = "system or web or faults or fuzz or soak"


def _python(session: nox.Session, *arguments: str) -> None:
    session.run(sys.executable, "-m", *arguments, external=True)


@nox.session
def lint(session: nox.Session) -> None:
    """Style and the usual mistakes."""
    _python(session, "ruff", "check", *CHECKED)
    _python(session, "ruff", "format", "--check", *CHECKED)
    _python(session, "deptry", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Types, strictly."""
    _python(session, "mypy")


@nox.session
def layers(session: nox.Session) -> None:
    """Nothing imports upwards; edge and cloud never meet."""
    session.run(str(Path(sys.executable).with_name("lint-imports")), external=True)


@nox.session
def locks(session: nox.Session) -> None:
    """The lock files are what the requirements ask for."""
    session.run(sys.executable, "requirements/compile.py", "--check", external=True)


@nox.session
def pages(session: nox.Session) -> None:
    """The pages' own types, tests and lint, then a build."""
    _python(session, "qianli", "web", "build")
    npm = find_npm(HERE / ".venv" / "node")
    if npm is None:
        session.error("there is no Node.js: run `make setup`, which fetches one")
    environment = {"PATH": f"{npm.node_folder}{os.pathsep}{os.environ['PATH']}"}
    with session.chdir(HERE / "cloud" / "web"):
        for task in ("check", "test", "lint"):
            session.run(*npm.command, "run", "--silent", task, external=True, env=environment)


@nox.session
def tests(session: nox.Session) -> None:
    """Tests that need neither servers nor browsers."""
    _python(
        session, "pytest", "-q", "-n", "2", "--dist", "loadfile", "-m", f"not ({ALONE})", *session.posargs
    )


@nox.session
def coverage(session: nox.Session) -> None:
    """The same with coverage."""
    report = ("--cov", "--cov-report=term-missing:skip-covered")
    _python(session, "pytest", "-q", "-n", "2", *report, "-m", f"not ({ALONE})")


def _marked(session: nox.Session, mark: str, **counts: str) -> None:
    session.env.update(counts)
    _python(session, "pytest", "-q", "-s", "-m", mark, *session.posargs)


@nox.session
def system(session: nox.Session) -> None:
    """Real PostgreSQL, real broker, real agent."""
    _marked(session, "system")


@nox.session
def web(session: nox.Session) -> None:
    """A real browser."""
    _marked(session, "web")


@nox.session
def faults(session: nox.Session) -> None:
    """Parts are killed and cut off, with three brokers and in the demo; `-- N` sets the rounds of each."""
    rounds = session.posargs[:1] or [os.environ.get("QIANLI_ROUNDS", "70")]
    load = os.environ.get("QIANLI_FAULT_LOAD", "2000")
    session.env.update(QIANLI_ROUNDS=rounds[0], QIANLI_FAULT_LOAD=load)
    _python(session, "pytest", "-q", "-s", "-m", "faults", *session.posargs[1:])


@nox.session
def fuzz(session: nox.Session) -> None:
    """Hostile bytes and hostile clients."""
    _marked(session, "fuzz", QIANLI_FUZZ=os.environ.get("QIANLI_FUZZ", "5000"))


@nox.session
def soak(session: nox.Session) -> None:
    """Minutes of normal running, watched."""
    _marked(session, "soak", QIANLI_SOAK_S=os.environ.get("QIANLI_SOAK_S", "1800"))


@nox.session
def bench(session: nox.Session) -> None:
    """Everything that `docs/benchmarks.md` keeps and that this machine can measure."""
    _python(session, "tests.benchmarks.measure_demo")
    _python(session, "tests.benchmarks.measure_audit")
    _python(session, "tests.benchmarks.measure_backup")
    _python(session, "tests.benchmarks.measure_bindings")
    _python(session, "tests.benchmarks.measure_edge")
    _python(session, "tests.benchmarks.measure_rights")
    _python(session, "tests.benchmarks.measure_scores")
    _python(session, "tests.benchmarks.measure_rules", "speed")
    _python(session, "tests.benchmarks.measure_warning", "unsafe")
    _python(session, "tests.benchmarks.measure_warning", "mutants", "--sample", "200")
    _python(session, "tests.benchmarks.measure_home_pressure")
    _python(session, "tests.benchmarks.measure_ingest")
    _python(session, "tests.benchmarks.measure_store")
    _python(session, "tests.benchmarks.measure_trend")
    _python(session, "tests.benchmarks.measure_units")
    _python(session, "tests.benchmarks.measure_live")
    _python(session, "tests.benchmarks.measure_county")


@nox.session
def docs(session: nox.Session) -> None:
    """Documentation that cannot go stale."""
    _python(session, "pytest", "-q", "tests/docs", *session.posargs)
