import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from qianli import home as home_module
from qianli.errors import StartRefused
from qianli.home import Home, empty_home, hold_home, home_from_environment, prepare_home


def test_the_environment_names_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QIANLI_HOME", "/srv/qianli")
    assert home_from_environment().path == Path("/srv/qianli")


@pytest.mark.parametrize(("user", "place"), [(0, Path("/var/lib/qianli")), (1000, Path("/home/li/.qianli"))])
def test_root_has_another_default_than_a_person(
    user: int, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("QIANLI_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/li")
    monkeypatch.setattr(os, "geteuid", lambda: user)
    assert home_from_environment().path == place


def test_a_path_too_long_for_a_socket_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(StartRefused, match="set QIANLI_HOME to a shorter path"):
        prepare_home(Home(path=tmp_path / ("x" * 90)))


def test_a_folder_that_cannot_be_made_is_refused_with_the_way_out(home: Home) -> None:
    (home.path / "file").touch()
    with pytest.raises(StartRefused, match="cannot be written"):
        prepare_home(Home(path=home.path / "file" / "home"))


def test_a_full_disk_is_refused_with_the_way_out(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(home.path)._replace(free=42_000_000)
    monkeypatch.setattr(home_module.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(StartRefused, match="only 42 MB left: free at least 500 MB"):
        prepare_home(home)


def test_a_second_run_is_refused_and_told_which_process_holds_the_folder(home: Home) -> None:
    with (
        hold_home(home),
        pytest.raises(StartRefused, match=rf"in use by another run \(process {os.getpid()}\)"),
        hold_home(home),
    ):
        pass


def test_the_lock_of_a_killed_run_does_not_block(home: Home) -> None:
    code = (
        "import os,sys; from pathlib import Path; from qianli.home import Home, hold_home\n"
        "with hold_home(Home(path=Path(sys.argv[1]))): os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(home.path)], check=False)
    assert killed.returncode == -9
    assert home.lock.exists()
    with hold_home(home):
        assert home.lock.read_text().strip() == str(os.getpid())


def test_emptying_keeps_only_lock_and_marker(home: Home) -> None:
    (home.postgres / "base").mkdir(parents=True)
    home.keys.mkdir()
    with hold_home(home):
        empty_home(home)
    assert {entry.name for entry in home.path.iterdir()} == {"run.lock", ".qianli-home", "logs"}


def test_a_folder_that_was_there_before_is_never_emptied(home: Home) -> None:
    home.marker.unlink()
    (home.path / "thesis.tex").write_text("years of work")
    prepare_home(home)
    with pytest.raises(StartRefused, match="was not created by Qianli"):
        empty_home(home)
    assert (home.path / "thesis.tex").exists()
