import pytest

from cloud.broker.address import AUTHORITY_FILE
from cloud.broker_files import make_broker_files, make_worker_files, put_files
from cloud.enrolment.authority.files import REVOKED, TrustUnusable
from cloud.identity.service import utc_now


@pytest.fixture
def files(tmp_path):
    return make_broker_files(tmp_path / "keys", hosts=["broker.example"], clock=utc_now)


def test_only_what_the_broker_needs_is_put_there(files, tmp_path):
    (tmp_path / "keys" / REVOKED).write_text("list")
    put_files(files, tmp_path / "trust")
    written = {path.name: path for path in (tmp_path / "trust").iterdir()}

    assert set(written) == {"broker.pem", AUTHORITY_FILE, REVOKED}
    assert written["broker.pem"].stat().st_mode & 0o777 == 0o600
    authority_key = (tmp_path / "keys" / "authority.pem").read_text().split("-----")[2]
    assert all(authority_key not in path.read_text() for path in written.values())


def test_list_follows_when_there_is_one_and_only_what_changed_is_written(files, tmp_path):
    assert put_files(files, tmp_path / "trust") == ["broker.pem", AUTHORITY_FILE]
    (tmp_path / "keys" / REVOKED).write_text("list")

    assert put_files(files, tmp_path / "trust") == [REVOKED]
    assert put_files(files, tmp_path / "trust") == []


def test_folder_that_cannot_be_written_is_named(files, tmp_path):
    (tmp_path / "trust").write_text("a file")

    with pytest.raises(TrustUnusable, match="trust"):
        put_files(files, tmp_path / "trust")


def test_worker_gets_its_own_pairs_and_no_key_of_the_authority(tmp_path):
    keys = tmp_path / "keys"
    put_files(make_worker_files(keys, groups=2, clock=utc_now), tmp_path / "workers")
    written = {path.name: path for path in (tmp_path / "workers").iterdir()}

    pairs = {"check-client.pem", "ingest-0-client.pem", "ingest-1-client.pem"}
    assert set(written) == {AUTHORITY_FILE, *pairs}
    assert written["ingest-1-client.pem"].stat().st_mode & 0o777 == 0o600
    authority_key = (keys / "authority.pem").read_text().split("-----")[2]
    assert all(authority_key not in path.read_text() for path in written.values())
