"""What Prometheus may read: numbers about parts and devices, none about people.

The numbers are kept where they arise; here they only get the names of the exposition format
(https://prometheus.io/docs/instrumenting/exposition_formats/, names after its "Metric and label naming").
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from threading import Thread
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from cloud.errors import SettingInvalid

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """Something that rises and falls; `by` is the label of its values, empty for one value alone."""

    name: str
    text: str
    values: Mapping[str, float]
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Something that only rises; its name ends in `_total`."""

    name: str
    text: str
    value: float


Told = Gauge | Count


class _Told(Collector):
    """Asks anew each time that somebody reads."""

    def __init__(self, tell: Callable[[], Iterable[Told]]) -> None:
        self._tell = tell

    def collect(self) -> Iterable[Metric]:
        return [_family(told) for told in self._tell()]


def _family(told: Told) -> Metric:
    if isinstance(told, Count):
        return CounterMetricFamily(told.name, told.text, value=told.value)
    family = GaugeMetricFamily(told.name, told.text, labels=[told.by] if told.by else [])
    for label, value in told.values.items():
        family.add_metric([label] if told.by else [], value)
    return family


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsServer:
    """A thread that answers on the loopback interface."""

    server: WSGIServer
    thread: Thread

    @property
    def port(self) -> int:
        """Where it answers."""
        return int(self.server.server_port)

    def stop(self) -> None:
        """Answer no more."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(timeout=1.0)


def serve_metrics(tell: Callable[[], Iterable[Told]], *, port: int) -> MetricsServer:
    """Answer every path with what `tell` gives; port 0 takes a free one.

    Raises:
        SettingInvalid: the port is taken.
    """
    registry = CollectorRegistry()
    registry.register(_Told(tell))
    try:
        server, thread = start_http_server(port, addr=HOST, registry=registry)
    except OSError as error:
        raise SettingInvalid("QIANLI_METRICS_PORT", error.strerror or "it cannot be bound") from error
    return MetricsServer(server=server, thread=thread)
