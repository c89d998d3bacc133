"""Which tracer a process has."""

from cloud.errors import SettingInvalid
from cloud.tracing.port import NO_TRACES, Tracer


def open_tracer(endpoint: str, *, service: str, instance: str) -> Tracer:
    """One that tells the collector at `endpoint`; without one nothing of OpenTelemetry is even loaded.

    Raises:
        SettingInvalid: a collector is named, but the extra is not installed.
    """
    if not endpoint:
        return NO_TRACES
    try:
        from cloud.tracing.otlp import OtlpTracer  # noqa: PLC0415 most installations have no collector
    except ImportError as error:
        raise SettingInvalid("QIANLI_OTLP_ENDPOINT", "it needs the extra otel") from error
    return OtlpTracer(endpoint, service=service, instance=instance)
