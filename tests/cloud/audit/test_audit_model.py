import hashlib
import json

import msgspec
import pytest

from cloud.act import LONGEST_ID, TargetKind, target
from cloud.audit.model import (
    FIRST_PREVIOUS,
    ChainBroken,
    Entry,
    Head,
    chain_acts,
    check_checkpoint,
    follow,
    from_us,
    sign_head,
    to_us,
)
from tests.cloud.audit.entries import ACTS, ENTRIES, KEY, START, TIMED, signed_at

HASHED = [name for name in Entry.__struct_fields__ if name != "hash"]
WITHOUT_BASIS = [name for name in HASHED if name not in ("basis", "previous_hash")]


@pytest.mark.parametrize(
    ("entry", "names"),
    [
        (ENTRIES[7], [*WITHOUT_BASIS, "previous_hash"]),
        (ENTRIES[8], [*WITHOUT_BASIS, "basis", "previous_hash"]),
    ],
    ids=["without a basis", "with one"],
)
def test_hash_is_what_anybody_computes_from_the_documented_array(entry, names):
    fields = [getattr(entry, name) for name in names]
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))

    assert entry.hash == hashlib.sha256(text.encode()).hexdigest()
    assert ENTRIES[0].previous_hash == FIRST_PREVIOUS.hex()


def test_chain_goes_on_where_it_ended():
    middle = Head(sequence=5, hash=ENTRIES[4].hash)

    assert chain_acts(Head(), TIMED[:5]) + chain_acts(middle, TIMED[5:]) == ENTRIES
    assert [entry.act() for entry in ENTRIES] == list(ACTS)


@pytest.mark.parametrize("name", HASHED)
def test_change_of_any_field_is_found_at_its_entry(name):
    before = getattr(ENTRIES[3], name)
    changed = msgspec.structs.replace(ENTRIES[3], **{name: before + 1 if isinstance(before, int) else "x"})

    with pytest.raises(ChainBroken) as broken:
        follow(Head(sequence=3, hash=ENTRIES[2].hash), changed)
    assert broken.value.sequence == 4


def test_changed_entry_with_a_new_hash_is_found_at_the_next_one():
    changed = msgspec.structs.replace(ENTRIES[3], person="person-x")
    head = Head(sequence=4, hash=changed.computed_hash())

    with pytest.raises(ChainBroken, match="entry 5: it does not follow entry 4"):
        follow(head, ENTRIES[4])


def test_checkpoint_holds_only_below_its_own_history():
    checkpoint = signed_at(ENTRIES, 4)[0]
    check_checkpoint(Head(sequence=4, hash=ENTRIES[3].hash), checkpoint)

    with pytest.raises(ChainBroken, match="signs another history"):
        check_checkpoint(Head(sequence=4, hash=ENTRIES[2].hash), checkpoint)


@pytest.mark.parametrize("name", ["at_us", "public_key", "signature"])
def test_changed_checkpoint_is_false(name):
    head = Head(sequence=4, hash=ENTRIES[3].hash)
    checkpoint = sign_head(KEY, head, at=START)
    before = getattr(checkpoint, name)
    changed = before + 1 if isinstance(before, int) else before.upper()

    with pytest.raises(ChainBroken, match="signature of its checkpoint is false"):
        check_checkpoint(head, msgspec.structs.replace(checkpoint, **{name: changed}))


def test_time_keeps_every_microsecond():
    assert from_us(to_us(START)) == START


def test_id_that_somebody_typed_is_made_storable():
    assert target(TargetKind.PATIENT, "a\x00b\ud800\n").id == "a\ufffdb\ufffd\ufffd"
    assert len(target(TargetKind.PATIENT, "x" * 1000).id) == LONGEST_ID
