import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from cloud.ingest.model import (
    GapMessage,
    LaneProgress,
    Reason,
    Refused,
    StatusMessage,
    VitalsMessage,
    WaveBlockMessage,
    clock_shift,
    decode,
    peek_place,
)
from tests.fixtures.wire_messages import LINEAGE, WireAgent, seconds, utc_now
from vitals.gap import GapCause
from vitals.wire.batch import LOST, ClockState, Timing, stamp_batch, to_ms
from vitals.wire.topics import Lane
from vitals.wire.wave_block import stamp_wave

AGENT = WireAgent()


@given(st.permutations(range(1, 12)), st.lists(st.integers(1, 11)))
def test_progress_does_not_depend_on_order_or_repeats(order, repeats):
    progress = LaneProgress()
    for s in [*order, *repeats]:
        progress = progress.add(s)

    assert progress == LaneProgress(11)


@given(st.sets(st.integers(1, 40)))
def test_progress_ends_before_the_first_hole(received):
    progress = LaneProgress()
    for s in received:
        progress = progress.add(s)

    assert progress.upto == next(s for s in range(1, 42) if s not in received) - 1
    islands = {s for first, end in progress.ahead for s in range(first, end)}
    assert islands == {s for s in received if s > progress.upto}


def test_hole_that_is_filled_joins_its_islands():
    progress = LaneProgress().add(1).add(3).add(5).add(4)
    assert progress == LaneProgress(1, ((3, 6),))
    assert progress.add(2) == LaneProgress(5)


def test_what_the_sender_has_no_longer_counts_as_received():
    progress = LaneProgress().add(7).add(9)

    assert progress.skip_to(6) == LaneProgress(7, ((9, 10),))
    assert progress.skip_to(6).skip_to(3) == progress.skip_to(6)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (AGENT.vitals(1, 70, at=utc_now()), VitalsMessage),
        (AGENT.wave(1, [1, 2], at=utc_now()), WaveBlockMessage),
        (AGENT.gap(1, GapCause.SENSOR_OFF, start=utc_now()), GapMessage),
        (AGENT.birth(), StatusMessage),
        (AGENT.will(), StatusMessage),
    ],
    ids=["vitals", "wave", "event", "birth", "will"],
)
def test_every_kind_of_message_is_read(message, kind):
    assert isinstance(decode(message), kind)


def test_wave_keeps_its_samples_packed_as_they_came():
    message = AGENT.wave(1, [5, -3, 200], at=utc_now())
    decoded = decode(message)

    assert decoded.message.packed in message.payload
    assert decoded.message.block.samples.tolist() == [5, -3, 200]


def test_value_from_the_future_is_a_matter_of_the_clock():
    refused = decode(AGENT.vitals(7, 70, at=utc_now() + seconds(400)))

    assert (refused.reason, refused.place.s) == (Reason.CLOCK, 7)


def test_value_slightly_ahead_is_taken():
    assert isinstance(decode(AGENT.vitals(7, 70, at=utc_now() + seconds(200))), VitalsMessage)


@pytest.mark.parametrize("kind", ["vitals", "wave"])
def test_broken_message_still_tells_its_place(kind):
    whole = AGENT.vitals(9, 70, at=utc_now()) if kind == "vitals" else AGENT.wave(9, [1], at=utc_now())
    if kind == "vitals":
        broken = msgspec.json.encode(msgspec.json.decode(whole.payload) | {"dt": "x"})
    else:
        broken = whole.payload[:-1] + bytes([whole.payload[-1] ^ 0xFF])  # no longer the CRC that it was
    refused = decode(structs.replace(whole, payload=broken))

    assert refused.reason is Reason.CONTRACT
    assert (refused.place.lineage, refused.place.lane, refused.place.s) == (LINEAGE, Lane.LIVE, 9)


def test_unknown_version_is_told_apart_from_a_broken_message():
    whole = AGENT.vitals(9, 70, at=utc_now())
    newer = msgspec.json.encode(msgspec.json.decode(whole.payload) | {"v": 2})

    assert decode(structs.replace(whole, payload=newer)).reason is Reason.VERSION


@given(
    st.binary(max_size=200),
    st.sampled_from(["vitals", "wave/ecg", "wave/", "event", "status", "ack", "\x00"]),
)
def test_any_bytes_are_refused_or_read(payload, name):
    arrived = structs.replace(AGENT.will(), topic=AGENT.topic(name), payload=payload)

    assert isinstance(decode(arrived), Refused)
    peek_place(arrived.topic, arrived.payload)


def test_status_on_the_topic_of_another_agent_is_refused():
    foreign = structs.replace(AGENT.birth(), topic=WireAgent(agent="hut-2").topic("status"))

    assert decode(foreign).reason is Reason.CONTRACT


@pytest.mark.parametrize(
    ("src", "off_ms", "measured", "received", "shift"),
    [
        ("none", 3000, 97, 170, 3.0),
        ("none", 400, 99, 170, 0.0),
        ("rtc", -7000, 99, 93, -7.0),
        ("ntp", 600_000, 10, 700, 600.0),
        ("none", 90_000, 99, 102, 2.0),
        ("none", 10**18, 99, 102, 2.0),
        ("ntp", None, 99, 170, 0.0),
        ("ntp", None, 40, 93, 0.0),
    ],
    ids=[
        "behind, and it waited for us",
        "within the tolerance",
        "ahead",
        "a wrong time service",
        "the clock was set meanwhile",
        "no offset can be so large",
        "nothing measured",
        "right when it measured, and set wrong before it sent",
    ],
)
def test_measured_offset_is_better_than_a_guess(src, off_ms, measured, received, shift):
    now = utc_now()
    found = clock_shift(
        now + seconds(100),
        measured_at=now + seconds(measured),
        received_at=now + seconds(received),
        clock=ClockState(src=src, off_ms=off_ms),
    )

    assert found == seconds(shift)


def test_value_from_the_future_is_quarantined_also_when_the_offset_is_known():
    message = AGENT.vitals(1, 70, at=utc_now() + seconds(600), clock=ClockState(off_ms=-600_000))

    assert decode(message).reason is Reason.CLOCK


def test_offset_that_an_agent_states_shifts_its_values():
    message = AGENT.vitals(1, 70, at=utc_now() - seconds(3), clock=ClockState(src="rtc", off_ms=2500))

    assert decode(message).clock_shift == seconds(2.5)


@pytest.mark.parametrize("name", ["vitals", "wave"])
def test_what_a_lost_clock_read_belongs_to_nobody(name):
    timing = Timing(src=LOST)
    made = AGENT.vitals(1, 70, at=utc_now()) if name == "vitals" else AGENT.wave(1, [1, 2], at=utc_now())
    stamp = stamp_batch if name == "vitals" else stamp_wave
    stamped = stamp(made.payload, lane=Lane.BACKLOG, s=1, sent_ms=to_ms(utc_now()), timing=timing)

    message = decode(structs.replace(made, payload=stamped))

    assert message.clock_shift < -seconds(90 * 365 * 86_400)
