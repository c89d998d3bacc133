import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.store.errors import KeyFileInvalid, SealBroken
from cloud.store.sealing import Sealer, create_key, read_key

SEALER = Sealer(b"k" * 32)
OTHER = Sealer(b"o" * 32)


@given(st.text(), st.text())
def test_sealed_text_opens_again(text, context):
    assert SEALER.unseal(SEALER.seal(text, context=context), context=context) == text


@given(st.integers(0, 40), st.integers(1, 255))
def test_changed_byte_is_noticed(place, change):
    sealed = bytearray(SEALER.seal("330102199001011234", context="row"))
    sealed[place % len(sealed)] ^= change

    with pytest.raises(SealBroken):
        SEALER.unseal(bytes(sealed), context="row")


@pytest.mark.parametrize(("sealer", "context"), [(OTHER, "row"), (SEALER, "another row")], ids=["key", "row"])
def test_sealed_text_opens_only_with_its_key_and_in_its_row(sealer, context):
    sealed = SEALER.seal("x", context="row")

    with pytest.raises(SealBroken):
        sealer.unseal(sealed, context=context)


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x01" + bytes(12)])
def test_truncated_seal_is_refused(sealed):
    with pytest.raises(SealBroken):
        SEALER.unseal(sealed, context="row")


def test_same_text_has_one_digest_under_one_key_and_never_one_seal():
    assert SEALER.digest("a") == Sealer(b"k" * 32).digest("a")
    assert SEALER.digest("a") not in (SEALER.digest("b"), OTHER.digest("a"))
    assert SEALER.seal("a", context="") != SEALER.seal("a", context="")
    assert SEALER.fingerprint != OTHER.fingerprint


def test_key_is_made_once_and_read_by_its_owner_only(tmp_path):
    path = tmp_path / "keys" / "identifier.key"
    assert read_key(path) is None
    key = create_key(path)

    assert (len(key), create_key(path), read_key(path)) == (32, key, key)
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert list(path.parent.iterdir()) == [path]


def test_key_that_others_may_read_is_refused(tmp_path):
    path = tmp_path / "identifier.key"
    create_key(path)
    path.chmod(0o640)

    with pytest.raises(KeyFileInvalid, match="chmod 600"):
        read_key(path)


@pytest.mark.parametrize(
    "content", [b"", b"ab" * 31, b"zz" * 32, b"\xff"], ids=["empty", "short", "word", "bytes"]
)
def test_key_file_of_another_content_is_refused(tmp_path, content):
    path = tmp_path / "identifier.key"
    path.write_bytes(content)
    path.chmod(0o600)

    with pytest.raises(KeyFileInvalid, match="64 hexadecimal digits"):
        read_key(path)


def test_key_that_cannot_be_made_or_read_is_told(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(KeyFileInvalid, match="cannot be used"):
        create_key(tmp_path / "file" / "identifier.key")
    with pytest.raises(KeyFileInvalid, match="Not a directory"):
        read_key(tmp_path / "file" / "identifier.key")
