import json

import pytest

from cloud.signing.model import FORMAT, Kind, Signature, SigningKey, Statement
from cloud.signing.schemes.choice import scheme_of
from cloud.store.suite import Suite, hash_content
from qianli.__main__ import main
from tests.cloud.signing.conftest import NOW


@pytest.fixture(params=list(Suite))
def file(request, tmp_path):
    scheme, suite = scheme_of(request.param), request.param
    private = scheme.make_private()
    key = SigningKey(
        key_id="k", person_id="doctor", scheme=suite, public_key=scheme.public_of(private), valid_from=NOW,
        valid_until=NOW.replace(year=2027),
    )  # fmt: skip
    statement = Statement(
        scheme=suite, key_id="k", kind=Kind.OPINION, document_id="o-1", version=1, hash_name=suite.hash_name,
        content_hash=hash_content(suite.hash_name, b"opinion").hex(), signer="doctor", licence=None,
        signed_at=NOW, purpose="care",
    )  # fmt: skip
    text = statement.to_bytes()
    path = tmp_path / "opinion.json"
    path.write_bytes(
        Signature(statement=text, signature=scheme.sign(private, text), key=key).to_file(b"opinion")
    )
    return path


def test_signature_is_proved_without_a_database(file, capsys, tmp_path):
    assert main(["signature", "verify", str(file), "--content", str(tmp_path / "content")]) == 0

    proved = json.loads(capsys.readouterr().out)
    assert (proved["valid"], proved["signer"], proved["document"]) == (True, "doctor", "o-1")
    assert (tmp_path / "content").read_bytes() == b"opinion"
    assert main(["signature", "verify", str(file), "--key", proved["key"]]) == 0


def test_changed_document_and_strange_key_fail(file, capsys):
    assert main(["signature", "verify", str(file), "--key", "00"]) == 1
    assert "strange key" in json.loads(capsys.readouterr().out)["reason"]
    file.write_bytes(file.read_bytes().replace(b"b3Bpbmlvbg==", b"b3Bpbmlvbw=="))
    assert main(["signature", "verify", str(file)]) == 1
    assert json.loads(capsys.readouterr().out)["valid"] is False


def test_file_that_is_none_is_told(tmp_path, capsys):
    assert main(["signature", "verify", str(tmp_path / "none")]) == 1
    assert "cannot be used" in capsys.readouterr().err
    (tmp_path / "other").write_text(json.dumps({"format": FORMAT}))
    assert main(["signature", "verify", str(tmp_path / "other")]) == 1
