"""Which numbers a worker and the service give to Prometheus (docs/operations.md lists them)."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from cloud.events import PartState
from cloud.metrics import Count, Gauge, Told
from cloud.pipeline.model import Spooled


def tell_ingest(tally: Mapping[str, float], *, groups: int) -> list[Told]:
    """Of a worker."""
    return [
        Count(
            name="qianli_ingest_received_messages_total",
            text="Messages from the broker",
            value=tally.get("received", 0),
        ),
        Count(
            name="qianli_ingest_committed_messages_total",
            text="Messages that are stored",
            value=tally.get("committed", 0),
        ),
        Count(
            name="qianli_ingest_transactions_total",
            text="Transactions that stored them",
            value=tally.get("transactions", 0),
        ),
        Count(
            name="qianli_ingest_commit_seconds_total",
            text="From receiving to the commit, summed over messages",
            value=tally.get("seconds_to_commit", 0),
        ),
        Gauge(
            name="qianli_ingest_waiting_messages",
            text="Received and not yet stored",
            values={"": tally.get("waiting", 0)},
        ),
        Gauge(name="qianli_ingest_groups", text="Groups of shards that it holds", values={"": float(groups)}),
    ]


def tell_service(
    *, parts: Iterable[PartState], spools: Iterable[Spooled], viewers: int, now: datetime
) -> list[Told]:
    """Of the service: its parts, its viewers, and what waits at the agents that have said so."""
    told = list(spools)
    waited_s = [(now - one.oldest_at).total_seconds() for one in told if one.oldest_at is not None]
    return [
        Gauge(
            name="qianli_part_ok",
            text="1 while a part works",
            values={state.part.value: float(state.ok) for state in parts},
            by="part",
        ),
        Gauge(name="qianli_viewers", text="Walls that are open", values={"": float(viewers)}),
        Gauge(
            name="qianli_spooled_messages",
            text="Messages that wait at all agents",
            values={"": float(sum(one.depth for one in told))},
        ),
        Gauge(
            name="qianli_spooled_oldest_seconds",
            text="Age of the oldest message that waits at an agent",
            values={"": max(waited_s, default=0.0)},
        ),
    ]
