import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from cloud.series.chunk import read_chunk, write_chunk
from cloud.series.model import MINUTE_MS, Unpacked, iterate_cells, unpack
from cloud.series.numbers import read_floats, read_ints, write_floats, write_ints
from cloud.series.rollup import merge_rollups, read_rollup, roll_up, write_rollup
from tests.cloud.series.batches import KEYS, SRC, batch, batches
from vitals.observation import Quality

pytestmark = pytest.mark.slow

LANES = {1: "live", 2: "backlog"}


def block_of(messages):
    """As they would be stored; each begins at a millisecond of its own, so that no time comes twice."""
    apart = [replace(one, t0=one.t0 + number) for number, one in enumerate(messages)]
    return unpack([Unpacked(one, 1 + one.s % 2, one.s * 7, one.s % 3 * 1000) for one in apart])


def cells_of(block):
    return sorted(iterate_cells(block, SRC, lanes=LANES), key=repr)


whole = st.integers(-(2**63), 2**63 - 1)
rounded = st.decimals(-400, 400, places=2).map(float)


def tables(elements):
    """Some rows of equal length; the length may be nothing."""
    return st.integers(0, 20).flatmap(
        lambda columns: st.lists(
            st.lists(elements, min_size=columns, max_size=columns), min_size=1, max_size=3
        )
    )


@given(tables(whole))
def test_integers_come_back(rows):
    content = b"before" + write_ints(np.array(rows, np.int64)) + b"after"

    found, end = read_ints(content, 6)
    assert (found.tolist(), content[end:]) == (rows, b"after")


@given(tables(st.one_of(st.floats(allow_nan=False), rounded)))
def test_doubles_come_back_bit_by_bit(rows):
    given_rows = np.array(rows, np.float64)
    found, _ = read_floats(write_floats(given_rows))

    assert (found.shape, found.tobytes()) == (given_rows.shape, given_rows.tobytes())


def test_rounded_numbers_are_kept_as_integers():
    tenths = np.arange(360, 400)[np.newaxis] / 10

    assert len(write_floats(tenths)) < tenths.size + 20


@settings(max_examples=25, deadline=None)
@given(st.lists(batches(), min_size=1, max_size=6))
def test_chunk_is_lossless(messages):
    block = block_of(messages)

    assert cells_of(read_chunk(write_chunk(block))) == cells_of(block)


@settings(max_examples=25, deadline=None)
@given(st.lists(batches(), min_size=1, max_size=4))
def test_one_key_is_read_without_the_others(messages):
    block = read_chunk(write_chunk(block_of(messages)), keys=[KEYS[0]])

    expected = [cell for cell in cells_of(block_of(messages)) if cell["key"] == KEYS[0]]
    assert cells_of(block) == expected


@settings(max_examples=25, deadline=None)
@given(st.lists(batches(), min_size=1, max_size=6), st.integers(0, 20))
def test_rows_that_are_kept_and_dropped_are_all_rows(messages, until):
    block = block_of(messages)
    mask = block.t_ms < block.t_ms.min() + until * 1000

    assert sorted(cells_of(block.rows(mask)) + cells_of(block.rows(~mask)), key=repr) == cells_of(block)


@settings(max_examples=25, deadline=None)
@given(st.lists(batches(), min_size=1, max_size=6))
def test_believed_clock_changes_nothing_but_the_shift(messages):
    block = block_of(messages)
    believed = cells_of(block.vouched(np.ones(len(block.t_ms), np.bool_)))

    assert {cell["clock_shift"].total_seconds() for cell in believed} <= {0}
    without = [{name: cell[name] for name in cell if name != "clock_shift"} for cell in cells_of(block)]
    assert [{name: cell[name] for name in cell if name != "clock_shift"} for cell in believed] == without


def reference(block, step_ms):
    """Steps as plain Python counts them."""
    found = {}
    for cell in sorted(iterate_cells(block, SRC, lanes=LANES), key=lambda cell: cell["measured_at"]):
        if cell["value"] is not None and cell["quality"] != Quality.INVALID:
            t_ms = round(cell["measured_at"].timestamp() * 1000)
            place = cell["key"], cell["unit"], t_ms - t_ms % step_ms
            found.setdefault(place, []).append((t_ms, cell["value"]))
    return found


@settings(max_examples=25, deadline=None)
@given(st.lists(batches(), min_size=1, max_size=6), st.sampled_from([5000, MINUTE_MS]))
def test_rollup_is_what_a_count_by_hand_gives(messages, step_ms):
    block = block_of(messages)
    halves = [block.rows(block.t_ms % 2000 < 1000), block.rows(block.t_ms % 2000 >= 1000)]
    parts = [read_rollup(write_rollup(roll_up(half, step_ms=1000))) for half in halves]
    merged = merge_rollups(parts, step_ms=step_ms)

    found = {}
    for (key, unit), steps in merged.items():
        for number, start in enumerate(steps.starts_ms.tolist()):
            found[key, unit, start] = tuple(
                getattr(steps, name)[number] for name in ("counts", "lowest", "highest", "first", "last")
            )
    expected = {}
    for place, cells in reference(block, step_ms).items():
        values = [value for _, value in cells]
        expected[place] = (len(values), min(values), max(values), values[0], values[-1])
    assert found == expected


def test_sum_of_tenths_has_no_rounding_of_additions():
    message = batch(1, times=range(60), columns={"temp": [36.7] * 60}, units={"temp": "Cel"})
    rollup = roll_up(block_of([message]), step_ms=MINUTE_MS)

    assert sum([36.7] * 60) != 2202.0
    assert rollup["temp", "Cel"].sums.tolist() == [2202.0]
