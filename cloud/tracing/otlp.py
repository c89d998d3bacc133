"""Spans for a collector that speaks OTLP over HTTP (https://opentelemetry.io/docs/specs/otlp/).

The queue is bounded and drops the oldest; a thread of the library sends. A collector that is away costs its
spans and nothing else.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib.metadata import version
from typing import Unpack

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Span as OtelSpan
from opentelemetry.trace import SpanKind, StatusCode

from cloud.tracing.port import Facts, Note, Span

QUEUE_SPANS = 2048
_BATCH_SPANS = 512
_SEND_EVERY_MS = 2000
_SEND_WITHIN_S = 3
_CLOSE_WITHIN_S = 2.0
_NAMES = {
    "method": "http.request.method",
    "route": "http.route",
    "status": "http.response.status_code",
    "messages": "qianli.messages",
    "group": "qianli.group",
    "command": "qianli.command",
    "state": "qianli.command.state",
}
"""As the semantic conventions of OpenTelemetry name them; where those have no name, with ours before it."""
_KINDS = {Span.REQUEST: SpanKind.SERVER, Span.STORE: SpanKind.CONSUMER, Span.COMMAND: SpanKind.PRODUCER}
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class OtlpTracer:
    """Implements `Tracer`; `service` and `instance` say which process speaks."""

    def __init__(self, endpoint: str, *, service: str, instance: str) -> None:
        logging.getLogger("opentelemetry").setLevel(logging.ERROR)
        resource = Resource(
            {
                "service.name": service,
                "service.version": version("qianli"),
                "service.instance.id": instance,
            }
        )
        exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=_SEND_WITHIN_S)
        self._provider = TracerProvider(sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(
            BatchSpanProcessor(
                exporter,
                max_queue_size=QUEUE_SPANS,
                schedule_delay_millis=_SEND_EVERY_MS,
                max_export_batch_size=_BATCH_SPANS,
            )
        )
        self._tracer = self._provider.get_tracer("qianli")

    @contextmanager
    def trace(self, span: Span, **facts: Unpack[Facts]) -> Iterator[Note]:
        """A span that lasts as long as the block; of a failure it tells the kind, not the text."""
        begun = self._tracer.start_span(span.value, kind=_KINDS[span])
        note = _Note(begun)
        note.tell(**facts)
        try:
            yield note
        except BaseException as error:
            begun.set_status(StatusCode.ERROR)
            begun.set_attribute("error.type", type(error).__name__)
            raise
        finally:
            begun.end()

    def note(self, span: Span, *, began_at: datetime, ended_at: datetime, **facts: Unpack[Facts]) -> None:
        """A span that is over."""
        begun = self._tracer.start_span(span.value, kind=_KINDS[span], start_time=_ns(began_at))
        _Note(begun).tell(**facts)
        begun.end(_ns(ended_at))

    def close(self) -> None:
        """Say what is left to say; who does not listen by then is not waited for."""
        closing = threading.Thread(target=self._provider.shutdown, name="traces-close", daemon=True)
        closing.start()
        closing.join(_CLOSE_WITHIN_S)


class _Note:
    def __init__(self, span: OtelSpan) -> None:
        self._span = span

    def tell(self, **facts: Unpack[Facts]) -> None:
        if "method" in facts and facts["method"] not in _METHODS:
            facts["method"] = "_OTHER"
        self._span.set_attributes({_NAMES[name]: fact for name, fact in facts.items()})  # type: ignore[misc]
        if facts.get("status", 0) >= 500:
            self._span.set_status(StatusCode.ERROR)


def _ns(moment: datetime) -> int:
    return int(moment.timestamp() * 1e6) * 1000
