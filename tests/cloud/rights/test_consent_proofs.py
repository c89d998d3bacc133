"""Consents are signed, proved without the database, and found out when somebody changes them in it."""

import argparse
import json

import pytest

from cloud.act import AuditUnavailable
from cloud.identity.errors import NotAllowed
from cloud.identity.model import Scope, subject_of_client
from cloud.rights.model import SignatureState
from cloud.signing.model import parse_statement
from cloud.signing.schemes.ed25519 import Ed25519Scheme
from qianli.commands import signature as verify_command
from tests.cloud.rights.conftest import NURSE, PATIENT, SEALER, link_account, relate
from tests.cloud.rights.test_rights_service import new_consent

pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]

EDITS = [
    "up_to = 'highly_sensitive'",
    "organisation_id = 'own'",
    "purposes = '{care,operation}'",
    "given_by = ''",
    "recorded_by = 'nurse'",
    "capacity = 'guardian'",
    "text_language = 'en'",
    "text_version = 99",
    "text_sha256 = sha256('other')",
    "during = tstzrange(lower(during), '2200-01-01')",
    "during = tstzrange(lower(during) - interval '1 day', NULL)",
    "signature = ''",
    "withdrawn_at = now(), withdrawn_by = 'nurse'",
]


@pytest.fixture
def given(rights, hospitals):
    link_account(rights, hospitals, PATIENT)
    return rights.give_consent(PATIENT, new_consent())


def tampered(database, statement, *values):
    """What somebody with the database, but without the keys, does."""
    database.execute("ALTER TABLE consent DISABLE TRIGGER never_rewritten")
    assert database.execute(statement, values).rowcount == 1
    database.execute("ALTER TABLE consent ENABLE TRIGGER never_rewritten")


def seen(rights):
    (kept,) = rights.own_consents(PATIENT).things
    return kept


def verified(text, tmp_path, capsys, *, key=None):
    path = tmp_path / "proof.json"
    path.write_text(text)
    code = verify_command.run(argparse.Namespace(file=path, key=key, content=tmp_path / "content"))
    return code, json.loads(capsys.readouterr().out.splitlines()[-1])


def test_both_answers_are_proved_by_the_command_from_their_files_alone(rights, given, tmp_path, capsys):
    rights.withdraw_consent(PATIENT, given.consent_id)
    proofs = seen(rights).proofs
    said = [verified(text, tmp_path, capsys) for text in proofs]
    content = json.loads((tmp_path / "content").read_text())

    assert [(code, one["version"], one["signer"], one["purpose"]) for code, one in said] == [
        (0, 1, PATIENT.person, "self"),
        (0, 2, PATIENT.person, "self"),
    ]
    assert (content["answer"], content["consent"]) == ("withdrawn", given.consent_id)
    broken = json.loads(proofs[0])
    broken["content"] = json.loads(proofs[1])["content"]
    assert verified(json.dumps(broken), tmp_path, capsys)[0] == 1


def test_file_holds_the_words_and_says_what_it_is_not(rights, given, tmp_path, capsys):
    verified(given.proofs[0], tmp_path, capsys)
    content = json.loads((tmp_path / "content").read_text())
    (text,) = [one for one in rights.consent_texts() if one.language == "zh"]

    assert (content["text"], content["text_sha256"]) == (text.text, text.sha256.hex())
    assert (content["up_to"], content["to_organisation"]) == ("sensitive", "other")
    assert "held no key in hand" in content["meaning"]


def test_whatever_is_edited_in_a_consent_is_found(rights, hospitals, given):
    hospitals.execute("ALTER TABLE consent DISABLE TRIGGER USER")
    hospitals.execute("CREATE TABLE before AS TABLE consent")
    for change in EDITS:
        assert seen(rights).state is SignatureState.SIGNED
        hospitals.execute(f"UPDATE consent SET {change}")  # noqa: S608 only our own words
        assert seen(rights).state is not SignatureState.SIGNED, change
        assert seen(rights).proofs == ()
        hospitals.execute("DELETE FROM consent")
        hospitals.execute("INSERT INTO consent TABLE before")


def test_withdrawal_that_is_undone_or_moved_is_found(rights, hospitals, given):
    rights.withdraw_consent(PATIENT, given.consent_id)
    assert seen(rights).state is SignatureState.SIGNED
    tampered(hospitals, "UPDATE consent SET withdrawn_at = now() - interval '1 hour'")
    assert seen(rights).state is SignatureState.BROKEN
    tampered(hospitals, "UPDATE consent SET withdrawn_at = NULL, withdrawn_by = NULL")

    assert seen(rights).state is SignatureState.BROKEN


def test_erased_withdrawal_can_still_be_withdrawn_again(rights, hospitals, given):
    rights.withdraw_consent(PATIENT, given.consent_id)
    tampered(hospitals, "UPDATE consent SET withdrawn_at = NULL, withdrawn_by = NULL")
    rights.withdraw_consent(PATIENT, given.consent_id)

    assert (seen(rights).withdrawn_at is None, seen(rights).state) == (False, SignatureState.BROKEN)


def test_missing_signature_is_found(rights, hospitals, given):
    hospitals.execute("DELETE FROM signature")

    assert seen(rights).state is SignatureState.BROKEN


def test_signature_with_a_key_that_somebody_put_into_the_database_is_found(rights, hospitals, given):
    scheme = Ed25519Scheme()
    private = scheme.make_private()
    row = hospitals.execute("SELECT key_id, sealed_private FROM signing_key").fetchone()
    statement = hospitals.execute("SELECT statement FROM signature").fetchone()[0]
    forged = scheme.sign(private, statement)
    hospitals.execute("UPDATE signing_key SET public_key = %s", (scheme.public_of(private),))
    hospitals.execute("ALTER TABLE signature DISABLE TRIGGER append_only")
    hospitals.execute("UPDATE signature SET signature = %s", (forged,))
    tampered(hospitals, "UPDATE consent SET signature = %s", forged.hex())

    assert SEALER.unseal(row[1], context=f"signing-key\0{row[0]}")
    assert seen(rights).state is SignatureState.BROKEN


def test_witness_signs_what_was_agreed_to_on_paper_and_names_the_licence(rights, hospitals):
    relate(hospitals, "care", person="nurse")
    hospitals.execute(
        "INSERT INTO practitioner_role (person_id, organisation_id, role, during) "
        "VALUES ('nurse', 'own', 'nurse', '[2020-01-01,)')"
    )
    hospitals.execute(
        "INSERT INTO qualification (person_id, kind, sealed_number, issuer, valid) "
        "VALUES ('nurse', 'nurse', 'x', 'x', '[2020-01-01,)')"
    )
    consent = rights.give_consent(NURSE, new_consent())
    said = parse_statement(json.loads(consent.proofs[0])["statement"].encode())

    assert (said.signer, said.purpose, said.licence is None) == ("nurse", "care", False)


def test_another_system_records_no_consent(rights, hospitals):
    scopes = frozenset({Scope.READ_PATIENTS, Scope.EDIT_PATIENTS})
    client = subject_of_client("client-1", organisation="own", scopes=scopes)
    relate(hospitals, "care", person="client-1")

    with pytest.raises(NotAllowed):
        rights.give_consent(client, new_consent())


def test_consent_and_signature_exist_both_or_neither(rights, hospitals, notebook):
    link_account(rights, hospitals, PATIENT)
    notebook.is_away = True
    with pytest.raises(AuditUnavailable):
        rights.give_consent(PATIENT, new_consent())

    counted = "(SELECT count(*) FROM consent), (SELECT count(*) FROM signature)"
    assert hospitals.execute("SELECT " + counted).fetchone() == (0, 0)


def test_what_was_signed_before_the_key_was_revoked_still_proves(rights, hospitals, given):
    hospitals.execute("UPDATE signing_key SET revoked_at = now(), during = tstzrange(lower(during), now())")

    assert seen(rights).state is SignatureState.SIGNED
