import socket
import subprocess
import sys
import time
from contextlib import closing

import pytest

from cloud.errors import SettingInvalid
from cloud.tracing.opening import open_tracer
from cloud.tracing.otlp import QUEUE_SPANS, OtlpTracer
from cloud.tracing.port import NO_TRACES, Span
from tests.fixtures.otlp_receiver import collecting
from tests.fixtures.wire_messages import seconds, utc_now

pytestmark = [pytest.mark.enable_socket]

LOADED = """
import sys, cloud.app, cloud.worker
from cloud.tracing.opening import open_tracer
from cloud.tracing.port import Span
with open_tracer("", service="s", instance="i").trace(Span.STORE, messages=1):
    print([name for name in sys.modules if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))])
"""


def open_one(endpoint):
    return OtlpTracer(endpoint, service="qianli-ingest", instance="w-1")


def test_span_tells_its_facts_and_how_long_it_took():
    with collecting() as collector:
        with closing(open_one(collector.endpoint)) as tracer:
            with tracer.trace(Span.STORE, group="ingest-0") as note:
                note.tell(messages=80)
            now = utc_now()
            tracer.note(Span.COMMAND, began_at=now - seconds(2), ended_at=now, command="time", state="done")
        ((stored,), (command,)) = collector.spans("store"), collector.spans("command")

    assert (stored.service, stored.is_error) == ("qianli-ingest", False)
    assert stored.facts == {"qianli.group": "ingest-0", "qianli.messages": 80}
    assert 0 < stored.seconds < 1
    assert command.facts == {"qianli.command": "time", "qianli.command.state": "done"}
    assert command.seconds == pytest.approx(2)


def test_failure_is_told_by_its_kind_and_not_by_its_text():
    with collecting() as collector:
        with closing(open_one(collector.endpoint)) as tracer:
            with pytest.raises(ValueError, match="Zhang San"), tracer.trace(Span.STORE):
                raise ValueError("Zhang San")
            with tracer.trace(Span.REQUEST, method="STEAL", status=503):
                pass
        ((stored,), (asked,)) = collector.spans("store"), collector.spans("request")
        told = b"".join(collector.bodies)

    assert (stored.is_error, stored.facts) == (True, {"error.type": "ValueError"})
    assert (asked.is_error, asked.facts["http.request.method"]) == (True, "_OTHER")
    assert b"Zhang" not in told


@pytest.mark.slow
@pytest.mark.parametrize("answers", [False, True], ids=["away", "silent"])
def test_collector_that_does_not_listen_costs_its_spans_only(answers):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        if answers:  # it accepts, and never says anything
            bound.listen()
        tracer = open_one(f"http://127.0.0.1:{bound.getsockname()[1]}")
        began = time.monotonic()
        for _ in range(3 * QUEUE_SPANS):
            with tracer.trace(Span.STORE, messages=1):
                pass
        told = time.monotonic()
        tracer.close()
        closed = time.monotonic()

    assert told - began < 5
    assert closed - told < 3


@pytest.mark.slow
def test_nothing_is_loaded_when_no_collector_is_named():
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
    assert open_tracer("", service="s", instance="i") is NO_TRACES


def test_collector_without_the_extra_is_told_as_a_setting(monkeypatch):
    monkeypatch.delitem(sys.modules, "cloud.tracing.otlp")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)

    with pytest.raises(SettingInvalid, match="extra otel"):
        open_tracer("http://127.0.0.1:1", service="s", instance="i")
