"""One contract for every scheme, and the vectors of the standards."""

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from cloud.signing.schemes import choice
from cloud.signing.schemes.choice import SchemeMissing, scheme_of
from cloud.store.suite import Suite, hash_content, keyed_digest

SCHEMES = [pytest.param(scheme_of(suite), id=suite.value) for suite in Suite]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_signature_fits_its_message_and_key_only(scheme):
    private = scheme.make_private()
    public, signature = scheme.public_of(private), scheme.sign(private, b"message")

    assert scheme.verify(public, b"message", signature=signature)
    assert not scheme.verify(public, b"massage", signature=signature)
    assert not scheme.verify(scheme.public_of(scheme.make_private()), b"message", signature=signature)
    for place in range(len(signature)):
        changed = signature[:place] + bytes([signature[place] ^ 1]) + signature[place + 1 :]
        assert not scheme.verify(public, b"message", signature=changed)


@pytest.mark.parametrize("scheme", SCHEMES)
@given(signature=st.binary(max_size=80), public=st.binary(max_size=70))
def test_any_bytes_are_refused_not_an_error(scheme, signature, public):
    good = scheme.public_of(scheme.make_private())

    assert not scheme.verify(good, b"message", signature=signature)
    assert not scheme.verify(public, b"message", signature=scheme.sign(scheme.make_private(), b"message"))


def test_sm2_accepts_the_example_of_gb_t_32918_5_annex_a():
    public = bytes.fromhex(
        "09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020"
        "CCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13"
    )
    r = 0xF5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3
    s = 0xB1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA

    sm2 = scheme_of(Suite.SM2)
    assert sm2.verify(public, b"message digest", signature=encode_dss_signature(r, s))
    assert not sm2.verify(public, b"message digest", signature=encode_dss_signature(r, s + 1))


def test_sm2_accepts_what_openssl_signed():
    """Made with OpenSSL 3.0.19: pkeyutl -sign -rawin -digest sm3 -pkeyopt distid:1234567812345678."""
    public = bytes.fromhex(
        "639536a930772d645d6d972111a4edb2da99430445d993516fd172db9b94a666"
        "e5eaa48b7930d6c63ddf3161cf16e92e9629548e941a1df33494be215f82cb57"
    )
    signature = bytes.fromhex(
        "3046022100d8f84312f1219a0f60dbe7a8460d1552ace3b715e7607c58662099de79da6da8"
        "022100e118e768fc3175c39ca63f540bf4249d1f9ff4cccba709b1ec21e55c883c7e03"
    )
    assert scheme_of(Suite.SM2).verify(public, b"message digest", signature=signature)


def test_sm3_gives_the_examples_of_gb_t_32905():
    assert (
        hash_content("sm3", b"abc").hex()
        == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    )
    assert hash_content("sm3", b"abcd" * 16).hex() == (
        "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732"
    )


def test_ed25519_gives_the_first_examples_of_rfc_8032():
    private = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    ed25519 = scheme_of(Suite.ED25519)

    assert (
        ed25519.public_of(private).hex() == "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    )
    assert ed25519.sign(private, b"\x72").hex().startswith("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8f")


def test_national_keyed_digest_is_the_one_of_sm3():
    assert keyed_digest(Suite.SM2, b"k", b"text") != keyed_digest(Suite.ECDSA, b"k", b"text")
    assert len(keyed_digest(Suite.SM2, b"k", b"text")) == 32


def test_sm2_without_its_extra_says_which_one(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cloud.signing.schemes.sm2", None)

    with pytest.raises(SchemeMissing, match=r"qianli\[cloud,sm\]"):
        choice.scheme_of(Suite.SM2)
