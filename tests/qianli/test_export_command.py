"""A whole record written by the command, with its entry in the audit."""

import json
import stat
import zipfile
from hashlib import sha256

import pytest

from cloud.audit.service import load_signing_key
from qianli.__main__ import main
from tests.cloud.people.conftest import Notebook
from tests.cloud.retention.conftest import NUMBERS, ids, rooms

__all__ = ["ids", "rooms"]
pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]


@pytest.fixture
def recorder():
    return Notebook()


@pytest.fixture
def home(database_url, tmp_path, monkeypatch):
    monkeypatch.setenv("QIANLI_DATABASE_URL", database_url)
    monkeypatch.setenv("QIANLI_HOME", str(tmp_path))
    load_signing_key(tmp_path / "keys", may_make=True)
    return tmp_path


def test_command_writes_the_whole_record_for_its_owner_only(ids, home, database, capsys):
    path = home / "record.zip"
    assert main(["export", ids["p"], str(path)]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])

    assert said == {"bytes": path.stat().st_size, "sha256": sha256(path.read_bytes()).hexdigest()}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert NUMBERS["p"] in archive.read("identifiers.jsonl").decode()
        assert NUMBERS["q"].encode() not in b"".join(map(archive.read, archive.namelist()))
    found = database.execute("SELECT origin, target_id FROM audit_entry WHERE action = 'export_person'")
    assert set(found.fetchall()) == {("command", ids["p"]), ("command", ids["was"])}


def test_file_that_is_there_and_person_who_is_not_are_refused(ids, home, capsys):
    path = home / "record.zip"
    path.write_text("precious")

    assert main(["export", ids["p"], str(path)]) == 1
    assert path.read_text() == "precious"
    assert main(["export", "nobody", str(home / "other.zip")]) == 1
    assert not (home / "other.zip").exists()
    assert "no such person" in capsys.readouterr().err
