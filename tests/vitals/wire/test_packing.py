import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from vitals.wire.errors import WireInvalid
from vitals.wire.packing import LARGEST_BYTES, WORTH_FROM_BYTES, pack_text, unpack_text


@given(st.text(max_size=2000).map(lambda text: b"{" + text.encode()))
def test_text_round_trips_and_never_grows(text):
    packed = pack_text(text)

    assert unpack_text(packed) == text
    assert len(packed) <= len(text)


def test_short_text_stays_as_it_is():
    assert pack_text(b"{" * (WORTH_FROM_BYTES - 1)) == b"{" * (WORTH_FROM_BYTES - 1)
    assert len(pack_text(b"{" * WORTH_FROM_BYTES)) < 50


def test_frame_that_is_too_large_is_not_unpacked():
    bomb = zstandard.ZstdCompressor().compress(bytes(LARGEST_BYTES + 1))

    with pytest.raises(WireInvalid, match="too long"):
        unpack_text(bomb)


@pytest.mark.parametrize("cut", [5, 9, -1])
def test_broken_frame_is_invalid(cut):
    with pytest.raises(WireInvalid):
        unpack_text(pack_text(b'{"a":1}' * 100)[:cut])


def test_frame_without_its_length_is_invalid():
    frame = zstandard.ZstdCompressor(write_content_size=False).compress(b"{" * 500)

    with pytest.raises(WireInvalid, match="how long"):
        unpack_text(frame)
