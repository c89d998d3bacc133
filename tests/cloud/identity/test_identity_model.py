import pytest

from cloud.identity.model import (
    SCOPES_FOR_CLIENTS,
    SYSTEM,
    Role,
    Scope,
    hash_token,
    new_token,
    subject_of,
    subject_of_client,
)


@pytest.mark.parametrize(
    ("subject", "may"),
    [
        (subject_of(person="d", role=Role.CLINICIAN, organisation="o-1"), True),
        (subject_of(person="d", role=Role.CLINICIAN, organisation="o-2"), False),
        (subject_of(person="a", role=Role.ADMINISTRATOR, organisation="o-1"), False),
        (SYSTEM, True),
    ],
    ids=["own", "foreign", "administrator", "system"],
)
def test_only_clinicians_of_the_organisation_and_the_system_see_its_patients(subject, may):
    assert subject.may_read_patients_of("o-1") is may


def test_stored_token_is_not_the_token():
    token = new_token()

    assert len(token) >= 43
    assert token.encode() not in hash_token(token)
    assert new_token() != token


def test_client_never_has_what_only_people_may():
    client = subject_of_client("c", organisation="o-1", scopes=frozenset(Scope))

    assert client.scopes == SCOPES_FOR_CLIENTS
    assert client.scopes.isdisjoint(
        {Scope.SIGN, Scope.BREAK_GLASS, Scope.MANAGE_ACCOUNTS, Scope.REVIEW_ACCESS}
    )
