import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.store.errors import KeyFileInvalid, SealBroken
from cloud.store.sealing import KeyFile, Sealer, SealingKey, open_ring
from cloud.store.suite import Suite

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


def key(number, suite=Suite.ED25519):
    return SealingKey(number=number, suite=suite, secret=bytes([number]) * 32)


@pytest.mark.parametrize("suite", list(Suite))
def test_every_suite_opens_what_it_sealed_and_nothing_else(suite):
    sealer = Sealer([key(1, suite)])
    sealed = sealer.seal("330102199001011234", context="row")

    assert sealer.unseal(sealed, context="row") == "330102199001011234"
    for place in range(len(sealed)):
        changed = sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]
        with pytest.raises(SealBroken):
            sealer.unseal(changed, context="row")
    with pytest.raises(SealBroken):
        sealer.unseal(sealed, context="another row")


def test_national_suite_hides_and_finds_with_other_algorithms():
    assert Sealer([key(1)]).digest("a") != Sealer([key(1, Suite.SM2)]).digest("a")
    assert Sealer([key(1)]).fingerprint == Sealer(bytes([1]) * 32).fingerprint


def test_old_values_open_after_a_new_key_and_new_ones_are_sealed_with_it():
    old = Sealer([key(1)]).seal("x", context="row")
    ring = Sealer([key(1), key(2, Suite.SM2)])
    new = ring.seal("x", context="row")

    assert [ring.unseal(sealed, context="row") for sealed in (old, new)] == ["x", "x"]
    assert (old[0], new[0]) == (1, 2)
    with pytest.raises(SealBroken):
        Sealer([key(1)]).unseal(new, context="row")


def test_digests_stay_with_the_key_in_use_until_it_is_changed():
    old, ring = Sealer([key(1)]), Sealer([key(1), key(2)])
    assert ring.use(old.fingerprint)

    assert ring.digest("a") == old.digest("a")
    assert ring.digests("a") == [old.digest("a"), ring.newest_digest("a")]
    assert ring.use(ring.newest_fingerprint)
    assert ring.digest("a") == ring.newest_digest("a") != old.digest("a")
    assert not ring.use(b"unknown")


def test_service_that_runs_learns_of_a_new_key(tmp_path):
    file = KeyFile(tmp_path / "identifier.key")
    running = open_ring(file, file.create())
    KeyFile(file.path).add(Suite.SM2)
    other = KeyFile(file.path)

    sealed = open_ring(other, other.read()).seal("x", context="row")
    assert running.unseal(sealed, context="row") == "x"
    assert running.seal("x", context="row")[0] == 2


def test_key_is_made_once_and_read_by_its_owner_only(tmp_path):
    file = KeyFile(tmp_path / "keys" / "identifier.key")
    assert file.read() is None
    keys = file.create()

    assert (len(keys[0].secret), file.create(), file.read()) == (32, keys, keys)
    assert (file.path.stat().st_mode & 0o777, file.path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert list(file.path.parent.iterdir()) == [file.path]
    assert repr(keys[0].secret.hex()) not in repr(keys)


def test_first_key_of_a_file_from_before_the_ring_is_read(tmp_path):
    path = tmp_path / "identifier.key"
    path.write_text("ab" * 32)
    path.chmod(0o600)

    assert KeyFile(path).read() == [SealingKey(number=1, suite=Suite.ED25519, secret=b"\xab" * 32)]


def test_key_that_others_may_read_is_refused(tmp_path):
    file = KeyFile(tmp_path / "identifier.key")
    file.create()
    file.path.chmod(0o640)

    with pytest.raises(KeyFileInvalid, match="chmod 600"):
        file.read()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"ab" * 31,
        b"zz" * 32,
        b"\xff",
        b"2 sm2 " + b"ab" * 32 + b"\n1 sm2 " + b"ab" * 32,
        b"1 rot13 " + b"ab" * 32,
    ],
    ids=["empty", "short", "word", "bytes", "falling", "unknown suite"],
)
def test_key_file_of_another_content_is_refused(tmp_path, content):
    path = tmp_path / "identifier.key"
    path.write_bytes(content)
    path.chmod(0o600)

    with pytest.raises(KeyFileInvalid, match="64 hexadecimal digits"):
        KeyFile(path).read()


def test_key_that_cannot_be_made_or_read_is_told(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(KeyFileInvalid, match="cannot be used"):
        KeyFile(tmp_path / "file" / "identifier.key").create()
    with pytest.raises(KeyFileInvalid, match="Not a directory"):
        KeyFile(tmp_path / "file" / "identifier.key").read()
    with pytest.raises(KeyFileInvalid, match="not there"):
        KeyFile(tmp_path / "none.key").add()
