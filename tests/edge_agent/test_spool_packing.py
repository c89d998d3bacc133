from datetime import timedelta

import numpy as np
import pytest

from edge_agent import spool_packing
from edge_agent.spool import Spool
from edge_agent.spool_packing import Packer
from tests.edge_agent.test_spool_limit import ECG, NOW, FilledSpool
from vitals.wire.batch import decode_batch, to_ms
from vitals.wire.topics import Lane
from vitals.wire.wave_block import decode_wave


@pytest.fixture
def filled(tmp_path):
    opened = Spool(tmp_path / "spool.sqlite3")
    yield FilledSpool(opened)
    opened.close()


def blocks(filled):
    return [decode_wave(payload, stream=ECG).block for payload in filled.payloads("wave/ecg")]


def pack(filled, *, at=NOW):
    Packer(filled.spool, clock=lambda: at).run_once()


def test_blocks_that_follow_one_another_become_one_and_no_sample_is_lost(filled):
    filled.add_waves(60, oldest_s=3600)
    before = blocks(filled)

    pack(filled)

    after = blocks(filled)
    assert [block.first_sample for block in after] == [0, 3900]
    assert np.array_equal(
        np.concatenate([block.samples for block in after]),
        np.concatenate([block.samples for block in before]),
    )


def test_batches_of_a_minute_become_one_and_no_value_is_lost(filled):
    filled.add_vitals(range(300, 600), per_batch=1)
    before = filled.times()

    pack(filled)

    assert filled.times() == before
    assert len(filled.payloads("vitals")) == 5


def test_what_lies_in_the_future_since_the_clock_was_set_back_is_packed_too(filled):
    filled.add_vitals(range(300, 600), per_batch=1)

    pack(filled, at=NOW - timedelta(days=1))

    assert len(filled.payloads("vitals")) == 5


def test_what_is_young_or_has_a_sequence_stays_as_it_is(filled):
    filled.add_waves(60, oldest_s=60)
    filled.add_vitals(range(60), per_batch=1)
    before = filled.payloads("wave/ecg"), filled.payloads("vitals")
    pack(filled)
    assert (filled.payloads("wave/ecg"), filled.payloads("vitals")) == before

    filled.spool.assign(Lane.LIVE, now_ms=to_ms(NOW) - 60_000, limit=200)
    pack(filled, at=NOW + timedelta(hours=1))

    assert (filled.payloads("wave/ecg"), filled.payloads("vitals")) == before


def test_hole_in_a_wave_stays_a_hole(filled):
    filled.add_waves(5, oldest_s=3600)
    filled.add_waves(5, oldest_s=3000)

    pack(filled)

    assert [len(block.samples) for block in blocks(filled)] == [650, 650]


def test_packing_goes_on_where_it_stopped_and_repeats_nothing(filled, monkeypatch):
    monkeypatch.setattr(spool_packing, "ROWS_AT_ONCE", 8)
    filled.add_waves(40, oldest_s=3600)
    packer = Packer(filled.spool, clock=lambda: NOW)
    packer.run_once()
    packed = filled.payloads("wave/ecg")
    assert len(packed) == 5

    packer.run_once()
    assert filled.payloads("wave/ecg") == packed
    filled.add_waves(20, oldest_s=1000)
    packer.run_once()

    assert len(filled.payloads("wave/ecg")) == 5 + 3


def test_sources_are_not_mixed(filled):
    filled.add_vitals(range(600, 610), per_batch=1)
    other = FilledSpool(filled.spool, src="s-2")
    other.add_vitals(range(600, 610), per_batch=1)

    pack(filled)

    assert sorted(decode_batch(payload).src for payload in filled.payloads("vitals")) == ["s-1", "s-2"]


def test_two_blocks_of_one_moment_are_left_alone(filled):
    filled.add_waves(2, oldest_s=3600)
    filled.add_waves(2, oldest_s=3600)

    pack(filled)

    assert len(filled.payloads("wave/ecg")) == 4
