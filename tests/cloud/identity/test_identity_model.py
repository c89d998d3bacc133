import pytest

from cloud.identity.model import SYSTEM, LoginThrottle, Role, hash_token, new_token, subject_of
from tests.fixtures.wire_messages import seconds, utc_now

NOW = utc_now()


def throttle_after(failures):
    throttle = LoginThrottle()
    for number in range(failures):
        throttle.note_failure("doctor", now=NOW + seconds(number))
    return throttle


def test_five_failures_are_allowed_and_then_the_name_waits():
    assert throttle_after(4).retry_after("doctor", now=NOW + seconds(5)) is None
    assert throttle_after(5).retry_after("doctor", now=NOW + seconds(5)) == seconds(295)


def test_waiting_ends_five_minutes_after_the_first_failure():
    throttle = throttle_after(5)

    assert throttle.retry_after("doctor", now=NOW + seconds(299)) == seconds(1)
    assert throttle.retry_after("doctor", now=NOW + seconds(300)) is None


def test_one_name_does_not_lock_another():
    assert throttle_after(5).retry_after("admin", now=NOW) is None


def test_success_forgets_the_failures():
    throttle = throttle_after(4)
    throttle.note_success("doctor")
    throttle.note_failure("doctor", now=NOW)

    assert throttle.retry_after("doctor", now=NOW) is None


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
