import sqlite3
from dataclasses import dataclass, field

import pytest

from edge_agent.clock import Hands, OwnClock
from edge_agent.commands import CommandDesk, Hooks
from edge_agent.spool import COMMANDS_KEPT_MS, OutboxEntry, Spool
from tests.fixtures.full_disk import fill_disk, free_disk
from vitals.wire.command import (
    Command,
    CommandName,
    ReplyState,
    ResendArgs,
    ResendResult,
    TimeArgs,
    TimeResult,
    as_words,
    encode_command,
    read_words,
)
from vitals.wire.topics import Lane

NOW_MS = 1_790_000_000_000
BOOT = "0102030405060708"


@dataclass
class Desk:
    """A command desk with a clock that the test moves, and what it did."""

    spool: Spool
    now_ms: int = NOW_MS
    source: str = "ntp"
    done: list = field(default_factory=list)
    has: range = range(0)

    def __post_init__(self):
        hands = Hands(
            wall_us=lambda: self.now_ms * 1000,
            monotonic_s=lambda: self.now_ms / 1000,
            source=lambda: self.source,
        )
        self.clock = OwnClock(hands)
        hooks = Hooks(announce=lambda: self.done.append("birth"), resend=self.resend)
        self.desk = CommandDesk(self.spool, boot=BOOT, clock=self.clock, hooks=hooks)

    def resend(self, lane, first, last):
        self.done.append((lane, first, last))
        return len([s for s in range(first, last + 1) if s in self.has])

    def take(self, name, said=None, *, command_id="c-1", lasts_ms=60_000):
        command = Command(
            id=command_id,
            name=name,
            issued_at=NOW_MS,
            expires_at=NOW_MS + lasts_ms,
            issued_by="person-a",
            args={} if said is None else as_words(said),
        )
        return list(self.desk.take(encode_command(command)))


@pytest.fixture
def desk(tmp_path):
    spool = Spool(tmp_path / "spool.sqlite3")
    yield Desk(spool=spool)
    spool.close()


def states(replies):
    return [reply.state for reply in replies]


def test_command_is_received_then_done(desk):
    assert states(desk.take(CommandName.BIRTH)) == [ReplyState.RECEIVED, ReplyState.DONE]
    assert desk.done == ["birth"]


def test_repeat_gets_the_same_reply_and_does_nothing(desk):
    replies = desk.take(CommandName.BIRTH)
    desk.now_ms += 5000

    assert desk.take(CommandName.BIRTH) == replies[1:]
    assert desk.done == ["birth"]


def test_repeat_after_a_restart_does_nothing_either(desk, tmp_path):
    replies = desk.take(CommandName.BIRTH)
    spool = Spool(tmp_path / "spool.sqlite3")
    restarted = Desk(spool=spool)

    assert restarted.take(CommandName.BIRTH) == replies[1:]
    assert restarted.done == []
    spool.close()


def test_reply_is_kept_for_a_week(desk):
    first = desk.take(CommandName.BIRTH)[1:]
    for days, known in ((6, True), (8, False)):
        desk.now_ms = NOW_MS + days * COMMANDS_KEPT_MS // 7
        desk.take(CommandName.TIME, TimeArgs(t1=1), command_id=f"c-{days}")
        assert (desk.spool.find_reply("c-1") is not None) is known
    assert first[0].state is ReplyState.DONE


@pytest.mark.parametrize(("late_ms", "last"), [(0, ReplyState.DONE), (1, ReplyState.EXPIRED)])
def test_command_that_has_expired_is_not_done(desk, late_ms, last):
    desk.now_ms += 60_000 + late_ms

    assert states(desk.take(CommandName.BIRTH))[-1] is last
    assert desk.done == ([] if late_ms else ["birth"])


def test_wrong_clock_does_not_let_a_command_expire(desk):
    desk.source = "rtc"
    desk.now_ms += 3_600_000
    assert states(desk.take(CommandName.BIRTH))[-1] is ReplyState.DONE

    desk.clock.learn(-3_600_000, step=desk.clock.step)

    assert states(desk.take(CommandName.BIRTH, command_id="c-2"))[-1] is ReplyState.DONE
    assert states(desk.take(CommandName.BIRTH, command_id="c-3", lasts_ms=-1))[-1] is ReplyState.EXPIRED


def test_time_is_told_at_once_with_all_three_moments(desk):
    (reply,) = desk.take(CommandName.TIME, TimeArgs(t1=17))

    told = read_words(reply.result, TimeResult)
    assert (told.t1, told.t2, told.t3) == (17, NOW_MS * 1000, NOW_MS * 1000)
    assert (told.boot, told.step, told.src) == (BOOT, 0, "ntp")


@pytest.mark.parametrize(("boot", "step", "known"), [(BOOT, 0, -12), (BOOT, 1, None), ("other", 0, None)])
def test_offset_is_learned_only_of_the_clock_that_runs_now(desk, boot, step, known):
    desk.take(CommandName.TIME, TimeArgs(t1=17, off_ms=-12, delay_ms=3, boot=boot, step=step))

    assert desk.clock.state().off_ms == known


def resend_args(desk, **fields):
    return ResendArgs(ln=fields.get("ln", desk.spool.lineage), lane=Lane.LIVE, first=3, last=5)


def test_range_that_is_here_is_sent_again(desk):
    desk.has = range(3, 6)

    replies = desk.take(CommandName.RESEND, resend_args(desk))

    assert read_words(replies[-1].result, ResendResult) == ResendResult(sent=3, released=0)
    assert desk.done == [(Lane.LIVE, 3, 5)]


def test_what_is_here_no_longer_is_said_in_reply_and_birth(desk):
    entries = [OutboxEntry(topic="vitals", payload=b"x", created_ms=NOW_MS)] * 6
    desk.spool.commit_parsed(entries, parsed_up_to=0)
    desk.spool.assign(Lane.LIVE, now_ms=NOW_MS, limit=10)
    desk.spool.acknowledge({Lane.LIVE: 4})
    desk.has = range(5, 6)

    replies = desk.take(CommandName.RESEND, resend_args(desk))

    assert read_words(replies[-1].result, ResendResult) == ResendResult(sent=1, released=4)
    assert desk.done == [(Lane.LIVE, 3, 5), "birth"]
    assert [message.s for message in desk.spool.within(Lane.LIVE, first=3, last=5)] == [5]


def test_range_of_another_spool_is_refused(desk):
    replies = desk.take(CommandName.RESEND, resend_args(desk, ln="another"))

    assert (replies[-1].state, replies[-1].reason) == (ReplyState.FAILED, "it speaks of another spool")
    assert desk.done == []


@pytest.mark.parametrize("name", [CommandName.RESEND, CommandName.TIME, "dance"])
def test_command_that_cannot_be_done_fails_with_a_reason(desk, name):
    reply = desk.take(name)[-1]

    assert reply.state is ReplyState.FAILED
    assert reply.reason


def test_bytes_that_are_no_command_are_not_answered(desk):
    assert list(desk.desk.take(b"\x00")) == []


def test_command_is_answered_while_the_disk_is_full(desk):
    fill_disk(desk.spool)
    entries = [OutboxEntry(topic="vitals", payload=bytes(100_000), created_ms=NOW_MS)]
    with pytest.raises(sqlite3.OperationalError):
        desk.spool.commit_parsed(entries, parsed_up_to=0)

    replies = [desk.take(CommandName.BIRTH, command_id=f"c-{number}")[-1] for number in range(60)]

    assert {reply.state for reply in replies} == {ReplyState.DONE}
    assert desk.spool.find_reply("c-59") is None
    free_disk(desk.spool)
