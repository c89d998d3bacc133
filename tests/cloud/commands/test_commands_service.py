from contextlib import closing
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from cloud.commands.model import AgentClock, AgentUnknown, CommandState, LaneRange, Order, SpoolUnknown
from cloud.identity.errors import NotAllowed
from cloud.tracing.otlp import OtlpTracer
from tests.cloud.enrolment.conftest import ADMIN, DOCTOR, STRANGER
from tests.fixtures.otlp_receiver import collecting
from tests.fixtures.wire_messages import LINEAGE, seconds
from vitals.wire.command import (
    CommandName,
    CommandReply,
    ReplyState,
    ResendArgs,
    ResendResult,
    as_words,
    read_words,
)
from vitals.wire.topics import Lane

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.enable_socket]

BIRTH = Order(name=CommandName.BIRTH)
RESEND = Order(name=CommandName.RESEND, resend=LaneRange(lane=Lane.LIVE, first=3, last=5))


def reply(room, command, state, **fields):
    said = CommandReply(id=command.command_id, state=state, at=0, **fields)
    room.service.take_reply("hut-1", said)
    return room.service.list_commands(ADMIN, "hut-1")[0]


def test_command_goes_out_and_its_replies_are_noted(room):
    command = room.service.issue(ADMIN, "hut-1", BIRTH)
    ((agent, sent),) = room.sent
    assert (agent, sent.id, sent.name, sent.issued_by) == ("hut-1", command.command_id, "birth", "person-a")
    assert room.recorder.words() == [("issue_command", "person-a", "hut-1", "allowed")]

    assert reply(room, command, ReplyState.RECEIVED).state is CommandState.RECEIVED
    done = reply(room, command, ReplyState.DONE)
    again = reply(room, command, ReplyState.FAILED, reason="late")

    assert (done.state, done.received_at, done.ended_at) == (CommandState.DONE, room.clock(), room.clock())
    assert again == done


def test_collector_hears_how_long_a_command_took_and_not_whose_it_was(room):
    with collecting() as collector:
        with closing(OtlpTracer(collector.endpoint, service="s", instance="i")) as tracer:
            room.traced(tracer)
            command = room.service.issue(ADMIN, "hut-1", BIRTH)
            reply(room, command, ReplyState.RECEIVED)
            room.clock.now += seconds(3)
            reply(room, command, ReplyState.FAILED, reason="hut-1 is busy")
        (span,) = collector.spans("command")
        told = b"".join(collector.bodies)

    assert span.facts == {"qianli.command": "birth", "qianli.command.state": "failed"}
    assert span.seconds == pytest.approx(3, abs=0.001)
    assert [name for name in ("hut-1", "person-a", command.command_id) if name.encode() in told] == []


def test_range_is_asked_of_the_spool_that_is_there(room):
    command = room.service.issue(ADMIN, "hut-1", RESEND)

    asked = read_words(dict(command.args), ResendArgs)
    assert asked == ResendArgs(ln=LINEAGE, lane=Lane.LIVE, first=3, last=5)
    with pytest.raises(SpoolUnknown):
        room.service.issue(ADMIN, "hut-new", RESEND)


@pytest.mark.parametrize(
    ("subject", "agent", "refusal"),
    [(DOCTOR, "hut-1", NotAllowed), (STRANGER, "hut-1", AgentUnknown), (ADMIN, "nobody", AgentUnknown)],
)
def test_only_who_manages_the_devices_of_the_house_commands_them(room, subject, agent, refusal):
    for ask in (
        lambda: room.service.issue(subject, agent, BIRTH),
        lambda: room.service.list_commands(subject, agent),
        lambda: room.service.clock_of(subject, agent),
    ):
        with pytest.raises(refusal):
            ask()
    assert room.sent == []


def test_agent_answers_for_itself_only(room):
    command = room.service.issue(ADMIN, "hut-1", BIRTH)
    said = CommandReply(id=command.command_id, state=ReplyState.DONE, at=0)

    room.service.take_reply("hut-off", said)

    assert room.service.list_commands(ADMIN, "hut-1") == [command]


def test_unanswered_command_goes_again_until_it_expires(room):
    room.has_way = False
    command = room.service.issue(ADMIN, "hut-1", BIRTH)
    room.service.issue(ADMIN, "hut-off", BIRTH)
    room.sent.clear()
    room.service.send_again()
    assert room.sent == []

    room.clock.now += seconds(11)
    room.service.send_again()
    assert [(agent, sent.id) for agent, sent in room.sent] == [("hut-1", command.command_id)]

    room.clock.now += timedelta(minutes=10)
    room.service.send_again()
    assert len(room.sent) == 1
    assert room.service.list_commands(ADMIN, "hut-1")[0].state is CommandState.EXPIRED


def missing(room):
    return [(hole.range.first, hole.range.last) for hole in room.service.ask_for_missing()]


def test_hole_is_asked_for_after_a_minute_and_once_a_minute(room):
    room.received("{[7,9),[11,12)}")
    assert missing(room) == []
    room.clock.now += seconds(59)
    assert missing(room) == []
    room.clock.now += seconds(1)
    assert sorted(missing(room)) == [(5, 6), (9, 10)]

    room.clock.now += seconds(59)
    assert missing(room) == []
    room.clock.now += seconds(1)

    assert sorted(missing(room)) == [(5, 6), (9, 10)]
    assert {sent.issued_by for _, sent in room.sent} == {"system"}
    assert len(room.sent) == 4


def test_hole_that_is_filled_is_forgotten(room):
    room.received("{[7,9)}")
    missing(room)
    room.clock.now += seconds(30)
    room.received("{}", upto=8)
    missing(room)
    room.received("{[20,21)}", upto=8)
    missing(room)
    room.clock.now += seconds(40)

    assert missing(room) == []
    assert room.database.execute("SELECT first_s, last_s FROM lane_hole").fetchall() == [(9, 19)]


def test_nothing_is_asked_of_who_is_not_there_or_of_a_disk_that_was(room):
    room.received("{[7,9)}", agent="hut-off")
    room.received("{[7,9)}", lineage="another")
    missing(room)
    room.clock.now += seconds(61)

    assert missing(room) == []


def test_what_a_spool_has_let_go_is_logged_and_visible(room):
    room.received("{[7,9)}")
    missing(room)
    room.clock.now += seconds(60)
    missing(room)
    command = room.service.list_commands(ADMIN, "hut-1")[0]
    with capture_logs() as logs:
        found = reply(room, command, ReplyState.DONE, result=as_words(ResendResult(sent=0, released=6)))

    assert found.result == {"sent": 0, "released": 6}
    assert next(line for line in logs if line["event"] == "missing_messages_released")["last"] == 6


def test_clocks_are_kept_and_shown(room):
    moment = room.clock()
    clock = AgentClock(
        agent="hut-1", offset_ms=1.5, delay_ms=3.0, quality="rtc", since=moment, measured_at=moment
    )
    assert room.service.clock_of(ADMIN, "hut-1") is None
    stranger = AgentClock(
        agent="gone", offset_ms=0.0, delay_ms=0.0, quality="ntp", since=moment, measured_at=moment
    )

    room.service.save_clocks([clock, stranger])
    room.service.save_clocks([clock])

    assert room.service.clock_of(ADMIN, "hut-1") == clock


def test_old_commands_are_removed(room):
    room.service.issue(ADMIN, "hut-1", BIRTH)
    room.clock.now += timedelta(days=91)
    room.service.forget_old()

    assert room.service.list_commands(ADMIN, "hut-1") == []
