import sqlite3
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from edge_agent.clock import ClockRun
from edge_agent.errors import SpoolUnusable
from edge_agent.spool import _WAITING_OLD, REJECTED_KEPT, Gather, OutboxEntry, RawFrame, Rework, Spool
from tests.fixtures.full_disk import fill_disk, free_disk
from vitals.observation import SourceId
from vitals.wire.topics import LANES, Lane

SRC = SourceId("s-1")
NOW_MS = 1_790_000_000_000
RUN = ClockRun(machine="m", ahead_us=1)


@pytest.fixture
def spool(tmp_path):
    opened = Spool(tmp_path / "spool.sqlite3")
    yield opened
    opened.close()


def raw(payload=b"\x00\x48", *, clock=None):
    return RawFrame(src=SRC, channel="2A37", received_us=NOW_MS * 1000, payload=payload, clock=clock)


def entry(payload=b"p", *, age_s=0, is_event=False):
    return OutboxEntry(topic="vitals", payload=payload, created_ms=NOW_MS - age_s * 1000, is_event=is_event)


def test_commit_is_durable_before_it_returns(spool):
    mode = spool._database.execute("PRAGMA journal_mode").fetchone()
    synchronous = spool._database.execute("PRAGMA synchronous").fetchone()

    assert (mode[0], synchronous[0]) == ("wal", 2)


def test_raw_frames_outlive_the_process(tmp_path):
    first = Spool(tmp_path / "s")
    first.append_raw([raw(b"a"), raw(b"b")])
    first.close()

    assert [frame.payload for frame in Spool(tmp_path / "s").read_raw(limit=10)] == [b"a", b"b"]


def test_parsed_frames_become_messages_in_one_step(spool):
    spool.append_raw([raw(b"a"), raw(b"b")])
    first_id = spool.read_raw(limit=1)[0].id

    spool.commit_parsed([entry()], parsed_up_to=first_id)

    assert [frame.payload for frame in spool.read_raw(limit=10)] == [b"b"]
    assert spool.depth().messages == 1


def test_failed_commit_keeps_the_raw_frames(spool):
    spool.append_raw([raw()])
    broken = OutboxEntry(topic="vitals", payload=None, created_ms=NOW_MS)

    with pytest.raises(sqlite3.IntegrityError):
        spool.commit_parsed([broken], parsed_up_to=99)

    assert len(spool.read_raw(limit=10)) == 1


def test_lane_follows_kind_and_age(spool):
    spool.commit_parsed(
        [entry(b"old", age_s=60), entry(b"new"), entry(b"gap", is_event=True)], parsed_up_to=0
    )

    sent = {lane: [m.payload for m in spool.assign(lane, now_ms=NOW_MS, limit=9)] for lane in LANES}

    assert sent == {Lane.EVENT: [b"gap"], Lane.LIVE: [b"new"], Lane.BACKLOG: [b"old"]}


def test_refill_is_read_in_the_order_of_an_index(spool):
    plan = spool._database.execute(f"EXPLAIN QUERY PLAN {_WAITING_OLD}", (NOW_MS, 32)).fetchall()

    assert [row[3].split(" (")[0] for row in plan] == ["SEARCH outbox USING INDEX outbox_waiting"]


def test_refill_begins_with_the_oldest(spool):
    spool.commit_parsed([entry(b"later", age_s=60), entry(b"earlier", age_s=90)], parsed_up_to=0)

    sent = spool.assign(Lane.BACKLOG, now_ms=NOW_MS, limit=9)

    assert [message.payload for message in sent] == [b"earlier", b"later"]


def test_released_is_what_lies_below_the_oldest_that_waits(spool):
    spool.commit_parsed([entry() for _ in range(5)], parsed_up_to=0)
    spool.assign(Lane.LIVE, now_ms=NOW_MS, limit=4)
    spool.acknowledge({Lane.LIVE: 2})
    assert spool.released() == {Lane.EVENT: 0, Lane.LIVE: 2, Lane.BACKLOG: 0}

    spool.acknowledge({Lane.LIVE: 4})

    assert spool.released()[Lane.LIVE] == 4


def test_depth_counts_and_finds_the_oldest(spool):
    spool.commit_parsed([entry(age_s=5), entry(age_s=9), entry(age_s=7)], parsed_up_to=0)

    depth = spool.depth()
    assert (depth.messages, depth.oldest_ms) == (3, NOW_MS - 9000)


def test_spool_goes_on_after_its_disk_was_full(spool):
    fill_disk(spool)
    with pytest.raises(sqlite3.OperationalError, match="full"):
        spool.append_raw([raw(bytes(100_000))])
    free_disk(spool)

    spool.append_raw([raw(b"a")])

    assert [frame.payload for frame in spool.read_raw(limit=9)] == [b"a"]


def test_sequence_goes_on_after_a_restart(tmp_path):
    first = Spool(tmp_path / "s")
    first.commit_parsed([entry(), entry()], parsed_up_to=0)
    first.assign(Lane.LIVE, now_ms=NOW_MS, limit=9)
    first.acknowledge({Lane.LIVE: 2})
    first.close()
    second = Spool(tmp_path / "s")
    second.commit_parsed([entry()], parsed_up_to=0)

    assert [message.s for message in second.assign(Lane.LIVE, now_ms=NOW_MS, limit=9)] == [3]
    assert second.lineage == first.lineage


def test_only_an_acknowledgement_lets_a_message_go(spool):
    spool.commit_parsed([entry(b"1"), entry(b"2")], parsed_up_to=0)
    spool.assign(Lane.LIVE, now_ms=NOW_MS, limit=9)

    spool.acknowledge({Lane.LIVE: 1, Lane.EVENT: 50})

    assert [message.payload for message in spool.unacknowledged(Lane.LIVE)] == [b"2"]
    assert spool.depth().oldest_ms == NOW_MS


def test_unreadable_frames_are_kept_up_to_a_bound(spool):
    rejected = [(raw(bytes([n % 256])), f"reason {n}") for n in range(REJECTED_KEPT + 5)]

    spool.commit_parsed([], parsed_up_to=0, rejected=rejected)

    kept = spool.rejected()
    assert (len(kept), kept[0][1]) == (REJECTED_KEPT, f"reason {REJECTED_KEPT + 4}")


def test_a_file_that_is_no_database_is_said_in_words(tmp_path):
    path = tmp_path / "spool.sqlite3"
    path.write_bytes(b"not a database at all" * 100)

    with pytest.raises(SpoolUnusable, match="check its disk"):
        Spool(path)


def test_sources_are_remembered(spool):
    spool.put_source(SRC, driver="heart_rate", declaration=b"{}")

    assert spool.sources() == {SRC: ("heart_rate", b"{}")}


class SpoolOrder(RuleBasedStateMachine):
    """Whatever is queued, sent, stored and restarted: no message is lost, lanes have no holes."""

    def __init__(self):
        super().__init__()
        self.spool = Spool(":memory:")
        self.queued = 0
        self.stored = dict.fromkeys(LANES, 0)
        self.sent = {lane: [] for lane in LANES}

    @rule(age_s=st.sampled_from([0, 100]), is_event=st.booleans())
    def queue(self, age_s, is_event):
        self.queued += 1
        self.spool.commit_parsed([entry(b"%d" % self.queued, age_s=age_s, is_event=is_event)], parsed_up_to=0)

    @rule(lane=st.sampled_from(LANES), limit=st.integers(1, 4))
    def send(self, lane, limit):
        self.sent[lane] += [m.s for m in self.spool.assign(lane, now_ms=NOW_MS, limit=limit)]

    @rule(lane=st.sampled_from(LANES), share=st.floats(0, 1))
    def store(self, lane, share):
        self.stored[lane] = max(self.stored[lane], int(len(self.sent[lane]) * share))
        self.spool.acknowledge({lane: self.stored[lane]})

    @invariant()
    def nothing_is_lost(self):
        assert self.spool.depth().messages == self.queued - sum(self.stored.values())

    @invariant()
    def lanes_have_no_holes(self):
        for lane in LANES:
            assert self.sent[lane] == list(range(1, len(self.sent[lane]) + 1))
            waiting = [message.s for message in self.spool.unacknowledged(lane)]
            assert waiting == self.sent[lane][self.stored[lane] :]

    def teardown(self):
        self.spool.close()


SpoolOrder.TestCase.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
test_spool_order = SpoolOrder.TestCase


def held(payload, *, now_s=0, until_s=10, joins=True):
    def join(earlier, later):
        return earlier + later if joins else None

    now_ms = NOW_MS + now_s * 1000
    gather = Gather(key="s-1", now_ms=now_ms, until_ms=now_ms + until_s * 1000, join=join)
    return OutboxEntry(topic="vitals", payload=payload, created_ms=now_ms, gather=gather)


def sent_at(spool, *, second):
    return [m.payload for m in spool.assign(Lane.LIVE, now_ms=NOW_MS + second * 1000, limit=99)]


def test_held_messages_become_one_and_go_when_their_time_is_over(spool):
    for second in range(4):
        spool.commit_parsed([held(b"%d" % second, now_s=second)], parsed_up_to=0)
        assert sent_at(spool, second=second) == []
    spool.commit_parsed([entry(b"spot")], parsed_up_to=0)

    assert sent_at(spool, second=4) == [b"spot"]
    assert sent_at(spool, second=10) == [b"0123"]


def test_message_after_the_time_is_over_begins_anew(spool):
    spool.commit_parsed([held(b"a")], parsed_up_to=0)
    spool.commit_parsed([held(b"b", now_s=10)], parsed_up_to=0)

    assert sent_at(spool, second=10) == [b"a"]
    assert sent_at(spool, second=20) == [b"b"]


def test_messages_that_do_not_join_stay_apart(spool):
    spool.commit_parsed([held(b"a"), held(b"b", joins=False)], parsed_up_to=0)
    spool.commit_parsed([held(b"c", now_s=1, joins=False)], parsed_up_to=0)

    assert sent_at(spool, second=11) == [b"a", b"b", b"c"]


def test_clock_that_is_set_back_holds_nothing_for_long(spool):
    spool.commit_parsed([held(b"a")], parsed_up_to=0)

    assert sent_at(spool, second=-3600) == [b"a"]


def test_spool_of_an_earlier_agent_gets_the_new_columns(tmp_path):
    spool = Spool(tmp_path / "s")
    spool.commit_parsed([entry(b"old")], parsed_up_to=0)
    spool._database.execute("DROP INDEX outbox_gather")
    for table, name in (
        ("outbox", "gather"),
        ("outbox", "held_until_ms"),
        ("outbox", "clock"),
        ("raw", "clock"),
    ):
        spool._database.execute(f"ALTER TABLE {table} DROP COLUMN {name}")
    spool._database.execute("DROP TABLE clock_run")
    spool.close()

    opened = Spool(tmp_path / "s")
    opened.commit_parsed([held(b"new")], parsed_up_to=0, clock=RUN)

    assert sent_at(opened, second=10) == [b"old", b"new"]
    assert [message.clock for message in opened.unacknowledged(Lane.LIVE)] == [None, RUN]
    opened.close()


def test_burst_of_frames_is_one_transaction(spool):
    statements = []
    spool._database.set_trace_callback(statements.append)

    spool.append_raw([raw()] * 200)

    assert [word for word in statements if word.startswith(("BEGIN", "COMMIT"))] == [
        "BEGIN IMMEDIATE",
        "COMMIT",
    ]


SET = ClockRun(machine="m", ahead_us=3_600_000_000)
SET_LATER = replace(RUN, was_set_after=True)


def test_frames_are_read_by_run_of_the_clock(tmp_path):
    spool = Spool(tmp_path / "s")
    spool.append_raw([raw(b"a", clock=RUN), raw(b"b", clock=RUN), raw(b"c", clock=SET), raw(b"d", clock=RUN)])
    spool.close()

    opened = Spool(tmp_path / "s")
    taken = []
    while frames := opened.read_raw(limit=10):
        taken.append(([frame.payload for frame in frames], {frame.clock for frame in frames}))
        opened.commit_parsed([], parsed_up_to=frames[-1].id)

    assert taken == [([b"a", b"b"], {RUN}), ([b"c"], {SET}), ([b"d"], {RUN})]
    opened.close()


def test_what_becomes_known_of_a_clock_counts_for_all_that_was_read_from_it(spool):
    spool.commit_parsed([entry(b"before")], parsed_up_to=0, clock=RUN)
    spool.commit_parsed([], parsed_up_to=0, clock=replace(RUN, offset_ms=-40))
    spool.commit_parsed([entry(b"later")], parsed_up_to=0, clock=RUN)

    spool.assign(Lane.LIVE, now_ms=NOW_MS, limit=9)

    assert {message.clock for message in spool.unacknowledged(Lane.LIVE)} == {replace(RUN, offset_ms=-40)}


def test_clock_is_not_forgotten_when_the_transaction_that_told_of_it_fails(spool):
    broken = OutboxEntry(topic="vitals", payload=None, created_ms=NOW_MS)
    with pytest.raises(sqlite3.IntegrityError):
        spool.commit_parsed([broken], parsed_up_to=0, clock=RUN)
    spool.commit_parsed([entry()], parsed_up_to=0, clock=RUN)

    query = "SELECT machine, ahead_us FROM outbox JOIN clock_run ON clock = clock_run.id"
    (row,) = spool._database.execute(query)

    assert row == (RUN.machine, RUN.ahead_us)


def test_values_of_two_clocks_do_not_become_one_message(spool):
    spool.commit_parsed([held(b"a")], parsed_up_to=0, clock=RUN)
    spool.commit_parsed([held(b"b")], parsed_up_to=0, clock=SET)

    assert sent_at(spool, second=10) == [b"a", b"b"]


def test_rework_shows_messages_of_one_clock_at_a_time_and_what_it_tells_is_of_that_clock(spool):
    spool.commit_parsed([entry(b"a")], parsed_up_to=0, clock=RUN)
    spool.commit_parsed([entry(b"b")], parsed_up_to=0, clock=SET)
    shown = []

    def tell(waiting):
        shown.append([row.payload for row in waiting])
        return Rework(dropped=[row.id for row in waiting], told=[entry(b"gap", is_event=True)])

    for _ in range(2):
        spool.rework("vitals", tell, within=(0, 2**62), limit=9)

    assert shown == [[b"a"], [b"b"]]
    assert [message.clock for message in spool.assign(Lane.EVENT, now_ms=NOW_MS, limit=9)] == [SET_LATER, SET]


def test_clock_that_was_set_later_in_the_same_start_of_the_machine_is_told(tmp_path):
    spool = Spool(tmp_path / "s")
    for run in (RUN, SET, ClockRun(machine="m2", ahead_us=5)):
        spool.commit_parsed([entry()], parsed_up_to=0, clock=run)
    spool.close()

    opened = Spool(tmp_path / "s")

    assert [one.clock.was_set_after for one in opened.assign(Lane.LIVE, now_ms=NOW_MS, limit=9)] == [
        True,
        False,
        False,
    ]
    opened.close()
