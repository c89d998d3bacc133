import json

import pytest

from cloud.audit.service import append_acts, load_signing_key
from qianli.__main__ import main
from tests.cloud.audit.entries import ENTRIES, TIMED, exported

QUICK_FAILURE = "postgresql://u@/none?host=/nowhere"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b"".join(exported()))
    return path


def test_intact_export_is_proved_without_a_database(file, capsys, monkeypatch):
    monkeypatch.setenv("QIANLI_DATABASE_URL", QUICK_FAILURE)
    assert main(["audit", "verify", str(file)]) == 0

    proved = json.loads(capsys.readouterr().out)
    assert (proved["intact"], proved["entries"], proved["head"]) == (True, len(ENTRIES), ENTRIES[-1].hash)
    assert main(["audit", "verify", str(file), "--key", proved["keys"][0]]) == 0


def test_changed_export_names_the_entry_and_fails(file, capsys):
    file.write_bytes(file.read_bytes().replace(b'"throttled"', b'"allowed"'))

    assert main(["audit", "verify", str(file)]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["intact"], found["entry"]) == (False, 7)


def test_signature_of_another_installation_fails(file, capsys):
    assert main(["audit", "verify", str(file), "--key", "0123456789abcdef"]) == 1
    assert "strange key" in json.loads(capsys.readouterr().out)["reason"]


def test_missing_file_and_missing_database_are_told_in_words(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("QIANLI_HOME", str(tmp_path))
    monkeypatch.setenv("QIANLI_DATABASE_URL", QUICK_FAILURE)
    assert main(["audit", "verify", str(tmp_path / "none")]) == 1
    assert main(["audit", "export", str(tmp_path / "out")]) == 1
    load_signing_key(tmp_path / "keys", may_make=True)
    assert main(["audit", "export", str(tmp_path / "out")]) == 1

    errors = capsys.readouterr().err
    assert "cannot be used: No such file" in errors
    assert "audit-signing.pem cannot be used" in errors
    assert "The database does not answer" in errors


@pytest.mark.system
@pytest.mark.slow
@pytest.mark.enable_socket
def test_export_of_a_running_installation_is_intact(database, database_url, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("QIANLI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("QIANLI_DATABASE_URL", database_url)
    load_signing_key(tmp_path / "home" / "keys", may_make=True)
    append_acts(database, TIMED)
    path = str(tmp_path / "audit.jsonl")
    assert main(["audit", "export", path]) == 0

    key = json.loads(capsys.readouterr().out)["key"]
    assert main(["audit", "verify", path, "--key", key]) == 0
