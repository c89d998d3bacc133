"""Setting up, with an interpreter that only writes down what it is asked to do."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from qianli import bootstrap
from qianli.bootstrap import Setup, SetupFailed

ROOT = Path(__file__).resolve().parents[2]
INTERPRETER = """#!/bin/sh
echo "$*" >> "{calls}"
case "$*" in
  "-m venv "*) [ -e "{root}/no-venv" ] && {{ echo "ensurepip is not available" >&2; exit 1; }}
               mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
  *" install "*) [ -e "{root}/offline" ] && {{ echo "ERROR: no route to host"; exit 1; }} ;;
esac
exit 0
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/up.txt").write_text("numpy==2.4.6\n")
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    interpreter = tmp_path / "python3"
    interpreter.write_text(INTERPRETER.format(calls=tmp_path / "calls", root=tmp_path))
    interpreter.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(interpreter))
    return tmp_path


def calls(checkout: Path) -> list[str]:
    return (checkout / "calls").read_text().splitlines()


def test_the_first_run_installs_by_hash_and_then_the_project(checkout: Path) -> None:
    Setup(checkout, lock_name="up").prepare()
    venv, locked, compiled, project = calls(checkout)
    assert venv == f"-m venv {checkout}/.venv"
    assert "--require-hashes" in locked
    assert locked.endswith(f"-r {checkout}/requirements/up.txt")
    assert "compileall" in compiled
    assert project.endswith(f"-e {checkout}")
    assert "--no-deps" in project


def test_the_second_run_installs_nothing(checkout: Path) -> None:
    Setup(checkout, lock_name="up").prepare()
    before = len(calls(checkout))
    Setup(checkout, lock_name="up").prepare()
    assert [call for call in calls(checkout)[before:] if "install" in call] == []


def test_a_changed_lock_is_installed(checkout: Path) -> None:
    Setup(checkout, lock_name="up").prepare()
    (checkout / "requirements/up.txt").write_text("numpy==2.5.0\n")
    before = len(calls(checkout))
    Setup(checkout, lock_name="up").prepare()
    assert len([call for call in calls(checkout)[before:] if "--require-hashes" in call]) == 1


def test_a_missing_venv_module_is_named_with_its_package(checkout: Path) -> None:
    (checkout / "no-venv").touch()
    with pytest.raises(SetupFailed, match=r"sudo apt install\s+python3\.\d+-venv"):
        Setup(checkout, lock_name="up").prepare()
    assert not (checkout / ".venv").exists()


def test_an_unreachable_index_is_told_and_the_next_run_goes_on(checkout: Path) -> None:
    (checkout / "offline").touch()
    with pytest.raises(SetupFailed, match=r"is the package index reachable(.|\n)*no route to host"):
        Setup(checkout, lock_name="up").prepare()
    (checkout / "offline").unlink()
    Setup(checkout, lock_name="up").prepare()
    assert len([call for call in calls(checkout) if call.startswith("-m venv")]) == 1


def test_a_full_disk_is_told_before_anything_is_made(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(checkout)._replace(free=100_000_000)
    monkeypatch.setattr(bootstrap.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(SetupFailed, match="only 100 MB left"):
        Setup(checkout, lock_name="up").prepare()
    assert not (checkout / "calls").exists()


def test_a_broken_environment_is_made_again(checkout: Path) -> None:
    Setup(checkout, lock_name="up").prepare()
    (checkout / ".venv/bin/python").write_text("#!/bin/sh\nexit 1\n")
    Setup(checkout, lock_name="up").prepare()
    assert len([call for call in calls(checkout) if call.startswith("-m venv")]) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fake", "sentence"),
    [("raise ImportError", "sudo apt install python3.11-venv"), ("version", "needs Python 3.11 or newer")],
    ids=["no venv module", "too old"],
)
def test_make_says_in_one_sentence_what_is_missing(fake: str, sentence: str, tmp_path: Path) -> None:
    """A python3 that fails as a machine's without venv, or as one that is too old."""
    lacking = 'case "$*" in *ensurepip*) exit 1;; *print*) echo 3.11;; esac'
    script = lacking if fake == "raise ImportError" else "exit 1"
    (tmp_path / "python3").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "python3").chmod(0o755)
    for tool in ("make", "sh", "sed"):
        found = shutil.which(tool)
        assert found is not None
        (tmp_path / tool).symlink_to(found)
    result = subprocess.run(
        [str(tmp_path / "make"), "up"],
        cwd=ROOT,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode != 0
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_every_target_of_the_makefile_explains_itself() -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {line.split("\t")[0] for line in listed.splitlines()} >= {"up", "fresh", "test", "check", "doctor"}
    assert os.access(ROOT / ".ci/run", os.X_OK)
