"""Blocks of a window as bytes come back to the bit, section by section."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.waves.chunk import read_directory, read_section, write_sections
from cloud.waves.model import is_short, merge
from tests.cloud.waves.blocks import SECOND, T0, block, plain

INT32 = st.integers(-(2**31), 2**31 - 1)
INT64 = st.integers(-(2**63), 2**63 - 1)


@st.composite
def windows(draw):
    starts = sorted(draw(st.sets(st.integers(0, 600 * SECOND - 1), min_size=1, max_size=12)))
    return [
        block(
            0,
            draw(st.lists(INT32, min_size=1, max_size=20)),
            t0_us=T0 + start,
            rate_numerator=draw(st.integers(1, 2**32 - 1)),
            rate_denominator=draw(st.integers(1, 2**32 - 1)),
            first_sample=draw(INT64),
            codec=draw(st.sampled_from([1, 2])),
            sent_us=draw(INT64),
            stored_us=draw(INT64),
            late=draw(st.booleans()),
            lane=draw(st.sampled_from(["event", "live", "backlog"])),
            s=draw(st.integers(1, 2**63 - 1)),
            shift_us=draw(INT64),
        )
        for start in starts
    ]


@given(windows().filter(lambda several: all(one.end_us < 2**62 for one in several)))
def test_any_window_comes_back_to_the_bit(several):
    directory, sections = write_sections(several, begin_us=T0)
    found = [one for content in sections for one in read_section(content)]

    assert [plain(one) for one in found] == [plain(one) for one in several]
    places = read_directory(directory, begin_us=T0)
    assert [place.length for place in places] == [len(content) for content in sections]


def test_directory_tells_which_section_reaches_where():
    several = [block(0), block(59.5), block(60), block(599)]
    places = read_directory(write_sections(several, begin_us=T0)[0], begin_us=T0)

    assert [(place.first_us - T0, place.until_us - T0) for place in places] == [
        (0, 60.5 * SECOND),
        (60 * SECOND, 61 * SECOND),
        (540 * SECOND, 600 * SECOND),
    ]


def test_section_of_a_later_version_is_refused():
    _, (content,) = write_sections([block(0)], begin_us=T0)
    with pytest.raises(ValueError, match="version 9"):
        read_section(b"\x09" + content[1:])


def test_second_differences_are_taken_only_where_they_fit_and_help():
    smooth = np.cumsum(np.arange(200) % 40)
    far = [-(2**31), 2**31 - 1] * 20
    for samples in (smooth, far):
        _, (content,) = write_sections([block(0, samples)], begin_us=T0)
        assert read_section(content)[0].samples.tolist() == list(samples)
        assert content[2] == (1 if samples is smooth else 0)


def test_first_of_two_stays_and_the_second_is_counted():
    first, same, other = block(0), block(0, s=9), block(0, [1, 2])
    merged = merge([first], [same, other, block(1)])

    assert [one.s for one in merged.blocks] == [first.s, 2]
    assert merged.conflicts == {T0: 1}


def test_block_of_more_than_ten_minutes_is_not_short():
    assert is_short(block(0, [0] * 600, rate=(1, 1)))
    assert not is_short(block(0, [0] * 601, rate=(1, 1)))


@pytest.mark.parametrize("n", [1, 2, 3, 5, 100])
def test_end_of_a_block_is_that_of_its_samples(n):
    for rate in ((125, 1), (300, 7), (3_000_000, 1), (2_000_000, 1)):
        one = block(0, [0] * n, rate=rate)
        assert one.end_us == one.to_wave("ecg").end_us
