from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitals.gap import Gap, GapCause
from vitals.observation import SourceId, VitalKey
from vitals.wave import WaveLayout
from vitals.wire import status
from vitals.wire.batch import Envelope, to_ms
from vitals.wire.errors import WireError, WireInvalid
from vitals.wire.event import build_gap_event, decode_event, encode_event, read_gap, stamp_event
from vitals.wire.topics import Lane

NOW = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
ENVELOPE = Envelope(ln="00112233aabbccdd", boot="0102030405060708", lane=Lane.EVENT, s=1)


def make_gap(*, ended_after_s=None):
    ended_at = None if ended_after_s is None else NOW + timedelta(seconds=ended_after_s)
    return Gap(
        src=SourceId("s-1"),
        keys=(VitalKey("spo2"),),
        cause=GapCause.SENSOR_OFF,
        started_at=NOW,
        ended_at=ended_at,
    )


@pytest.mark.parametrize("gap", [make_gap(), make_gap(ended_after_s=9)])
def test_gap_round_trips(gap):
    assert read_gap(decode_event(encode_event(build_gap_event(gap, envelope=ENVELOPE)))) == gap


def test_gap_that_ends_before_it_starts_is_invalid():
    payload = encode_event(build_gap_event(make_gap(ended_after_s=-1), envelope=ENVELOPE))

    with pytest.raises(WireInvalid):
        decode_event(payload)


@pytest.mark.parametrize(("age_s", "historical"), [(1, 0), (31, 1)])
def test_stamp_marks_an_old_event(age_s, historical):
    payload = encode_event(build_gap_event(make_gap(), envelope=ENVELOPE))

    stamped = decode_event(stamp_event(payload, lane=Lane.EVENT, s=4, sent_ms=to_ms(NOW) + age_s * 1000))

    assert (stamped.h, stamped.s) == (historical, 4)


def test_unknown_cause_is_invalid():
    payload = encode_event(build_gap_event(make_gap(), envelope=ENVELOPE)).replace(
        b"sensor_off", b"aliens_did"
    )

    with pytest.raises(WireInvalid, match="aliens_did"):
        decode_event(payload)


def test_wave_layout_round_trips():
    layout = WaveLayout(stream=VitalKey("ecg"), rate_hz=Fraction(130), gain=0.001, offset=0.0, unit="mV")

    assert status.read_wave_layout(status.declare_wave(layout)) == layout


def test_impossible_rate_is_invalid():
    declared = status.WaveDeclaration(stream=VitalKey("ecg"), rate=(0, 1), gain=1, offset=0, unit="mV")

    with pytest.raises(WireInvalid, match="rate"):
        status.read_wave_layout(declared)


@pytest.mark.parametrize(
    ("message", "decode"),
    [
        (status.Status(v=1, agent="hut-1", boot="b", online=False), status.decode_status),
        (status.Beat(v=1, ln="l", boot="b", at=5, depth=0), status.decode_beat),
        (status.Ack(v=1, ln="l", upto={Lane.LIVE: 9}, at=5), status.decode_ack),
        (status.CloudStatus(v=1, online=True), status.decode_cloud_status),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_control_messages_round_trip(message, decode):
    assert decode(status.encode_control(message)) == message


@pytest.mark.parametrize(
    "decode",
    [status.decode_status, status.decode_beat, status.decode_ack, status.decode_cloud_status, decode_event],
)
@given(payload=st.binary(max_size=80))
def test_any_bytes_give_a_message_or_a_wire_error(decode, payload):
    with pytest.raises(WireError):
        decode(payload)


def test_right_version_with_wrong_fields_is_invalid():
    with pytest.raises(WireInvalid):
        status.decode_ack(b'{"v": 1}')
