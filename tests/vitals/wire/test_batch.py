import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitals.observation import Flag, Observation, Quality, SourceId, VitalKey
from vitals.wire.batch import (
    ClockState,
    Envelope,
    build_batch,
    decode_batch,
    encode_batch,
    from_ms,
    read_batch,
    stamp_batch,
    to_ms,
)
from vitals.wire.errors import WireError, WireInvalid, WireVersionUnknown
from vitals.wire.topics import Lane

NOW = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
ENVELOPE = Envelope(ln="00112233aabbccdd", boot="0102030405060708", lane=Lane.LIVE, s=7)
SRC = SourceId("s-1")


def observe(key="heart_rate", value=72.0, *, after_s=0.0, flags=(), quality=Quality.GOOD, device_time=None):
    moment = NOW + timedelta(seconds=after_s)
    return Observation(
        key=VitalKey(key),
        value=value,
        unit="/min",
        measured_at=moment,
        received_at=moment + timedelta(milliseconds=40),
        quality=quality,
        flags=flags,
        device_time=device_time,
    )


def pack(*observations):
    return build_batch(observations, src=SRC, envelope=ENVELOPE, clock=ClockState(src="ntp"))


def test_batch_returns_every_observation():
    sent = [
        observe(),
        observe("spo2", 97.0, quality=Quality.QUESTIONABLE, flags=(Flag.LOW_PERFUSION,)),
        observe(after_s=1),
        observe("nibp_mean", None, flags=(Flag.FAILED,), quality=Quality.INVALID),
        observe("nibp_sys", 120.0, device_time=datetime(2026, 11, 25, 16, 0)),
    ]

    got = read_batch(decode_batch(encode_batch(pack(*sent))))

    assert sorted(got, key=repr) == sorted(sent, key=repr)


def test_null_without_a_flag_is_not_an_observation():
    batch = pack(observe(), observe("spo2", after_s=1))

    assert len(read_batch(batch)) == 2


def test_one_key_twice_in_a_millisecond_is_refused():
    with pytest.raises(ValueError, match="heart_rate twice"):
        pack(observe(), observe())


def test_empty_batch_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        pack()


@pytest.mark.parametrize(("age_s", "historical"), [(0, 0), (29, 0), (31, 1)])
def test_stamp_marks_what_is_older_than_thirty_seconds(age_s, historical):
    payload = encode_batch(pack(observe()))

    stamped = decode_batch(stamp_batch(payload, lane=Lane.BACKLOG, s=9, sent_ms=to_ms(NOW) + age_s * 1000))

    assert (stamped.h, stamped.sent) == (historical, to_ms(NOW) + age_s * 1000)
    assert (stamped.lane, stamped.s) == (Lane.BACKLOG, 9)


def broken(**changes):
    fields = json.loads(encode_batch(pack(observe())))
    return json.dumps({**fields, **changes}).encode()


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"\xff",
        broken(src="s-1").replace(b"s-1", b"s-\xc4"),
        b'{"v":1,"m":' + b"[" * 100_000,
        broken(s=0),
        broken(rx=[]),
        broken(dt=[], rx=[]),
        broken(m={"heart_rate": [1.0, 2.0]}),
        broken(u={}),
        broken(t0=10**18),
        broken(dv={"heart_rate": {"0": "yesterday"}}),
        broken(lane="express"),
        broken(q={"heart_rate": []}),
    ],
)
def test_broken_batch_is_invalid(payload):
    with pytest.raises(WireInvalid):
        decode_batch(payload)


def test_unknown_version_is_told_apart():
    with pytest.raises(WireVersionUnknown) as caught:
        decode_batch(b'{"v": 9, "shape": "new"}')

    assert caught.value.version == 9


def test_unknown_keys_are_ignored():
    assert decode_batch(broken(later_idea=[1, 2])).s == 7


@given(st.binary(max_size=200))
def test_any_bytes_give_a_batch_or_a_wire_error(payload):
    with pytest.raises(WireError):
        decode_batch(payload)


@given(st.integers(min_value=-(10**13), max_value=10**13))
def test_milliseconds_round_trip(milliseconds):
    assert to_ms(from_ms(milliseconds)) == milliseconds
