import plistlib

import httpx
import pytest
from cryptography import x509

from cloud.enrolment.authority.files import open_authority
from cloud.identity.service import utc_now
from cloud.tls import Certificate
from cloud.trust_page import build_profile, build_trust_page

HERE = "http://192.0.2.7:8088"


@pytest.fixture
def certificate(tmp_path):
    authority = open_authority(tmp_path, now=utc_now())
    return Certificate(tmp_path, authority, names=lambda: ("192.0.2.7",), clock=utc_now)


@pytest.fixture
def phone(certificate):
    app = build_trust_page(certificate, https_port=8443)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=HERE)


async def test_page_shows_fingerprint_steps_and_where_to_go_on(phone, certificate):
    page = await phone.get("/")

    assert certificate.authority_fingerprint in page.text
    assert 'href="https://192.0.2.7:8443/"' in page.text
    assert all(word in page.text for word in ("描述文件", "CA 证书", "Certificate Trust Settings"))


async def test_page_has_the_headers_of_every_page_and_needs_nothing_inline(phone):
    page = await phone.get("/")

    assert "style-src 'self'" in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "<style" not in page.text
    assert "style=" not in page.text
    assert (await phone.get("/style.css")).headers["content-type"].startswith("text/css")


async def test_android_gets_the_authority_as_a_certificate(phone, certificate):
    answer = await phone.get("/qianli-ca.crt")

    assert answer.headers["content-type"] == "application/x-x509-ca-cert"
    assert x509.load_der_x509_certificate(answer.content) == x509.load_pem_x509_certificate(
        certificate.authority_pem
    )


async def test_iphone_gets_the_same_in_a_profile(phone, certificate):
    answer = await phone.get("/qianli-ca.mobileconfig")
    profile = plistlib.loads(answer.content)

    assert answer.headers["content-type"] == "application/x-apple-aspen-config"
    assert profile["PayloadType"] == "Configuration"
    assert profile["PayloadContent"][0]["PayloadType"] == "com.apple.security.root"
    assert profile["PayloadContent"][0]["PayloadContent"] == certificate.authority_der


def test_profile_of_one_authority_is_always_the_same_so_that_it_replaces_itself(certificate):
    assert build_profile(certificate.authority_der) == build_profile(certificate.authority_der)
    assert build_profile(b"another") != build_profile(certificate.authority_der)


async def test_key_of_the_authority_is_nowhere(phone):
    for path in ("/", "/style.css", "/qianli-ca.crt", "/qianli-ca.mobileconfig"):
        assert b"PRIVATE" not in (await phone.get(path)).content
    for path in ("/authority.pem", "/keys/authority.pem", "/api/health", "/..%2fauthority.pem"):
        assert (await phone.get(path)).status_code == 404


async def test_other_names_are_refused_here_too(phone):
    assert (await phone.get("/", headers={"Host": "evil.example"})).status_code == 403
