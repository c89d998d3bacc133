"""Signing on a real database."""

from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from cloud.identity.errors import NotAllowed
from cloud.identity.model import Role, subject_of
from cloud.signing import queries
from cloud.signing.model import (
    SEALED_PRIVATE_KEYS,
    Kind,
    SignatureInvalid,
    SigningRefused,
    WhyNot,
    read_signature_file,
)
from cloud.signing.service import check_signature
from cloud.store.reseal import move_column
from cloud.store.sealing import Sealer, SealingKey
from cloud.store.suite import Suite
from tests.cloud.signing.conftest import DOCTOR, NOW, NURSE, RESIDENT, Paper, anybody, qualify, service

pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]


def refused(made, database, subject, paper, *, at=NOW):
    with pytest.raises(SigningRefused) as caught:
        made.sign(database, subject, paper, stepped_up_at=at)
    return caught.value.reason


@pytest.mark.parametrize("suite", list(Suite))
def test_signature_is_proved_from_its_file_alone(hospital, recorder, suite):
    qualify(hospital, "doctor")
    signature = service(recorder, suite=suite).sign(hospital, DOCTOR, Paper(), stepped_up_at=NOW)

    statement = check_signature(*read_signature_file(signature.to_file(Paper().content)))
    assert (statement.signer, statement.scheme, statement.hash_name) == ("doctor", suite, suite.hash_name)
    assert statement.licence is not None
    assert [str(act.action) for act in recorder.acts] == ["sign_document"] * 2
    assert recorder.acts[0].target.id == "report:report-1:1"


def test_what_is_kept_is_what_was_given(hospital, recorder):
    qualify(hospital, "doctor")
    given = service(recorder).sign(hospital, DOCTOR, Paper(), stepped_up_at=NOW)
    stranger = subject_of(person="x", role=Role.CLINICIAN, organisation="other")

    def kept(subject):
        return queries.find_signatures(hospital, subject, Kind.REPORT, document_id="report-1", version=1)

    assert kept(DOCTOR) == [given]
    assert kept(stranger) == []
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        hospital.execute("UPDATE signature SET signer = 'nurse'")


def test_one_key_serves_a_signer_and_a_version_is_signed_once(hospital, recorder):
    qualify(hospital, "doctor")
    made = service(recorder)
    first = made.sign(hospital, DOCTOR, Paper(), stepped_up_at=NOW)
    second = made.sign(hospital, DOCTOR, Paper(version=2), stepped_up_at=NOW)

    assert first.key == second.key
    assert refused(made, hospital, DOCTOR, Paper()) is WhyNot.SIGNED_ALREADY


@pytest.mark.parametrize(
    ("kind", "valid", "reason"),
    [
        (None, None, WhyNot.NOT_QUALIFIED),
        ("nurse", "[2020-01-01,2030-01-01)", WhyNot.NOT_QUALIFIED),
        ("physician", "[2020-01-01,2026-11-25)", WhyNot.EXPIRED),
        ("physician", "[2026-11-26,2030-01-01)", WhyNot.EXPIRED),
    ],
    ids=["none", "of another profession", "ended yesterday", "begins tomorrow"],
)
def test_unqualified_and_expired_signers_are_refused(hospital, recorder, kind, valid, reason):
    qualify(hospital, "doctor", kind=kind, valid=valid)

    assert refused(service(recorder), hospital, DOCTOR, Paper()) is reason
    assert recorder.acts == []
    assert hospital.execute("SELECT count(*) FROM signature").fetchone() == (0,)


def test_licence_ends_with_the_day_of_its_place(hospital, recorder):
    """23:30 on the last day in Shanghai is 15:30 UTC; half an hour later it is over."""
    qualify(hospital, "doctor", valid="[2020-01-01,2026-11-25]")
    last = NOW.replace(hour=15, minute=30)
    signature = service(recorder, now=last).sign(hospital, DOCTOR, Paper(), stepped_up_at=last)
    assert signature.key.person_id == "doctor"

    over = NOW.replace(hour=16)
    assert refused(service(recorder, now=over), hospital, DOCTOR, Paper(version=2), at=over) is WhyNot.EXPIRED


def test_revoked_qualification_and_ended_role_are_refused(hospital, recorder):
    qualify(hospital, "doctor")
    hospital.execute("UPDATE qualification SET revoked_at = %s", (NOW,))
    assert refused(service(recorder), hospital, DOCTOR, Paper()) is WhyNot.EXPIRED
    hospital.execute("UPDATE practitioner_role SET during = tstzrange(lower(during), %s)", (NOW,))
    assert refused(service(recorder), hospital, DOCTOR, Paper()) is WhyNot.NO_ROLE


@pytest.mark.parametrize(
    "ago", [None, timedelta(minutes=6), timedelta(minutes=-1)], ids=["none", "old", "future"]
)
def test_without_a_fresh_second_proof_nothing_is_signed(hospital, recorder, ago):
    made = service(recorder, may_sign=anybody)

    assert refused(made, hospital, DOCTOR, Paper(), at=None if ago is None else NOW - ago) is WhyNot.STEP_UP


def test_resident_signs_a_consent_as_oneself_and_nothing_else(hospital, recorder):
    made = service(recorder)
    signature = made.sign(hospital, RESIDENT, Paper(kind=Kind.CONSENT), stepped_up_at=NOW)
    statement = check_signature(signature, Paper().content)

    assert (statement.licence, statement.purpose) == (None, "self")
    for subject in (RESIDENT, NURSE):
        with pytest.raises(NotAllowed):
            made.sign(hospital, subject, Paper(), stepped_up_at=NOW)


def test_changed_parts_are_noticed(hospital, recorder):
    made = service(recorder, may_sign=anybody)
    signature = made.sign(hospital, DOCTOR, Paper(), stepped_up_at=NOW)
    key = signature.key
    wrong = [
        replace(signature, statement=signature.statement.replace(b'"care"', b'"self"')),
        replace(signature, signature=bytes(64)),
        replace(signature, key=replace(key, public_key=bytes(32))),
        replace(signature, key=replace(key, valid_until=NOW)),
        replace(signature, key=replace(key, revoked_at=NOW)),
        replace(signature, key=replace(key, key_id="k-2")),
    ]
    for changed in wrong:
        with pytest.raises(SignatureInvalid):
            check_signature(changed, Paper().content)
    with pytest.raises(SignatureInvalid, match="the document is not"):
        check_signature(signature, b"another")


def test_revoked_key_signs_no_more_and_its_earlier_signatures_stay(hospital, recorder):
    first = service(recorder, may_sign=anybody).sign(hospital, DOCTOR, Paper(), stepped_up_at=NOW)
    later = NOW + timedelta(hours=1)
    made = service(recorder, may_sign=anybody, now=later)

    assert made.revoke_keys(hospital, "doctor") == 1
    second = made.sign(hospital, DOCTOR, Paper(version=2), stepped_up_at=later)
    (kept,) = queries.find_signatures(hospital, DOCTOR, Kind.REPORT, document_id="report-1", version=1)
    assert second.key.key_id != first.key.key_id
    assert check_signature(kept, Paper().content).signed_at == NOW


def test_private_keys_move_to_the_newest_key_of_the_ring(hospital, recorder):
    made = service(recorder, may_sign=anybody)
    made.sign(hospital, DOCTOR, Paper(), stepped_up_at=NOW)
    keys = [SealingKey(number=n, suite=Suite.ED25519, secret=s) for n, s in ((1, b"k" * 32), (2, b"l" * 32))]
    ring = Sealer(keys)

    assert [move_column(hospital, ring, SEALED_PRIVATE_KEYS).sealed for _ in range(2)] == [1, 0]
    made._sealer = ring
    assert check_signature(made.sign(hospital, DOCTOR, Paper(version=2), stepped_up_at=NOW), Paper().content)
