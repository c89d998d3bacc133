from datetime import timedelta

import pytest
from cryptography import x509

from cloud.enrolment.authority.files import open_authority
from cloud.identity.service import utc_now
from cloud.tls import Certificate, spell


class Machine:
    """Its names and its clock, both of which a test can move."""

    def __init__(self):
        self.names = ("192.0.2.7", "hut.example")
        self.now = utc_now()


@pytest.fixture
def machine():
    return Machine()


@pytest.fixture
def certificate(tmp_path, machine):
    return Certificate(
        tmp_path,
        open_authority(tmp_path, now=machine.now),
        names=lambda: machine.names,
        clock=lambda: machine.now,
    )


def shown(certificate):
    return x509.load_pem_x509_certificates(certificate._shown)[0]


async def test_certificate_stays_while_it_fits(certificate):
    before = shown(certificate)
    await certificate.keep_current()

    assert shown(certificate) == before


async def test_new_address_of_the_machine_gets_a_new_certificate(certificate, machine):
    machine.names = ("192.0.2.99", "hut.example")
    await certificate.keep_current()
    names = shown(certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName).value

    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.99"]
    assert certificate.hosts() == {"192.0.2.99", "hut.example"}


async def test_certificate_is_renewed_long_before_it_ends(certificate, machine):
    before = shown(certificate)
    machine.now = before.not_valid_after_utc - timedelta(days=100)
    await certificate.keep_current()

    assert shown(certificate).not_valid_after_utc > before.not_valid_after_utc


async def test_failure_leaves_the_certificate_that_there_is(certificate, machine, tmp_path, capsys):
    before = shown(certificate)
    (tmp_path / "https.pem").write_text("broken")
    await certificate.keep_current()

    assert shown(certificate) == before
    assert "certificate_not_renewed" in capsys.readouterr().out


def test_fingerprint_is_spelt_as_phones_spell_it(certificate):
    assert spell(b"\x00\xab") == "00 AB"
    assert len(certificate.authority_fingerprint.split()) == 32
