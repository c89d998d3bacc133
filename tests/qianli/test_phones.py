import hashlib

from cryptography.hazmat.primitives.serialization import Encoding

from cloud.broker.address import AUTHORITY_FILE
from cloud.enrolment.authority.files import open_authority
from cloud.identity.service import utc_now
from qianli.home import Home
from qianli.phones import address_of, draw_code, show_ways_in


def test_addresses_are_written_as_browsers_want_them():
    assert address_of("https", "192.0.2.7", 8443) == "https://192.0.2.7:8443/"
    assert address_of("http", "2001:db8::7", 80) == "http://[2001:db8::7]:80/"


def test_code_fits_a_terminal():
    lines = draw_code("https://192.0.2.77:8443/").splitlines()

    assert 12 < len(lines) < 24
    assert max(len(line) for line in lines) < 80


def test_banner_shows_both_addresses_and_the_fingerprint(tmp_path, capsys):
    authority = open_authority(tmp_path / "keys", now=utc_now())
    show_ways_in(Home(path=tmp_path), "192.0.2.7", https_port=8443, trust_port=8088)
    printed = capsys.readouterr().out
    digest = hashlib.sha256(authority.certificate.public_bytes(Encoding.DER)).hexdigest().upper()

    assert AUTHORITY_FILE == "authority.crt"
    assert "http://192.0.2.7:8088/" in printed
    assert "https://192.0.2.7:8443/" in printed
    shown = [word for word in printed.split() if len(word) == 2 and set(word) <= set("0123456789ABCDEF")]
    assert "".join(shown) == digest
