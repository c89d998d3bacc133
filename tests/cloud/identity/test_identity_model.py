import pytest

from cloud.identity.model import (
    SCOPES_FOR_CLIENTS,
    Role,
    Scope,
    hash_token,
    new_token,
    subject_of,
    subject_of_client,
)


@pytest.mark.parametrize(
    ("role", "may"),
    [
        (Role.CLINICIAN, True),
        (Role.NURSE, True),
        (Role.RESIDENT, True),
        (Role.ADMINISTRATOR, False),
        (Role.AUDITOR, False),
        (Role.CLIENT, False),
        (Role.SYSTEM, True),
    ],
)
def test_only_those_who_care_residents_and_the_system_read_of_people_at_all(role, may):
    assert subject_of(person="d", role=role, organisation="o-1").may_read_people is may


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
