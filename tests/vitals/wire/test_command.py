import json
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitals.wire.command import (
    Command,
    CommandName,
    CommandReply,
    ReplyState,
    ResendArgs,
    ResendResult,
    TimeArgs,
    TimeResult,
    as_words,
    decode_command,
    decode_reply,
    encode_command,
    encode_reply,
    new_command_id,
    read_words,
)
from vitals.wire.errors import WireError, WireInvalid, WireVersionUnknown
from vitals.wire.topics import Lane

NOW_MS = 1_790_000_000_000
RESEND = ResendArgs(ln="00112233aabbccdd", lane=Lane.LIVE, first=3, last=5)
COMMAND = Command(
    id="c-1",
    name=CommandName.RESEND,
    issued_at=NOW_MS,
    expires_at=NOW_MS + 60_000,
    issued_by="person-a",
    args=as_words(RESEND),
)
REPLY = CommandReply(id="c-1", state=ReplyState.FAILED, at=NOW_MS, reason="another spool")


def test_command_and_reply_round_trip():
    assert decode_command(encode_command(COMMAND)) == COMMAND
    assert decode_reply(encode_reply(REPLY)) == REPLY


@pytest.mark.parametrize(
    "said",
    [
        RESEND,
        ResendResult(sent=2, released=4),
        TimeArgs(t1=5),
        TimeArgs(t1=5, off_ms=-12, delay_ms=3, boot="b", step=2),
        TimeResult(t1=1, t2=2, t3=3, boot="b", step=0, src="ntp"),
    ],
    ids=repr,
)
def test_arguments_and_results_round_trip(said):
    assert read_words(as_words(said), type(said)) == said


@pytest.mark.parametrize(
    "words",
    [
        {},
        {"ln": "l", "lane": "express", "first": 1, "last": 2},
        {"ln": "l", "lane": "live", "first": 0, "last": 2},
        {"ln": "l", "lane": "live", "first": 3, "last": 2},
        {"ln": "l", "lane": "live", "first": 1, "last": 2**63},
        {"ln": "l", "lane": "live", "first": "1", "last": 2},
    ],
)
def test_range_that_cannot_be_is_invalid(words):
    with pytest.raises(WireInvalid):
        read_words(words, ResendArgs)


def changed(**fields):
    return json.dumps({**json.loads(encode_command(COMMAND)), **fields}).encode()


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        changed(id=""),
        changed(id="x" * 65),
        changed(id="a\nb"),
        changed(expires_at=10**18),
        changed(args={"deep": {"er": 1}}),
        changed(issued_by=None),
    ],
)
def test_broken_command_is_invalid(payload):
    with pytest.raises(WireInvalid):
        decode_command(payload)


def test_reply_with_an_endless_reason_is_invalid():
    with pytest.raises(WireInvalid, match="reason"):
        decode_reply(encode_reply(CommandReply(id="c", state=ReplyState.DONE, at=0, reason="x" * 501)))


@pytest.mark.parametrize("said", [{"reason": "a\x00"}, {"result": {"a\x00": 1}}, {"result": {"a": "\x00"}}])
def test_reply_with_nul_is_invalid(said):
    with pytest.raises(WireInvalid, match="NUL"):
        decode_reply(encode_reply(CommandReply(id="c", state=ReplyState.DONE, at=0, **said)))


def test_unknown_name_can_be_read_and_unknown_keys_are_ignored():
    assert decode_command(changed(name="dance", later_idea=1)).name == "dance"


def test_unknown_version_is_told_apart():
    with pytest.raises(WireVersionUnknown):
        decode_command(changed(v=2))


@given(st.binary(max_size=80))
def test_any_bytes_give_a_message_or_a_wire_error(payload):
    for decode in (decode_command, decode_reply):
        with pytest.raises(WireError):
            decode(payload)


@given(st.integers(min_value=0, max_value=2**48 - 2))
def test_ids_are_uuids_of_version_7_and_sort_by_time(now_ms):
    earlier, later = new_command_id(now_ms), new_command_id(now_ms + 1)

    assert uuid.UUID(earlier).version == 7
    assert uuid.UUID(earlier).variant == uuid.RFC_4122
    assert earlier < later


def test_only_received_is_followed_by_more():
    assert [state for state in ReplyState if not state.is_final] == [ReplyState.RECEIVED]
