import json

import pytest

from cloud.identity.errors import OidcFileInvalid
from cloud.identity.oidc.model import read_providers

ENTRY = {
    "key": "county",
    "issuer": "https://id.example/realm",
    "client_id": "qianli",
    "title_zh": "县医院",
    "title_en": "County hospital",
    "organisation": "first-hospital",
    "roles": {"doctors": "clinician"},
}


def write(tmp_path, *entries):
    path = tmp_path / "oidc.json"
    path.write_text(json.dumps({"providers": entries}))
    return path


def test_without_a_file_there_is_no_provider():
    assert read_providers(None) == ()


def test_file_names_the_providers(tmp_path):
    (provider,) = read_providers(write(tmp_path, ENTRY))

    assert (provider.key, provider.roles["doctors"], provider.secret()) == ("county", "clinician", None)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"issuer": "http://id.example"}, "https"),
        ({"issuer": "https://id.example/?x=1"}, "query"),
        ({"roles": {"everybody": "system"}}, "staff"),
        ({"roles": {"everybody": "resident"}}, "staff"),
        ({"key": "../x"}, "key"),
        ({"secret": "in the file"}, "secret"),
    ],
    ids=["plain-http", "query", "system", "resident", "key", "unknown"],
)
def test_wrong_entry_is_named(tmp_path, change, word):
    with pytest.raises(OidcFileInvalid, match=word):
        read_providers(write(tmp_path, {**ENTRY, **change}))


def test_two_entries_of_one_issuer_or_key_are_refused(tmp_path):
    with pytest.raises(OidcFileInvalid, match="same"):
        read_providers(write(tmp_path, ENTRY, {**ENTRY, "key": "other"}))


def test_missing_files_are_named(tmp_path):
    with pytest.raises(OidcFileInvalid, match="No such file"):
        read_providers(tmp_path / "absent.json")
    (provider,) = read_providers(
        write(tmp_path, {**ENTRY, "client_secret_file": "/absent", "ca_file": "/absent"})
    )
    for read in (provider.secret, provider.trust):
        with pytest.raises(OidcFileInvalid, match="county"):
            read()
