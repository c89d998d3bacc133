"""A county hospital with two townships and a village below it, a stranger beside it, on a real database."""

import itertools

import pytest

from cloud.identity.model import Role, subject_of
from cloud.places.model import LocationKind
from cloud.places.service import NewLocation, PlaceService
from cloud.store.connection import build_pool
from tests.cloud.people.conftest import Clock, Notebook

ADMINISTRATOR = subject_of(person="admin-1", role=Role.ADMINISTRATOR, organisation="county")
BELOW = subject_of(person="admin-2", role=Role.ADMINISTRATOR, organisation="town-a")
DOCTOR = subject_of(person="doctor-1", role=Role.CLINICIAN, organisation="county")
STRANGER = subject_of(person="admin-3", role=Role.ADMINISTRATOR, organisation="stranger")
ORGANISATIONS = (
    ("stranger", "county", None),
    ("county", "county", None),
    ("town-a", "township", "county"),
    ("town-b", "township", "county"),
    ("village", "village", "town-a"),
)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def recorder():
    return Notebook()


@pytest.fixture
def pool(database_url):
    with build_pool(database_url) as pool:
        yield pool


@pytest.fixture
def land(database):
    """The organisations, each with one site, and three patients of the county hospital."""
    for organisation, level, part_of in ORGANISATIONS:
        values = (organisation, organisation, organisation, level, part_of)
        database.execute("INSERT INTO organisation VALUES (%s, %s, %s, %s, %s)", values)
        database.execute("INSERT INTO site VALUES (%s, %s, '', '')", (f"site-{organisation}", organisation))
    for patient, owner in (("p-1", "county"), ("p-2", "county"), ("p-theirs", "stranger")):
        database.execute(
            "INSERT INTO patient (patient_id, organisation_id, site_id, bed, name_zh, name_en, name_sort) "
            "VALUES (%s, %s, %s, '', '', '', '')",
            (patient, owner, f"site-{owner}"),
        )
    return database


@pytest.fixture
def places(land, pool, recorder, clock):
    return PlaceService(pool, recorder=recorder, clock=clock)


_CODES = itertools.count(1)


def new(kind, *, part_of=None, code=None):
    made = code or f"c{next(_CODES)}"
    return NewLocation(kind=kind, code=made, name_zh=made, name_en=made, part_of=part_of)


def build(places, *kinds, site="site-county", subject=ADMINISTRATOR):
    """Locations, each in the one before it; returns their ids."""
    made = []
    for kind in kinds:
        part_of = made[-1] if made else None
        made.append(places.create_location(subject, site, new(kind, part_of=part_of)).location_id)
    return made


def ward_room_bed(places):
    return build(places, LocationKind.WARD, LocationKind.ROOM, LocationKind.BED)


def lay(database, patient_id, location_id, *, at):
    """Put a patient into a bed, as the room of bindings does."""
    database.execute(
        "INSERT INTO stay (patient_id, location_id, kind, during, begun_by) "
        "VALUES (%s, %s, 'bed', tstzrange(%s, NULL), 'doctor')",
        (patient_id, location_id, at),
    )
