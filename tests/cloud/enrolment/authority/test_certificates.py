from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from cloud.enrolment.authority.certificates import (
    CLOUD_PREFIX,
    RequestInvalid,
    Revoked,
    build_crl,
    identity_of,
    issue_agent,
    issue_cloud,
    issue_server,
    make_authority,
    new_key,
)
from vitals.wire.topics import is_agent_name

NOW = datetime(2026, 3, 1, 8, tzinfo=UTC)
AUTHORITY = make_authority(NOW)


def request_of(key, *, name="whoever"):
    title = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return x509.CertificateSigningRequestBuilder().subject_name(title).sign(key, hashes.SHA256())


def as_pem(request):
    return request.public_bytes(serialization.Encoding.PEM)


def verifier(at):
    return PolicyBuilder().store(Store([AUTHORITY.certificate])).time(at)


def test_agents_certificate_carries_the_agents_name_and_not_the_requested_one():
    issued = issue_agent(AUTHORITY, as_pem(request_of(new_key(), name="other")), agent="hut-1", now=NOW)

    assert identity_of(issued) == "hut-1"
    names = issued.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["urn:qianli:agent:hut-1"]


def test_client_certificate_holds_for_its_time_only():
    issued = issue_agent(AUTHORITY, as_pem(request_of(new_key())), agent="hut-1", now=NOW)

    verifier(NOW + timedelta(days=89)).build_client_verifier().verify(issued, [])
    with pytest.raises(VerificationError):
        verifier(NOW + timedelta(days=91)).build_client_verifier().verify(issued, [])


def test_client_certificate_serves_nobody():
    issued = issue_agent(AUTHORITY, as_pem(request_of(new_key())), agent="hut-1", now=NOW)

    usage = issued.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_server_certificate_is_good_for_each_of_its_names_and_no_other():
    names = ["127.0.0.1", "::1", "hut.example"]
    issued = issue_server(AUTHORITY, new_key().public_key(), names=names, now=NOW)

    verifier(NOW).build_server_verifier(x509.DNSName("hut.example")).verify(issued, [])
    with pytest.raises(VerificationError):
        verifier(NOW).build_server_verifier(x509.DNSName("other.example")).verify(issued, [])
    with pytest.raises(VerificationError):
        verifier(NOW).build_client_verifier().verify(issued, [])


def test_certificate_of_another_authority_is_not_ours():
    other = make_authority(NOW)
    issued = issue_agent(other, as_pem(request_of(new_key())), agent="hut-1", now=NOW)

    with pytest.raises(VerificationError):
        verifier(NOW).build_client_verifier().verify(issued, [])


def test_no_agent_can_be_called_as_the_cloud_is():
    issued = issue_cloud(AUTHORITY, new_key().public_key(), name="ingest-0", now=NOW)

    assert identity_of(issued) == f"{CLOUD_PREFIX}ingest-0"
    assert not is_agent_name(identity_of(issued))


def test_key_on_another_curve_is_refused():
    request = as_pem(request_of(ec.generate_private_key(ec.SECP384R1())))

    with pytest.raises(RequestInvalid):
        issue_agent(AUTHORITY, request, agent="hut-1", now=NOW)


def test_request_without_the_keys_own_signature_is_refused():
    der = bytearray(request_of(new_key()).public_bytes(serialization.Encoding.DER))
    der[-1] ^= 1

    with pytest.raises(RequestInvalid):
        issue_agent(AUTHORITY, bytes(der), agent="hut-1", now=NOW)


@pytest.mark.parametrize("request_bytes", [b"", b"-----BEGIN", b"\x30\x03\x02\x01\x01"], ids=repr)
def test_what_is_no_request_is_refused(request_bytes):
    with pytest.raises(RequestInvalid):
        issue_agent(AUTHORITY, request_bytes, agent="hut-1", now=NOW)


def test_list_names_the_revoked_and_is_signed_by_the_authority():
    crl = build_crl(AUTHORITY, [Revoked(serial=77, at=NOW)], number=3, now=NOW)

    assert crl.is_signature_valid(AUTHORITY.certificate.public_key())
    assert crl.get_revoked_certificate_by_serial_number(77) is not None
    assert crl.get_revoked_certificate_by_serial_number(78) is None
    assert crl.next_update_utc == NOW + timedelta(days=30)
