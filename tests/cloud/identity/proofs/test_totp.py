from datetime import UTC, datetime, timedelta

import pytest

from cloud.identity.proofs.totp import code_at, matching_step, new_secret, otpauth_uri, step_at

# RFC 6238, appendix B (with the keys of its errata: as long as the hash)
KEYS = {name: (b"1234567890" * 7)[:size] for name, size in (("sha1", 20), ("sha256", 32), ("sha512", 64))}
VECTORS = [
    (59, "94287082", "46119246", "90693936"),
    (1111111109, "07081804", "68084774", "25091201"),
    (1111111111, "14050471", "67062674", "99943326"),
    (1234567890, "89005924", "91819424", "93441116"),
    (2000000000, "69279037", "90698825", "38618901"),
    (20000000000, "65353130", "77737706", "47863826"),
]
NOW = datetime(2026, 11, 25, 4, 0, tzinfo=UTC)
SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"  # "12345678901234567890"


@pytest.mark.parametrize(("second", "sha1", "sha256", "sha512"), VECTORS)
def test_codes_are_those_of_the_standard(second, sha1, sha256, sha512):
    step = step_at(datetime.fromtimestamp(second, UTC))
    codes = [code_at(KEYS[name], step, digits=8, hash_name=name) for name in KEYS]

    assert codes == [sha1, sha256, sha512]


@pytest.mark.parametrize(
    ("late_s", "is_taken"), [(-30, True), (0, True), (30, True), (-60, False), (60, False)]
)
def test_clock_may_be_one_step_off(late_s, is_taken):
    code = code_at(KEYS["sha1"], step_at(NOW))
    found = matching_step(SECRET, code, now=NOW + timedelta(seconds=late_s))

    assert found == (step_at(NOW) if is_taken else None)


def test_secret_is_160_random_bits_in_base32():
    secrets = {new_secret() for _ in range(20)}

    assert len(secrets) == 20
    assert {len(secret) for secret in secrets} == {32}


def test_address_for_the_app_escapes_what_would_end_a_field():
    uri = otpauth_uri(SECRET, account="a b&secret=x", issuer="Qianli")

    assert uri.startswith(f"otpauth://totp/Qianli:a%20b%26secret%3Dx?secret={SECRET}&issuer=Qianli&")
