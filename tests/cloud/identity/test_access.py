import pytest
from fastapi import APIRouter, Depends

from cloud.identity.access import (
    BREAKS_GLASS,
    CHANGES_ONE_ACCOUNT,
    EDITS_ONE_PATIENT,
    FINDS_PATIENTS,
    LOGGED_IN,
    PUBLIC,
    READS_ONE_PATIENT,
    VIEWS_ONE_PATIENT,
    Answer,
    access_of,
)
from cloud.identity.model import Role


@pytest.mark.parametrize(
    ("access", "role", "is_own", "may_see", "answer"),
    [
        (PUBLIC, None, False, False, Answer.GIVEN),
        (LOGGED_IN, None, True, True, Answer.LOG_IN_FIRST),
        (LOGGED_IN, Role.ADMINISTRATOR, False, False, Answer.GIVEN),
        (READS_ONE_PATIENT, None, True, True, Answer.LOG_IN_FIRST),
        (READS_ONE_PATIENT, Role.CLINICIAN, True, True, Answer.GIVEN),
        (READS_ONE_PATIENT, Role.CLINICIAN, False, True, Answer.GIVEN),
        (READS_ONE_PATIENT, Role.CLINICIAN, True, False, Answer.NOT_THERE),
        (READS_ONE_PATIENT, Role.ADMINISTRATOR, True, True, Answer.NOT_ALLOWED),
        (READS_ONE_PATIENT, Role.RESIDENT, True, True, Answer.NOT_ALLOWED),
        (VIEWS_ONE_PATIENT, Role.RESIDENT, False, True, Answer.GIVEN),
        (VIEWS_ONE_PATIENT, Role.RESIDENT, True, False, Answer.NOT_THERE),
        (EDITS_ONE_PATIENT, Role.NURSE, True, True, Answer.GIVEN),
        (BREAKS_GLASS, Role.CLINICIAN, True, False, Answer.GIVEN),
        (BREAKS_GLASS, Role.CLINICIAN, False, True, Answer.NOT_THERE),
        (BREAKS_GLASS, Role.AUDITOR, True, True, Answer.NOT_ALLOWED),
        (FINDS_PATIENTS, Role.CLINICIAN, False, False, Answer.GIVEN),
        (FINDS_PATIENTS, Role.ADMINISTRATOR, True, True, Answer.NOT_ALLOWED),
    ],
)
def test_declaration_tells_the_answer_to_each_role(access, role, is_own, may_see, answer):
    assert access.answer_to(role, is_own=is_own, may_see=may_see, is_stepped_up=True) is answer


@pytest.mark.parametrize(
    ("role", "is_own", "is_stepped_up", "answer"),
    [
        (None, True, True, Answer.LOG_IN_FIRST),
        (Role.CLINICIAN, True, False, Answer.NOT_ALLOWED),
        (Role.ADMINISTRATOR, False, False, Answer.STEP_UP_FIRST),
        (Role.ADMINISTRATOR, False, True, Answer.NOT_THERE),
        (Role.ADMINISTRATOR, True, True, Answer.GIVEN),
    ],
)
def test_fresh_proof_is_asked_after_the_right_and_before_the_object(role, is_own, is_stepped_up, answer):
    given = CHANGES_ONE_ACCOUNT.answer_to(role, is_own=is_own, may_see=False, is_stepped_up=is_stepped_up)
    assert given is answer


def test_route_without_a_declaration_is_found():
    router = APIRouter()
    router.add_api_route("/open", lambda: None, dependencies=[Depends(PUBLIC)])
    router.add_api_route("/forgotten", lambda: None)

    assert [access_of(route) for route in router.routes] == [PUBLIC, None]
