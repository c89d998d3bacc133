from contextlib import suppress
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitals.wire.invitation import (
    DEFAULT_PORT,
    Invitation,
    InvitationInvalid,
    new_code,
    parse_code,
    parse_invitation,
)

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
FINGERPRINT = sha256(b"an authority").digest()
fingerprints = st.binary(min_size=32, max_size=32)


@given(fingerprints)
def test_code_is_read_as_it_was_written(fingerprint):
    code = new_code(fingerprint)

    assert parse_code(str(code)) == code
    assert code.names(fingerprint)
    assert len(str(code).replace("-", "")) == 28


@given(fingerprints)
def test_code_names_its_own_authority_only(fingerprint):
    assert new_code(fingerprint).names(FINGERPRINT) is (fingerprint[:10] == FINGERPRINT[:10])


@given(st.integers(0, 27), st.sampled_from(ALPHABET))
def test_any_one_wrong_character_is_noticed(place, wrong):
    typed = str(new_code(FINGERPRINT)).replace("-", "")
    changed = typed[:place] + wrong + typed[place + 1 :]

    if changed != typed:
        with pytest.raises(InvitationInvalid):
            parse_code(changed)


@given(st.integers(0, 27), st.integers(0, 27))
def test_any_two_exchanged_characters_are_noticed(one, other):
    signs = list(str(new_code(FINGERPRINT)).replace("-", ""))
    exchanged = list(signs)
    exchanged[one], exchanged[other] = signs[other], signs[one]

    if exchanged != signs:
        with pytest.raises(InvitationInvalid):
            parse_code("".join(exchanged))


@given(st.text(max_size=60))
def test_any_text_is_a_code_or_refused(text):
    with suppress(InvitationInvalid):
        assert len(parse_code(text).secret) == 10


@given(st.text(max_size=80))
def test_any_text_is_an_invitation_or_refused(text):
    with suppress(InvitationInvalid):
        assert parse_invitation(text).host


def test_code_may_be_typed_carelessly():
    code = parse_code(str(new_code(FINGERPRINT)))
    careless = f"  {str(code).lower().replace('-', ' ').replace('0', 'o').replace('1', 'l')} "

    assert parse_code(careless) == code


@pytest.mark.parametrize("host", ["127.0.0.1", "cloud.example", "::1"])
def test_invitation_is_read_as_typed_and_as_scanned(host):
    invitation = Invitation(code=new_code(FINGERPRINT), host=host, port=9443)

    assert parse_invitation(str(invitation)) == invitation
    assert parse_invitation(invitation.as_qr(FINGERPRINT)) == invitation


def test_port_may_be_left_out():
    assert parse_invitation(f"{new_code(FINGERPRINT)}@cloud.example").port == DEFAULT_PORT


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace("/enrol/", "/other/"),
        lambda text: text[:-2] + "zz",
        lambda text: text[:-64] + sha256(b"another").hexdigest(),
        lambda text: text[:-64],
        lambda text: text.replace("cloud.example:9443", ""),
        lambda text: text.replace("9443", "99999"),
    ],
    ids=["other path", "no hex", "other authority", "no fingerprint", "no address", "no port"],
)
def test_spoilt_qr_code_is_refused(spoil):
    whole = Invitation(code=new_code(FINGERPRINT), host="cloud.example", port=9443).as_qr(FINGERPRINT)

    with pytest.raises(InvitationInvalid):
        parse_invitation(spoil(whole))


@pytest.mark.parametrize("address", ["", "@", "@:1", "@user@host", "@[::1", "@a b"])
def test_code_without_an_address_is_refused(address):
    with pytest.raises(InvitationInvalid):
        parse_invitation(f"{new_code(FINGERPRINT)}{address}")
