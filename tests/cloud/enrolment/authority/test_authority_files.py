import stat
from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread

import pytest
from cryptography import x509

from cloud.enrolment.authority.files import TrustUnusable, cloud_pair, open_authority, server_pair

NOW = datetime(2026, 3, 1, 8, tzinfo=UTC)


def serial_in(path):
    return x509.load_pem_x509_certificates(path.read_bytes())[0].serial_number


def test_authority_is_made_once_and_only_its_owner_reads_the_key(tmp_path):
    first = open_authority(tmp_path / "keys", now=NOW)
    again = open_authority(tmp_path / "keys", now=NOW + timedelta(days=9))

    assert again.certificate == first.certificate
    assert stat.S_IMODE((tmp_path / "keys" / "authority.pem").stat().st_mode) == 0o600
    assert x509.load_pem_x509_certificate((tmp_path / "keys" / "authority.crt").read_bytes()) == (
        first.certificate
    )


def test_of_several_that_start_together_one_makes_the_authority(tmp_path):
    together, seen = Barrier(6), []

    def begin():
        together.wait()
        seen.append(open_authority(tmp_path, now=NOW).certificate.serial_number)

    threads = [Thread(target=begin) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(seen) == 6
    assert len(set(seen)) == 1


def test_key_that_others_can_read_is_refused(tmp_path):
    open_authority(tmp_path, now=NOW)
    (tmp_path / "authority.pem").chmod(0o644)

    with pytest.raises(TrustUnusable):
        open_authority(tmp_path, now=NOW)


def test_authority_that_is_no_key_is_refused_and_kept(tmp_path):
    path = tmp_path / "authority.pem"
    path.write_bytes(b"half a file")
    path.chmod(0o600)

    with pytest.raises(TrustUnusable):
        open_authority(tmp_path, now=NOW)
    assert path.read_bytes() == b"half a file"


def test_server_keeps_its_certificate_until_a_name_is_missing(tmp_path):
    authority = open_authority(tmp_path, now=NOW)
    first = serial_in(server_pair(tmp_path, authority, name="broker", hosts=["127.0.0.1"], now=NOW))
    again = serial_in(server_pair(tmp_path, authority, name="broker", hosts=["127.0.0.1"], now=NOW))
    more = serial_in(server_pair(tmp_path, authority, name="broker", hosts=["127.0.0.1", "Hut"], now=NOW))

    assert first == again
    assert more != first


@pytest.mark.parametrize(("days", "is_new"), [(250, False), (270, True)])
def test_server_gets_a_new_certificate_after_two_thirds_of_its_time(tmp_path, days, is_new):
    authority = open_authority(tmp_path, now=NOW)
    first = serial_in(server_pair(tmp_path, authority, name="http", hosts=["::1"], now=NOW))
    later = NOW + timedelta(days=days)
    second = serial_in(server_pair(tmp_path, authority, name="http", hosts=["::1"], now=later))

    assert (second != first) is is_new


def test_new_authority_gives_everybody_new_certificates(tmp_path):
    first = serial_in(cloud_pair(tmp_path, open_authority(tmp_path, now=NOW), now=NOW))
    (tmp_path / "authority.pem").unlink()
    second = serial_in(cloud_pair(tmp_path, open_authority(tmp_path, now=NOW), now=NOW))

    assert first != second
