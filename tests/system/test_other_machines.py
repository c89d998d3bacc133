"""`qianli up --host`: what another machine, and the browser of a phone, get."""

import base64
import hashlib
import re
import shutil
import socket
import ssl
import tempfile
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import sync_playwright
from websockets.sync.client import connect as connect_websocket

from tests.fixtures.running_demo import RunningDemo, free_port
from tests.web.conftest import QUIET

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

ADDRESS, NAME = "127.0.0.2", "hut.example"


@pytest.fixture(scope="module")
def open_demo():
    """The demo for other machines, which are this one under another address and name."""
    with tempfile.TemporaryDirectory(prefix="ql-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        told = {
            "QIANLI_HTTPS_PORT": str(free_port()),
            "QIANLI_TRUST_PORT": str(free_port()),
            "QIANLI_HTTPS_NAMES": NAME,
        }
        demo = RunningDemo(home=Path(folder) / "home", options=("--host", ADDRESS), further_environment=told)
        demo.start()
        yield demo
        assert demo.stop() == 0


def address_in_banner(demo, scheme):
    return re.search(rf"{scheme}://{re.escape(ADDRESS)}:\d+/", "\n".join(demo.output))[0]


@pytest.fixture
def trusting(open_demo):
    """TLS settings of a machine that took the certificate from the trust page, and trusts nothing else."""
    page = address_in_banner(open_demo, "http")
    der = httpx.get(f"{page}qianli-ca.crt").content
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=ssl.DER_cert_to_PEM_cert(der))
    return context


def test_machine_that_took_the_certificate_works_by_tls_and_no_other_does(open_demo, trusting):
    address = address_in_banner(open_demo, "https")
    words = {"name": "doctor", "password": open_demo.passwords["doctor"]}
    with httpx.Client(base_url=address, verify=trusting) as client:
        answer = client.post("/api/login", json=words, headers={"Origin": address.rstrip("/")})
        assert client.get("/api/me").status_code == 200

    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-qianli_session=")
    assert all(word in cookie for word in ("Secure", "HttpOnly", "Path=/", "SameSite=strict"))
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(address)


def test_fingerprint_of_the_banner_is_that_of_the_page(open_demo):
    der = httpx.get(f"{address_in_banner(open_demo, 'http')}qianli-ca.crt").content
    digest = hashlib.sha256(der).digest().hex(" ").upper()

    assert digest.replace(" ", "") in "".join(open_demo.output).replace(" ", "")


def test_live_values_come_by_tls_and_a_foreign_page_gets_none(open_demo, trusting):
    address = address_in_banner(open_demo, "https").rstrip("/")
    words = {"name": "doctor", "password": open_demo.passwords["doctor"]}
    with httpx.Client(base_url=address, verify=trusting) as client:
        client.post("/api/login", json=words).raise_for_status()
        headers = {"Cookie": f"__Host-qianli_session={client.cookies['__Host-qianli_session']}"}
    url = address.replace("https", "wss") + "/api/live"

    with connect_websocket(url, additional_headers=headers, origin=address, ssl=trusting) as live:
        assert any("p-demo-1" in str(live.recv(timeout=10)) for _ in range(60))
    with pytest.raises(Exception, match="403"):
        connect_websocket(url, additional_headers=headers, origin="https://evil.example", ssl=trusting)


@pytest.mark.parametrize(
    ("version", "spoken"),
    [
        (ssl.TLSVersion.TLSv1_1, None),
        (ssl.TLSVersion.TLSv1_2, "TLSv1.2"),
        (ssl.TLSVersion.TLSv1_3, "TLSv1.3"),
    ],
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_tls_is_not_spoken(open_demo, trusting, version, spoken):
    trusting.minimum_version = trusting.maximum_version = version
    trusting.set_ciphers("DEFAULT@SECLEVEL=0")
    port = int(address_in_banner(open_demo, "https").rstrip("/").rsplit(":", 1)[1])
    with socket.create_connection((ADDRESS, port)) as plain:
        try:
            with trusting.wrap_socket(plain, server_hostname=ADDRESS) as secure:
                said = secure.version()
        except ssl.SSLError:
            said = None
    assert said == spoken


def test_plain_http_and_the_loopback_address_stay_apart(open_demo):
    _, http_port = open_demo.address.rsplit(":", 1)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://{ADDRESS}:{http_port}/api/health")

    assert httpx.get(f"{open_demo.address}/api/health", headers={"Host": NAME}).status_code == 403
    assert open_demo.log_in().get("/api/me").status_code == 200


@pytest.fixture
def phone(open_demo, trusting):
    """Chromium that trusts this one server, knows it by a name, and has a camera that needs no hands."""
    port = address_in_banner(open_demo, "https").rstrip("/").rsplit(":", 1)[1]
    shown = ssl.get_server_certificate((ADDRESS, int(port)))
    key = x509.load_pem_x509_certificate(shown.encode()).public_key()
    pin = hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
    arguments = [
        *QUIET,
        f"--ignore-certificate-errors-spki-list={base64.b64encode(pin).decode()}",
        f"--host-resolver-rules=MAP {NAME} {ADDRESS}",
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
    ]
    with tempfile.TemporaryDirectory(prefix="ql-browser-") as profile, sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=shutil.which("chromium"), args=arguments
        )
        yield context.pages[0], f"https://{NAME}:{port}/"
        context.close()


CAMERA = """async wanted => {
  try { return (await navigator.mediaDevices.getUserMedia(wanted)).getTracks().map(track => track.kind); }
  catch (error) { return error.name; }
}"""


def test_phone_gets_wall_camera_and_no_complaint_about_the_policy(open_demo, phone):
    page, address = phone
    said = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(address)
    page.get_by_test_id("login-name").fill("doctor")
    page.get_by_test_id("login-password").fill(open_demo.passwords["doctor"])
    page.get_by_test_id("login-submit").click()
    page.get_by_test_id("wall").wait_for()
    page.wait_for_timeout(3000)

    assert page.evaluate("isSecureContext") is True
    assert page.evaluate(CAMERA, {"video": True}) == ["video"]
    assert page.evaluate(CAMERA, {"audio": True}) == "NotAllowedError"
    assert [text for text in said if "Content Security Policy" in text] == []


def test_trust_page_is_readable_on_a_phone_and_says_where_to_go(open_demo, phone):
    page, address = phone
    plain = address_in_banner(open_demo, "http").replace(ADDRESS, NAME)
    page.set_viewport_size({"width": 360, "height": 780})
    page.goto(plain)

    assert page.evaluate("isSecureContext") is False
    assert page.get_by_role("link", name=address).is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate("getComputedStyle(document.querySelector('a.button')).display") == "block"
