import json
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from vitals.observation import Flag, Observation, Quality, SourceId, VitalKey
from vitals.vocabulary import vital_code
from vitals.wire.batch import (
    AS_READ,
    LOST,
    SYNCHRONISED,
    ClockState,
    Envelope,
    Timing,
    build_batch,
    decode_batch,
    encode_batch,
    from_ms,
    join_batches,
    read_batch,
    stamp_batch,
    to_ms,
)
from vitals.wire.errors import WireError, WireInvalid, WireVersionUnknown
from vitals.wire.packing import pack_text, unpack_text
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


def test_batch_of_a_clock_that_is_gone_is_put_right_or_says_that_nobody_can():
    payload = encode_batch(pack(observe()))
    told = [
        decode_batch(stamp_batch(payload, lane=Lane.LIVE, s=9, sent_ms=to_ms(NOW) + 20_000, timing=timing))
        for timing in (
            AS_READ,
            Timing(moved_ms=-15_000),
            Timing(moved_ms=-15_000, src=SYNCHRONISED),
            Timing(src=LOST),
        )
    ]
    plain = told[0]

    assert [one.t0 - plain.t0 for one in told] == [0, -15_000, -15_000, 0]
    assert [one.clk for one in told[1:]] == [plain.clk, ClockState(src=SYNCHRONISED), ClockState(src=LOST)]
    assert [one.h for one in told] == [0, 1, 1, 1]
    assert {tuple(one.dt) for one in told} == {tuple(plain.dt)}


def broken(**changes):
    fields = json.loads(unpack_text(encode_batch(pack(observe()))))
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
        broken(rx=[1, 2]),
        broken(dt=[], rx=[]),
        broken(m={"heart_rate": [1.0, 2.0]}),
        broken(m={"unheard_of": [1.0]}),
        pack_text(broken())[:-3],
        broken(t0=10**18),
        broken(dv={"heart_rate": {"0": "yesterday"}}),
        broken(dv={"heart_rate": {"0": "0001-01-01T00:00:00+14:00"}}),
        broken(sent=10**18),
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


def test_whole_numbers_travel_without_a_point_and_come_back():
    payload = encode_batch(pack(observe(value=72.0)))

    assert b"[72]" in payload
    assert b"[72]" in stamp_batch(payload, lane=Lane.LIVE, s=1, sent_ms=to_ms(NOW))
    assert [item.value for item in read_batch(decode_batch(payload))] == [72.0]


@given(st.integers(min_value=-(10**13), max_value=10**13))
def test_milliseconds_round_trip(milliseconds):
    assert to_ms(from_ms(milliseconds)) == milliseconds


def test_what_says_itself_is_left_out_and_comes_back():
    batch = pack(
        replace(observe(), received_at=NOW), replace(observe("spo2", 96.5), received_at=NOW, unit="%")
    )

    fields = json.loads(unpack_text(encode_batch(batch)))

    assert fields["m"] == {"heart_rate": [72], "spo2": [96.5]}
    assert {"rx", "u", "q", "f", "dv", "h"}.isdisjoint(fields)
    assert decode_batch(encode_batch(batch)) == batch


def test_unit_that_is_not_the_vocabularys_is_sent():
    batch = pack(replace(observe("unheard_of"), unit="1"), replace(observe("spo2"), unit="1"))

    assert read_batch(decode_batch(encode_batch(batch)))[1].unit == "1"


@pytest.mark.parametrize("value", [0.0, -3.0, 36.6, 1e300, 2.0**60, 5e-324])
def test_number_comes_back_as_it_was(value):
    (item,) = read_batch(decode_batch(encode_batch(pack(observe(value=value)))))

    assert item.value == value


def test_ten_seconds_of_a_monitor_cost_less_than_six_bytes_for_a_value():
    keys = ("heart_rate", "spo2", "pulse_rate", "resp_rate", "abp_sys", "abp_dia", "temp", "perfusion_index")
    chance = random.Random(20261126)
    items = [
        replace(observe(key, value=float(chance.randint(70, 80)), after_s=second), unit=vital_code(key).ucum)
        for key in keys
        for second in range(10)
    ]

    assert len(encode_batch(pack(*items))) <= 6 * 80


def test_batches_of_one_source_join():
    one, other = pack(observe()), pack(observe(after_s=1), observe("spo2", 97.0, after_s=1))

    joined = decode_batch(join_batches(encode_batch(one), encode_batch(other)))

    assert read_batch(joined) == [*read_batch(one), *read_batch(other)]


@pytest.mark.parametrize(
    "other",
    [
        pack(observe()),
        structs.replace(pack(observe(after_s=1)), boot="another"),
        structs.replace(pack(observe(after_s=1)), clk=ClockState(src="rtc", off_ms=7)),
        structs.replace(pack(observe(after_s=1)), src=SourceId("s-2")),
    ],
    ids=["the same moment", "another run", "another state of the clock", "another source"],
)
def test_batches_that_do_not_belong_together_stay_apart(other):
    assert join_batches(encode_batch(pack(observe())), encode_batch(other)) is None
