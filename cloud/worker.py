"""A worker: it stores what the agents of its shards send. It serves nobody and knows no person."""

import gc
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from threading import Thread

import structlog

from cloud.backlog_pace import BacklogPace
from cloud.broker.address import CHECK, BrokerAddress, parse_mqtt_url
from cloud.broker.conformance import ask_broker
from cloud.enrolment.authority.files import AUTHORITY, cloud_pair, open_authority
from cloud.identity.service import utc_now
from cloud.ingest.stream import IngestStream, Share
from cloud.metrics import serve_metrics
from cloud.series.port import SeriesStore
from cloud.series.stores.choice import choose_series
from cloud.service_metrics import tell_ingest
from cloud.settings import CloudSettings
from cloud.shards.model import Lease, part_of, shards_of
from cloud.shards.service import LeaseBook, fence, lay_out
from cloud.shards.stream import Steward
from cloud.store.connection import await_database
from cloud.store.migrate import migrate
from cloud.tracing.opening import open_tracer
from cloud.tracing.port import Tracer

_log = structlog.get_logger()
_OBJECTS_BETWEEN_COLLECTIONS = 50_000
_SWITCH_EVERY_S = 0.001
"""By itself Python lets each answer of the database wait up to 5 ms for the thread that reads."""


def work(settings: CloudSettings) -> int:
    """Store until SIGINT or SIGTERM.

    Raises:
        CloudError: workers that run now divide the shards otherwise, or the database does not answer.
    """
    with await_database(settings.database_url) as connection:
        migrate(connection)
        series = choose_series(connection)
        lay_out(connection, settings.ingest_groups)
    # What is loaded by now stays: the collector need not look through it again.
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(_SWITCH_EVERY_S)
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    book = LeaseBook(settings.worker_name, groups=settings.ingest_groups)
    facts: dict[str, float] = {}
    tracer = open_tracer(settings.otlp_endpoint, service="qianli-ingest", instance=settings.worker_name)
    opener = _Opener(settings, series=series, facts=facts, tracer=tracer)
    steward = Steward(settings.database_url, book, open_tenure=opener, facts=facts)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: steward.stop())
    with ExitStack() as stack:
        stack.callback(tracer.close)
        if settings.metrics_port is not None:
            server = serve_metrics(
                lambda: tell_ingest(steward.tally(), groups=len(book.held)), port=settings.metrics_port
            )
            stack.callback(server.stop)
        steward.run()
    return 0


class _Opener:
    """Builds what serves a group."""

    def __init__(
        self, settings: CloudSettings, *, series: SeriesStore, facts: dict[str, float], tracer: Tracer
    ) -> None:
        self._settings = settings
        self._series = series
        self._tracer = tracer
        self._has_asked = False
        self._facts = facts
        self._keys = settings.home / "keys"
        self._address = parse_mqtt_url(settings.mqtt_url, keys=self._keys)

    def __call__(self, lease: Lease) -> IngestStream:
        name = part_of(lease.group)
        if self._address.tls is not None:
            _make_pair(self._keys, name)
        if lease.group == 0 and not self._has_asked:
            self._has_asked = True
            Thread(target=self._ask_broker, name="broker-check", daemon=True).start()
        return IngestStream(
            self._settings.database_url,
            self._address.as_part(name),
            share=Share(
                name=name,
                shards=() if lease.groups == 1 else shards_of(lease.group, groups=lease.groups),
                speaks_for_ingest=lease.group == 0,
                pace=lambda load: BacklogPace(load=load),
                series=self._series,
                tracer=self._tracer,
            ),
            fence=fence(lease),
            clock=utc_now,
        )

    def _ask_broker(self) -> None:
        """In a thread of its own: the leases are renewed meanwhile."""
        if self._address.tls is not None:
            _make_pair(self._keys, CHECK)
        self._facts.update(_ask_broker(self._address.as_part(CHECK)))


def _make_pair(keys: Path, name: str) -> None:
    """The certificate of this part; a machine without the authority was given it (docs/operations.md)."""
    if (keys / AUTHORITY).exists():
        cloud_pair(keys, open_authority(keys, now=utc_now()), name=name, now=utc_now())


def _ask_broker(address: BrokerAddress) -> dict[str, float]:
    """What the broker adds to our own care; one of 3.1.1 has no window to ask for."""
    if address.version == 3:  # MQTT 3.1.1, as in the URL
        return {"broker_mqtt": 3}
    try:
        found = ask_broker(address, client_id="qianli-conformance")
    except OSError as error:
        _log.warning("broker_not_checked", broker=str(address), error=str(error))
        return {}
    _log.info("broker_checked", broker=str(address), mqtt_5=found.speaks_5, keeps_window=found.keeps_window)
    told = {} if found.keeps_window is None else {"broker_keeps_window": float(found.keeps_window)}
    return {"broker_mqtt": 5 if found.speaks_5 else 3, **told}
