from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.signing.model import (
    Kind,
    Licence,
    SignatureInvalid,
    Statement,
    parse_statement,
    read_signature_file,
)
from cloud.store.suite import Suite
from tests.cloud.signing.conftest import NOW

STATEMENT = Statement(
    scheme=Suite.SM2,
    key_id="k-1",
    kind=Kind.REPORT,
    document_id="报告-1",
    version=2,
    hash_name="sm3",
    content_hash="ab" * 32,
    signer="doctor",
    licence=Licence(practitioner_role_id=3, qualification_id=4),
    signed_at=NOW,
    purpose="care",
)


def test_canonical_form_is_this_for_ever():
    assert STATEMENT.to_bytes().decode() == (
        '["qianli-signature-1","sm2","k-1","report","报告-1",2,"sm3","'
        + "ab" * 32
        + '","doctor",3,4,1795579200000000,"care"]'
    )


@given(st.text(), st.integers(1, 2**31 - 1), st.sampled_from(Kind))
def test_statement_reads_back_what_it_wrote(document_id, version, kind):
    statement = replace(STATEMENT, document_id=document_id, version=version, kind=kind, licence=None)

    assert parse_statement(statement.to_bytes()) == statement


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"{}", STATEMENT.to_bytes() + b" ", STATEMENT.to_bytes().replace(b"-1", b"-2", 1)],
    ids=["empty", "short", "object", "space", "other format"],
)
def test_any_other_spelling_is_refused(text):
    with pytest.raises(SignatureInvalid):
        parse_statement(text)


@given(st.binary())
def test_any_bytes_are_no_statement_and_no_file(content):
    with pytest.raises(SignatureInvalid):
        parse_statement(content)
    with pytest.raises(SignatureInvalid):
        read_signature_file(content)
