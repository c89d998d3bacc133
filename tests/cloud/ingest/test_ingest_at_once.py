"""What needs nothing asked is written by one statement, and is the same as if it went step by step."""

import pytest

from cloud.ingest import service
from cloud.ingest.service import Writer
from cloud.shards.model import Lease, LeaseLost
from cloud.store.fence import UNCONTESTED, Fence
from tests.fixtures.wire_messages import WireAgent, open_writer, seconds, utc_now
from vitals.gap import GapCause
from vitals.observation import SourceId
from vitals.wire.topics import Lane

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]
AGENT = WireAgent()
NOW = utc_now()
START = NOW - seconds(100)
FIRST = [AGENT.birth(), AGENT.vitals(1, 61, at=START)]
TABLES = {
    "series_batch": "t0_ms, s, until_ms, shift_us, payload",
    "wave_block": "src, stream, t0_us, rate_numerator, rate_denominator, n, first_sample, codec, samples, "
    "sent_at, late, lane, s, clock_shift",
    "latest": "version, cells",
    "lane_progress": "agent, lineage, lane, upto, ahead",
    "observation": "src, key, value",
    "value_conflict": "src, key, times",
    "gap": "src, cause",
}


@pytest.fixture
def steps(monkeypatch):
    """How often a transaction went step by step."""
    made = []
    transact = Writer._transact

    def counted(self, *words, **named):
        made.append(1)
        return transact(self, *words, **named)

    monkeypatch.setattr(Writer, "_transact", counted)
    return made


def known_writer(database, fence=UNCONTESTED):
    """A writer that knows the agent, its lane and its source."""
    writer = Writer(fence)
    writer.write(database, FIRST, now=NOW)
    return writer


def beat(s, value=70.0, **fields):
    return AGENT.vitals(s, value, at=START + seconds(s), **fields)


def content(database):
    """Every row, but for when it was stored."""
    return {
        table: sorted(map(str, database.execute(f"SELECT {columns} FROM {table}").fetchall()))  # noqa: S608 # our own words
        for table, columns in TABLES.items()
    }


FLOW = [
    [beat(2), AGENT.wave(3, [4, -5, 600], at=START, first=9), beat(4)],
    [beat(6), beat(6), AGENT.wave(7, [1], at=START + seconds(5))],
    [beat(5), beat(2)],
    [beat(8, None), beat(9, 71.5)],
]


def test_flow_leaves_the_same_as_step_by_step(database, steps, monkeypatch):
    writer = known_writer(database)
    steps.clear()
    acks = [writer.write(database, messages, now=NOW) for messages in FLOW]
    at_once, slow = content(database), len(steps)
    for table in ("series_batch", "wave_block", "latest", "lane_progress", "observation", "source", "agent"):
        database.execute(f"TRUNCATE {table} CASCADE")
    monkeypatch.setattr(service, "draft_at_once", lambda *_: None)
    writer = known_writer(database)

    assert [writer.write(database, messages, now=NOW) for messages in FLOW] == acks
    slowly = content(database)
    assert slowly == at_once
    assert slow == 1  # the older value had to be compared


@pytest.mark.parametrize(
    "other",
    [
        beat(2, key="spo2"),
        beat(2, device_time=START),
        AGENT.vitals(2, 70, at=START - seconds(5)),
        AGENT.gap(1, GapCause.SENSOR_OFF, start=START),
        WireAgent(src=SourceId("s-new")).vitals(2, 70, at=START),
        WireAgent(lineage="0000000000000001").vitals(1, 70, at=START + seconds(1)),
        WireAgent(agent="hut-2").vitals(1, 70, at=START + seconds(1)),
        beat(1, lane=Lane.BACKLOG),
    ],
    ids=["spot", "device time", "older", "gap", "new source", "new spool", "foreign source", "new lane"],
)
def test_whatever_has_to_be_asked_goes_step_by_step(database, steps, other):
    writer = known_writer(database)
    steps.clear()

    writer.write(database, [beat(3), other], now=NOW)

    assert steps
    (upto,) = database.execute("SELECT max(s) FROM series_batch").fetchone()
    assert upto == 3


def test_block_that_is_stored_already_is_met_and_the_rest_is_stored(database, steps):
    writer = known_writer(database)
    writer.write(database, [AGENT.wave(2, [1, 2], at=START)], now=NOW)
    steps.clear()

    acks = writer.write(database, [AGENT.wave(3, [7, 7], at=START), beat(4)], now=NOW)

    writer.write(database, [beat(5)], now=NOW)

    assert (acks["hut-1"].upto[Lane.LIVE], len(steps)) == (4, 1)  # what is remembered stays believed
    assert database.execute("SELECT count(*) FROM wave_block").fetchone() == (1,)
    assert database.execute("SELECT key, times FROM value_conflict").fetchall() == [("ecg", 1)]


def test_what_another_wrote_meanwhile_is_noticed_and_nothing_is_doubled(database, steps):
    writer, other = known_writer(database), open_writer()
    other.write(database, [beat(2, 72)], now=NOW)
    steps.clear()

    acks = writer.write(database, [beat(2, 72), beat(3)], now=NOW)

    assert (acks["hut-1"].upto[Lane.LIVE], len(steps)) == (3, 1)
    assert database.execute("SELECT array_agg(s ORDER BY s) FROM series_batch").fetchone()[0] == [1, 2, 3]


def test_nothing_is_written_once_the_fence_is_up(database, database_url):
    database.execute("CREATE TABLE gate AS SELECT true AS is_open")
    lost = LeaseLost(Lease(group=0, groups=1, holder="w", token=1))
    fence = Fence(condition="EXISTS (SELECT FROM gate WHERE is_open FOR SHARE)", refusal=lost)
    writer = known_writer(database, fence)
    before = content(database)
    database.execute("UPDATE gate SET is_open = false")

    with pytest.raises(LeaseLost):
        writer.write(database, [beat(2), AGENT.wave(3, [1], at=START)], now=NOW)
    assert content(database) == before


def test_agent_is_noted_about_once_a_second(database):
    writer = known_writer(database)
    seen = "SELECT last_seen_at FROM agent WHERE agent = 'hut-1'"
    noted = []
    for s, later_s in ((2, 0.5), (3, 1.5), (4, 2.0)):
        writer.write(database, [beat(s)], now=NOW + seconds(later_s))
        noted.append((database.execute(seen).fetchone()[0] - NOW).total_seconds())

    assert noted == [0.0, 1.5, 1.5]
