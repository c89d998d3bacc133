"""What lies in an object tells nothing to who has not its key and the salt of the part."""

import pytest

from cloud.objects.errors import ObjectDamaged
from cloud.objects.sealing import (
    MORE_BYTES,
    make_key,
    make_salt,
    open_pieces,
    read_key,
    seal_pieces,
)
from cloud.store.suite import Suite

PIECES = [b"first", b"", b"third" * 100]


@pytest.mark.parametrize("suite", [Suite.ED25519, Suite.SM2])
def test_pieces_come_back_alone_and_together(suite):
    key, salt = make_key(suite), make_salt()
    sealed = seal_pieces(key, salt, PIECES)
    same = read_key(key.to_text())

    assert [len(one) for one in sealed] == [len(piece) + MORE_BYTES for piece in PIECES]
    assert open_pieces(same, salt, sealed, first=0, name="o") == PIECES
    assert open_pieces(same, salt, sealed[2:], first=2, name="o") == PIECES[2:]
    assert b"third" not in b"".join(sealed)


@pytest.mark.parametrize("wrong", ["key", "salt", "place", "bytes", "cut"])
def test_other_key_salt_place_or_bytes_open_nothing(wrong):
    key, salt = make_key(Suite.ED25519), make_salt()
    sealed = seal_pieces(key, salt, PIECES)[:1]
    if wrong == "bytes":
        sealed = [bytes([sealed[0][0] ^ 1]) + sealed[0][1:]]
    if wrong == "cut":
        sealed = [sealed[0][:-1]]
    with pytest.raises(ObjectDamaged) as told:
        open_pieces(
            make_key(Suite.ED25519) if wrong == "key" else key,
            make_salt() if wrong == "salt" else salt,
            sealed,
            first=1 if wrong == "place" else 0,
            name="o",
        )
    assert told.value.name == "o"


def test_same_bytes_are_sealed_differently_in_every_part():
    key = make_key(Suite.ED25519)

    assert seal_pieces(key, make_salt(), PIECES)[2] != seal_pieces(key, make_salt(), PIECES)[2]
    assert key.secret.hex() not in repr(key)
