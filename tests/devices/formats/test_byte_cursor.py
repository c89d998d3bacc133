from decimal import Decimal

import pytest

from devices.errors import FrameInvalid
from devices.formats.byte_cursor import ByteCursor


def test_fields_are_little_endian_and_follow_one_another():
    cursor = ByteCursor(bytes.fromhex("01 0203 6c0100ff 72f0 aa"))
    assert cursor.unsigned(1, "a") == 1
    assert cursor.unsigned(2, "b") == 0x0302
    assert cursor.float32("c") == Decimal("36.4")
    assert cursor.sfloat("d") == Decimal("11.4")
    assert (cursor.offset, cursor.left) == (9, 1)


def test_missing_bytes_name_the_field_and_where_it_should_begin():
    cursor = ByteCursor(b"\x01\x02")
    cursor.take(1, "flags")
    with pytest.raises(FrameInvalid, match="pulse needs 2 bytes, 1 left") as raised:
        cursor.unsigned(2, "pulse")
    assert raised.value.offset == 1
    assert raised.value.payload == b"\x01\x02"


def test_impossible_date_points_at_its_part():
    cursor = ByteCursor(bytes.fromhex("00 ea070d01000000"))
    cursor.take(1, "flags")
    with pytest.raises(FrameInvalid, match="impossible month") as raised:
        cursor.date_time("time stamp")
    assert raised.value.offset == 3


def test_bytes_that_no_flag_announces_are_refused():
    with pytest.raises(FrameInvalid, match="2 bytes that no flag announces"):
        ByteCursor(b"\x01\x02").expect_end(reserved_bits=0)


def test_bytes_behind_a_reserved_flag_are_ignored():
    cursor = ByteCursor(b"\x01\x02")
    cursor.expect_end(reserved_bits=0x80)
    assert cursor.left == 2
