import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from cloud.audit.lines import verify_lines, write_lines
from cloud.audit.model import ChainBroken, Head, TimedAct, chain_acts
from tests.cloud.audit.entries import ENTRIES, KEY, TIMED, exported, signed_at

LINES = exported()
FILE = b"".join(LINES)
FINGERPRINT = signed_at(ENTRIES, 1)[0].fingerprint


def test_untouched_export_is_intact():
    found = verify_lines(LINES, trusted=FINGERPRINT)

    assert (found.entries, found.head_hash, found.keys) == (len(ENTRIES), ENTRIES[-1].hash, (FINGERPRINT,))


@pytest.mark.slow
@pytest.mark.parametrize("line", range(len(LINES)))
def test_any_changed_bit_of_any_line_is_found(line):
    for position in range(len(LINES[line])):
        for bit in (0x01, 0x20):
            changed = bytearray(LINES[line])
            changed[position] ^= bit
            with pytest.raises(ChainBroken):
                verify_lines([*LINES[:line], bytes(changed), *LINES[line + 1 :]])


@pytest.mark.parametrize("line", range(len(LINES)))
def test_any_removed_line_is_found(line):
    kept = LINES[:line] + LINES[line + 1 :]
    in_the_middle = b'"checkpoint"' in LINES[line] and line < len(LINES) - 1
    if in_the_middle:  # the last signature stands for everything before it
        assert verify_lines(kept).entries == len(ENTRIES)
        return
    with pytest.raises(ChainBroken):
        verify_lines(kept)


@pytest.mark.parametrize("line", range(len(LINES) - 1))
def test_any_two_swapped_lines_are_found(line):
    swapped = [*LINES[:line], LINES[line + 1], LINES[line], *LINES[line + 2 :]]

    with pytest.raises(ChainBroken):
        verify_lines(swapped)


@given(st.integers(0, len(FILE) - 1))
def test_cut_file_is_intact_only_up_to_an_earlier_checkpoint(length):
    lines = FILE[:length].splitlines(keepends=True)
    if lines and lines == LINES[: len(lines)] and b'"checkpoint"' in lines[-1]:
        assert verify_lines(lines).entries == len(ENTRIES) // 2
        return
    with pytest.raises(ChainBroken):
        verify_lines(lines)


def test_first_wrong_entry_is_named():
    changed = LINES[5].replace(b'"system"', b'"nobody"')

    with pytest.raises(ChainBroken, match="entry 5: it was changed"):
        verify_lines([*LINES[:5], changed, *LINES[6:]])
    with pytest.raises(ChainBroken, match="entry 3: it is missing; entry 4 stands in its place"):
        verify_lines([*LINES[:3], *LINES[4:]])


def test_history_written_anew_without_the_key_does_not_fit_its_signature():
    other = chain_acts(Head(), [TimedAct(act=TIMED[0].act, at=TIMED[1].at), *TIMED[1:]])

    with pytest.raises(ChainBroken, match=f"entry {len(ENTRIES)}: its checkpoint signs another history"):
        verify_lines(write_lines(other, signed_at(ENTRIES, len(ENTRIES))))


def test_history_signed_by_a_strange_key_is_refused_by_who_knows_the_right_one():
    strange = exported(key=Ed25519PrivateKey.generate())
    assert verify_lines(strange).keys != (FINGERPRINT,)

    with pytest.raises(ChainBroken, match="strange key"):
        verify_lines(strange, trusted=FINGERPRINT)


@given(st.lists(st.binary(max_size=80), max_size=5))
def test_any_other_file_is_refused_in_words(lines):
    with pytest.raises(ChainBroken):
        verify_lines(lines)


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_words_survive_the_way_into_a_file_and_back(person, organisation):
    entry = msgspec.structs.replace(ENTRIES[0], person=person, organisation=organisation)
    entry = msgspec.structs.replace(entry, hash=entry.computed_hash())

    assert verify_lines(write_lines([entry], signed_at([entry], 1, key=KEY))).entries == 1
