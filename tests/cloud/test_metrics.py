import urllib.request

import pytest

from cloud.errors import SettingInvalid
from cloud.events import Part, PartState
from cloud.metrics import Count, Gauge, serve_metrics
from cloud.pipeline.model import Spooled
from cloud.service_metrics import tell_ingest, tell_service
from tests.fixtures.wire_messages import seconds, utc_now

pytestmark = [pytest.mark.enable_socket]


def lines_of(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return [line for line in answer.read().decode().splitlines() if not line.startswith("#")]


@pytest.fixture
def serve():
    opened = []

    def start(tell, port=0):
        opened.append(serve_metrics(tell, port=port))
        return opened[-1].port

    yield start
    for server in opened:
        server.stop()


def test_numbers_are_asked_for_at_each_look(serve):
    numbers = iter([1, 2])
    port = serve(lambda: [Count(name="seen_total", text="looks", value=next(numbers))])

    assert [lines_of(port), lines_of(port)] == [["seen_total 1.0"], ["seen_total 2.0"]]


def test_parts_are_told_by_their_names(serve):
    gauge = Gauge(name="part_ok", text="it works", values={"database": 1, "broker": 0}, by="part")

    assert lines_of(serve(lambda: [gauge])) == ['part_ok{part="database"} 1.0', 'part_ok{part="broker"} 0.0']


def test_worker_that_has_counted_nothing_tells_zeros(serve):
    lines = lines_of(serve(lambda: tell_ingest({}, groups=0)))

    assert len(lines) == 6
    assert all(line.endswith(" 0.0") for line in lines)


def test_taken_port_is_told_as_a_setting(serve):
    port = serve(list)
    with pytest.raises(SettingInvalid, match="QIANLI_METRICS_PORT"):
        serve_metrics(list, port=port)


def test_service_tells_its_parts_and_what_waits_at_the_agents(serve):
    now = utc_now()
    told = tell_service(
        parts=[PartState(part=Part.INGEST, ok=False, since_at=now)],
        spools=[
            Spooled(depth=3, oldest_at=now - seconds(9), told_at=now),
            Spooled(depth=4, oldest_at=None, told_at=now),
        ],
        viewers=2,
        now=now,
    )

    assert lines_of(serve(lambda: told)) == [
        'qianli_part_ok{part="ingest"} 0.0',
        "qianli_viewers 2.0",
        "qianli_spooled_messages 7.0",
        "qianli_spooled_oldest_seconds 9.0",
    ]
