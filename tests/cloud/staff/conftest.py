"""The land of the places' tests with people who work there."""

import secrets

import pytest

from cloud.staff.model import PractitionerKind
from cloud.staff.service import StaffService
from cloud.store.sealing import Sealer
from tests.cloud.places.conftest import (  # noqa: F401 fixtures are found by their names
    ADMINISTRATOR,
    clock,
    land,
    places,
    pool,
    recorder,
)


@pytest.fixture
def staff(land, pool, recorder, clock):  # noqa: F811 the fixtures above
    return StaffService(pool, sealer=Sealer(secrets.token_bytes(32)), recorder=recorder, clock=clock)


def hire(staff, kind=PractitionerKind.PHYSICIAN, *, at="county", subject=ADMINISTRATOR):
    made = staff.create_practitioner(subject, at, display=("名", "name"), kind=kind)
    return made.practitioner.person_id


def form_team(staff, *places, at="county", subject=ADMINISTRATOR):  # noqa: F811 an argument
    team = staff.create_team(subject, at, names=("组", "team")).team_id
    for place in places:
        staff.add_place(subject, team, place)
    return team
