from datetime import UTC, datetime, timedelta

from cloud.events import AgentHeard
from cloud.pipeline.model import SPOKE_LATELY, SpoolWatch

NOW = datetime(2026, 11, 26, tzinfo=UTC)


def test_backlog_of_an_agent_that_went_counts_no_more():
    watch = SpoolWatch()
    for agent, ago in (("gone", SPOKE_LATELY), ("here", timedelta(seconds=3))):
        watch.take(AgentHeard(agent=agent, heard_at=NOW - ago, depth=1, oldest_at=NOW - ago))

    assert [one.told_at for one in watch.recent(NOW)] == [NOW - timedelta(seconds=3)]
    assert watch.of("gone").depth == 1
