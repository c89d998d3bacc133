"""What the whole cloud tells a collector, and what it never does."""

from contextlib import closing

import pytest

from tests.cloud.ingest.test_ingest_stream import Sender, beats, wait_until
from tests.cloud.test_cloud_main import run_cloud, settings  # noqa: F401 a fixture
from tests.cloud.test_worker import send_until_stored
from tests.fixtures.otlp_receiver import collecting
from tests.fixtures.wire_messages import SOURCE

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]

TREND = "/api/patients/{patient_id}/trend"


@pytest.fixture
def collector():
    with collecting() as found:
        yield found


@pytest.fixture
def traced_server(collector, monkeypatch, request):
    monkeypatch.setenv("QIANLI_OTLP_ENDPOINT", collector.endpoint)
    return request.getfixturevalue("cloud_server")


def test_request_is_told_by_its_route_and_nothing_names_a_person(traced_server, collector):
    doctor = traced_server.client("doctor")
    doctor.get("/api/patients/p-1/trend", params={"hours": 3}).raise_for_status()
    doctor.get("/api/people/p-1").raise_for_status()
    doctor.post("/api/people/p-1/unmerge", json={"reason": "Zhang San"})
    assert doctor.get("/api/patients/p-none/trend").status_code == 404
    wait_until(lambda: len(collector.spans("request")) >= 5, within_s=10)
    asked = [span.facts for span in collector.spans("request")]
    told = b"".join(collector.bodies)

    assert {"http.request.method": "GET", "http.route": TREND, "http.response.status_code": 200} in asked
    assert {"http.request.method": "GET", "http.route": TREND, "http.response.status_code": 404} in asked
    assert {"http.request.method", "http.route", "http.response.status_code"} == set().union(*asked)
    names = ("p-1", "p-none", "Zhang", "张三", "doctor", "hours", SOURCE, "127.0.0.1", "hut-1")
    assert [name for name in names if name.encode() in told] == []


def test_worker_tells_its_transactions_and_whose_they_are_not(settings, mqtt_url, collector):  # noqa: F811
    with run_cloud("ingest", QIANLI_WORKER_NAME="w-1", **settings, QIANLI_OTLP_ENDPOINT=collector.endpoint):
        with closing(Sender(mqtt_url)) as hut:
            send_until_stored(hut, beats(1, 2), upto=2, within_s=30)
        wait_until(lambda: collector.spans("store"), within_s=10)
    span = collector.spans("store")[0]
    told = b"".join(collector.bodies)

    assert span.service == "qianli-ingest"
    assert span.facts["qianli.group"] == "ingest-0"
    assert span.facts["qianli.messages"] >= 1
    assert span.seconds > 0
    assert [name for name in (SOURCE, "hut-1", "heart_rate") if name.encode() in told] == []
